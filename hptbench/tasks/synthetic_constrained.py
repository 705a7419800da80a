"""Test functions with constraints as tasks: instant, with a known feasible optimum and a recorded cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from hptbench.errors import unknown
from hptbench.protocol import COMPUTED, JSON, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.space import Config, Space
from hptbench.spacefile import space_from_yaml
from hptbench.tasks._constrained import CONSTRAINED, Constrained


@task("synthetic_constrained")
@dataclass(frozen=True)
class SyntheticConstrainedTask:
    """Test functions with inequality constraints and known feasible optima, toys and engineering designs.

    An evaluation takes one second. ``hidden``: ``value``, and ``test``, the regret: how far a feasible configuration is
    above the best feasible value; NaN for an infeasible one, which is worth nothing however low its value is.
    Constraints and sources are in :mod:`hptbench.tasks._constrained`. UserError for an unknown function.
    """

    function: str

    version: ClassVar[int] = 1
    licence: ClassVar[str] = COMPUTED
    objectives: ClassVar[tuple[str, ...]] = ("loss",)
    fidelity: ClassVar[None] = None
    measured: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.function not in CONSTRAINED:
            raise unknown("function", self.function, CONSTRAINED)

    @property
    def _f(self) -> Constrained:
        return CONSTRAINED[self.function]

    @property
    def name(self) -> str:
        return self.function

    @property
    def unit(self) -> str:
        return self.function

    @property
    def space(self) -> Space:
        return _space(self.function)

    @property
    def constraints(self) -> tuple[str, ...]:
        return tuple(self._f.constraints)

    @property
    def optimum(self) -> float:
        """The least value of a feasible configuration."""
        return self._f.minimum

    @property
    def optimal_config(self) -> Config:
        """A configuration that reaches the optimum."""
        f = self._f
        values = (int(v) if i < f.integers else v for i, v in enumerate(f.minimiser))
        return dict(zip(self.space.names, values, strict=True))

    def identity(self) -> dict[str, JSON]:
        return {"function": self.function}

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        f, names = self._f, self.space.names
        return [_outcome(f, [float(job.proposal.config[name]) for name in names], job) for job in jobs]


def _outcome(f: Constrained, x: Sequence[float], job: Job) -> Outcome:
    value, constraints = f.value(x), tuple(c(x) for c in f.constraints.values())
    regret = max(0.0, value - f.minimum) if all(c <= 0 for c in constraints) else math.nan
    point = Point(job.stop, (value,), constraints)
    return Outcome(Status.OK, (point,), 1.0, {"test": regret, "value": value})


@cache
def _space(name: str) -> Space:
    """Parameters x0, x1, … in the order of the arguments."""
    f = CONSTRAINED[name]
    parameters: dict[str, dict[str, Any]] = {}
    for i, (low, high) in enumerate(f.bounds):
        kind = "integer" if i < f.integers else "float"
        parameters[f"x{i}"] = {"type": kind, "lower": low, "upper": high}
    return space_from_yaml(parameters)
