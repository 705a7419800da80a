"""CatBoost (Prokhorenkova et al., NeurIPS 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hptbench import rng
from hptbench.learners._base import Learner, Segment, Spaces, pick
from hptbench.learners._boosting import objective
from hptbench.learners._encode import Native
from hptbench.protocol import Fidelity
from hptbench.space import Floats, Mask

_LEARNING_RATE = 0.1
"""If it is not given. The library would choose it by the number of iterations, which is the fidelity here."""


@dataclass
class _Trees:
    trees: Any
    categorical: Mask

    def data(self, X: Floats, y: Any = None) -> Any:
        import pandas as pd
        from catboost import Pool

        columns = np.flatnonzero(self.categorical).tolist()
        frame = pd.DataFrame(X)
        for j in columns:
            frame[j] = frame[j].fillna(-1).astype(int)
        return Pool(frame, y, cat_features=columns, thread_count=1)

    def predict(self, X: Floats) -> Floats:
        return np.asarray(self.trees.predict(self.data(X), thread_count=1))

    def predict_proba(self, X: Floats) -> Floats:
        return np.asarray(self.trees.predict_proba(self.data(X), thread_count=1))


class CatBoost(Learner):
    """Symmetric trees, boosted; categories become ordered statistics of the target.

    It cannot go on from a state: a model that continues another draws other random numbers than one trained at once.
    Where no column tells rows apart, or all targets are equal, the library raises; here the model is then what it
    starts from, the prior."""

    spaces: ClassVar[Spaces] = dict.fromkeys(("classification", "regression"), "catboost")
    fidelity = Fidelity(4, 108, unit="iteration", continues=False)
    encoder = Native
    requires = "catboost"
    standardises_target = True

    def fit(self, segment: Segment, before: Any) -> Any:
        from catboost import CatBoostClassifier, CatBoostRegressor
        from sklearn.dummy import DummyClassifier, DummyRegressor

        X, y = segment.X, segment.y
        if (y == y[0]).all() or all(len(np.unique(column)) == 1 for column in X.T):
            return (DummyClassifier if segment.n_classes else DummyRegressor)().fit(X, y)
        names = ("learning_rate", "depth", "l2_leaf_reg", "bagging_temperature", "random_strength")
        trees = (CatBoostClassifier if segment.n_classes else CatBoostRegressor)(
            loss_function=objective(segment.n_classes, "RMSE", "Logloss", "MultiClass"),
            iterations=segment.stop,
            bootstrap_type="Bayesian",
            random_seed=rng.seed32(segment.seed),
            thread_count=1,
            verbose=False,
            allow_writing_files=False,
            **{"learning_rate": _LEARNING_RATE} | pick(segment.config, *names),
        )
        out = _Trees(trees, segment.categorical)
        trees.fit(out.data(X, y))
        return out
