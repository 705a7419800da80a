"""The average rank over past data sets: the ranking of P. Brazdil and C. Soares, ECML 2000.

P. B. Brazdil and C. Soares, "A comparison of ranking methods for classification algorithm selection", ECML 2000,
section 3.1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptbench.meta._recommender import Order
from hptbench.meta.past import Past
from hptbench.space import Floats


@dataclass(frozen=True)
class AverageRank:
    """Configurations by their mean rank on past data sets (of the mean of both losses, ties averaged)."""

    def order(self, past: Past, x: Floats, n: int) -> Order:
        """See :class:`hptbench.meta._recommender.Recommender`."""
        from scipy.stats import rankdata

        ranks = (rankdata(past.validation, axis=1) + rankdata(past.test, axis=1)).mean(axis=0)
        return np.argsort(ranks, kind="stable")[:n]
