"""A forest from meta-features to the losses of all configurations at once: which meta-features matter, it finds itself.

Extremely randomised trees (P. Geurts, D. Ernst and L. Wehenkel, Machine Learning 63, 2006) with several outputs. What a
forest expects is a weighted mean of what it has learnt from; the weights are those of N. Meinshausen, "Quantile
regression forests", JMLR 7, 2006, equation 5. Each tree learns from data sets drawn with replacement; what is expected
of a past data set comes from the trees that did not see it (L. Breiman, "Random forests", Machine Learning 45, 2001,
section 3.1), without the rest of its family.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError
from hptbench.meta._recommender import Weigher, places
from hptbench.meta.past import Past
from hptbench.rng import entropy, seed32
from hptbench.space import Floats

_SHARE = 1 / 3
"""Of the meta-features that are tried at each split."""


@dataclass(frozen=True)
class Forest(Weigher):
    """Weights are how often a past data set shares a leaf."""

    trees: int = 40

    def __post_init__(self) -> None:
        if self.trees < 1:
            raise UserError(f"expected forest.trees >= 1, got {self.trees}")

    def weights(self, past: Past, x: Floats) -> Floats:
        grown = _grown(self.trees, past)
        own = grown.forest.apply(_single(places(*past.comparable(x))[1][None]))
        same = grown.counts * (grown.leaves == own)
        return np.asarray((same / same.sum(axis=0)).mean(axis=1))

    def crossed(self, past: Past) -> Floats:
        grown, out = _grown(self.trees, past), np.empty((len(past), len(past)))
        for i, (leaf, count) in enumerate(zip(grown.leaves, grown.counts, strict=True)):
            same = grown.counts * (grown.leaves == leaf)
            new = count == 0
            others = past.families != past.families[i]
            own = (same / same.sum(axis=0))[:, new].sum(axis=1) * others
            out[i] = own / own.sum() if own.any() else others / others.sum()
        return out

    def importances(self, past: Past) -> Floats:
        """(g,) how much the splits on each of ``past.compared`` explain; they sum to 1."""
        return np.asarray(_grown(self.trees, past).forest.feature_importances_)


class _Grown(NamedTuple):
    forest: Any
    """Of scikit-learn."""
    leaves: NDArray[np.intp]
    """(n, trees) the leaf of each past data set."""
    counts: NDArray[np.intp]
    """(n, trees) how often each was in a tree's sample."""


@lru_cache(maxsize=16)
def _grown(trees: int, past: Past) -> _Grown:
    from sklearn.ensemble import ExtraTreesRegressor

    X = _single(places(*past.comparable(past.features[0]))[0])
    forest = ExtraTreesRegressor(
        trees, max_features=_SHARE, bootstrap=True, random_state=seed32(entropy("meta forest")), n_jobs=1
    )
    forest.fit(X, past.losses)
    samples = [np.bincount(drawn, minlength=len(past)) for drawn in forest.estimators_samples_]
    return _Grown(forest, forest.apply(X), np.stack(samples, axis=1))


def _single(rows: Floats) -> NDArray[np.float32]:
    """As scikit-learn's trees compare them."""
    return np.ascontiguousarray(rows, np.float32)
