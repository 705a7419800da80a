from __future__ import annotations

import itertools
import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hptbench import rng
from hptbench.errors import UserError
from hptbench.learners import Learner, Model, Table, TaskType, find_learner, learners, quiet_single_thread
from hptbench.spacefile import packaged_space

PAIRS = [
    pytest.param(
        name, kind, marks=pytest.mark.skipif(not learner.installed, reason=f"{learner.requires} is not installed")
    )
    for name, learner in learners().items()
    for kind in learner.spaces
]
ALONE = [pair for pair in PAIRS if pair.values[0] != "pipeline"]
"""Those that are no choice among others (test_pipeline.py)."""
SCIKIT_LEARNS = [pair for pair in ALONE if not learners()[str(pair.values[0])].requires]
BOOSTING = [pair for pair in PAIRS if learners()[str(pair.values[0])].requires]
SEED = rng.entropy("test")


def table(kind: TaskType, n: int = 90) -> Table:
    """Numbers with holes, categories, a constant and an empty column; the target depends on two of them."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(n, 6))
    X[:, 1] = draw.integers(4, size=n)
    X[:, 2] = 3.5
    X[:, 3] = np.nan
    signal = 2 * X[:, 0] + (X[:, 1] == 2) * 3
    X[draw.random(n) < 0.1, 0] = np.nan
    X[draw.random(n) < 0.1, 1] = np.nan
    categorical = np.array([False, True, False, False, False, False])
    if kind == "regression":
        return Table(X, 100 + 10 * signal, categorical, 0)
    return Table(X, np.digitize(signal, np.quantile(signal, [0.33, 0.66])), categorical, 3)


def train(learner: Learner, rows: Table, config: Any, start: float, stop: float, before: Model | None = None) -> Model:
    with quiet_single_thread():
        return learner.train(config, SEED, rows, start, stop, before)


def predictions(learner: Learner, model: Model, rows: Table) -> NDArray[Any]:
    with quiet_single_thread():
        return learner.predict(model, rows.X, rows.n_classes)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_learns_from_holes_categories_and_empty_columns(name: str, kind: TaskType) -> None:
    learner, rows = find_learner(name), table(kind)
    training, fresh = rows.take(np.arange(60)), rows.take(np.arange(60, 90))
    fresh.X[0, 1] = 17.0  # a category that was never seen
    fresh.X[1, 3] = 1.0  # a value in the column that was empty
    p = predictions(
        learner,
        train(learner, training, packaged_space(learner.spaces[kind]).default(), 0, learner.fidelity.high),
        fresh,
    )
    assert np.isfinite(p).all()
    if kind == "regression":
        assert p.shape == (30,)
        assert np.abs(p - fresh.y).mean() < 0.8 * np.abs(training.y.mean() - fresh.y).mean()
    else:
        assert p.shape == (30, 3)
        if learner.probabilities:
            np.testing.assert_allclose(p.sum(axis=1), 1)
        assert np.mean(p.argmax(axis=1) == fresh.y) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_random_configurations_can_be_trained(name: str, kind: TaskType) -> None:
    learner, rows = find_learner(name), table(kind)
    space = packaged_space(learner.spaces[kind])
    for config in space.decode(space.sample(np.random.default_rng(1), 8)):
        p = predictions(learner, train(learner, rows, config, 0, learner.fidelity.low), rows)
        assert len(p) == len(rows)


CONTINUING = [pair for pair in PAIRS if learners()[str(pair.values[0])].fidelity.continues]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), CONTINUING)
def test_segments_are_one_training_bit_for_bit(name: str, kind: TaskType) -> None:
    learner, rows = find_learner(name), table(kind)
    space = packaged_space(learner.spaces[kind])
    differs = False
    for config in [space.default(), *space.decode(space.sample(np.random.default_rng(2), 3))]:
        whole = predictions(learner, train(learner, rows, config, 0, 12), rows)
        first = train(learner, rows, config, 0, 4)
        early = predictions(learner, first, rows)
        model = train(learner, rows, config, 5, 12, train(learner, rows, config, 4, 5, first))
        np.testing.assert_array_equal(predictions(learner, model, rows), whole)
        np.testing.assert_array_equal(predictions(learner, first, rows), early)
        differs |= not np.array_equal(early, whole)
    assert differs


@pytest.mark.parametrize(("name", "change"), [
    ("random_forest", {"bootstrap": False}),
    ("extra_trees", {"min_samples_leaf": 20}),
    ("hist_gradient_boosting", {"learning_rate": 0.9}),
    ("xgboost", {"learning_rate": 0.9, "max_depth": 2}),
    ("lightgbm", {"learning_rate": 0.4, "bagging_fraction": 0.8}),
    ("mlp", {"learning_rate_init": 0.3}),
    ("mlp", {"hidden_layer_depth": 2}),
])  # fmt: skip
def test_a_training_goes_on_under_another_configuration(name: str, change: dict[str, Any]) -> None:
    pytest.importorskip(learners()[name].requires or "sklearn")
    learner, rows = find_learner(name), table("classification")
    config = packaged_space(name).default()
    other = packaged_space(name).canonical({**config, **change})
    first = train(learner, rows, config, 0, 4)
    same, changed, again = (train(learner, rows, c, 4, 8, first) for c in (config, other, other))
    results = [predictions(learner, m, rows) for m in (same, changed, again)]
    assert not np.array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[1], results[2])


def estimators(name: str, kind: TaskType) -> tuple[Any, set[str]]:
    """scikit-learn's own default, and the parameters in which ours may differ from it."""
    from sklearn import ensemble, linear_model, neighbors, neural_network, svm, tree

    first = kind == "classification"
    forest = ensemble.RandomForestClassifier if first else ensemble.RandomForestRegressor
    extra = ensemble.ExtraTreesClassifier if first else ensemble.ExtraTreesRegressor
    cart = tree.DecisionTreeClassifier if first else tree.DecisionTreeRegressor
    boosting = ensemble.HistGradientBoostingClassifier if first else ensemble.HistGradientBoostingRegressor
    mlp = neural_network.MLPClassifier if first else neural_network.MLPRegressor
    knn = neighbors.KNeighborsClassifier if first else neighbors.KNeighborsRegressor
    grown = {"random_state", "n_jobs", "warm_start", "max_features", "max_samples"}
    return {
        "svm": (svm.SVC(), {"max_iter", "gamma"}),
        "svr": (svm.SVR(), {"max_iter", "gamma"}),
        "logistic": (linear_model.LogisticRegression(), {"random_state"}),
        "ridge": (linear_model.Ridge(), set()),
        "elastic_net": (linear_model.ElasticNet(alpha=0.01), set()),
        "knn": (knn(), {"n_jobs"}),
        "random_forest": (forest(n_estimators=20), grown),
        "extra_trees": (extra(n_estimators=20), grown),
        "decision_tree": (cart(), {"random_state", "max_depth"}),
        "hist_gradient_boosting": (
            boosting(max_iter=20),
            {"random_state", "warm_start", "early_stopping", "categorical_features", "l2_regularization"},
        ),
        "mlp": (mlp(hidden_layer_sizes=(100,)), {"random_state", "shuffle", "batch_size"}),
    }[name]  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), SCIKIT_LEARNS)
