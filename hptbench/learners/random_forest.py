"""Random forests (Breiman, Machine Learning 45, 2001), tree by tree."""

from __future__ import annotations

from typing import Any, ClassVar

from hptbench import rng
from hptbench.learners._base import Learner, Segment, Spaces, pick
from hptbench.learners._encode import Ordinal
from hptbench.protocol import Fidelity


class RandomForest(Learner):
    """A forest to which trees are added; ``mtry_power`` is the x of (number of columns)^x tried per split."""

    spaces: ClassVar[Spaces] = {"classification": "random_forest", "regression": "random_forest_regression"}
    fidelity = Fidelity(4, 108, unit="tree", continues=True)
    encoder = Ordinal

    def fit(self, segment: Segment, before: Any) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        config = segment.config
        arguments = pick(config, "min_samples_leaf", "bootstrap", "max_samples", "criterion")
        if "mtry_power" in config:
            columns = segment.X.shape[1]
            arguments["max_features"] = max(1, int(columns ** float(config["mtry_power"])))
        if before is None:
            before = (RandomForestClassifier if segment.n_classes else RandomForestRegressor)(warm_start=True, n_jobs=1)
        elif not arguments.get("bootstrap", True):
            arguments["max_samples"] = None  # may be left over from another configuration
        before.set_params(n_estimators=segment.stop, random_state=rng.seed32(segment.seed), **arguments)
        return before.fit(segment.X, segment.y)
