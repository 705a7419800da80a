"""The wrapper ``stopped``: early stopping inside a training.

The rules look at the validation curve of one training, and at nothing else: a task's outcome depends on its job alone.
What compares a training with others (median stopping, ASHA) is a method's business.

- ``plateau``: no improvement by more than ``min_delta`` for ``patience`` checks. Prechelt, Early Stopping -- But When?,
  in: Neural Networks: Tricks of the Trade, 1998; with patience as in Goodfellow, Bengio & Courville, Deep Learning,
  2016, algorithm 7.1. Deviation: the last model is kept, not the best one, so that it is comparable with a training
  that is not stopped.
- ``extrapolation``: the curve y(t) = a + b t^-c (``pow3``, one of the eleven families of Domhan, Springenberg & Hutter,
  Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks by Extrapolation of Learning Curves, IJCAI
  2015; alone, and without its MCMC) promises less than ``min_delta`` from here to the highest fidelity, at
  ``patience`` checks in a row. Their rule (section 4) asks whether a training will beat the best one so far, which no
  task knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.protocol import Fidelity, Job, Outcome, Proposal, State, Status
from hptbench.space import Floats
from hptbench.tasks._jobs import on_card
from hptbench.tasks._wrapper import Wrapper, wrapper

_NOTHING_S = 1e-9
"""Cost of a segment of a training that was stopped before; a cost must be above 0."""
_EXPONENTS = np.geomspace(0.05, 4.0, 48)
"""c of the power law: with it the other two parameters are linear."""
_Curve: TypeAlias = Sequence[tuple[float, float]]
_R = TypeVar("_R")
_Steps: TypeAlias = Generator[Job, Outcome, _R]
"""Yields jobs of the inner task, is sent their outcomes."""
_ROUNDING = 1e-9
"""Three times a lowest fidelity of 0.1 is a fidelity of 0.3."""
_ROUNDS = 5
"""Of reweighting: Huber's estimate instead of least squares, as curves have outliers."""
_HUBER = 1.345
"""Residuals above so many robust standard deviations count less (Huber & Ronchetti, Robust Statistics, 2009)."""
_POINTS = 5
"""Fewer do not say how a curve with three parameters goes on."""


@dataclass(frozen=True, slots=True)
class _Training:
    """One training so far: the wrapper's state."""

    at: float = 0.0
    """Fidelity that it has been trained to."""
    state: State = None
    last: Outcome | None = None
    """The latest one, with its last point only."""
    curve: tuple[tuple[float, float], ...] = ()
    """(fidelity, objective) at every check."""
    waited: int = 0
    """Checks in a row without promise."""
    stopped: bool = False


