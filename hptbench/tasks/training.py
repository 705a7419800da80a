"""Small trainings whose best hyperparameters change as they go on, with a state that is really continued."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.protocol import COMPUTED, JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.rng import entropy, stream
from hptbench.space import Config, Floats, Space
from hptbench.spacefile import space_from_yaml
from hptbench.tasks._jobs import lost_since

_TOY_RATE, _TOY_START = 0.01, 0.9
_MOMENT, _VARIANCE = 100.0, 1.0
"""E[x^2] before the first step, and the variance of the gradient's noise."""
_COORDINATES = 1000
Step: TypeAlias = Callable[[Floats, Config, Job, int], Floats]
"""(state, hyperparameters, job, number of the step from 1 on) -> the state after it."""


class _Training(NamedTuple):
    parameters: Mapping[str, Mapping[str, Any]]
    start: Floats
    step: Step
    loss: Callable[[Floats], float]
    optimum: Callable[[int], float]
    """Of so many steps."""


@task("training")
@dataclass(frozen=True)
class TrainingTask:
    """Trainings of a few numbers by gradient descent, whose hyperparameters may change with every segment.

    ``toy``: the example of M. Jaderberg et al., "Population based training of neural networks", 2017,
    arXiv:1711.09846, Figure 2: theta, from (0.9, 0.9) on, ascends the surrogate 1.2 - h0 theta0^2 - h1 theta1^2 with
    hyperparameters h0, h1 in [0, 1]; the objective is 1.2 - theta0^2 - theta1^2, minimised here as theta0^2 + theta1^2.
    The rate of 0.01 is ours.

    ``noisy_quadratic``: stochastic gradient descent on x^2 / 2 with a learning rate in [0.001, 1] and gradients of
    variance 1, in its exact expectation, E[x^2] <- (1 - rate)^2 E[x^2] + rate^2, as G. Zhang et al., "Which algorithmic
    choices matter at which batch sizes? Insights from a noisy quadratic model", NeurIPS 2019, arXiv:1907.04164, study
    it. E[x^2] is 100 at first. The best rate is E[x^2] / (E[x^2] + 1), which falls from 0.99 towards 1 / steps:
    after T steps with it, the loss is 1 / (2 (1 / 100 + T)). No constant comes near that.

    ``noisy_sgd``: the same trained for real, by 1000 coordinates each with its own noise, drawn from the trial's
    random stream; the loss is their mean. The optimum is that of the expectation; luck may lead a little below it.

    The state is theta, E[x^2] or the coordinates. A full training takes one second, of recorded cost. ``hidden``:
    ``value``, the loss, and ``test``, how far it is above the optimum after all steps. UserError for an unknown
    function, or for less than two steps.
    """

    function: str
    """toy, noisy_quadratic or noisy_sgd."""
    steps: int = 100
    """Of a full training."""
    log: bool = False
    """Tell the loss's decimal logarithm instead, which falls about as fast in all intervals: the same for methods that
    compare members only, easier for those that model what an interval brings."""

    version: ClassVar[int] = 1
    licence: ClassVar[str] = COMPUTED
    constraints: ClassVar[tuple[str, ...]] = ()
    measured: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.function not in _TRAININGS:
            raise unknown("training", self.function, _TRAININGS)
        if self.steps < 2:
            raise UserError(f"expected steps >= 2, got {self.steps}")

    @property
    def name(self) -> str:
        return f"{self.function}-{self.steps}" + ("-log" if self.log else "")

    @property
    def objectives(self) -> tuple[str, ...]:
        return ("log_loss" if self.log else "loss",)

    @property
    def unit(self) -> str:
        return self.function

    @property
    def space(self) -> Space:
        return _space(self.function)

    @property
    def fidelity(self) -> Fidelity:
        return Fidelity(1, self.steps, "step", continues=True)

    @property
    def optimum(self) -> float:
        """The loss after all steps with the best schedule."""
        return self._told(_TRAININGS[self.function].optimum(self.steps))

    def identity(self) -> dict[str, JSON]:
        return {"function": self.function, "steps": self.steps, "log": self.log}

    def _told(self, loss: float) -> float:
        return math.log10(loss) if self.log else loss

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Outcome:
        training = _TRAININGS[self.function]
        state, lost = lost_since(job)
        state = training.start if state is None else state
        for link in lost:
            for step in _steps(link):
                state = training.step(state, link.proposal.config, link, step)
        curve = []
        for step in _steps(job):
            state = training.step(state, job.proposal.config, job, step)
            curve.append(Point(float(step), (self._told(training.loss(state)),)))
        loss = curve[-1].values[0]
        hidden = {"test": max(0.0, loss - self.optimum), "value": loss}
        return Outcome(Status.OK, tuple(curve), (job.stop - job.start) / self.steps, hidden, state)


def _steps(job: Job) -> range:
    return range(int(job.start) + 1, int(job.stop) + 1)


def _toy_step(state: Floats, config: Config, job: Job, step: int) -> Floats:
    h = np.array([float(config["h0"]), float(config["h1"])])
    return np.asarray(state * (1 - 2 * _TOY_RATE * h))


def _expected_step(state: Floats, config: Config, job: Job, step: int) -> Floats:
    rate = float(config["rate"])
    return np.asarray((1 - rate) ** 2 * state + rate**2 * _VARIANCE)


def _sgd_step(state: Floats, config: Config, job: Job, step: int) -> Floats:
    noise = stream(entropy(*job.seed, "step", step)).standard_normal(len(state))
    return np.asarray(state - float(config["rate"]) * (state + math.sqrt(_VARIANCE) * noise))


def _best_of_noisy(steps: int) -> float:
    """The best rate makes 1 / E[x^2] grow by 1 / variance in every step."""
    return 0.5 / (1 / _MOMENT + steps / _VARIANCE)


_RATE = {"rate": {"type": "float", "lower": 0.001, "upper": 1.0, "log": True, "default": 0.1}}
_TRAININGS: Mapping[str, _Training] = {
    "toy": _Training(
        {name: {"type": "float", "lower": 0.0, "upper": 1.0} for name in ("h0", "h1")},
        np.full(2, _TOY_START),
        _toy_step,
        lambda state: float(state @ state),
        lambda steps: 2 * _TOY_START**2 * (1 - 2 * _TOY_RATE) ** (2 * steps),
    ),
    "noisy_quadratic": _Training(
        _RATE, np.array([_MOMENT]), _expected_step, lambda state: float(state[0]) / 2, _best_of_noisy
    ),
    "noisy_sgd": _Training(
        _RATE,
        np.full(_COORDINATES, math.sqrt(_MOMENT)),
        _sgd_step,
        lambda state: float(state @ state) / (2 * len(state)),
        _best_of_noisy,
    ),
}


@cache
def _space(function: str) -> Space:
    return space_from_yaml(_TRAININGS[function].parameters)
