from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dataset_tasks import job, make, run, run_job

from hptbench import rng
from hptbench.errors import UserError
from hptbench.learners import find_learner, learners
from hptbench.protocol import Status, Task
from hptbench.tasks.dataset import DatasetTask
from hptbench.testing import TASK_CHECKS
from hptbench.workers import evaluate_here

PAIRS = [
    pytest.param(
        name, kind, marks=pytest.mark.skipif(not learner.installed, reason=f"{learner.requires} is not installed")
    )
    for name, learner in learners().items()
    for kind in learner.spaces
]


@pytest.mark.slow
@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("learner", "kind"), PAIRS)
def test_conforms(store: str, learner: str, kind: str, check: Callable[[Task], None]) -> None:
    check(make(store, learner, kind))


def test_what_it_is(store: str) -> None:
    t = DatasetTask("wine", "svm")
    assert (t.name, t.unit, t.version, t.objectives) == ("wine-svm", "wine", 2, ("error",))
    assert replace(t, split=3).name == "wine-svm-s3"
    assert replace(t, split=3).unit == "wine"
    assert DatasetTask("wine", "knn").objectives == ("log_loss",)
    assert DatasetTask("diabetes", "knn").objectives == ("rmse",)
    assert DatasetTask("diabetes", "random_forest").space.default()["mtry_power"] == 1.0
    assert isinstance(t, Task)


def test_making_one_reads_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hptbench.tasks._data.load", None)
    t = DatasetTask("digits", "mlp")
    assert t.fidelity.unit == "epoch"
    assert len(t.space) == 6


def test_all_metrics_are_in_the_hidden_scores() -> None:
    scores = run(DatasetTask("wine", "logistic", metric="error")).hidden
    classes = {"error", "balanced_error", "log_loss", "auc_error", "f1_error", "brier"}
    assert set(scores) == {"test", "split", *both(classes)}
    assert scores["test"] == scores["test_error"]
    assert set(run(DatasetTask("wine", "svm")).hidden) == {"test", "split", *both(classes - {"log_loss", "brier"})}
    scores = run(DatasetTask("diabetes", "ridge", metric="mae")).hidden
    assert set(scores) == {"test", "split", *both({"rmse", "mae", "r2_error", "pinball"})}
    assert scores["test"] == scores["test_mae"] <= scores["test_rmse"]
    assert scores["test_r2_error"] < 1


def both(names: set[str]) -> set[str]:
    return {f"{part}_{name}" for part in ("validation", "test") for name in names}


def test_any_metrics_are_the_objectives() -> None:
    t = DatasetTask("wine", "knn", metric=("auc", "brier"))
    outcome = run(t)
    assert t.objectives == ("auc_error", "brier")
    hidden = outcome.hidden
    assert outcome.curve[-1].values == (hidden["validation_auc_error"], hidden["validation_brier"])
    assert hidden["test"] == hidden["test_auc_error"]
    assert t.identity() != DatasetTask("wine", "knn", metric="auc").identity()
    assert DatasetTask("wine", "knn", metric="accuracy").objectives == ("error",)
    assert DatasetTask("diabetes", "knn", metric="r2").objectives == ("r2_error",)


@pytest.mark.parametrize("metric", ["error", "balanced_error", "log_loss", "rmse", "mae"])
def test_metrics_are_scikit_learns(metric: str) -> None:
    from sklearn import metrics

    regression = metric in ("rmse", "mae")
    t = DatasetTask("diabetes" if regression else "digits", "knn", metric=metric)
    outcome = run(t)
    assert outcome.state is None
    [(training, validation)], test = t.inner(0), t.outer().test
    model = find_learner("knn").train(t.space.default(), rng.entropy("t", 0), training, 0, 1, None)
    for rows, value in ((validation, outcome.curve[-1].values[0]), (test, outcome.hidden["test"])):
        p = find_learner("knn").predict(model, rows.X, rows.n_classes)
        expected = {
            "error": lambda y, p: 1 - metrics.accuracy_score(y, p.argmax(1)),
            "balanced_error": lambda y, p: 1 - metrics.balanced_accuracy_score(y, p.argmax(1)),
            "log_loss": lambda y, p: metrics.log_loss(y, np.clip(p, 1e-15, 1), labels=range(10), normalize=True),
            "rmse": metrics.root_mean_squared_error,
            "mae": metrics.mean_absolute_error,
        }[metric](rows.y, p)
        assert value == pytest.approx(expected, abs=1e-9)


