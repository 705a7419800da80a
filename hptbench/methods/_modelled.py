"""Asking and telling of searches that follow a model of what they were told, after a Sobol sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from hptbench.methods._draws import Uniform, sobol
from hptbench.methods._history import History
from hptbench.protocol import Problem, Proposal, Report
from hptbench.space import Config, Floats

_TRIES = 64
"""Points of the sequence that may be known already before one is drawn at random."""


class Modelled(ABC):
    """A search; a subclass says what its model thinks of, given what is known."""

    def __init__(self, problem: Problem, rng: np.random.Generator, initial: int) -> None:
        """``initial``: points of the sequence before the first model."""
        self.space, self.rng, self._initial = problem.space, rng, initial
        self.history = History(problem)
        self._design = sobol(problem.space, rng)
        self._uniform = Uniform(problem.space, rng)
        self._varies = bool((problem.space.sizes != 1).any())

    def tell(self, reports: Sequence[Report]) -> None:
        self.history.add(reports)

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out: list[Proposal] = []
        for _ in range(n):
            pending = [*running, *out]
            config = self.history.first_new(self._candidates(pending), pending)
            out.append(Proposal(self._uniform.draw()[0] if config is None else config))
        return out

    def _candidates(self, pending: Sequence[Proposal]) -> Iterator[Config]:
        succeeded = np.isfinite(self.history.values).all(axis=1).any()
        if len(self.history) + len(pending) < self._initial or not succeeded or not self._varies:
            return islice(self._design, _TRIES)
        return self.promising(self.space.encode([proposal.config for proposal in pending]))

    @abstractmethod
    def promising(self, pending: Floats) -> Iterator[Config]:
        """What to try next, the best first, given the points (p, d) that are being evaluated."""
