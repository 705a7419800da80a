"""The default configuration: the reference that every comparison needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.protocol import Problem, Proposal, Report, Traits
from hptbench.registry import method


@method("default")
@dataclass(frozen=True)
class Default:
    """The default configuration, trained to the end once."""

    traits: ClassVar[Traits] = Traits(max_objectives=99, finite=True)

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(problem)


class _Search:
    def __init__(self, problem: Problem) -> None:
        self._left = [Proposal(problem.space.default())]

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out, self._left = self._left[:n], self._left[n:]
        return out

    def tell(self, reports: Sequence[Report]) -> None:
        """Nothing to learn."""
