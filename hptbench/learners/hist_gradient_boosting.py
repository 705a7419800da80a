"""Histogram gradient boosting (scikit-learn's form of LightGBM, Ke et al., NeurIPS 2017), iteration by iteration."""

from __future__ import annotations

from typing import Any, ClassVar

from hptbench import rng
from hptbench.learners._base import Learner, Segment, Spaces, pick
from hptbench.learners._encode import Native
from hptbench.protocol import Fidelity


class HistGradientBoosting(Learner):
    """Boosted trees on binned columns, which know missing values and categories; no early stopping."""

    spaces: ClassVar[Spaces] = dict.fromkeys(("classification", "regression"), "hist_gradient_boosting")
    fidelity = Fidelity(4, 108, unit="iteration", continues=True)
    encoder = Native

    def fit(self, segment: Segment, before: Any) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        if before is None:
            before = (HistGradientBoostingClassifier if segment.n_classes else HistGradientBoostingRegressor)(
                warm_start=True,
                early_stopping=False,
                categorical_features=segment.categorical if segment.categorical.any() else None,
                random_state=rng.seed32(segment.seed),
            )
        names = ("learning_rate", "max_leaf_nodes", "min_samples_leaf", "l2_regularization", "max_features")
        before.set_params(max_iter=segment.stop, **pick(segment.config, *names))
        return before.fit(segment.X, segment.y)
