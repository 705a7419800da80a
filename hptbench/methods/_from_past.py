"""Searches that follow a model from the first configuration on, since it knows of past tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from hptbench.methods._acquisition import LogEI, Process
from hptbench.methods._maximise import Maximiser
from hptbench.methods._modelled import Modelled
from hptbench.methods._past import past_of
from hptbench.models.embedding import Embedding
from hptbench.protocol import Problem, Proposal, Report
from hptbench.space import Config, Floats

_NEAR = 10
"""Best points around which the acquisition function is looked at more densely."""


class Belief(Process, Protocol):
    """What is believed of this task, by its own evaluations and by past tasks."""

    def expecting(self, x: Floats) -> Belief:
        """The same after targets at ``x``, (m, D), that are as it expects them."""
        ...


class FromPast(Modelled):
    """Maximises the logarithm of the expected improvement below the lowest mean at an observation; before the first
    observation, at what was tried in the past. A subclass says what is believed."""

    def __init__(
        self, name: str, problem: Problem, rng: np.random.Generator, warp: bool, candidates: int, starts: int
    ) -> None:
        """``name`` of the method; ``candidates``, ``starts``: of :class:`Maximiser`. UserError if no past is known."""
        super().__init__(problem, rng, initial=0)
        self._embed = Embedding(problem.space, warp)
        self._maximise = Maximiser(problem.space, candidates, starts)
        self._tasks = past_of(problem, name)
        self._tried = np.concatenate([task.u for task in self._tasks])
        self._belief: Belief | None = None

    @abstractmethod
    def believed(self) -> Belief:
        """What is believed given the history."""

    def tell(self, reports: Sequence[Report]) -> None:
        super().tell(reports)
        self._belief = None

    def _candidates(self, pending: Sequence[Proposal]) -> Iterator[Config]:
        if not self._varies:
            return super()._candidates(pending)
        return self.promising(self.space.encode([proposal.config for proposal in pending]))

    def promising(self, pending: Floats) -> Iterator[Config]:
        if self._belief is None:
            self._belief = self.believed()
        belief = self._belief.expecting(self._embed(pending)) if len(pending) else self._belief
        seen = self.history.u if len(self.history) else self._tried
        means = belief.predict(self._embed(seen))[0]
        acquisition = LogEI(belief, means.min(axis=0), self._embed)
        near = seen[np.argsort(means[:, 0], kind="stable")[:_NEAR]]
        for batch in self._maximise(acquisition, near, self.rng):
            yield from self.space.decode(batch)
