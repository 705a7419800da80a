from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hptbench import rng
from hptbench.learners import Model, Table, TaskType, find_learner, quiet_single_thread
from hptbench.space import Floats
from hptbench.spacefile import packaged_space

SEED = rng.entropy("test")
KINDS: tuple[TaskType, ...] = ("classification", "regression")
PIPELINE = find_learner("pipeline")


def messy(kind: TaskType, n: int = 80) -> Table:
    """Holes, many and rare categories, a constant, an empty and a duplicated column, numbers of all sizes."""
    draw = np.random.default_rng(1)
    x, c = draw.normal(size=n), draw.integers(4, size=n)
    many = draw.integers(40, size=n).astype(float)
    X = np.column_stack(
        [x, c, many, np.full(n, 7.0), np.full(n, np.nan), x, 1e9 * draw.random(n), draw.random(n) < 0.5]
    )
    X[draw.random(n) < 0.2, 0] = np.nan
    X[draw.random(n) < 0.2, 2] = np.nan
    signal = 2 * x + 3 * (c == 2)
    y = np.digitize(signal, np.quantile(signal, [0.33, 0.66])) if kind == "classification" else 1000 + signal
    categorical = np.array([False, True, True, False, False, False, False, False])
    return Table(X, y, categorical, 3 if kind == "classification" else 0)


def trained(config: Any, rows: Table) -> Model:
    with quiet_single_thread():
        return PIPELINE.train(config, SEED, rows, 0, 1, None)


def predicted(model: Model, rows: Table) -> Floats:
    with quiet_single_thread():
        return PIPELINE.predict(model, rows.X, rows.n_classes)


def steps(**given: Any) -> dict[str, Any]:
    return {"learner": "decision_tree"} | {f"preprocessing:{name}": value for name, value in given.items()}


