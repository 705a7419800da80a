"""Learners by name: what a task of the family ``dataset`` trains. One file per family of learners."""

from __future__ import annotations

from functools import cache

from hptbench.errors import UserError, unknown
from hptbench.learners._base import FRACTION, Learner, Model, quiet_single_thread
from hptbench.learners._encode import Dense
from hptbench.learners._table import Rows, Table, TaskType

__all__ = [
    "FRACTION",
    "Dense",
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
    from hptbench.learners.catboost import CatBoost
    from hptbench.learners.decision_tree import DecisionTree
    from hptbench.learners.hist_gradient_boosting import HistGradientBoosting
    from hptbench.learners.knn import KNN
    from hptbench.learners.lightgbm import LightGBM
    from hptbench.learners.linear import ElasticNet, Logistic, Ridge
    from hptbench.learners.mlp import MLP
    from hptbench.learners.pipeline import Pipeline
    from hptbench.learners.random_forest import ExtraTrees, RandomForest
    from hptbench.learners.svm import SVM, SVR
    from hptbench.learners.xgboost import XGBoost

    return {
        "catboost": CatBoost(),
        "decision_tree": DecisionTree(),
        "elastic_net": ElasticNet(),
        "extra_trees": ExtraTrees(),
        "hist_gradient_boosting": HistGradientBoosting(),
        "knn": KNN(),
        "lightgbm": LightGBM(),
        "logistic": Logistic(),
        "mlp": MLP(),
        "pipeline": Pipeline(),
        "random_forest": RandomForest(),
        "ridge": Ridge(),
        "svm": SVM(),
        "svr": SVR(),
        "xgboost": XGBoost(),
    }


def find_learner(name: str) -> Learner:
    """The learner of a name; UserError with the nearest spelling if there is none, or if its package is missing."""
    if name not in learners():
        raise unknown("learner", name, learners())
    learner = learners()[name]
    if not learner.installed:
        raise UserError(
            f"learner {name!r} needs the package {learner.requires!r}, which is not installed; "
            f'pip install "hptbench[boosting]"'
        )
    return learner