def test_a_lost_state_is_made_again_across_other_configurations(store: str) -> None:
    """The chain of population-based training: another configuration and another trial's seed."""
    t = make(store, "mlp", "classification", high=9)
    low, high = ({**t.space.default(), "learning_rate_init": rate} for rate in (1e-4, 0.1))
    first = job(t, 2, low)
    a = run_job(t, first)
    second = replace(job(t, 5, high), start=2, before=first, seed=rng.entropy("t", 1))
    b = run_job(t, replace(second, state=a.state))
    third = replace(job(t, 9, low), start=5, before=second, seed=rng.entropy("t", 1))
    kept, half_lost, lost = (
        run_job(t, j)
        for j in (
            replace(third, state=b.state),
            replace(third, before=replace(second, state=a.state)),
            third,
        )
    )
    assert kept.curve == half_lost.curve == lost.curve
    assert kept.hidden == half_lost.hidden == lost.hidden
    assert kept.curve[-1].values != run(t, 9, low).curve[-1].values


def test_making_a_lost_state_again_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    t = DatasetTask("diabetes", "mlp", low=1, high=9)
    ticks = iter(range(1000))
    trained: list[tuple[float, int]] = []
    monkeypatch.setattr("hptbench.tasks.dataset.time.perf_counter", lambda: next(ticks))
    original = DatasetTask._train
    monkeypatch.setattr(
        DatasetTask,
        "_train",
        lambda self, j, *args: (trained.append((j.stop, next(ticks))), original(self, j, *args))[1],
    )
    first = job(t, 3)
    outcome = run_job(t, replace(job(t), start=3, before=first))
    assert [stop for stop, _ in trained] == [3, 9]
    assert outcome.cost == 2  # the tick of its own training, and the one that ends it


def test_a_start_without_a_past_is_an_error() -> None:
    t = DatasetTask("diabetes", "mlp", low=1, high=9)
    with pytest.raises(ValueError, match="neither a state nor a job before"):
        t.evaluate([replace(job(t), start=3)])


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, Status.FAILED), (MemoryError, Status.MEMORY)])
def test_a_training_that_breaks_is_one_bad_outcome(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], status: Status
) -> None:
    t = DatasetTask("iris", "knn")
    original = type(find_learner("knn")).fit

    def fit(self: Any, segment: Any, before: Any) -> Any:
        if segment.config["n_neighbors"] == 1:
            raise error("no\nluck")
        return original(self, segment, before)

    monkeypatch.setattr(type(find_learner("knn")), "fit", fit)
    bad, good = evaluate_here(t, [job(t, None, {**t.space.default(), "n_neighbors": k}) for k in (1, 2)])
    assert (bad.status, bad.curve) == (status, ())
    assert bad.message.startswith(f"{error.__name__}: no luck")
    assert bad.cost > 0
    assert good.status is Status.OK


def test_a_narrower_space_keeps_the_librarys_defaults() -> None:
    narrow = {"cost": {"type": "float", "lower": 1e-2, "upper": 1e2, "log": True, "default": 1.0}}
    t = DatasetTask("wine", "svm", space=narrow)  # type: ignore[arg-type]
    assert t.space.names == ("cost",)
    assert run(t).curve == run(DatasetTask("wine", "svm")).curve
    assert t == DatasetTask("wine", "svm", space=t.space)


def test_identity_tells_what_can_change_an_outcome(store: str) -> None:
    t = make(store, "knn", "regression")
    changes: list[dict[str, Any]] = [
        {"metric": "mae"}, {"validation": "cv"}, {"folds": 5}, {"test_share": 0.5}, {"split": 1}, {"max_rows": 50},
        {"low": 0.5}, {"high": 0.9}, {"drop_rare": True}, {"repeats": 2}, {"reshuffle": True}, {"axis": "rows"},
    ]  # fmt: skip
    seen = [t.identity(), *(replace(t, **change).identity() for change in changes)]
    assert len({repr(one) for one in seen}) == len(changes) + 1
    assert store not in repr(seen)


