"""Support vector machines (libsvm through scikit-learn)."""

from __future__ import annotations

from typing import Any, ClassVar

from hptbench.learners._base import Learner, Segment, Spaces, pick
from hptbench.learners._encode import Dense

_MAX_ITER = 100_000
"""Steps of the solver, so that no configuration takes hours. The library's default is no limit; only
large costs, and kernels that fit the data badly, come near."""


class _Libsvm(Learner):
    encoder = Dense
    standardises_target = True

    def _arguments(self, segment: Segment) -> dict[str, Any]:
        config = segment.config
        out = pick(config, "kernel", "degree", "epsilon", C="cost", tol="tolerance")
        if "gamma" in config:
            variance = float(segment.X.var()) or 1.0
            out["gamma"] = float(config["gamma"]) / (segment.X.shape[1] * variance)
        return out | {"max_iter": _MAX_ITER}


class SVM(_Libsvm):
    """Support vector classification; one against one for several classes, no probabilities. Where classes have the same
    number of votes, the sum of the confidences decides (the library's ``break_ties``).

    ``gamma`` is relative to 1 / (number of columns x their variance), which the library calls ``scale``."""

    spaces: ClassVar[Spaces] = {"classification": "svm"}
    probabilities = False

    def fit(self, segment: Segment, before: Any) -> Any:
        from sklearn.svm import SVC

        return SVC(**self._arguments(segment)).fit(segment.X, segment.y)


class SVR(_Libsvm):
    """Support vector regression of the standardised target; ``gamma`` as in :class:`SVM`."""

    spaces: ClassVar[Spaces] = {"regression": "svr"}

    def fit(self, segment: Segment, before: Any) -> Any:
        from sklearn.svm import SVR as Estimator

        return Estimator(**self._arguments(segment)).fit(segment.X, segment.y)