def test_the_default_configuration_is_the_librarys(name: str, kind: TaskType) -> None:
    learner, rows = find_learner(name), table(kind)
    space = packaged_space(learner.spaces[kind])
    space.check(space.default())
    model = train(learner, rows, space.default(), 0, 20)
    default, free = estimators(name, kind)
    ours, theirs = model.estimator.get_params(), default.get_params()
    assert {k for k in theirs.keys() - free if ours[k] != theirs[k]} == set()
    if name == "mlp":
        return  # trained epoch by epoch, with a shuffle of its own
    if "random_state" in theirs:
        default.set_params(random_state=rng.seed32(SEED))
    if name == "hist_gradient_boosting":
        default.set_params(early_stopping=False, categorical_features=rows.categorical)
    with quiet_single_thread():
        X, y = model.encode(rows.X), rows.y if kind == "classification" else (rows.y - model.shift) / model.scale
        default.fit(X, y)
        np.testing.assert_allclose(default.predict(X), model.estimator.predict(X), rtol=1e-6)


def librarys(name: str, kind: TaskType) -> Any:
    """The library's own estimator, with 20 iterations and the defaults that the head of our space names."""
    first = kind == "classification"
    if name == "xgboost":
        xgboost = pytest.importorskip("xgboost")
        return (xgboost.XGBClassifier if first else xgboost.XGBRegressor)(n_estimators=20, enable_categorical=True)
    if name == "lightgbm":
        lightgbm = pytest.importorskip("lightgbm")
        return (lightgbm.LGBMClassifier if first else lightgbm.LGBMRegressor)(n_estimators=20, verbosity=-1)
    catboost = pytest.importorskip("catboost")
    return (catboost.CatBoostClassifier if first else catboost.CatBoostRegressor)(
        iterations=20, bootstrap_type="Bayesian", learning_rate=0.1, random_seed=rng.seed32(SEED),
        verbose=False, allow_writing_files=False,
    )  # fmt: skip


