"""Linear models: logistic regression, ridge regression and the elastic net."""

from __future__ import annotations

from typing import Any, ClassVar

from hptbench import rng
from hptbench.learners._base import Learner, Segment, Spaces, pick
from hptbench.learners._encode import Dense


class Logistic(Learner):
    """Multinomial logistic regression with an L2 (L-BFGS), L1 or elastic-net penalty (SAGA)."""

    spaces: ClassVar[Spaces] = {"classification": "logistic"}
    encoder = Dense

    def fit(self, segment: Segment, before: Any) -> Any:
        from sklearn.linear_model import LogisticRegression

        arguments = pick(segment.config, "C")
        penalty = segment.config.get("penalty", "l2")
        if penalty != "l2":
            arguments["solver"] = "saga"
            arguments["l1_ratio"] = 1.0 if penalty == "l1" else segment.config.get("l1_ratio", 0.5)
        estimator = LogisticRegression(random_state=rng.seed32(segment.seed), **arguments)
        return estimator.fit(segment.X, segment.y)


class Ridge(Learner):
    """Ridge regression of the standardised target."""

    spaces: ClassVar[Spaces] = {"regression": "ridge"}
    encoder = Dense
    standardises_target = True

    def fit(self, segment: Segment, before: Any) -> Any:
        from sklearn.linear_model import Ridge as Estimator

        return Estimator(**pick(segment.config, "alpha")).fit(segment.X, segment.y)


class ElasticNet(Learner):
    """The elastic net (Zou & Hastie, JRSS B 67, 2005) of the standardised target, in the terms of glmnet (Friedman,
    Hastie & Tibshirani, J. Stat. Softw. 33, 2010): ``alpha`` is its lambda, 0.01 if it is not given."""

    spaces: ClassVar[Spaces] = {"regression": "elastic_net"}
    encoder = Dense
    standardises_target = True

    def fit(self, segment: Segment, before: Any) -> Any:
        from sklearn.linear_model import ElasticNet as Estimator

        return Estimator(**{"alpha": 0.01} | pick(segment.config, "alpha", "l1_ratio")).fit(segment.X, segment.y)
