"""Random search (Bergstra & Bengio, JMLR 13, 2012)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.methods._draws import Uniform
from hptbench.protocol import Problem, Proposal, Report, Traits
from hptbench.registry import method


@method("random")
@dataclass(frozen=True)
class RandomSearch:
    """Random search: independent uniform draws, each trained to the end."""

    traits: ClassVar[Traits] = Traits(max_objectives=99)

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(Uniform(problem.space, rng))


class _Search:
    def __init__(self, uniform: Uniform) -> None:
        self._uniform = uniform

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        return [Proposal(self._uniform.draw()[0]) for _ in range(n)]

    def tell(self, reports: Sequence[Report]) -> None:
        """Random search learns nothing."""
