"""XGBoost (Chen & Guestrin, KDD 2016), iteration by iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hptbench import rng
from hptbench.learners._base import Learner, Segment, Spaces, pick
from hptbench.learners._boosting import objective, probabilities
from hptbench.learners._encode import Native
from hptbench.protocol import Fidelity
from hptbench.space import Floats, Mask

_FORGET = ({"updater": "grow_quantile_histmaker"}, {"updater": "grow_quantile_histmaker,prune"})
"""Two names of the same: the histogram method prunes by ``gamma`` before ``prune`` could. Each change of name makes the
library drop its sampler of columns, whose stream of random numbers goes on from tree to tree and is not in a saved
model: so that an iteration depends on its number alone, and two segments give what one gives."""


@dataclass
class _Trees:
    booster: Any
    categorical: Mask

    def data(self, X: Floats, y: Any = None) -> Any:
        from xgboost import DMatrix

        types = ["c" if category else "q" for category in self.categorical]
        return DMatrix(X, y, feature_types=types, enable_categorical=True, nthread=1)

    def predict(self, X: Floats) -> Floats:
        return np.asarray(self.booster.predict(self.data(X)), dtype=float)

    def predict_proba(self, X: Floats) -> Floats:
        return probabilities(self.booster.predict(self.data(X)))


class XGBoost(Learner):
    """Trees boosted by second-order gradients on binned columns, which know missing values and categories."""

    spaces: ClassVar[Spaces] = dict.fromkeys(("classification", "regression"), "xgboost")
    fidelity = Fidelity(4, 108, unit="iteration", continues=True)
    encoder = Native
    requires = "xgboost"
    standardises_target = True

    def fit(self, segment: Segment, before: Any) -> Any:
        from xgboost import Booster

        names = ("gamma", "lambda", "alpha", "subsample", "max_depth", "min_child_weight", "colsample_bytree")
        arguments = pick(segment.config, *names, "colsample_bylevel", eta="learning_rate") | {
            "objective": objective(segment.n_classes, "reg:squarederror", "binary:logistic", "multi:softprob"),
            "seed": rng.seed32(segment.seed),
            "seed_per_iteration": True,
            "nthread": 1,
            "verbosity": 0,
        }
        if segment.n_classes > 2:
            arguments["num_class"] = segment.n_classes
        trees = before or _Trees(None, segment.categorical)
        data = trees.data(segment.X, segment.y)
        if before is None:
            trees.booster = Booster(arguments, [data])
        else:
            trees.booster.set_param(arguments)
        for iteration in range(segment.start, segment.stop):
            trees.booster.set_param(_FORGET[iteration % 2])
            trees.booster.update(data, iteration)
        return trees
