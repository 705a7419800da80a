"""Points of a trust region, among which TuRBO (:mod:`hptbench.methods.turbo`) chooses.

The box is section 2 of arXiv:1910.01739, the mask its appendix; the ball is section 3.2 of arXiv:2102.07188. How both
are changed for conditions, integers and sampling is written there.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hptbench.methods._moves import complete
from hptbench.space import Floats, Space

_MOST = 1024
"""Candidates."""
_PERTURBED = 20
"""Parameters that a candidate changes, on average, if there are more."""


class Candidates:
    """Points in a box of the numbers and a Hamming ball of the categories."""

    def __init__(self, space: Space, numbers: NDArray[np.intp]) -> None:
        """``numbers``: (k,) the columns of numbers, integers and ordinals that are not constant."""
        self._space, self._numbers = space, numbers
        categorical = space.categorical
        self._categories = np.flatnonzero(categorical & (space.sizes != 1))
        self._d = len(numbers) + len(self._categories)
        n = min(max(1, 100 * self._d), _MOST)
        self._n = 2 ** math.ceil(math.log2(n))

    def __call__(
        self, centre: Floats, length: float, scales: Floats, radius: float, rng: np.random.Generator
    ) -> Floats:
        """(m, d) legal points around ``centre``, (d,), snapped; of all of the space if none of them is legal.

        The sides of the box are ``length`` w, the w in proportion to the length ``scales``, of which the first k
        count, and of product 1. ``radius`` is the share of the categories, in (0, 1], that may differ."""
        from scipy.stats import qmc

        there = ~np.isnan(centre[self._numbers])
        columns = self._numbers[there]
        u = np.tile(centre, (self._n, 1))
        if len(columns):
            low, high = (end[there] for end in self._box(centre, length, scales))
            points = low + (high - low) * qmc.Sobol(len(columns), seed=rng).random(self._n)
            mask = rng.random(points.shape) < min(1.0, _PERTURBED / self._d)
            none = np.flatnonzero(~mask.any(axis=1))
            mask[none, rng.integers(len(columns), size=len(none))] = True
            u[:, columns] = np.where(mask, points, centre[columns])
        u = complete(self._space, self._exchanged(u, radius, 0 if len(columns) else 1, rng), rng)
        u = self._space.snap(u)
        legal = self._space.legal(u)
        return u[legal] if legal.any() else self._space.sample(rng, self._n)

    def _box(self, centre: Floats, length: float, scales: Floats) -> tuple[Floats, Floats]:
        """(k,) lower and (k,) upper ends."""
        logs = np.log(scales[: len(self._numbers)])
        begin, end = (edges[0, self._numbers] for edges in self._space.cells_of(centre[None]))
        # From the middle of its cell an integer gets beyond it, however wide cells are on a logarithmic scale.
        half = np.fmax(length / 2 * np.exp(logs - logs.mean()), end - begin)
        middle = centre[self._numbers]
        return np.clip(middle - half, 0.0, 1.0), np.clip(middle + half, 0.0, 1.0)

    def _exchanged(self, u: Floats, radius: float, least: int, rng: np.random.Generator) -> Floats:
        """``u``, (n, d), rows with equal categories, with at least ``least`` of these exchanged."""
        columns = self._categories[~np.isnan(u[0, self._categories])]
        if not len(columns):
            return u
        count = rng.integers(least, math.ceil(radius * len(columns)), size=(len(u), 1), endpoint=True)
        chosen = rng.random((len(u), len(columns))).argsort(axis=1) < count
        codes = self._space.codes(u)
        others = (codes[:, columns] + rng.integers(1, self._space.sizes[columns], size=chosen.shape)) % (
            self._space.sizes[columns]
        )
        codes[:, columns] = np.where(chosen, others, codes[:, columns])
        return self._space.from_codes(codes)
