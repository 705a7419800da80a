"""LightGBM (Ke et al., NeurIPS 2017), iteration by iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hptbench import rng
from hptbench.learners._base import Learner, Segment, Spaces, pick
from hptbench.learners._boosting import objective, probabilities
from hptbench.learners._encode import Native
from hptbench.protocol import Fidelity
from hptbench.space import Floats

_NUDGE = 1e-12
"""Relative change of bagging_fraction from one iteration to the next: only if it changes does the library take a new
seed for its bagging, whose stream of random numbers is not in a saved model."""


@dataclass
class _Trees:
    booster: Any

    def predict(self, X: Floats) -> Floats:
        return np.asarray(self.booster.predict(X, num_threads=1))

    def predict_proba(self, X: Floats) -> Floats:
        return probabilities(self.predict(X))


class LightGBM(Learner):
    """Trees boosted leaf by leaf on binned columns, which know missing values and categories."""

    spaces: ClassVar[Spaces] = dict.fromkeys(("classification", "regression"), "lightgbm")
    fidelity = Fidelity(4, 108, unit="iteration", continues=True)
    encoder = Native
    requires = "lightgbm"
    standardises_target = True

    def fit(self, segment: Segment, before: Any) -> Any:
        import lightgbm

        names = ("learning_rate", "num_leaves", "min_data_in_leaf", "feature_fraction", "extra_trees")
        arguments = pick(segment.config, *names, "lambda_l1", "lambda_l2") | {
            "objective": objective(segment.n_classes, "regression", "binary", "multiclass"),
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        if segment.n_classes > 2:
            arguments["num_class"] = segment.n_classes
        fraction = float(segment.config.get("bagging_fraction", 1.0))

        def drawn(iteration: int) -> dict[str, Any]:
            seed = rng.seed32(rng.entropy(*segment.seed, "iteration", iteration)) % 2**31
            bagging = {"bagging_fraction": fraction * (1 - iteration % 2 * _NUDGE), "bagging_freq": 1}
            seeds = dict.fromkeys(("feature_fraction_seed", "bagging_seed", "extra_seed"), seed)
            return seeds | (bagging if fraction < 1 else {})

        def reseed(env: Any) -> None:
            env.model.reset_parameter(drawn(segment.start + env.iteration - env.begin_iteration))

        reseed.before_iteration = True  # type: ignore[attr-defined]  # the library's way to say when
        arguments |= drawn(segment.start - 1)
        categories = np.flatnonzero(segment.categorical).tolist()
        data = lightgbm.Dataset(
            segment.X, segment.y, params=arguments, categorical_feature=categories, free_raw_data=False
        ).construct()
        # with too few rows for any split the library keeps no column: nothing is drawn, and new seeds make it raise
        splits = any(data.feature_num_bin(j) > 1 for j in range(segment.X.shape[1]))
        init = before.booster if before else None
        rounds, callbacks = segment.stop - segment.start, [reseed] if splits else None
        return _Trees(lightgbm.train(arguments, data, rounds, init_model=init, callbacks=callbacks))
