"""Against scikit-learn's functions, on predictions of all kinds."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from hptbench.tasks._metrics import METRICS, QUANTILE, computable, objectives

LOSSES = {m.name: m.loss for kind in METRICS.values() for m in kind}


def draw(seed: int, n: int, k: int, ties: bool) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = rng.integers(k, size=n)
    p = rng.dirichlet(np.ones(k), size=n)
    if ties:
        p = np.round(p * 4) + 0.1
        p /= p.sum(axis=1, keepdims=True)
    return y, p


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 6), st.booleans())
def test_classification(seed: int, n: int, k: int, ties: bool) -> None:
    y, p = draw(seed, n, k, ties)
    guess, labels = p.argmax(axis=1), range(k)
    expected = {
        "error": 1 - metrics.accuracy_score(y, guess),
        "f1_error": 1 - metrics.f1_score(y, guess, average="macro"),
        "log_loss": metrics.log_loss(y, np.clip(p, 1e-15, 1), labels=labels),
        "brier": metrics.brier_score_loss(y, p, labels=labels, scale_by_half=True),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes that are predicted, but do not occur
        expected["balanced_error"] = 1 - metrics.balanced_accuracy_score(y, guess)
    areas = [
        metrics.roc_auc_score(y == c, p[:, c]) for c in (range(1, 2) if k == 2 else labels) if 0 < (y == c).sum() < n
    ]
    expected["auc_error"] = 1 - np.mean(areas) if areas else math.nan
    assert expected.keys() == {m.name for m in METRICS["classification"]}
    for name, value in expected.items():
        assert LOSSES[name](y, p) == pytest.approx(value, abs=1e-9, nan_ok=True), name


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 40))
def test_regression(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    y, p = rng.normal(size=n), rng.normal(size=n)
    expected = {
        "rmse": metrics.root_mean_squared_error(y, p),
        "mae": metrics.mean_absolute_error(y, p),
        "r2_error": 1 - metrics.r2_score(y, p),
        "pinball": metrics.mean_pinball_loss(y, p, alpha=QUANTILE),
    }
    assert expected.keys() == {m.name for m in METRICS["regression"]}
    for name, value in expected.items():
        assert LOSSES[name](y, p) == pytest.approx(value), name


def test_where_nothing_can_be_said() -> None:
    y, p = np.zeros(3, int), np.full((3, 2), 0.5)
    assert math.isnan(LOSSES["auc_error"](y, p))
    assert math.isnan(LOSSES["r2_error"](np.ones(3), np.arange(3.0)))


def test_scores_that_are_no_probabilities_can_be_ranked() -> None:
    y, scores = np.array([0, 1, 2, 1]), np.array([[9.0, -1, 0], [0, 5, 4], [1, 2, 7], [3, 2, 1]])
    assert {m.name for m in computable("classification", probabilities=False)} == {
        "error", "balanced_error", "auc_error", "f1_error",
    }  # fmt: skip
    assert LOSSES["error"](y, scores) == 0.25
    assert LOSSES["auc_error"](y, scores) == LOSSES["auc_error"](y, 100 * scores - 7)


def test_names() -> None:
    assert objectives("classification", "", "knn", True) == ("log_loss",)
    assert objectives("classification", "", "svm", False) == ("error",)
    assert objectives("regression", "", "knn", True) == ("rmse",)
    assert objectives("classification", ("f1", "auc_error"), "svm", False) == ("f1_error", "auc_error")
    assert objectives("regression", "pinball", "svr", True) == ("pinball",)
