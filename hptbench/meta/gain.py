"""A gain predictor: gradient boosting from meta-features and a configuration to how much it loses.

An empirical performance model (F. Hutter, L. Xu, H. H. Hoos and K. Leyton-Brown, Artificial Intelligence 206, 2014)
with boosted trees instead of their forests: one model for all pairs of a data set and a configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptbench.learners import quiet_single_thread
from hptbench.meta._recommender import Order, places
from hptbench.meta.past import Past
from hptbench.space import Floats

_BINS, _SHARE = 32, 0.3
"""Past data sets are few: fine cuts say nothing. And the share of columns that are tried at each split."""


@dataclass(frozen=True)
class Gain:
    """Configurations by the loss that boosted trees predict for them, relative to the configuration's mean."""

    iterations: int = 50
    leaves: int = 8

    def order(self, past: Past, x: Floats, n: int) -> Order:
        """See :class:`hptbench.meta._recommender.Recommender`."""
        return np.argsort(self.expected(past, x), kind="stable")[:n]

    def expected(self, past: Past, x: Floats) -> Floats:
        """(c,) predicted losses."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        rows, own = places(*past.comparable(x))
        mean = past.losses.mean(axis=0)
        space = past.space
        configs = np.column_stack([space.encode(past.configs), mean])
        model = HistGradientBoostingRegressor(
            max_iter=self.iterations, max_leaf_nodes=self.leaves, max_bins=_BINS, max_features=_SHARE, random_state=0,
            early_stopping=False,
        )  # fmt: skip
        with quiet_single_thread():
            model.fit(_pairs(rows, configs), (past.losses - mean).ravel())
            return np.asarray(mean + model.predict(_pairs(own[None], configs)))


def _pairs(rows: Floats, configs: Floats) -> Floats:
    """(m * c, g + d) every row beside every configuration, rows slowest."""
    return np.hstack([np.repeat(rows, len(configs), axis=0), np.tile(configs, (len(rows), 1))])
