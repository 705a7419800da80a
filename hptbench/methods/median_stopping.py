"""The median stopping rule.

D. Golovin, B. Solnik, S. Moitra, G. Kochanski, J. Karro and D. Sculley, "Google Vizier: A service for black-box
optimization", KDD 2017, doi:10.1145/3097983.3098043, section 3.2.2: a trial stops at step s if its best objective by
step s is strictly worse than the median of the running averages, up to step s, of the completed trials. As in Syne
Tune, the rule waits until ``grace_population`` = 5 trials can be compared with, and until ``grace_time``.

Deviations: configurations are random (Vizier's came from its own black-box methods). Completed are trials that have
been trained to the end, stopped, or failed; at step s, those that have got so far. Averages and bests are over all
points of the learning curve that the task reports, at least one per segment: once where a training begins anew, and
without those that are not finite. A failed job ends its trial, which counts
at that step as +inf. Syne Tune compares the trial's own running average in place of its best, also with trials that
still run, and counts the trial itself.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._asha import Asha, value_of
from hptbench.methods._brackets import Sampler, fidelity_of, levels
from hptbench.methods._draws import Uniform
from hptbench.protocol import Fidelity, Problem, Report, Traits
from hptbench.registry import method

_ETA = 3


@method("median_stopping")
@dataclass(frozen=True)
class MedianStopping:
    """Median stopping: random configurations, stopped where their best is worse than the median of what others
    averaged.

    Trains in segments of one step, which makes as many jobs. Where the task's training cannot go on from a state, every
    segment begins anew, and what came before it is lost."""

    step: float | None = None
    """Fidelity between two decisions. None: the task's lowest fidelity, if its training goes on; else each decision
    comes at 3 times the fidelity of the one before, as far apart as the rungs of :mod:`hptbench.methods.asha`, so that
    no more than half of the last segment is lost."""
    grace_time: float = 0.0
    """No trial stops before this fidelity."""
    grace_population: int = 5
    """Nor at a step that fewer completed trials have reached."""
    traits: ClassVar[Traits] = Traits(fidelity=True)

    def __post_init__(self) -> None:
        if self.step is not None and not 0 < self.step < math.inf:
            raise UserError(f"expected median_stopping.step > 0, got {self.step}")
        if self.grace_population < 1:
            raise UserError(f"expected median_stopping.grace_population >= 1, got {self.grace_population}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, steps(fidelity_of(problem), self.step), Uniform(problem.space, rng))


def steps(fidelity: Fidelity, step: float | None) -> tuple[float, ...]:
    """Where it is decided: the lowest fidelity and every ``step`` from there, snapped to valid ones; the last is the
    highest. None: see :class:`MedianStopping`."""
    if step is None and not fidelity.continues:
        return levels(fidelity, _ETA)
    step = fidelity.low if step is None else step
    n = math.ceil((fidelity.high - fidelity.low) / step - 1e-9)
    return tuple(dict.fromkeys([*(fidelity.snap(fidelity.low + i * step) for i in range(n)), fidelity.high]))


@dataclass(slots=True)
class _Curve:
    """What is known of a trial."""

    best: float = math.inf
    total: float = 0.0
    points: int = 0
    averages: list[float] = field(default_factory=list)
    """The running average at each step that was reached."""


class _Search(Asha):
    """Steps are the rungs of one bracket, and the rule decides who goes on."""

    def __init__(self, method: MedianStopping, fidelities: Sequence[float], sampler: Sampler) -> None:
        super().__init__(fidelities, 2, sampler, "stopping")
        self._method, self._fidelities = method, fidelities
        self._curves: dict[int, _Curve] = {}
        """Of the trials at work."""
        self._completed: list[list[float]] = [[] for _ in fidelities]
        """Per step the running averages of completed trials, rising."""

    def reached(self, report: Report) -> None:
        trial, step = report.proposal.note["trial"], report.proposal.note["rung"]
        curve = self._curves.setdefault(trial, _Curve())
        failed = value_of(report) == math.inf
        before = self._fidelities[step - 1] if step else 0.0  # a training that began anew reports these points again
        values = [v for point in report.curve if point.fidelity > before and math.isfinite(v := point.values[0])]
        values = values or [report.values[0]]
        curve.best = min(curve.best, *values) if not failed else math.inf
        curve.total, curve.points = curve.total + math.fsum(values), curve.points + len(values)
        curve.averages.append(math.inf if failed else curve.total / curve.points)
        if step < len(self._fidelities) - 1 and not failed and not self._stops(curve, step):
            self._going_on.append(report)
            return
        for at, average in enumerate(self._curves.pop(trial).averages):
            insort(self._completed[at], average)

    def _stops(self, curve: _Curve, step: int) -> bool:
        others = self._completed[step]
        if self._fidelities[step] < self._method.grace_time or len(others) < self._method.grace_population:
            return False
        return curve.best > median(others)


def median(values: Sequence[float]) -> float:
    """Of rising values, at least one; the mean of the two in the middle of an even number."""
    n = len(values)
    return (values[(n - 1) // 2] + values[n // 2]) / 2
