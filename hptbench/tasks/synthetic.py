"""Test functions as tasks: instant, with a known optimum and a recorded cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from hptbench.protocol import COMPUTED, JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.space import Config, Space
from hptbench.spacefile import space_from_yaml
from hptbench.tasks._functions import GRID, Function, function


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
    """Number of parameters, for functions that leave it open: all but branin, hartmann3, hartmann6 and the mf_ ones."""
    categories: int = 0
    """How many parameters are categories instead of floats, for those but counting_ones: values of a grid."""
    integers: int = 0
    """How many of the others are integers, likewise."""

    version: ClassVar[int] = 1
    licence: ClassVar[str] = COMPUTED
    objectives: ClassVar[tuple[str, ...]] = ("loss",)
    constraints: ClassVar[tuple[str, ...]] = ()
    measured: ClassVar[bool] = False

    def __post_init__(self) -> None:
        function(self.function, self.dimensions, self.categories, self.integers)

    @property
    def _f(self) -> Function:
        return function(self.function, self.dimensions, self.categories, self.integers)

    @property
    def name(self) -> str:
        name = self.function if self.dimensions is None else f"{self.function}{self.dimensions}"
        return f"{name}-c{self.categories}i{self.integers}" if self._mixed else name

    @property
    def _mixed(self) -> bool:
        return self.categories + self.integers > 0

    @property
    def unit(self) -> str:
        return self._f.unit

    @property
    def space(self) -> Space:
        return _space(self.function, self.dimensions, self.categories, self.integers)

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
        whole = f.binary + f.categories + f.integers
        return tuple(
            {n: int(v) if i < whole else v for i, (n, v) in enumerate(zip(names, x, strict=True))} for x in f.minimisers
        )

    def identity(self) -> dict[str, JSON]:
        mixed = {"categories": self.categories, "integers": self.integers} if self._mixed else {}
        return {"function": self.function, "dimensions": self.dimensions, **mixed}

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
def _space(name: str, dimensions: int | None, categories: int, integers: int) -> Space:
    """Parameters x0, x1, … in the order of the arguments."""
    f = function(name, dimensions, categories, integers)
    width = len(str(len(f.bounds) - 1))  # ConfigSpace sorts names as text
    parameters: dict[str, dict[str, Any]] = {}
    for i, (low, high) in enumerate(f.bounds):
        spec: dict[str, Any] = {"type": "float", "lower": low, "upper": high}
        if i < f.binary + f.categories:
            spec = {"type": "categorical", "choices": [0, 1] if f.binary else list(range(GRID))}
        elif i < f.categories + f.integers:
            spec["type"] = "integer"
        parameters[f"x{i:0{width}}"] = spec
    return space_from_yaml(parameters)
