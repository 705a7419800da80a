"""Nearest neighbours."""

from __future__ import annotations

from typing import Any, ClassVar

from hptbench.learners._base import Learner, Segment, Spaces, pick
from hptbench.learners._encode import Dense


class KNN(Learner):
    """The k nearest rows vote, or their targets are averaged; k is at most the number of rows."""

    spaces: ClassVar[Spaces] = {"classification": "knn", "regression": "knn"}
    encoder = Dense

    def fit(self, segment: Segment, before: Any) -> Any:
        from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

        estimator = (KNeighborsClassifier if segment.n_classes else KNeighborsRegressor)(
            n_jobs=1, **pick(segment.config, "n_neighbors", "weights", "p")
        )
        estimator.n_neighbors = min(estimator.n_neighbors, len(segment.y))
        return estimator.fit(segment.X, segment.y)