@wrapper("stopped")
@dataclass(frozen=True)
class Stopped(Wrapper):
    """Ends a training as soon as its rule says so. The model that it has then is what the whole training gives: its
    values, its hidden scores; only what was trained is charged (``Outcome.trained``, the column ``trained``).

    Checks are made at every multiple of the lowest fidelity, wherever segments end, so that two segments give what one
    gives. A training does not go on from another configuration's state. UserError for tasks without a learning curve
    (trainings that cannot continue) and for several objectives.
    """

    rule: str = "plateau"
    patience: int = 5
    """Checks in a row."""
    min_delta: float = 0.0
    """Least improvement of the objective that counts, in its own units."""

    def __post_init__(self) -> None:
        if self.rule not in _RULES:
            raise unknown("rule of early stopping", self.rule, _RULES)
        if isinstance(self.patience, bool) or not isinstance(self.patience, int) or self.patience < 1:
            raise UserError(f"expected patience to be a whole number >= 1, got {self.patience!r}")
        if not 0 <= self.min_delta < math.inf:
            raise UserError(f"expected min_delta >= 0, got {self.min_delta}")
        if self.rule == "extrapolation" and self.min_delta == 0:
            raise UserError("expected min_delta > 0 for the rule extrapolation: a power law never stops falling")
        fidelity = self.inner.fidelity
        if fidelity is None or not fidelity.continues:
            raise UserError(
                f"expected a task with a learning curve, got {self.inner.name}, whose trainings cannot be continued; "
                "leave out the wrapper stopped, or choose a task that trains in epochs or iterations"
            )
        if len(self.inner.objectives) > 1:
            raise UserError(
                f"expected a task of one objective, got {self.inner.name} with {len(self.inner.objectives)}: early "
                "stopping would not know which one to look at"
            )

    @property
    def fidelity(self) -> Fidelity:
        assert self.inner.fidelity is not None
        return replace(self.inner.fidelity, inherits=False)

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        trainings = [self._trained(job) for job in jobs]
        answers: dict[int, Outcome | None] = dict.fromkeys(range(len(jobs)))
        while answers:  # a step of every training that goes on, as one batch
            wanted: dict[int, Job] = {}
            for i, answer in answers.items():
                try:
                    wanted[i] = next(trainings[i]) if answer is None else trainings[i].send(answer)
                except StopIteration as end:
                    outcomes[i] = end.value
            answers = dict(zip(wanted, self.inner.evaluate(list(wanted.values())) if wanted else (), strict=True))
        return [outcomes[i] for i in range(len(jobs))]

    def _trained(self, job: Job) -> _Steps[Outcome]:
        """The job's outcome, from those of its steps."""
        training = _Training() if job.start == 0 or job.state is None else job.state
        if job.start > 0 and job.state is None:  # lost: made again, which is not charged
            training, _, failure = yield from self._advanced(job, training, job.start)
            if failure is not None:
                return failure
        training, steps, failure = yield from self._advanced(job, training, job.stop)
        cost = sum(outcome.cost for outcome in steps) or _NOTHING_S
        points = tuple(point for outcome in steps for point in outcome.curve)
        if failure is not None:
            return replace(failure, cost=cost, curve=points)
        assert training.last is not None, "a segment is never empty"
        early = training.stopped and training.at < job.stop
        if early:
            points = (*points, replace(training.last.curve[-1], fidelity=job.stop))
        trained = training.at if early else None
        gpu = on_card(steps)
        return replace(training.last, curve=points, cost=cost, state=training, trained=trained, gpu=gpu)

    def _advanced(
        self, job: Job, training: _Training, stop: float
    ) -> _Steps[tuple[_Training, list[Outcome], Outcome | None]]:
        """(the training after ``stop`` or its early end, the outcomes of its steps, the last one if it failed)."""
        steps: list[Outcome] = []
        while not training.stopped and training.at < stop:
            check = self._next_check(training.at)
            end = min(check, stop)
            fresh = replace(job, start=0.0, stop=training.at, state=None, before=None)
            before = fresh if training.at else None
            proposal = Proposal(job.proposal.config, end)
            outcome = yield replace(
                job, proposal=proposal, start=training.at, stop=end, state=training.state, before=before
            )
            steps.append(outcome)
            if outcome.status is not Status.OK:
                return training, steps, outcome
            point = outcome.curve[-1]
            training = replace(training, at=end, state=outcome.state, last=replace(outcome, curve=(point,), state=None))
            if end == check:
                training = self._checked(training, point.values[0])
        return training, steps, None

    def _next_check(self, at: float) -> float:
        """The first multiple of the lowest fidelity above ``at``, at most the highest fidelity."""
        low, high = self.fidelity.low, self.fidelity.high
        return min(low * (math.floor(at / low * (1 + _ROUNDING)) + 1), high)

    def _checked(self, training: _Training, value: float) -> _Training:
        curve = (*training.curve, (training.at, value))
        waited = 0 if _RULES[self.rule](curve, self.fidelity.high, self.min_delta) else training.waited + 1
        return replace(training, curve=curve, waited=waited, stopped=waited >= self.patience)


def _has_improved(curve: _Curve, high: float, min_delta: float) -> bool:
    """The last check is below all that counted as improvements before. NaN is none."""
    best = math.inf
    improved = False
    for _, value in curve:
        improved = value < best - min_delta
        best = value if improved else best
    return improved


def _will_improve(curve: _Curve, high: float, min_delta: float) -> bool:
    """The power law through the curve falls by more than ``min_delta`` from here to ``high``; or nobody knows yet."""
    t, y = np.array([(t, y) for t, y in curve if math.isfinite(y)]).reshape(-1, 2).T
    if len(t) < _POINTS:
        return True
    now, end = power_law(t / high, y)(np.array([t[-1] / high, 1.0]))
    return bool(now - end > min_delta)


def power_law(t: Floats, y: Floats) -> Callable[[Floats], Floats]:
    """t -> a + b t^-c, Huber's M-estimate through the points: t > 0 and y of shape (points,), at least two different t.

    c is one of 48 values from 0.05 to 4; a and b are solved for by iteratively reweighted least squares."""
    x = t[None, :] ** -_EXPONENTS[:, None]
    weight = np.ones_like(y)
    for _ in range(_ROUNDS):
        w = weight / weight.sum()
        x_mean, y_mean = (x @ w)[:, None], y @ w
        b = ((x - x_mean) * (y - y_mean)) @ w / ((x - x_mean) ** 2 @ w)
        a = y_mean - b * x_mean[:, 0]
        residuals = y - a[:, None] - b[:, None] * x
        best = int(np.argmin(residuals**2 @ w))
        size = np.abs(residuals[best])
        scale = 1.4826 * float(np.median(size))
        if scale <= _ROUNDING * np.abs(y).max():  # exact, but for rounding
            break
        weight = _HUBER * scale / np.maximum(size, _HUBER * scale)
    return lambda at: a[best] + b[best] * at ** -_EXPONENTS[best]


_RULES: Mapping[str, Callable[[_Curve, float, float], bool]] = {
    "plateau": _has_improved,
    "extrapolation": _will_improve,
}
"""(curve, highest fidelity, min_delta) -> whether there is promise."""
