"""Grid search, a full factorial design.

The baseline of J. Bergstra and Y. Bengio, "Random search for hyper-parameter optimization", JMLR 13, 2012.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np

from hptbench.errors import UserError
from hptbench.protocol import Problem, Proposal, Report, Traits
from hptbench.registry import method
from hptbench.space import Floats, Kind, Space

_LARGEST = 1_000_000
"""Grid points that are enumerated at most."""
_POINTS = 5
"""Points per numeric parameter where the budget counts no evaluations."""


@method("grid")
@dataclass(frozen=True)
class Grid:
    """Grid search: every combination of a few values per parameter, each trained to the end.

    Numbers take the middles of equal cells of their scale (the placement with the smallest largest gap),
    integers at most all their values, categories, ordinals and constants always all. A conditional parameter
    multiplies only the points where it is active, so no configuration comes twice; forbidden points are left
    out. The search ends with the grid. Every note carries the point's number in lexicographic order, the size
    of the grid and the points per number, because a budget cuts a grid that is too large and leaves the rest
    of its evaluations unused where the grid is too small.
    """

    points: int | None = None
    """Points per numeric parameter. None: the largest number whose grid, forbidden points included, fits into
    the full evaluations of the budget (at least 2); 5 if the budget is one of time only. Never more than
    change the grid."""
    shuffle: bool = True
    """Evaluate in random order, so that a cut grid is still a fair sample of the whole; else lexicographic."""
    traits: ClassVar[Traits] = Traits(max_objectives=99, finite=True)

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        if self.points is not None and self.points < 1:
            raise UserError(f"expected grid.points >= 1, got {self.points}")
        points = min(_fitting(problem) if self.points is None else self.points, _useful(problem.space))
        grid = _grid(problem.space, points, _LARGEST)
        if grid is None:
            raise UserError(
                f"expected a grid of at most {_LARGEST} points, got more with {points} per number in "
                f"{len(problem.space)} dimensions; set method.grid.points lower, or use method=random or method=sobol"
            )
        grid = grid[problem.space.legal(grid)]
        order = rng.permutation(len(grid)) if self.shuffle else np.arange(len(grid))
        return _Search(problem.space, grid, order.tolist(), points)


class _Search:
    def __init__(self, space: Space, grid: Floats, order: list[int], points: int) -> None:
        self._space, self._grid, self._order, self._points = space, grid, order, points
        self._begun = 0

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        rows = self._order[self._begun : self._begun + n]
        self._begun += len(rows)
        size = {"grid_size": len(self._grid), "points": self._points}
        configs = self._space.decode(self._grid[rows])
        return [Proposal(c, note={"grid_point": i, **size}) for i, c in zip(rows, configs, strict=True)]

    def tell(self, reports: Sequence[Report]) -> None:
        """A grid learns nothing."""


def _fitting(problem: Problem) -> int:
    limits = [limit for limit in (problem.budget.max_jobs, problem.budget.max_full_evals) if limit is not None]
    if not limits:
        return _POINTS
    room = min(_LARGEST, math.floor(min(limits)))
    too_many = bisect_right(range(room + 2), False, lo=2, key=lambda points: _grid(problem.space, points, room) is None)
    return max(2, too_many - 1)


def _useful(space: Space) -> int:
    """The largest number of points per number that still changes the grid."""
    numbers = [j for j, kind in enumerate(space.kinds) if kind in (Kind.FLOAT, Kind.INTEGER)]
    return max((int(space.sizes[j]) or _LARGEST for j in numbers), default=1)


def _grid(space: Space, points: int, at_most: int) -> Floats | None:
    """(n, d) the grid in lexicographic order, NaN where inactive; None if it has more than ``at_most`` points."""
    grid = np.full((1, len(space)), np.nan)
    for j, name in enumerate(space.names):
        levels = _levels(space.configspace[name], points)
        grid[:, j] = 0.5
        active = ~np.isnan(space.deactivate(grid)[:, j])  # decided by the columns before: parents come first
        times = np.where(active, len(levels), 1)
        if times.sum() > at_most:
            return None
        at = np.cumsum(times) - times
        grid, active = np.repeat(grid, times, axis=0), np.repeat(active, times)
        which = np.arange(len(grid)) - np.repeat(at, times)
        grid[:, j] = np.where(active, levels[np.where(active, which, 0)], np.nan)
    return grid


def _levels(parameter: Any, points: int) -> Floats:
    """(k,) distinct unit values of one parameter, rising."""
    alone = CS.ConfigurationSpace()
    alone.add(parameter)
    space = Space(alone)
    if space.sizes[0] and space.kinds[0] is not Kind.INTEGER:
        return space.from_codes(np.arange(space.sizes[0], dtype=float)[:, None])[:, 0]
    if 0 < space.sizes[0] <= points:
        whole = range(int(parameter.lower), int(parameter.upper) + 1)
        return space.encode([{parameter.name: value} for value in whole])[:, 0]
    middles = (np.arange(points) + 0.5) / points
    return np.unique(space.encode(space.decode(middles[:, None]))[:, 0])
