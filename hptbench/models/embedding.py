"""Configurations as points whose distances a stationary kernel can use: numbers, categories, conditions."""

from __future__ import annotations

import math

import numpy as np

from hptbench.models.gp import Inputs
from hptbench.space import Floats, Space


class Embedding:
    """From encoded points, (m, d), to (m, D).

    - Numbers, integers and ordinals: their place in the unit interval.
    - Categories: one-hot over sqrt 2, so that different levels are 1 apart (the Hamming distance), with one length
      scale.
    - Inactive parameters: the middle of the interval, or the zero vector. How far an active value is from none says
      little; that the parents differ is counted in their own columns.
    - Constants are left out.

    Being squared Euclidean distances, all of this makes valid kernels."""

    def __init__(self, space: Space, warp: bool = False) -> None:
        self._space = space
        categorical = space.categorical
        self.numbers = np.flatnonzero((space.sizes != 1) & ~categorical)
        """(k,) the columns of numbers, integers and ordinals; theirs are the first k length scales."""
        self._categories = np.flatnonzero((space.sizes != 1) & categorical)
        k = len(self.numbers)
        one_hot = [np.full(space.sizes[j], k + i) for i, j in enumerate(self._categories)]
        cells = [(j, space.cells(j)) for j in self._categories.tolist()]
        self._levels = np.array([j for j, edges in cells for _ in edges[1:]], dtype=int)
        """The column of each level of each category, and where its cell begins and ends."""
        self._from = np.array([edge for _, edges in cells for edge in edges[:-1]])
        self._to = np.array([edge for _, edges in cells for edge in [*edges[1:-1], np.inf]])
        self.inputs = Inputs(np.concatenate([np.arange(k), *one_hot]).astype(np.int64), np.arange(k if warp else 0))

    def __call__(self, u: Floats) -> Floats:
        numbers, levels = u[:, self.numbers], u[:, self._levels]
        one_hot = ((levels >= self._from) & (levels < self._to)) / math.sqrt(2)
        return np.concatenate([np.where(np.isnan(numbers), 0.5, numbers), one_hot], axis=1)

    def back(self, by_x: Floats) -> Floats:
        """(m, d) derivatives by the encoded numbers, 0 for categories, of what has the derivatives ``by_x``, (m, D)."""
        out = np.zeros((len(by_x), len(self._space)))
        out[:, self.numbers] = by_x[:, : len(self.numbers)]
        return out
