"""The BBOB functions, as tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from hptbench.errors import UserError, unknown
from hptbench.protocol import COMPUTED, JSON, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.space import Config, Space
from hptbench.spacefile import space_from_yaml
from hptbench.tasks._extras import folder_of

FUNCTIONS = (
    "sphere", "ellipsoid", "rastrigin", "bueche_rastrigin", "linear_slope",
    "attractive_sector", "step_ellipsoid", "rosenbrock", "rosenbrock_rotated",
    "ellipsoid_rotated", "discus", "bent_cigar", "sharp_ridge", "different_powers",
    "rastrigin_rotated", "weierstrass", "schaffers10", "schaffers1000", "griewank_rosenbrock",
    "schwefel", "gallagher101", "gallagher21", "katsuura", "lunacek_bi_rastrigin",
)  # fmt: skip
"""Number 1 to 24, a line per group: separable; of low or moderate, of high conditioning; multimodal with, with weak
global structure."""
_BOX = {"type": "float", "lower": -5.0, "upper": 5.0}


@task("bbob")
@dataclass(frozen=True)
class BBOBTask:
    """The 24 noiseless functions of BBOB (COCO), in any number of dimensions and instances, computed by ioh.

    Hansen, Finck, Ros & Auger, Real-Parameter Black-Box Optimization Benchmarking 2009: Noiseless Functions
    Definitions, INRIA RR-6829; the implementation is IOHexperimenter's (de Nobel et al., arXiv 2111.04077). An instance
    moves the optimum and the least value, and rotates what is to be rotated, so nothing is gained by ``shifted``, which
    would bend the functions. ``loss`` is the function's value, its least value included. An evaluation takes a second.
    ``hidden``: ``value``, the same, and ``test``, the regret.

    Known traps: 5 has its optimum in a corner; 9 and 19 have it near the centre of the box in every instance, and 20
    and 24 at the same distance from it in every dimension.
    """

    function: int | str
    """1 to 24, or a name such as rastrigin."""
    dimensions: int
    instance: int = 1

    constraints: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    licence: ClassVar[str] = COMPUTED
    objectives: ClassVar[tuple[str, ...]] = ("loss",)
    measured: ClassVar[bool] = False
    fidelity: ClassVar[None] = None

    def __post_init__(self) -> None:
        folder_of("ioh", "ioh", "bbob")
        if isinstance(self.function, str):
            if self.function not in FUNCTIONS:
                raise unknown("function of BBOB", self.function, FUNCTIONS)
            object.__setattr__(self, "function", FUNCTIONS.index(self.function) + 1)
        for name, value in (("function", self.function), ("dimensions", self.dimensions), ("instance", self.instance)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise UserError(f"expected {name} to be a whole number, got {value!r}")
        if self.function not in range(1, len(FUNCTIONS) + 1):
            raise UserError(f"expected the number of a function, 1 to {len(FUNCTIONS)}, got {self.function}")
        if self.dimensions < 2:
            raise UserError(f"expected dimensions >= 2, got {self.dimensions}")
        if self.instance < 1:
            raise UserError(f"expected instance >= 1, got {self.instance}")

    @property
    def name(self) -> str:
        return f"bbob-f{self.function}-d{self.dimensions}-i{self.instance}"

    @property
    def unit(self) -> str:
        return f"bbob-f{self.function}-d{self.dimensions}"

    @property
    def space(self) -> Space:
        return _space(self.dimensions)

    @property
    def optimum(self) -> float:
        """The least value."""
        return float(self._problem.optimum.y)

    @property
    def optimal_configs(self) -> tuple[Config, ...]:
        """The configuration that reaches the optimum."""
        return (dict(zip(self.space.names, map(float, self._problem.optimum.x), strict=True)),)

    @property
    def _problem(self) -> Any:
        return _problem(int(self.function), self.dimensions, self.instance)

    def identity(self) -> dict[str, JSON]:
        return {"function": self.function, "dimensions": self.dimensions, "instance": self.instance}

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        problem, names, optimum = self._problem, self.space.names, self.optimum
        outcomes = []
        for job in jobs:
            value = float(problem([job.proposal.config[name] for name in names]))
            # At the optimum rounding may fall below the minimum; a regret is never negative.
            hidden = {"test": max(0.0, value - optimum), "value": value}
            outcomes.append(Outcome(Status.OK, (Point(job.stop, (value,)),), 1.0, hidden))
        return outcomes


@lru_cache(maxsize=64)
def _problem(function: int, dimensions: int, instance: int) -> Any:
    """ioh's object. It counts its evaluations and keeps the best one, of which no value depends."""
    import ioh

    return ioh.get_problem(function, instance, dimensions, ioh.ProblemClass.BBOB)


@lru_cache(maxsize=64)
def _space(dimensions: int) -> Space:
    width = len(str(dimensions - 1))  # ConfigSpace sorts names as text
    return space_from_yaml({f"x{i:0{width}}": _BOX for i in range(dimensions)})
