from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from hptbench import HPTSearchCV
from hptbench.errors import UserError

C = {"C": {"type": "float", "lower": 1e-2, "upper": 1e2, "log": True}}
DEPTH = {"max_depth": {"type": "integer", "lower": 1, "upper": 8}}
ALPHA = {"alpha": {"type": "float", "lower": 1e-2, "upper": 1e2, "log": True}}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
@parametrize_with_checks(
    [
        HPTSearchCV(LogisticRegression(), C, method="random", budget=2, cv=2, random_state=0, error_score="raise"),
        HPTSearchCV(Ridge(), ALPHA, method="tpe", budget=2, cv=2, random_state=0, error_score="raise"),
    ],
    # As scikit-learn itself expects of its GridSearchCV.
    expected_failed_checks=lambda _: {"check_supervised_y_2d": "DataConversionWarning not caught"},
)
def test_estimator_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
def test_it_searches_a_pipeline_and_can_be_pickled() -> None:
    X, y = load_iris(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    space = {f"logisticregression__{name}": spec for name, spec in C.items()}
    search = HPTSearchCV(pipe, space, budget=6, cv=3, random_state=1).fit(X, y)
    assert search.best_score_ > 0.93
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert len(search.cv_results_["params"]) == 6
    assert pickle.loads(pickle.dumps(search)).score(X, y) == search.score(X, y)
    again = HPTSearchCV(pipe, space, budget=6, cv=3, random_state=1, n_jobs=2).fit(X, y)
    assert again.cv_results_["params"] == search.cv_results_["params"]


@pytest.mark.parametrize(("resource", "low", "high"), [("n_samples", 10, None), ("n_estimators", 3, 27)])
def test_methods_that_train_part_of_the_way_have_a_resource(resource: str, low: int, high: int | None) -> None:
    X, y = make_classification(90, random_state=0)
    search = HPTSearchCV(
        ExtraTreesClassifier(9, random_state=0), DEPTH, method="hyperband", budget=4, cv=2, workers=2, random_state=0,
        resource=resource, min_resource=low, max_resource=high, scoring=["accuracy", "f1"], refit="f1",
    ).fit(X, y)  # fmt: skip
    spent = np.asarray(search.cv_results_["resource"])
    assert min(spent) < max(spent) == (high or 90)
    assert spent[search.best_index_] == max(spent)
    full = search.cv_results_["mean_test_f1"][spent == max(spent)]
    assert search.cv_results_["mean_test_f1"][search.best_index_] == max(full)
    if high:
        assert [params["n_estimators"] for params in search.cv_results_["params"]] == list(spent)


class Picky(DecisionTreeClassifier):  # type: ignore[misc]
    def fit(self, X: Any, y: Any) -> Picky:
        if self.max_depth > 2:
            raise RuntimeError("too deep")
        super().fit(X, y)
        return self


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores")
@pytest.mark.parametrize("workers", [1, 3])
def test_candidates_that_fail_do_not_end_the_search(workers: int) -> None:
    X, y = load_iris(return_X_y=True)
    search = HPTSearchCV(Picky(), DEPTH, method="random", budget=12, workers=workers, cv=2, random_state=0).fit(X, y)
    assert search.best_params_["max_depth"] <= 2
    deep = {"max_depth": {"type": "integer", "lower": 3, "upper": 8}}
    with pytest.raises(ValueError, match="too deep"):
        HPTSearchCV(Picky(), deep, method="random", budget=4, cv=2).fit(X, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "rnadom"}, "Did you mean 'random'"),
        ({"space": {"max_depth": {"type": "flaot"}}}, "Did you mean 'float'"),
        ({"method": "bohb"}, "trains part of the way"),
        ({"resource": "n_samples"}, "expected min_resource and max_resource"),
        (
            {"resource": "n_samples", "min_resource": 9, "max_resource": 151},
            "at most the 150 rows that there are, got 151",
        ),
        ({"resource": "n_trees", "min_resource": 1, "max_resource": 3}, "or a parameter of the estimator"),
        ({"scoring": ["accuracy", "f1_macro"], "refit": False}, "expected one score to search by"),
        ({"space": {"depth": DEPTH["max_depth"]}}, "Invalid parameter 'depth'"),
    ],
)
def test_what_does_not_fit_is_said(settings: dict[str, Any], message: str) -> None:
    X, y = load_iris(return_X_y=True)
    given = {"space": DEPTH, "method": "random", "budget": 2, "cv": 2} | settings
    with pytest.raises(ValueError, match=message):
        HPTSearchCV(DecisionTreeClassifier(), **given).fit(X, y)
    assert issubclass(UserError, ValueError)
