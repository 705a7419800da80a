"""Forests, tree by tree: random forests (Breiman, Machine Learning 45, 2001) and extremely randomised trees (Geurts,
Ernst & Wehenkel, Machine Learning 63, 2006)."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from hptbench import rng
from hptbench.learners._base import Learner, Segment, Spaces, pick
from hptbench.learners._encode import Ordinal
from hptbench.protocol import Fidelity


class _Forest(Learner):
    fidelity = Fidelity(4, 108, unit="tree", continues=True)
    encoder = Ordinal

    @abstractmethod
    def _estimator(self, n_classes: int) -> Any:
        """The class of scikit-learn; ``n_classes`` is 0 for regression."""

    def fit(self, segment: Segment, before: Any) -> Any:
        config = segment.config
        names = ("min_samples_leaf", "min_samples_split", "bootstrap", "criterion")
        arguments = pick(config, *names) | {"max_samples": config.get("max_samples")}  # none is left over
        if "mtry_power" in config:
            columns = segment.X.shape[1]
            arguments["max_features"] = max(1, int(columns ** float(config["mtry_power"])))
        forest = before or self._estimator(segment.n_classes)(warm_start=True, n_jobs=1)
        forest.set_params(n_estimators=segment.stop, random_state=rng.seed32(segment.seed), **arguments)
        return forest.fit(segment.X, segment.y)


class RandomForest(_Forest):
    """A forest to which trees are added; ``mtry_power`` is the x of (number of columns)^x tried per split."""

    spaces: ClassVar[Spaces] = {"classification": "random_forest", "regression": "random_forest_regression"}

    def _estimator(self, n_classes: int) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        return RandomForestClassifier if n_classes else RandomForestRegressor


class ExtraTrees(_Forest):
    """A forest of trees that draw one random cut per column tried; ``mtry_power`` as in :class:`RandomForest`."""

    spaces: ClassVar[Spaces] = {"classification": "extra_trees", "regression": "extra_trees_regression"}

    def _estimator(self, n_classes: int) -> Any:
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        return ExtraTreesClassifier if n_classes else ExtraTreesRegressor
