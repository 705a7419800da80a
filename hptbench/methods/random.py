"""Random search (Bergstra & Bengio, JMLR 13, 2012)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.protocol import Problem, Proposal, Report, Traits
from hptbench.registry import method
from hptbench.space import Config

_BLOCK = 64
"""Configurations drawn at a time: the draws do not depend on how many are asked for."""


@method("random")
@dataclass(frozen=True)
class RandomSearch:
    """Random search: independent uniform draws, each trained to the end."""

    traits: ClassVar[Traits] = Traits(max_objectives=99)

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(problem, rng)


class _Search:
    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self._space, self._rng = problem.space, rng
        self._drawn: list[Config] = []

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        while len(self._drawn) < n:
            self._drawn += self._space.decode(self._space.sample(self._rng, _BLOCK))
        out, self._drawn = self._drawn[:n], self._drawn[n:]
        return [Proposal(config) for config in out]

    def tell(self, reports: Sequence[Report]) -> None:
        """Random search learns nothing."""
