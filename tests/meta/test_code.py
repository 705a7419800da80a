"""The code of a configuration trains what the learner here trains."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.learners import find_learner, quiet_single_thread
from hptbench.meta.code import code
from hptbench.meta.frames import Cleaned, cleaned
from hptbench.rng import entropy
from hptbench.spacefile import packaged_space


def data(kind: str, categories: bool = True) -> tuple[pd.DataFrame, Cleaned]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=90), "b": rng.gamma(2, size=90), "c": rng.normal(size=90)})
    X.loc[:4, "b"] = np.nan
    signal = 2 * X["a"] + X["c"] ** 2
    if categories:
        X["d"] = rng.choice(["u", "v", "w"], 90)
        signal += (X["d"] == "u") * 3
    y = (signal > signal.median()).map({True: "yes", False: "no"}) if kind == "classification" else signal
    return X, cleaned(X.assign(y=y), "y", kind)


CASES = [
    (name, kind)
    for name, kinds in {
        "decision_tree": "cr", "elastic_net": "r", "hist_gradient_boosting": "cr", "knn": "cr", "logistic": "c",
        "random_forest": "cr", "svm": "c", "svr": "r", "xgboost": "cr",
    }.items()
    for kind in ("classification", "regression")
    if kind[0] in kinds
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), CASES)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_code_trains_the_same_model(name: str, kind: Any, number: int) -> None:
    X, found = data(kind)
    learner = find_learner(name)
    space = packaged_space(learner.spaces[kind])
    config = [space.default(), *space.decode(space.sample(np.random.default_rng(4), 2))][number]
    made: dict[str, Any] = {"X": X, "y": found.frame["target"]}
    lines = code(name, config, found.table)
    with quiet_single_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(lines, made)
        model = learner.train(config, entropy("x"), found.table, 0, learner.fidelity.high, None)
        if name == "logistic" and config.get("penalty", "l2") != "l2":  # SAGA's order of rows decides where it stops
            made["model"].set_params(logisticregression__random_state=model.estimator.random_state)
            made["model"].fit(X, made["y"])
        ours = learner.predict(model, found.table.X, found.table.n_classes)
        theirs = (
            made["model"].predict_proba(X)[:, 1]
            if learner.probabilities and kind[0] == "c"
            else made["model"].predict(X)
        )
    if not learner.probabilities and kind == "classification":
        assert (np.array(["no", "yes"])[ours.argmax(axis=1)] == theirs).mean() > 0.94, lines
        return
    ours = ours[:, 1] if kind == "classification" else ours
    drawn = any(config.get(share, 1.0) < 1 for share in ("subsample", "colsample_bytree", "colsample_bylevel"))
    if name in RANDOM and (name != "xgboost" or drawn):
        assert np.allclose(ours, theirs) or np.corrcoef(ours, theirs)[0, 1] > 0.9, lines
    else:
        solver = 2 * config.get("tolerance", 0.01 if name == "logistic" else 0.001)
        assert theirs == pytest.approx(ours, rel=1e-3, abs=solver), lines


RANDOM = ("random_forest", "decision_tree", "hist_gradient_boosting", "xgboost")
"""Whose library draws from seeds of its own."""


def test_without_categories_the_code_has_none() -> None:
    _, found = data("regression", categories=False)
    lines = code("hist_gradient_boosting", {"learning_rate": 0.1}, found.table)
    assert "make_" not in lines
    assert "OneHot" not in code("knn", {"n_neighbors": 3}, found.table)
    compile(lines, "code", "exec")


def test_learners_without_code_are_refused() -> None:
    with pytest.raises(UserError, match="code cannot be written"):
        code("catboost", {}, data("regression")[1].table)