@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost"])
def test_the_default_boosting_is_the_librarys(name: str, classes: int) -> None:
    kind: TaskType = "classification" if classes else "regression"
    theirs, learner, rows = librarys(name, kind), find_learner(name), table(kind)
    if classes == 2:
        rows = replace(rows, y=np.minimum(rows.y, 1), n_classes=2)
    rows = replace(rows, categorical=np.zeros_like(rows.categorical))  # their interfaces differ most in categories
    model = train(learner, rows, packaged_space(name).default(), 0, 20)
    X = model.encode(rows.X)
    with quiet_single_thread():
        theirs.fit(X, rows.y if classes else (rows.y - model.shift) / model.scale)
        expected = theirs.predict_proba(X) if classes else model.shift + model.scale * theirs.predict(X)
    np.testing.assert_allclose(predictions(learner, model, rows), expected, rtol=1e-4)


def test_forgetting_random_numbers_changes_no_tree_of_xgboost() -> None:
    xgboost = pytest.importorskip("xgboost")
    learner, rows = find_learner("xgboost"), table("regression", 300)
    model = train(learner, rows, {"gamma": 2.0, "max_depth": 4}, 0, 20)
    data = model.estimator.data(model.encode(rows.X), (rows.y - model.shift) / model.scale)
    arguments = {"gamma": 2.0, "max_depth": 4, "eta": 0.3, "nthread": 1}
    native = xgboost.train({**arguments, "seed": rng.seed32(SEED)}, data, 20)
    assert model.estimator.booster.get_dump() == native.get_dump()


@pytest.mark.parametrize(("name", "kind"), BOOSTING)
def test_boosted_models_survive_a_pickle(name: str, kind: TaskType) -> None:
    learner, rows = find_learner(name), table(kind)
    model = train(learner, rows, packaged_space(name).default(), 0, 4)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(predictions(learner, again, rows), predictions(learner, model, rows))
    if learner.fidelity.continues:
        going_on = (train(learner, rows, packaged_space(name).default(), 4, 8, m) for m in (model, again))
        np.testing.assert_array_equal(*(predictions(learner, m, rows) for m in going_on))


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost"])
def test_boosting_predicts_the_prior_where_nothing_can_be_learnt(name: str) -> None:
    pytest.importorskip(name)
    learner = find_learner(name)
    rows = Table(np.full((5, 2), 1.0), np.array([0, 0, 0, 1, 1]), np.array([False, True]), 2)
    np.testing.assert_allclose(predictions(learner, train(learner, rows, {}, 0, 4), rows), [[0.6, 0.4]] * 5, rtol=1e-6)
    rows = Table(np.arange(10.0).reshape(5, 2), np.full(5, 7.0), np.array([False, False]), 0)
    np.testing.assert_allclose(predictions(learner, train(learner, rows, {}, 0, 4), rows), [7.0] * 5)


