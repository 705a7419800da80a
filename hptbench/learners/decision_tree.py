"""Classification and regression trees (Breiman, Friedman, Olshen & Stone, 1984)."""

from __future__ import annotations

from typing import Any, ClassVar

from hptbench import rng
from hptbench.learners._base import Learner, Segment, Spaces, pick
from hptbench.learners._encode import Ordinal

_CP = 0.01
"""The default complexity in R's rpart, of a tree that is to be pruned and has no ``ccp_alpha``."""


class DecisionTree(Learner):
    """One tree, which ``prune`` cuts back by cost and complexity.

    The target is standardised, so that ``ccp_alpha`` has no unit."""

    spaces: ClassVar[Spaces] = {"classification": "decision_tree", "regression": "decision_tree_regression"}
    encoder = Ordinal
    standardises_target = True

    def fit(self, segment: Segment, before: Any) -> Any:
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        names = ("ccp_alpha", "max_depth", "min_samples_leaf", "min_samples_split", "criterion")
        arguments = pick(segment.config, *names)
        if segment.config.get("prune"):
            arguments.setdefault("ccp_alpha", _CP)
        estimator = (DecisionTreeClassifier if segment.n_classes else DecisionTreeRegressor)(
            random_state=rng.seed32(segment.seed), **arguments
        )
        return estimator.fit(segment.X, segment.y)
