"""A random forest for regression that says how sure it is.

F. Hutter, L. Xu, H. H. Hoos and K. Leyton-Brown, "Algorithm runtime prediction: methods & evaluation", Artificial
Intelligence 206, 2014, arXiv:1211.0906, sections 4.3.1 (trees split at random places) and 4.3.2 (mean and variance).
There the best split of a column is drawn between the two observations that it parts; here one threshold is drawn from
all of a node, as in P. Geurts, D. Ernst and L. Wehenkel, "Extremely randomized trees", Machine Learning 63, 2006,
doi:10.1007/s10994-006-6226-1, and in SMAC since 2.4.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptbench.space import Floats


def load() -> None:
    """Import what trees are grown with. It takes most of a second: to be called where a search begins, as the first
    forest is grown in an ask, whose time a run may measure."""
    import_module("sklearn.tree")


class Forest:
    """A forest fitted to ``x``, (n, d) finite, and ``y``, (n,) finite.

    Each tree is grown on a bootstrap sample until its leaves are pure. A node is split where the squared error is least
    among one threshold per column, drawn between the least and the greatest value in the node, so that between
    observations means change from tree to tree and variances grow.

    With ``log`` the values are logarithms, and a leaf's mean is the logarithm of the mean of what they stand for."""

    def __init__(
        self,
        x: Floats,
        y: Floats,
        rng: np.random.Generator,
        trees: int = 10,
        ratio_features: float = 1.0,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        bootstrap: bool = True,
        log: bool = False,
    ) -> None:
        """``ratio_features``: share of the columns among which a split is chosen."""
        import sklearn
        from sklearn.tree import DecisionTreeRegressor

        x32, n = x.astype(np.float32), len(x)
        self._trees = []
        means, variances = [], []
        for seed in rng.integers(2**31, size=trees).tolist():
            rows = rng.integers(n, size=n) if bootstrap else np.arange(n)
            tree = DecisionTreeRegressor(
                splitter="random",
                max_features=ratio_features,
                min_samples_split=min_samples_split,
                min_samples_leaf=min_samples_leaf,
                random_state=np.random.RandomState(seed),
            )
            # The checks of arguments and data take longer than growing a tree.
            with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
                tree.fit(x32[rows], y[rows], check_input=False)
            self._trees.append(tree.tree_)
            means.append(_log_means(tree.tree_, x32[rows], y[rows]) if log else tree.tree_.value[:, 0, 0])
            variances.append(tree.tree_.impurity)
        self._first = np.cumsum([0, *map(len, means[:-1])])
        """Of each tree's nodes among all."""
        self._means, self._variances = np.concatenate(means), np.concatenate(variances)

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """(m,) means and (m,) variances at the points ``x``, (m, d).

        By the law of total variance (equation 4 there), the mean of the leaves' variances plus the variance of their
        means over the trees."""
        x32 = x.astype(np.float32)
        leaves = np.stack([tree.apply(x32) for tree in self._trees])
        leaves += self._first[:, None]
        means = self._means[leaves]
        mean = means.mean(axis=0)
        means -= mean
        return mean, (means * means + self._variances[leaves]).mean(axis=0)


def _log_means(tree: Any, x: NDArray[np.float32], y: Floats) -> Floats:
    """Per node the logarithm of the mean of exp(y) of the observations that end there; 0 for inner nodes."""
    leaves = tree.apply(x)
    counts = np.bincount(leaves, minlength=tree.node_count)
    sums = np.bincount(leaves, np.exp(y), minlength=tree.node_count)
    return np.log(np.where(counts > 0, sums, 1.0) / np.maximum(counts, 1))


def imputed(u: Floats) -> Floats:
    """Encoded points, (m, d), for trees: -1 where a parameter is inactive, so that a threshold sets it apart."""
    return np.where(np.isnan(u), -1.0, u)
