"""Which hyperparameters matter, by a random forest that is fitted to what was evaluated.

**Importance**: functional ANOVA; F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing
hyperparameter importance", ICML 2014. A tree is constant on boxes, so its mean over all other parameters, as a function
of one, is a sum over its leaves (algorithm 2 there), without sampling; the share of the tree's variance that this
marginal has is the importance of the parameter alone (equation 8). What is missing to 1 are interactions.

**Partial dependence** is the same marginal: the forest's mean value if one parameter is set, and the others are drawn
uniformly.

**Ablation**: from the default configuration to the best one, step by step the change of one parameter that the forest
holds to be best; A. Biedenkapp, M. Lindauer, K. Eggensperger, F. Hutter, C. Fawcett and H. Hoos, "Efficient parameter
importance analysis via ablation with surrogates", AAAI 2017, algorithm 1.

All of it is about the forest. How far it can be trusted: ``r2``, the share of the variance that its trees predict of
configurations that they were not grown on. Points lie in the unit cube; inactive parameters (NaN) are set to its
middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.space import Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

TREES = 32
LEAST = 20
"""Configurations without which no forest is grown."""


class Explained:
    """A forest of ``x``, (n, d), and ``y``, (n,) finite, n >= :data:`LEAST`: see the module. ValueError for fewer."""

    def __init__(self, x: Floats, y: Floats, trees: int = TREES, seed: int = 0) -> None:
        from sklearn.ensemble import RandomForestRegressor

        if len(x) < LEAST:
            raise ValueError(f"expected at least {LEAST} configurations, got {len(x)}")
        self._forest = RandomForestRegressor(
            n_estimators=trees, min_samples_leaf=2, max_features=0.7, oob_score=True, random_state=seed
        )
        self._forest.fit(_filled(x), y)
        self.r2 = float(self._forest.oob_score_)
        self._leaves = [_Leaves(one.tree_, x.shape[1]) for one in self._forest.estimators_]

    def predict(self, x: Floats) -> Floats:
        """(m,) values of the points ``x``, (m, d)."""
        return np.asarray(self._forest.predict(_filled(x)))

    def importance(self) -> Floats:
        """(d,) share of the variance that each parameter makes alone, mean over the trees; 0 where nothing varies."""
        return np.mean([leaves.shares() for leaves in self._leaves], axis=0)

    def dependence(self, j: int, at: Floats) -> tuple[Floats, Floats]:
        """(m,) mean value with parameter ``j`` at each place of ``at``, (m,), and its standard deviation over trees."""
        marginals = np.stack([leaves.at(j, at) for leaves in self._leaves])
        return marginals.mean(axis=0), marginals.std(axis=0)

    def ablation(self, start: Floats, end: Floats) -> list[tuple[int, float]]:
        """(parameter, predicted value after its change) from ``start`` to ``end``, (d,) each, the best change first;
        parameters that do not differ are left out."""
        point, goal = _filled(start[None])[0], _filled(end[None])[0]
        left = [int(j) for j in np.flatnonzero(point != goal)]
        out: list[tuple[int, float]] = []
        while left:
            tries = np.tile(point, (len(left), 1))
            tries[range(len(left)), left] = goal[left]
            values = self.predict(tries)
            best = int(np.argmin(values))
            point = tries[best]
            out.append((left.pop(best), float(values[best])))
        return out


class _Leaves:
    """The boxes of a tree."""

    def __init__(self, tree: Any, d: int) -> None:
        low, high = np.zeros((tree.node_count, d)), np.ones((tree.node_count, d))
        left, right, threshold, feature = tree.children_left, tree.children_right, tree.threshold, tree.feature
        for node in np.flatnonzero(left >= 0).tolist():  # a node's number is smaller than those of its children
            j, at, (a, b) = feature[node], threshold[node], (left[node], right[node])
            low[[a, b]], high[[a, b]] = low[node], high[node]
            high[a, j], low[b, j] = min(high[a, j], at), max(low[b, j], at)
        leaf = left < 0
        self._low, self._high, self._value = low[leaf], high[leaf], tree.value[leaf, 0, 0]
        self._volume: NDArray[np.float64] = np.prod(self._high - self._low, axis=1)

    def _marginal(self, j: int) -> tuple[Floats, Floats]:
        """(k + 1,) edges and (k,) values of the mean over all parameters but ``j``."""
        low, high = self._low[:, j], self._high[:, j]
        edges = np.union1d(low, high)
        weight = self._value * self._volume / (high - low)
        steps = np.zeros(len(edges))
        np.add.at(steps, np.searchsorted(edges, low), weight)
        np.subtract.at(steps, np.searchsorted(edges, high), weight)
        return edges, np.cumsum(steps)[:-1]

    def at(self, j: int, places: Floats) -> Floats:
        edges, values = self._marginal(j)
        return np.asarray(values[np.clip(np.searchsorted(edges, places, "right") - 1, 0, len(values) - 1)])

    def shares(self) -> Floats:
        mean = float(self._volume @ self._value)
        total = float(self._volume @ (self._value - mean) ** 2)
        out = np.zeros(self._low.shape[1])
        if total > 0:
            for j in range(len(out)):
                edges, values = self._marginal(j)
                out[j] = np.diff(edges) @ (values - mean) ** 2 / total
        return out


def _filled(x: Floats) -> Floats:
    return np.where(np.isnan(x), 0.5, x)
