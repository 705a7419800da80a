"""Test problems of several objectives as tasks: instant, with a known front and a recorded cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from hptbench.errors import UserError
from hptbench.protocol import COMPUTED, JSON, Fidelity, Front, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.rng import entropy, stream
from hptbench.space import Space
from hptbench.spacefile import space_from_yaml
from hptbench.tasks._fronts import Objectives, Vector, problem, s_linear

_PLACES = (0.2, 0.8)
"""Where ``interior`` puts optima."""


@task("multiobjective")
@dataclass(frozen=True)
class MultiobjectiveTask:
    """Test problems of two and more objectives with known Pareto fronts: ZDT, DTLZ, VLMOP2, a mixed one.

    An evaluation takes one second. ``front`` is the true front with its hypervolume; formulas, sources and reference
    points are documented in :func:`hptbench.tasks._fronts.problem`. ``hidden``: ``test_f1``, ``test_f2``, …, the
    objectives without the noise that a wrapper may add, and ``test``, the first of them. UserError for an unknown
    function, or for dimensions or objectives that it does not have.

    Where the optimum lies: of ``zdt4``, ``dtlz1``, ``dtlz2`` and ``vlmop2`` in the box, near its centre, from where the
    wrapper ``shifted`` moves it. In the others all distance arguments are 0 on the front, a corner of the box, and
    ``shifted``, which maps every parameter one to one onto itself, can only move that to another corner. A method
    that clips its steps to the box would find it by accident. Hence ``interior``.
    """

    function: str
    dimensions: int
    """Number of parameters."""
    n_objectives: int = 2
    """2 or more for DTLZ; else 2."""
    interior: int | None = None
    """Seed of places, uniform in [0.2, 0.8], to which the optimum of each distance argument is moved from its bound:
    the argument is replaced by its distance from there, stretched to [0, 1] on both sides, as in the WFG toolkit (on a
    grid: from the next of its points). The front stays; the objectives get a kink at the optimum. None: the function
    as it was published."""

    version: ClassVar[int] = 1
    licence: ClassVar[str] = COMPUTED
    constraints: ClassVar[tuple[str, ...]] = ()
    fidelity: ClassVar[Fidelity | None] = None
    measured: ClassVar[bool] = False

    def __post_init__(self) -> None:
        f = problem(self.function, self.dimensions, self.n_objectives)
        if self.interior is None:
            return
        if not isinstance(self.interior, int) or isinstance(self.interior, bool):
            raise UserError(f"expected interior to be a seed or null, got {self.interior!r}")
        if not f.at_bound:
            raise UserError(
                f"expected no interior for {self.function!r}, whose optimum is not at a bound; leave it out"
            )

    @property
    def _f(self) -> Objectives:
        return problem(self.function, self.dimensions, self.n_objectives)

    @property
    def name(self) -> str:
        words = [self.function, self.dimensions, *([self.n_objectives] if self.n_objectives > 2 else [])]
        return "-".join(map(str, words)) + ("" if self.interior is None else f"-i{self.interior}")

    @property
    def unit(self) -> str:
        return f"{self.function}-{self.dimensions}-{self.n_objectives}"

    @property
    def space(self) -> Space:
        return _space(self.function, self.dimensions, self.n_objectives)

    @property
    def objectives(self) -> tuple[str, ...]:
        return tuple(f"f{i + 1}" for i in range(self.n_objectives))

    @property
    def front(self) -> Front:
        return self._f.front

    def identity(self) -> dict[str, JSON]:
        return {
            "function": self.function,
            "dimensions": self.dimensions,
            "n_objectives": self.n_objectives,
            "interior": self.interior,
        }

    @property
    def places(self) -> tuple[float, ...]:
        """Where the distance arguments reach the front; empty if nothing was moved."""
        if self.interior is None:
            return ()
        first = self.n_objectives - 1
        draws = stream(entropy("interior", self.interior)).uniform(*_PLACES, self.dimensions - first).tolist()
        sizes = self._f.grid[first:] or (0,) * len(draws)
        return tuple(round(u * (n - 1)) / (n - 1) if n else u for u, n in zip(draws, sizes, strict=True))

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        names, places = self.space.names, self.places
        return [self._outcome(names, places, job) for job in jobs]

    def _outcome(self, names: tuple[str, ...], places: tuple[float, ...], job: Job) -> Outcome:
        f, first = self._f, self.n_objectives - 1
        x = [float(job.proposal.config[name]) for name in names]
        if f.grid:
            x = [v / (n - 1) if n else v for v, n in zip(x, f.grid, strict=True)]
        if places:
            x[first:] = [s_linear(v, place) for v, place in zip(x[first:], places, strict=True)]
        values: Vector = f.values(x)
        hidden = {"test": values[0]} | {f"test_{n}": v for n, v in zip(self.objectives, values, strict=True)}
        return Outcome(Status.OK, (Point(job.stop, values),), 1.0, hidden)


@cache
def _space(name: str, dimensions: int, objectives: int) -> Space:
    """Parameters x0, x1, … in the order of the arguments."""
    f = problem(name, dimensions, objectives)
    width = len(str(dimensions - 1))  # ConfigSpace sorts names as text
    parameters: dict[str, dict[str, Any]] = {}
    for i, ((low, high), n) in enumerate(zip(f.bounds, f.grid or (0,) * dimensions, strict=True)):
        if n == 2:
            one: dict[str, Any] = {"type": "categorical", "choices": [0, 1]}
        elif n:
            one = {"type": "integer", "lower": 0, "upper": n - 1}
        else:
            one = {"type": "float", "lower": low, "upper": high}
        parameters[f"x{i:0{width}}"] = one
    return space_from_yaml(parameters)
