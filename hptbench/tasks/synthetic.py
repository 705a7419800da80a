"""Test functions as tasks: instant, with a known optimum and a recorded cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from hptbench.protocol import JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.space import Config, Space
from hptbench.spacefile import space_from_yaml
from hptbench.tasks._functions import Function, function


@task("synthetic")
@dataclass(frozen=True)
class SyntheticTask:
    """Test functions with known optima, some with a fidelity: Branin, Hartmann, Ackley, counting ones and others.

    Without a fidelity an evaluation takes one second. With one, what is seen depends on the configuration, the level
    reached and the trial's random stream only, so that many segments give exactly what one gives, and their costs
    add up to its cost; formulas, noise and costs are documented in :func:`hptbench.tasks._functions.function`.
    ``hidden``: ``value``, without noise at full fidelity, and ``test``, the regret: how far it is above the optimum.
    UserError for an unknown function or for dimensions that it does not have.
    """

    function: str
    dimensions: int | None = None
    """Number of parameters, for functions that leave it open: ackley, rosenbrock, quadratic, michalewicz, levy, counting_ones."""

    version: ClassVar[int] = 1
    objectives: ClassVar[tuple[str, ...]] = ("loss",)
    constraints: ClassVar[tuple[str, ...]] = ()
    measured: ClassVar[bool] = False

    def __post_init__(self) -> None:
        function(self.function, self.dimensions)

    @property
    def _f(self) -> Function:
        return function(self.function, self.dimensions)

    @property
    def name(self) -> str:
        return self.function if self.dimensions is None else f"{self.function}{self.dimensions}"

    @property
    def unit(self) -> str:
        return self._f.unit

    @property
    def space(self) -> Space:
        return _space(self.function, self.dimensions)

    @property
    def fidelity(self) -> Fidelity | None:
        return self._f.levels.fidelity if self._f.levels else None

    @property
    def optimum(self) -> float:
        """The least value without noise, at full fidelity."""
        return self._f.minimum

    @property
    def optimal_configs(self) -> tuple[Config, ...]:
        """Configurations that reach the optimum."""
        f, names = self._f, self.space.names
        return tuple(
            {n: int(v) if i < f.binary else v for i, (n, v) in enumerate(zip(names, x, strict=True))}
            for x in f.minimisers
        )

    def identity(self) -> dict[str, JSON]:
        return {"function": self.function, "dimensions": self.dimensions}

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        f, names = self._f, self.space.names
        return [_outcome(f, names, job) for job in jobs]


def _outcome(f: Function, names: tuple[str, ...], job: Job) -> Outcome:
    config = job.proposal.config
    x = [float(config[name]) for name in names]
    true = f.value(x)
    seen, cost = true, 1.0
    if f.levels:
        seen = f.levels.observe(x, job.stop, job.seed)
        cost = f.levels.cost(job.stop) - (f.levels.cost(job.start) if job.start else 0.0)
    # At the optimum rounding may fall below the minimum; a regret is never negative.
    hidden = {"test": max(0.0, true - f.minimum), "value": true}
    return Outcome(Status.OK, (Point(job.stop, (seen,)),), cost, hidden)


@cache
def _space(name: str, dimensions: int | None) -> Space:
    """Parameters x0, x1, … in the order of the arguments."""
    f = function(name, dimensions)
    width = len(str(len(f.bounds) - 1))  # ConfigSpace sorts names as text
    parameters: dict[str, dict[str, Any]] = {}
    for i, (low, high) in enumerate(f.bounds):
        box = {"type": "float", "lower": low, "upper": high}
        parameters[f"x{i:0{width}}"] = {"type": "categorical", "choices": [0, 1]} if i < f.binary else box
    return space_from_yaml(parameters)
