"""Other people's multi-fidelity optimisers behind our protocol: what their wrappers share, beside :mod:`._peers`.

- **Rungs** are those of our own methods: high / eta^k, snapped to what the task can train. A library that counts them
  itself, down from the highest fidelity, is given the lowest of ours, less a billionth, so that its logarithm in
  floating point loses none. Where it counts from the lowest one up, as pruners and stopping rules do, it is told 1,
  eta, eta^2, ...
- **Segments.** Every job trains to a rung. A library that names a fidelity with every suggestion (:class:`RungSearch`)
  may name a configuration again that it had trained to a lower one: the job then goes on from there (``source``), as
  our own methods do, where the library trains anew. One that judges trials while they train (:class:`StoppingSearch`)
  is told what a segment ended in, and its answer, go on or stop, is whether the next segment follows, before anything
  new begins.
- **Reports of other people's jobs** are used at the full fidelity only, if at all.
- Uniform draws that stand in for a suggestion are trained to the end.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from hptbench.methods._brackets import fidelity_of, levels, plan
from hptbench.methods._history import key_of
from hptbench.methods._peers import PeerSearch, finite, trials
from hptbench.protocol import Budget, Problem, Proposal, Report
from hptbench.space import Config


class RungSearch(PeerSearch):
    """A library that says how far to train what it suggests: ``handle.fidelity``, snapped to what the task can do.

    ``method.eta`` is the factor between rungs."""

    def __init__(self, method: Any, problem: Problem, rng: np.random.Generator) -> None:
        self.fidelity = fidelity_of(problem)
        self.levels = levels(self.fidelity, method.eta)
        self._reached: dict[frozenset[tuple[str, object]], Report] = {}
        """Configuration -> the job that trained it furthest, until another goes on from it."""
        super().__init__(method, problem, rng)

    @property
    def lowest(self) -> float:
        """The lowest rung, not snapped, and a little less."""
        return float(self._high / self.method.eta ** (len(self.levels) - 1) * (1 - 1e-9))

    def tell(self, reports: Sequence[Report]) -> None:
        with self._sandbox():
            for report in reports:
                if report.fidelity >= self._high or self._is_own(report):
                    self._take(report)

    def _proposal(self, config: Config, handle: Any) -> Proposal:
        below = self._reached.get(key_of(config))
        if below is None or below.fidelity >= handle.fidelity:
            return Proposal(config, handle.fidelity)
        del self._reached[key_of(config)]
        return Proposal(config, handle.fidelity, below.job)

    def _claim(self, report: Report) -> Any:
        handle = super()._claim(report)
        if handle is not None and finite(report) is not None:
            key = key_of(report.proposal.config)
            if key not in self._reached or self._reached[key].fidelity <= report.fidelity:
                self._reached[key] = report
        return handle


class StoppingSearch(PeerSearch):
    """A library that says of a trial, at every rung, whether it goes on. Notes say ``rung``, 0 is the lowest."""

    def __init__(self, method: Any, problem: Problem, rng: np.random.Generator) -> None:
        self.levels = levels(fidelity_of(problem), method.eta)
        self._going_on: deque[tuple[Report, Any]] = deque()
        super().__init__(method, problem, rng)

    @abstractmethod
    def _goes_on(self, handle: Any, rung: int, value: float) -> bool:
        """Tell the library what the trial has reached; whether it trains on. Not asked for at the highest rung, where
        the trial is over."""

    def resource(self, rung: int) -> int:
        """How far a rung trains, in the terms of the library."""
        return int(self.method.eta**rung)

    def tell(self, reports: Sequence[Report]) -> None:
        with self._sandbox():
            for report in reports:
                self._take(report)

    def _next(self) -> Proposal:
        if not self._going_on:
            return super()._next()
        report, handle = self._going_on.popleft()
        rung = report.proposal.note["rung"] + 1
        proposal = Proposal(report.proposal.config, self.levels[rung], report.job, {"rung": rung})
        return self._hand_out(proposal, handle)

    def _proposal(self, config: Config, handle: Any) -> Proposal:
        return Proposal(config, self.levels[0], note={"rung": 0})

    def _take(self, report: Report) -> None:
        config, values = report.proposal.config, finite(report)
        handle = self._claim(report)
        if handle is None:
            if report.fidelity >= self._high:
                self._tell(None, config, values)
            return
        rung = report.proposal.note["rung"]
        if values is None or rung == len(self.levels) - 1:
            self._tell(handle, config, values)
        elif self._goes_on(handle, rung, values[0]):
            self._going_on.append((report, handle))


def segments(budget: Budget, rungs: Sequence[float], eta: int, otherwise: int) -> int:
    """How many jobs the budget is good for; ``otherwise`` if only time limits them. A budget in full evaluations is
    good for as many as Hyperband's brackets train with it, each from zero."""
    if budget.max_full_evals is None:
        return trials(budget, otherwise)
    rows = [
        (n, level)
        for sizes in plan("paper", len(rungs) - 1, eta)
        for n, level in zip(sizes, rungs[-len(sizes) :], strict=True)
    ]
    cost = sum(n * level for n, level in rows) / rungs[-1]
    jobs = max(1, round(budget.max_full_evals / cost * sum(n for n, _ in rows)))
    return jobs if budget.max_jobs is None else min(jobs, budget.max_jobs)
