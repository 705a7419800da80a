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

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptbench.rng import entropy, stream
from hptbench.space import Floats

TREES = 32
LEAST = 20
"""Configurations without which no forest is grown."""
_MIDDLE = 0.5
"""What an inactive parameter is set to."""


class Explained:
    """A forest of ``x``, (n, d), and ``y``, (n,) finite, n >= :data:`LEAST`: see the module. ValueError for fewer."""

    def __init__(self, x: Floats, y: Floats, trees: int = TREES) -> None:
        import sklearn
        from sklearn.tree import DecisionTreeRegressor

        if len(x) < LEAST:
            raise ValueError(f"expected at least {LEAST} configurations, got {len(x)}")
        x32, n = _filled(x), len(x)
        rng = stream(entropy("importance", n, x.shape[1]))
        self._trees = []
        total, count = np.zeros(n), np.zeros(n)
        for seed in rng.integers(2**31, size=trees).tolist():
            rows = rng.integers(n, size=n)
            tree = DecisionTreeRegressor(max_features=0.7, min_samples_leaf=2, random_state=np.random.RandomState(seed))
            # The checks of arguments and data take longer than growing a tree.
            with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
                tree.fit(x32[rows], y[rows], check_input=False)
            self._trees.append(tree.tree_)
            out = np.ones(n, dtype=bool)
            out[rows] = False
            total[out] += tree.tree_.predict(x32[out])[:, 0]
            count[out] += 1
        seen = count > 0
        error = float(((total[seen] / count[seen] - y[seen]) ** 2).mean())
        spread = float(y[seen].var())
        self.r2 = 1 - error / spread if spread > 0 else 0.0
        """Share of the variance of ``y`` that trees predict which were grown without the point."""
        self._leaves = [_Leaves(tree, x.shape[1]) for tree in self._trees]

    def predict(self, x: Floats) -> Floats:
        """(m,) values of the points ``x``, (m, d)."""
        x32 = _filled(x)
        return np.asarray(np.mean([tree.predict(x32)[:, 0] for tree in self._trees], axis=0))

    def importance(self) -> Floats:
        """(d,) share of the variance that each parameter makes alone, mean over the trees; 0 where nothing varies."""
        return np.asarray(np.mean([leaves.shares() for leaves in self._leaves], axis=0))

    def dependence(self, j: int, at: Floats) -> tuple[Floats, Floats]:
        """(m,) mean value with parameter ``j`` at each place of ``at``, (m,), and its standard deviation over trees."""
        marginals = np.stack([leaves.at(j, at) for leaves in self._leaves])
        return marginals.mean(axis=0), marginals.std(axis=0)

    def ablation(self, start: Floats, end: Floats) -> list[tuple[int, float]]:
        """(parameter, predicted value after its change) from ``start`` to ``end``, (d,) each, the best change first;
        parameters that do not differ are left out."""
        point, goal = (np.where(np.isnan(one), _MIDDLE, one) for one in (start, end))
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
    """The boxes of a tree, and its means over all parameters but one: step functions of that one."""

    def __init__(self, tree: Any, d: int) -> None:
        low, high = np.zeros((tree.node_count, d)), np.ones((tree.node_count, d))
        level = np.zeros(1, dtype=np.intp)
        while len(level := level[tree.children_left[level] >= 0]):  # without leaves
            left, right = tree.children_left[level], tree.children_right[level]
            low[left] = low[right] = low[level]
            high[left] = high[right] = high[level]
            j, at = tree.feature[level], tree.threshold[level]
            high[left, j], low[right, j] = np.minimum(high[left, j], at), np.maximum(low[right, j], at)
            level = np.concatenate([left, right])
        leaf = tree.children_left < 0
        low, high, self._value = low[leaf], high[leaf], tree.value[leaf, 0, 0]
        self._volume: NDArray[np.float64] = np.prod(high - low, axis=1)
        weight = (self._value * self._volume)[:, None] / (high - low)
        edges = np.concatenate([low, high])  # (2 leaves, d): each leaf adds its weight where it begins, until it ends
        order = np.argsort(edges, axis=0)
        self._edges = np.take_along_axis(edges, order, axis=0)
        self._means = np.cumsum(np.take_along_axis(np.concatenate([weight, -weight]), order, axis=0), axis=0)[:-1]

    def at(self, j: int, places: Floats) -> Floats:
        """(m,) the mean with parameter ``j`` at each of ``places``, (m,)."""
        edges = self._edges[:, j]
        last = np.searchsorted(edges, edges[-1])  # the step that ends where all end
        step = np.minimum(np.searchsorted(edges, places, "right"), last) - 1
        return np.asarray(self._means[step, j])

    def shares(self) -> Floats:
        """(d,) of the variance."""
        mean = float(self._volume @ self._value)
        total = float(self._volume @ (self._value - mean) ** 2)
        if total == 0:
            return np.zeros(self._edges.shape[1])
        return np.asarray((np.diff(self._edges, axis=0) * (self._means - mean) ** 2).sum(axis=0) / total)


def _filled(x: Floats) -> NDArray[np.float32]:
    return np.where(np.isnan(x), _MIDDLE, x).astype(np.float32)