def preprocessings() -> list[dict[str, Any]]:
    """Every pair of choices of two steps, several in a configuration, and the ends of the ranges."""
    space = packaged_space("preprocessing")
    rare = space.decode(
        np.vstack([np.zeros(len(space)), np.ones(len(space)), space.sample(np.random.default_rng(0), 10)])
    )
    choices = {name: space.configspace[name].choices for name in ("imputation", "encoding", "scaling", "selection")}
    rows = [dict(zip(choices, row, strict=True)) for row in itertools.product(*choices.values())]
    pairs = [set(itertools.combinations(row.items(), 2)) for row in rows]
    left, covering = set().union(*pairs), []
    while left:
        most = max(range(len(rows)), key=lambda i: len(pairs[i] & left))
        covering.append(rows[most])
        left -= pairs[most]
    return [steps(**one) for one in [*rare, *covering]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_preprocessing_makes_finite_predictions(kind: TaskType) -> None:
    rows = messy(kind)
    fresh = replace(rows, X=rows.X.copy())
    fresh.X[0] = [np.nan, 17, 99, -1, 5, 1e12, np.nan, np.nan]  # nothing of this was in training
    few = rows.take(np.arange(12))
    for config in preprocessings():
        assert np.isfinite(predicted(trained(config, rows), fresh)).all(), config
    for config in preprocessings()[:12]:
        assert np.isfinite(predicted(trained(config, few), fresh)).all(), config


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_learner_can_be_chosen(kind: TaskType) -> None:
    rows, space = messy(kind), packaged_space(PIPELINE.spaces[kind])
    choices = space.configspace["learner"].choices
    configs = space.decode(space.sample(np.random.default_rng(0), 400))
    for name in choices:
        mine = [config for config in configs if config["learner"] == name][:2]
        for config in mine:
            active = {key.partition(":")[0] for key in config} - {"learner", "preprocessing"}
            assert active == {name}, "only the chosen learner has parameters"
            space.check(config)
            p = predicted(trained(config, rows), rows)
            assert np.isfinite(p).all(), config
            assert p.shape == ((80, 3) if kind == "classification" else (80,))
    assert len(choices) >= 7


def test_it_is_scikit_learns_pipeline() -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.feature_selection import SelectKBest, f_classif
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder
    from sklearn.tree import DecisionTreeClassifier

    rows = messy("classification").take(np.arange(60))
    keep = [0, 1, 2, 5, 6, 7]  # no constant, nothing empty: scikit-learn alone warns of them
    rows = replace(rows, X=rows.X[:, keep], categorical=rows.categorical[keep])
    config = steps(imputation="median", scaling="min_max", selection="univariate", percentile=60.0, rare=0.05)
    _, inside = PIPELINE.prepare(config, SEED, rows, rows.y)
    kept = inside.shape[1]
    assert 1 < kept < PIPELINE.prepare(steps(rare=0.05), SEED, rows, rows.y)[1].shape[1]
    theirs = make_pipeline(
        make_column_transformer(
            (SimpleImputer(strategy="median"), [0, 3, 4, 5]),
            (OneHotEncoder(min_frequency=0.05, handle_unknown="infrequent_if_exist"), [1, 2]),
            sparse_threshold=0,
        ),
        MinMaxScaler(clip=True),
        SelectKBest(f_classif, k=kept),
        DecisionTreeClassifier(random_state=rng.seed32(SEED)),
    ).fit(rows.X, rows.y)
    np.testing.assert_array_equal(predicted(trained(config, rows), rows), theirs.predict_proba(rows.X))


def test_training_rows_are_not_encoded_by_their_own_targets() -> None:
    draw = np.random.default_rng(0)
    X = draw.integers(60, size=(120, 1)).astype(float)
    rows = Table(X, draw.normal(size=120), np.array([True]), 0)
    config = steps(encoding="target", scaling="none")
    with quiet_single_thread():
        encode, inside = PIPELINE.prepare(config, SEED, rows, rows.y)
    outside = encode(rows.X)
    assert np.corrcoef(outside[:, 0], rows.y)[0, 1] > 0.4, "means of the targets, each with its own"
    assert abs(np.corrcoef(inside[:, 0], rows.y)[0, 1]) < 0.3


def test_what_was_empty_in_training_stays_without_meaning() -> None:
    rows = messy("regression")
    model = trained(steps(), rows)
    other = replace(rows, X=rows.X.copy())
    other.X[:, 4] = 1e6
    np.testing.assert_array_equal(predicted(model, other), predicted(model, rows))


@pytest.mark.parametrize("selection", ["univariate", "trees"])
def test_the_features_that_tell_are_kept(selection: str) -> None:
    rows = messy("classification")
    with quiet_single_thread():
        encode, kept = PIPELINE.prepare(steps(selection=selection, percentile=1.0), SEED, rows, rows.y)
    np.testing.assert_allclose(encode(rows.X), kept)
    assert kept.shape[1] == 1
    assert abs(np.corrcoef(kept[:, 0], rows.y)[0, 1]) > 0.4


@pytest.mark.parametrize("selection", ["univariate", "trees"])
@pytest.mark.parametrize("columns", [(0, 1, 0), (2, 2, 2)], ids=["equal", "constant"])
def test_some_feature_is_kept_where_they_are_equally_good(selection: str, columns: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=40)
    X = np.column_stack([x, -x, np.ones(40)])[:, columns]
    rows = Table(X, (x > 0).astype(int), np.zeros(3, bool), 2)
    with quiet_single_thread():
        encode, kept = PIPELINE.prepare(steps(selection=selection, percentile=10.0), SEED, rows, rows.y)
    assert kept.shape == encode(rows.X).shape == (40, 1)


def test_target_encoding_is_in_units_of_the_target_as_the_learner_sees_it() -> None:
    rows = messy("regression")
    config = {**steps(encoding="target", scaling="none"), "learner": "elastic_net"}
    far = replace(rows, y=1e6 * rows.y + 1e9)
    one, other = (predicted(trained(config, part), rows) for part in (rows, far))
    np.testing.assert_allclose(other, 1e6 * one + 1e9, rtol=1e-5)


def test_parameters_that_are_not_there_have_the_spaces_default() -> None:
    rows = messy("classification")
    space = packaged_space("pipeline_classification")
    np.testing.assert_array_equal(predicted(trained({}, rows), rows), predicted(trained(space.default(), rows), rows))


def test_bounds_are_written_once() -> None:
    space = packaged_space("pipeline_regression").configspace
    own = packaged_space("random_forest_regression").configspace
    assert {n for n in space if n.startswith("random_forest:")} == {f"random_forest:{n}" for n in own}
    for name in own:
        assert space[f"random_forest:{name}"].default_value == own[name].default_value