def test_a_learner_whose_package_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hptbench.commands.list import main

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"'xgboost', which is not installed; pip install \"hptbench\[boosting\]\""):
        find_learner("xgboost")
    assert find_learner("knn").installed
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["learners"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "Not installed" in line]
    assert [line.split()[0] for line in lines] == ["catboost", "lightgbm", "xgboost"]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_parameters_that_are_not_there_keep_the_librarys_default(name: str, kind: TaskType) -> None:
    learner, rows = find_learner(name), table(kind)
    space = packaged_space(learner.spaces[kind])
    one, other = (train(learner, rows, c, 0, 4) for c in ({}, space.default()))
    np.testing.assert_allclose(predictions(learner, one, rows), predictions(learner, other, rows), rtol=1e-6)


def test_elastic_net_ends_in_the_pure_penalty() -> None:
    learner, rows = find_learner("logistic"), table("classification")
    l1, net, l2 = (
        train(learner, rows, c, 0, 1).estimator.coef_
        for c in ({"penalty": "l1", "C": 0.1}, {"penalty": "elasticnet", "l1_ratio": 1.0, "C": 0.1}, {"C": 0.1})
    )
    np.testing.assert_array_equal(l1, net)
    assert (l1 == 0).sum() > (l2 == 0).sum()


def test_gamma_is_relative_to_the_scale_of_the_data() -> None:
    from sklearn.svm import SVC

    learner, rows = find_learner("svm"), table("classification")
    model = train(learner, rows, {"gamma": 3.0}, 0, 1)
    X = model.encode(rows.X)
    np.testing.assert_allclose(model.estimator.gamma, 3 * SVC().fit(X, rows.y)._gamma)


def test_one_thread() -> None:
    code = """
from threadpoolctl import threadpool_info
from hptbench.learners import quiet_single_thread
with quiet_single_thread():
    print({library["num_threads"] for library in threadpool_info()})
"""
    env = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip() == "{1}"


def test_neighbours_are_at_most_the_rows() -> None:
    learner, rows = find_learner("knn"), table("classification").take(np.arange(7))
    assert train(learner, rows, {"n_neighbors": 100}, 0, 1).estimator.n_neighbors == 7


def test_unknown_learner() -> None:
    with pytest.raises(UserError, match="Did you mean 'knn'"):
        find_learner("knm")


def test_every_space_names_its_sources_and_belongs_to_a_learner() -> None:
    from hptbench.forecasters import forecasters
    from hptbench.paths import conf_dir
    from hptbench.recommenders import recommenders

    files = sorted((conf_dir() / "space").glob("*.yaml"))
    of_learners = {name for learner in learners().values() for name in learner.spaces.values()}
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        assert lines[0] == f"# @package space.{file.stem}"
        header = " ".join(line.removeprefix("# ") for line in lines[1:] if line.startswith("#"))
        assert re.search(r"[A-Z]\w+ (et al\.|& [A-Z]\w+), [^;]*\b(19|20)\d\d\b", header), f"{file.stem}: author, year"
        assert re.search(r"Defaults: \w", header)
        if file.stem in of_learners:
            assert re.search("Defaults: (scikit-learn|XGBoost|LightGBM|CatBoost)'s", header)
    of_forecasters = {model.space_name(period) for model in forecasters().values() for period in (1, 12)}
    of_recommenders = {model.space for model in recommenders().values()}
    others = {"preprocessing"} | {file.stem for file in files if file.stem.startswith("neural_")}
    assert {file.stem for file in files} == others | of_learners | of_forecasters | of_recommenders


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), ALONE)
def test_every_parameter_of_a_space_matters_for_numbers_alone(name: str, kind: TaskType) -> None:
    learner, rows = find_learner(name), table(kind)
    rows = replace(rows, categorical=np.zeros_like(rows.categorical))
    space = packaged_space(learner.spaces[kind])
    configs = space.decode(space.sample(np.random.default_rng(3), 100))
    for parameter in space.names:
        active = [c for c in configs if parameter in c]
        pairs = ((c, {**c, parameter: d[parameter]}) for c, d in itertools.pairwise(active))
        assert any(
            not np.allclose(*(predictions(learner, train(learner, rows, c, 0, 4), rows) for c in pair))
            for pair in pairs
            if space.canonical(pair[1]) == pair[1] != pair[0]
        ), parameter
