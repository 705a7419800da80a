"""Data sets that are alike count: a kernel average over the past (Nadaraya, Theory Probab. Appl. 9, 1964; Watson,
Sankhya 26, 1964).

A soft form of k nearest data sets (:mod:`hptbench.meta.nearest`) with all meta-features, landmarkers included, by their
places among the past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptbench.errors import UserError
from hptbench.meta._likeness import unlikeness
from hptbench.meta._recommender import Weigher
from hptbench.meta.past import Past
from hptbench.space import Floats


@dataclass(frozen=True)
class Similar(Weigher):
    """Weights fall with the distance of meta-features."""

    sharpness: float = 3.0
    """How fast: exp(-sharpness * squared distance / its median)."""

    def __post_init__(self) -> None:
        if not self.sharpness >= 0:
            raise UserError(f"expected similar.sharpness >= 0, got {self.sharpness}")

    def weights(self, past: Past, x: Floats) -> Floats:
        near = np.exp(-self.sharpness * unlikeness(past, x)[1])
        return np.asarray(near / near.sum())

    def crossed(self, past: Past) -> Floats:
        near = np.exp(-self.sharpness * unlikeness(past, past.features[0])[0])
        near[past.families[:, None] == past.families[None, :]] = 0.0
        return np.asarray(near / near.sum(axis=1, keepdims=True))