@pytest.mark.parametrize(("fields", "message"), [
    ({"data": "irsi"}, "Did you mean 'iris'"),
    ({"learner": "knm"}, "Did you mean 'knn'"),
    ({"learner": "ridge"}, "'ridge', which does regression"),
    ({"metric": "rmse"}, "unknown metric of a classification task 'rmse'"),
    ({"metric": "log_loss"}, "log_loss needs probabilities, which svm has not; set metric to one of accuracy"),
    ({"metric": "acuracy"}, "Did you mean 'accuracy'"),
    ({"metric": ("auc", "auc_error")}, "auc_error twice"),
    ({"repeats": 0}, "repeats >= 1"),
    ({"axis": "row"}, "Did you mean 'rows'"),
    ({"axis": "folds"}, "axis=folds needs several folds; set validation=cv"),
    ({"axis": "folds", "validation": "cv", "high": 9}, "high <= 3"),
    ({"axis": "rows", "learner": "mlp", "high": 3}, "high <= 1"),
    ({"validation": "loo"}, "unknown validation 'loo'"),
    ({"folds": 1}, "folds >= 2"),
    ({"test_share": 1.0}, "0 < test_share < 1"),
    ({"max_rows": 3}, "max_rows >= 8"),
    ({"high": 2.0}, "high <= 1"),
    ({"low": 0.0}, "0 < low"),
    ({"learner": "mlp", "high": 2.5, "low": 1}, "whole numbers"),
    ({"space": {"cots": {"type": "float", "lower": 1, "upper": 2}}}, "Did you mean 'cost'"),
])  # fmt: skip
def test_bad_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DatasetTask(**{"data": "iris", "learner": "svm", **fields})


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_ten_rows_are_enough(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "index.csv").write_text("name,task_type\ntiny,classification\ntinier,regression\n")
    frame = pd.DataFrame({"x": np.arange(10.0), "target": list("ab") * 5})
    frame.to_parquet(tmp_path / "tiny.parquet")
    frame.assign(target=np.arange(10.0)).to_parquet(tmp_path / "tinier.parquet")
    for validation in ("holdout", "cv"):
        data = "tiny" if kind == "classification" else "tinier"
        t = DatasetTask(data, name, str(tmp_path), validation=validation)
        run(t, t.fidelity.low)


def test_test_rows_that_cannot_be_scored_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    t = DatasetTask("wine", "svm")
    expected = run(t)
    test = t.outer().test
    learner = type(find_learner("svm"))
    original = learner.predict

    def predict(self: Any, model: Any, X: Any, n_classes: int) -> Any:
        if X is test.X:
            raise ValueError("a\nnew value")
        return original(self, model, X, n_classes)

    monkeypatch.setattr(learner, "predict", predict)
    outcome = run(t)
    assert outcome.curve == expected.curve
    assert outcome.message == "test score failed: ValueError: a new value"
    assert outcome.hidden.keys() == expected.hidden.keys()
    assert all(np.isnan(value) for name, value in outcome.hidden.items() if name.startswith("test"))
    same = [name for name in expected.hidden if not name.startswith("test")]
    assert [outcome.hidden[name] for name in same] == [expected.hidden[name] for name in same]
    assert expected.message == ""


def test_a_data_set_that_cannot_be_used_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("name,task_type\nbad,classification\n")
    t = DatasetTask("bad", "knn", str(tmp_path))
    with pytest.raises(UserError, match="found none"):
        t.evaluate([job(t)])


def test_predictions_that_are_no_numbers_have_no_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    t = DatasetTask("wine", "knn", metric="accuracy")
    monkeypatch.setattr(type(find_learner("knn")), "predict", lambda self, m, X, k: np.full((len(X), k), np.nan))
    outcome = run(t)
    assert np.isnan(outcome.curve[-1].values[0])
    assert all(np.isnan(v) for name, v in outcome.hidden.items() if name != "split")
