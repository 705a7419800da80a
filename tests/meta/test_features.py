"""Meta-features: what they are on data sets where one can say it, against pymfe, and on odd data."""

from __future__ import annotations

import math
import time
import warnings

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.learners import Table
from hptbench.meta._information import binned
from hptbench.meta.features import GROUPS, features
from hptbench.space import Floats


def table(X: Floats, y: np.ndarray, categorical: tuple[int, ...] = (), classes: int | None = None) -> Table:
    marks = np.zeros(X.shape[1], bool)
    marks[list(categorical)] = True
    return Table(X, y, marks, int(y.max()) + 1 if classes is None else classes)


@pytest.fixture(scope="module")
def blobs() -> Table:
    """Three classes that two of four columns tell apart; one more column of categories."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 150)
    X = rng.gamma(2.0, size=(150, 5))
    X[:, 0] += 2 * y
    X[:, 1] -= y
    X[:, 4] = rng.integers(0, 4, 150)
    return table(X, y, (4,))


def pymfe_of(X: Floats, y: np.ndarray, **settings: object) -> dict[str, float]:
    from pymfe.mfe import MFE

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MFE(groups=["general", "statistical", "info-theory", "complexity"], summary=["mean", "sd", "max"])
        names, values = model.fit(X, y, transform_num=False, transform_cat=None, **settings).extract()
    return dict(zip(names, map(float, values), strict=True))


def test_columns_of_numbers_are_as_in_pymfe(blobs: Table) -> None:
    X = blobs.X[:, :4]
    theirs, ours = pymfe_of(X, blobs.y), features(table(X, blobs.y)).values
    for name, other in (("skewness", "skewness"), ("kurtosis", "kurtosis"), ("correlation", "cor")):
        for part in ("mean", "sd", "max"):
            assert ours[f"{name}_{part}"] == pytest.approx(theirs[f"{other}.{part}"]), name
    assert ours["fisher_mean"] == pytest.approx(theirs["f1.mean"])
    assert ours["class_entropy"] == pytest.approx(theirs["class_ent"])
    assert math.exp(ours["log_rows_per_column"]) == pytest.approx(theirs["inst_to_attr"])
    rounded = np.rint(X * 4)
    for part in ("mean", "sd"):
        ours = features(table(rounded, blobs.y)).values
        assert ours[f"sparsity_{part}"] == pytest.approx(pymfe_of(rounded, blobs.y)[f"sparsity.{part}"])


def test_information_is_as_in_pymfe() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 200)
    codes = np.column_stack(
        [rng.integers(0, 3, 200), np.where(rng.random(200) < 0.8, y, 1 - y), rng.integers(0, 5, 200)]
    )
    theirs = pymfe_of(codes.astype(int).astype(str), y, cat_cols=[0, 1, 2])
    ours = features(table(codes.astype(float), y, (0, 1, 2))).values
    assert ours["entropy_mean"] == pytest.approx(theirs["attr_ent.mean"])
    assert ours["information_mean"] == pytest.approx(theirs["mut_inf.mean"])
    assert ours["information_max"] == pytest.approx(theirs["mut_inf.max"])
    assert ours["equivalent_columns"] == pytest.approx(theirs["eq_num_attr"])
    assert ours["noise_to_signal"] == pytest.approx(theirs["ns_ratio"])


def test_landmarks_tell_what_a_problem_is_like() -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(400, 6))
    linear = features(table(X, X @ np.arange(6.0), classes=0)).values
    stripes = features(table(X, np.sin(4 * X[:, 0]), classes=0)).values
    noise = features(table(X, rng.normal(size=400), classes=0)).values
    assert linear["landmark_linear_0.001"] < 1e-3 < linear["landmark_tree_1"]
    assert stripes["landmark_tree_5"] < 0.2 < 0.9 < stripes["landmark_linear_0.001"]
    assert stripes["gain_of_trees"] > 0.5 > linear["gain_of_trees"]
    assert noise["landmark_neighbours_1"] > 1.5
    assert noise["gain_of_neighbours"] > 0.5
    assert linear["rank_correlation_max"] > 0.5 > noise["rank_correlation_max"]


def test_errors_of_landmarks_are_relative_to_the_largest_class(blobs: Table) -> None:
    found = features(blobs).values
    assert 0 < found["landmark_forest_all_error"] < 0.6
    swapped = features(table(blobs.X, np.array([1, 2, 0])[blobs.y], (4,))).values
    assert swapped["landmark_neighbours_1_error"] == pytest.approx(found["landmark_neighbours_1_error"])


ODD = {
    "one class": table(np.random.default_rng(0).normal(size=(30, 3)), np.zeros(30, int), classes=1),
    "constant target": table(np.random.default_rng(0).normal(size=(30, 3)), np.ones(30), classes=0),
    "ten rows": table(np.random.default_rng(0).normal(size=(10, 3)), np.arange(10) % 2),
    "one row": table(np.ones((1, 2)), np.zeros(1, int), classes=2),
    "constant columns": table(np.ones((40, 3)), np.arange(40) % 2),
    "nothing but gaps": table(np.full((40, 3), np.nan), np.arange(40) % 2),
    "gaps in categories": table(np.full((40, 3), np.nan), np.arange(40) % 2, (0, 1, 2)),
    "infinite": table(np.where(np.random.default_rng(0).random((60, 3)) < 0.2, np.inf, 1.0), np.arange(60) % 2),
    "huge": table(np.random.default_rng(0).normal(size=(60, 3)) * 1e200, np.arange(60) % 3),
    "a class per row": table(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40)),
    "categories only": table(np.arange(120.0).reshape(40, 3), np.arange(40) % 2, (0, 1, 2)),
    "equal rows": table(np.tile(np.arange(3.0), (40, 1)), np.arange(40) % 2, (1,)),
}


@pytest.mark.parametrize("data", ODD.values(), ids=list(ODD))
def test_odd_data_give_numbers_or_reasons(data: Table) -> None:
    found = features(data)
    for name, value in found.values.items():
        assert math.isfinite(value) != (name in found.reasons), name
    assert found.values["log_rows"] == math.log(len(data))
    assert all(found.reasons.values())


def test_reasons_say_what_is_wrong() -> None:
    assert features(ODD["one class"]).reasons["landmark_tree_1"] == "the target is constant"
    assert features(ODD["one row"]).reasons["landmark_tree_1"] == "fewer than 10 rows"
    assert features(ODD["ten rows"]).reasons["target_skewness"] == "not a regression"
    assert features(ODD["infinite"]).values["missing_share"] > 0
    with pytest.raises(UserError, match="rows and columns"):
        features(table(np.empty((5, 0)), np.arange(5) % 2))


def test_the_names_are_the_same_for_every_data_set(blobs: Table) -> None:
    found = features(blobs)
    assert set(found.groups.values()) == set(GROUPS) == set(found.seconds)
    for data in ODD.values():
        assert list(features(data).values) == list(found.values)


def test_the_same_rows_give_the_same_numbers(blobs: Table) -> None:
    first, again = (features(blobs).values for _ in range(2))
    assert all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(first.values(), again.values(), strict=True))


def test_units_do_not_matter(blobs: Table) -> None:
    scaled = table(np.column_stack([blobs.X[:, :4] * 1024 + 7, blobs.X[:, 4]]), blobs.y, (4,))
    first, other = features(blobs).values, features(scaled).values
    for name, value in first.items():
        assert other[name] == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True), name


def test_large_data_sets_are_sampled() -> None:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(10_000, 50)), rng.integers(0, 2, 10_000)
    began = time.process_time()
    found = features(table(X, y)).values
    assert time.process_time() - began < 3
    assert found["log_rows"] == math.log(10_000)
    wide = features(table(rng.normal(size=(60, 2000)), np.arange(60) % 2)).values
    assert wide["log_columns"] == math.log(2000)


def test_numbers_are_cut_where_they_differ() -> None:
    assert np.unique(binned(np.arange(100.0)), return_counts=True)[1].tolist() == [10] * 10
    assert binned(np.array([0.0] * 95 + [1.0] * 5)).tolist() == [0] * 95 + [1] * 5
    assert binned(np.array([0.0] * 5 + [1.0] * 95)).tolist() == [0] * 5 + [1] * 95
