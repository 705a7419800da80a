"""Configurations as points whose distances a stationary kernel can use: numbers, categories, conditions."""

from __future__ import annotations

import math

import numpy as np

from hptbench.models.gp import Inputs
from hptbench.space import Floats, Kind, Space


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
        categorical = np.array([kind is Kind.CATEGORICAL for kind in space.kinds], dtype=bool)
        self._numbers = np.flatnonzero((space.sizes != 1) & ~categorical)
        self._categories = np.flatnonzero((space.sizes != 1) & categorical)
        k = len(self._numbers)
        one_hot = [np.full(space.sizes[j], k + i) for i, j in enumerate(self._categories)]
        self.inputs = Inputs(np.concatenate([np.arange(k), *one_hot]).astype(np.int64), np.arange(k if warp else 0))

    def __call__(self, u: Floats) -> Floats:
        numbers = u[:, self._numbers]
        parts = [np.where(np.isnan(numbers), 0.5, numbers)]
        if len(self._categories):
            codes = self._space.codes(u)
            parts += [(codes[:, j, None] == np.arange(self._space.sizes[j])) / math.sqrt(2) for j in self._categories]
        return np.concatenate(parts, axis=1)

    def back(self, by_x: Floats) -> Floats:
        """(m, d) derivatives by the encoded numbers, 0 for categories, of what has the derivatives ``by_x``, (m, D)."""
        out = np.zeros((len(by_x), len(self._space)))
        out[:, self._numbers] = by_x[:, : len(self._numbers)]
        return out
