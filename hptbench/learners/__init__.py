"""Learners by name: what a task of the family ``dataset`` trains. One file per family of learners."""

from __future__ import annotations

from functools import cache

from hptbench.errors import unknown
from hptbench.learners._base import FRACTION, Learner, Model, quiet_single_thread
from hptbench.learners._table import Rows, Table, TaskType

__all__ = [
    "FRACTION",
    "Learner",
    "Model",
    "Rows",
    "Table",
    "TaskType",
    "find_learner",
    "learners",
    "quiet_single_thread",
]


@cache
def learners() -> dict[str, Learner]:
    """All learners by name."""
    from hptbench.learners.decision_tree import DecisionTree
    from hptbench.learners.hist_gradient_boosting import HistGradientBoosting
    from hptbench.learners.knn import KNN
    from hptbench.learners.linear import ElasticNet, Logistic, Ridge
    from hptbench.learners.mlp import MLP
    from hptbench.learners.pipeline import Pipeline
    from hptbench.learners.random_forest import ExtraTrees, RandomForest
    from hptbench.learners.svm import SVM, SVR

    return {
        "decision_tree": DecisionTree(),
        "elastic_net": ElasticNet(),
        "extra_trees": ExtraTrees(),
        "hist_gradient_boosting": HistGradientBoosting(),
        "knn": KNN(),
        "logistic": Logistic(),
        "mlp": MLP(),
        "pipeline": Pipeline(),
        "random_forest": RandomForest(),
        "ridge": Ridge(),
        "svm": SVM(),
        "svr": SVR(),
    }


def find_learner(name: str) -> Learner:
    """The learner of a name; UserError with the nearest spelling if there is none."""
    if name not in learners():
        raise unknown("learner", name, learners())
    return learners()[name]
