"""The parts of NSGA-II that serve other methods, too, and the whole of it over a function that costs little.

K. Deb, A. Pratap, S. Agarwal and T. Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
Trans. Evolutionary Computation 6(2), 2002, doi:10.1109/4235.996017. As a method it is :mod:`hptbench.methods.nsga2`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from hptbench.methods._draws import sobol_sequence
from hptbench.space import Floats, Kind, Space

_EQUAL = 1e-14
"""Genes nearer than this are not crossed, as in the authors' code."""
_ETA_CROSSOVER, _ETA_MUTATION = 15.0, 20.0
"""Distribution indices, as pymoo sets them."""


class InnerNSGA2:
    """Looks for the points that are best in several respects at once.

    As pymoo puts it together for mixed variables, whose values HEBO takes: parents are drawn at random, a gene is
    crossed with probability 1/2 and mutated with probability min(1/2, 1/d); categories are exchanged and redrawn. The
    population begins with a Sobol sequence."""

    def __init__(self, space: Space, population: int, generations: int) -> None:
        self._space, self._population, self._generations = space, population, generations
        self._free = np.flatnonzero(space.sizes != 1)
        self._categorical = np.array([space.kinds[j] is Kind.CATEGORICAL for j in self._free], dtype=bool)
        self._rate = min(0.5, 1 / max(1, len(self._free)))

    def __call__(
        self, objectives: Callable[[Floats], Floats], first: Floats, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """The points that are not dominated, (m, d), snapped and NaN where inactive, none twice, and all others of the
        last population, likewise.

        ``objectives``: from points, (n, d), to (n, k), to be minimised. ``first``: (j, d), in the first population."""
        u = sobol_sequence(self._space, rng).random_base2(math.ceil(math.log2(self._population)))[: self._population]
        u[: len(first)] = np.where(np.isnan(first), u[: len(first)], first)
        values = self._values(objectives, u)
        for _ in range(self._generations - 1):
            children = self._offspring(u, rng)
            u = np.concatenate([u, children])
            values = np.concatenate([values, self._values(objectives, children)])
            kept = survivors(values, self._population)
            u, values = u[kept], values[kept]
        front = _ranks(values) == 0
        points = self._expressed(u)
        legal = self._space.legal(points)
        return tuple(_distinct(points[rows & legal]) for rows in (front, ~front))  # type: ignore[return-value]

    def _expressed(self, u: Floats) -> Floats:
        return self._space.deactivate(self._space.snap(u))

    def _values(self, objectives: Callable[[Floats], Floats], u: Floats) -> Floats:
        points = self._expressed(u)
        return np.where(self._space.legal(points)[:, None], objectives(points), np.inf)

    def _offspring(self, u: Floats, rng: np.random.Generator) -> Floats:
        n = len(u)
        pairs = rng.permuted(np.tile(np.arange(n), (2, 1)), axis=1)[:, : (n + 1) // 2]
        children = u[:, self._free][pairs]
        rows, columns = np.nonzero(rng.random(children.shape[1:]) < 0.5)
        a, b = children[:, rows, columns]
        low, high = sbx(np.minimum(a, b), np.maximum(a, b), rng.random(len(rows)), _ETA_CROSSOVER)
        category = self._categorical[columns]
        low, high = np.where(category, a, low), np.where(category, b, high)
        swapped = rng.random(len(rows)) < 0.5
        children[0, rows, columns] = np.where(swapped, high, low)
        children[1, rows, columns] = np.where(swapped, low, high)
        children = children.reshape(-1, len(self._free))[:n]
        rows, columns = np.nonzero(rng.random(children.shape) < self._rate)
        old, dice = children[rows, columns], rng.random(len(rows))
        children[rows, columns] = np.where(self._categorical[columns], dice, polynomial(old, dice, _ETA_MUTATION))
        out = u.copy()
        out[:, self._free] = children
        return out


def survivors(values: Floats, n: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """(n,) rows of (m, k) objectives, m >= n, by rank and, in the last front that fits in part, by crowding."""
    rank = _ranks(values)
    last = np.sort(rank)[n - 1]
    sure, torn = np.flatnonzero(rank < last), np.flatnonzero(rank == last)
    least_crowded = np.argsort(-crowding(values[torn]), kind="stable")[: n - len(sure)]
    return np.concatenate([sure, torn[least_crowded]])


def _ranks(values: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    import moocore

    return np.asarray(moocore.pareto_rank(values), dtype=np.intp)


def _distinct(u: Floats) -> Floats:
    """``u`` without repeated rows, in order of first appearance."""
    _, first = np.unique(np.nan_to_num(u, nan=-1.0), axis=0, return_index=True)
    return u[np.sort(first)]


def crowding(values: Floats) -> Floats:
    """(n,) the crowding distances of a front with (n, k) objectives, +inf at its ends; 0 in a front of failed jobs."""
    if not np.isfinite(values).all():
        return np.zeros(len(values))
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0) / 2  # so that no difference overflows
    span = ordered[-1] - ordered[0]
    gaps = np.full(values.shape, np.inf)
    gaps[1:-1] = (ordered[2:] - ordered[:-2]) / np.where(span > 0, span, np.inf)
    out = np.empty(values.shape)
    np.put_along_axis(out, order, gaps, axis=0)
    return np.asarray(out.sum(axis=1))


def sbx(low: Floats, high: Floats, u: Floats, eta: float) -> tuple[Floats, Floats]:
    """The children of genes ``low`` <= ``high`` in [0, 1] by bounded simulated binary crossover, ``u`` uniform in
    [0, 1); arrays of one shape."""
    gap = np.maximum(high - low, _EQUAL)
    children = []
    for sign, parent, room in ((-1, low, low), (1, high, 1 - high)):
        alpha = 2 - (1 + 2 * room / gap) ** -(eta + 1)
        inner = u * alpha <= 1
        spread = np.where(inner, u * alpha, 1 / np.where(inner, 1.0, 2 - u * alpha)) ** (1 / (eta + 1))
        child = np.clip((low + high + sign * spread * gap) / 2, 0.0, 1.0)
        children.append(np.where(high - low > _EQUAL, child, parent))
    return children[0], children[1]


def polynomial(genes: Floats, u: Floats, eta: float) -> Floats:
    """``genes`` in [0, 1], mutated by bounded polynomial mutation, ``u`` uniform in [0, 1)."""
    down = u < 0.5
    room = np.where(down, 1 - genes, genes) ** (eta + 1)
    left = np.where(down, 2 * u, 2 * (1 - u))
    step = 1 - (left + (1 - left) * room) ** (1 / (eta + 1))
    return np.clip(np.where(down, genes - step, genes + step), 0.0, 1.0)
