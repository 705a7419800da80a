"""The best configurations of the nearest data sets: auto-sklearn's warm start.

M. Feurer, J. T. Springenberg and F. Hutter, "Initializing Bayesian hyperparameter optimization via meta-learning", AAAI
2015; M. Feurer, A. Klein, K. Eggensperger, J. T. Springenberg, M. Blum and F. Hutter, "Efficient and robust automated
machine learning", NeurIPS 2015: the past data sets by the L1 distance of their meta-features, scaled to [0, 1] over the
past, and of each of them its best configuration, the nearest first. As in auto-sklearn's code, landmarkers and
principal components are not measured. Deviations: its meta-features are ours; a configuration that was named already is
followed by the data set's next best, so that 25 data sets name 25 configurations."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle

import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.meta._recommender import Order
from hptbench.meta.past import Past
from hptbench.space import Floats

_LEFT_OUT = ("landmark_", "gain_of_", "component")


@dataclass(frozen=True)
class Nearest:
    """Of each of the nearest data sets its best configuration."""

    neighbours: int = 25
    """Data sets that are asked, again from the nearest one when all have named one (auto-sklearn: 25)."""
    by: str = "features"
    """What is near: by meta-features, or by the learnt ``embedding`` (:mod:`hptbench.meta.embedding`; Euclidean)."""

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise UserError(f"expected nearest.neighbours >= 1, got {self.neighbours}")
        if self.by not in _BY:
            raise unknown("nearest.by", self.by, _BY)

    def order(self, past: Past, x: Floats, n: int) -> Order:
        """See :class:`hptbench.meta._recommender.Recommender`."""
        near = _BY[self.by](past, x).argsort(kind="stable")[: self.neighbours]
        wishes = [iter(np.argsort(past.losses[i], kind="stable").tolist()) for i in near]
        chosen: list[int] = []
        for wish in cycle(wishes):
            if len(chosen) == min(n, len(past.configs)):
                break
            chosen.append(next(c for c in wish if c not in chosen))
        return np.array(chosen, dtype=np.intp)


def distances(past: Past, x: Floats) -> Floats:
    """(n,) L1 distance of ``x`` from the past data sets."""
    rows, own = past.comparable(x)
    kept = [not name.startswith(_LEFT_OUT) for name in past.compared]
    low, high = rows.min(axis=0), rows.max(axis=0)
    return np.asarray((np.abs(rows - own) / (high - low))[:, kept].sum(axis=1))


def embedded_distances(past: Past, x: Floats) -> Floats:
    """(n,) Euclidean distance of the embedding of ``x`` from those of the past data sets."""
    rows, own = past.embedded(x)
    return np.asarray(np.sqrt(((rows - own) ** 2).sum(axis=1)))


_BY = {"features": distances, "embedding": embedded_distances}
