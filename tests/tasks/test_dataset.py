from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptbench import rng
from hptbench.errors import UserError
from hptbench.learners import find_learner, learners
from hptbench.ledger import Ledger
from hptbench.protocol import Budget, Clock, Job, Outcome, Problem, Proposal, Status, Task
from hptbench.tasks.dataset import DatasetTask
from hptbench.testing import TASK_CHECKS
from hptbench.workers import evaluate_here

LEVELS = {"tree": (2, 6), "iteration": (2, 6), "epoch": (1, 3), "fraction": (1 / 9, 1)}
PAIRS = [
    pytest.param(
        name, kind, marks=pytest.mark.skipif(not learner.installed, reason=f"{learner.requires} is not installed")
    )
    for name, learner in learners().items()
    for kind in learner.spaces
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two data sets of 90 rows with all that tables have in practice."""
    folder = tmp_path_factory.mktemp("store")
    draw = np.random.default_rng(0)
    x, c = draw.normal(size=90), draw.choice(list("abcd"), size=90)
    signal = 2 * x + 3 * (c == "b")
    mixed = pd.DataFrame({
        "hole": np.where(draw.random(90) < 0.1, np.nan, x),
        "category": pd.Categorical(np.where(draw.random(90) < 0.1, None, c)),
        "text": draw.choice(["u", "v"], size=90),
        "flag": draw.random(90) < 0.5,
        "count": draw.integers(9, size=90),
        "constant": 1.0,
        "empty": np.nan,
    })  # fmt: skip
    mixed.assign(target=signal * 10 + 100).to_parquet(folder / "numbers.parquet")
    mixed.assign(target=pd.cut(signal, [-99, -1, 2, 99], labels=["low", "mid", "top"])).to_parquet(
        folder / "classes.parquet"
    )
    (folder / "index.csv").write_text("name,task_type\nnumbers,regression\nclasses,classification\n")
    return str(folder)


def make(store: str, learner: str, kind: str, **fields: Any) -> DatasetTask:
    low, high = LEVELS[find_learner(learner).fidelity.unit]
    data = "numbers" if kind == "regression" else "classes"
    if learner == "pipeline":  # without forests and networks, which train to their full number
        parts = {name: {"type": "space", "space": name} for name in ("preprocessing", "knn")}
        few = {"type": "categorical", "choices": ["decision_tree", "knn"]}
        fields = {"space": {"learner": few, **parts}, **fields}
    return DatasetTask(data, learner, store, **{"low": low, "high": high, **fields})


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("learner", "kind"), PAIRS)
def test_conforms(store: str, learner: str, kind: str, check: Callable[[Task], None]) -> None:
    check(make(store, learner, kind))


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("learner", ["random_forest", "svm"])
def test_conforms_with_folds_and_few_rows(store: str, learner: str, check: Callable[[Task], None]) -> None:
    check(make(store, learner, "classification", validation="cv", max_rows=40, metric="balanced_error", split=2))


def job(task: DatasetTask, stop: float | None = None, config: Any = None, **fields: Any) -> Job:
    config = task.space.default() if config is None else config
    return Job(0, 0, Proposal(config), 0.0, stop or task.fidelity.high, rng.entropy("t", 0), **fields)


def run(task: DatasetTask, *args: Any) -> Outcome:
    [outcome] = task.evaluate([job(task, *args)])
    assert outcome.status is Status.OK, outcome.message
    return outcome


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


def test_no_row_is_in_two_parts_and_the_split_moves_the_test_rows() -> None:
    seen = []
    for split in (0, 1):
        t = DatasetTask("diabetes", "knn", split=split)
        [(training, validation)], test = t.inner(split), t.outer().test
        rows = [{tuple(row) for row in part.X} for part in (training, validation, test)]
        assert sum(map(len, rows)) == len(set.union(*rows)) == 442
        assert [len(r) for r in rows] == [221, 111, 110]
        seen.append(rows[2])
    assert seen[0] != seen[1]


def test_rows_do_not_depend_on_learner_metric_or_seed() -> None:
    outers = {
        DatasetTask("wine", name, metric=m, split=1).outer() for name in ("knn", "mlp") for m in ("error", "log_loss")
    }
    assert len(outers) == 1


def test_folds_are_averaged(store: str) -> None:
    t = make(store, "random_forest", "regression", validation="cv", folds=4)
    models = run(t).state.models
    assert len(models) == len(t.inner(0)) == 4
    learner = find_learner("random_forest")
    rmse = [
        np.sqrt(np.mean((learner.predict(m, rows.X, 0) - rows.y) ** 2))
        for m, (_, rows) in zip(models, t.inner(0), strict=True)
    ]
    assert run(t).curve[-1].values[0] == pytest.approx(np.mean(rmse))


def test_more_rows_are_a_higher_fidelity() -> None:
    t = DatasetTask("digits", "knn", low=1 / 27)
    assert t.fidelity.continues is False
    values = [run(t, level).curve[-1].values[0] for level in (1 / 27, 1 / 3, 1)]
    assert values[0] > values[1] > values[2]


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


def run_job(task: DatasetTask, one: Job) -> Outcome:
    [outcome] = task.evaluate([one])
    assert outcome.status is Status.OK, outcome.message
    return outcome


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


@pytest.mark.parametrize("validation", ["holdout", "cv"])
@pytest.mark.parametrize("learner", ["logistic", "random_forest", "hist_gradient_boosting", "knn"])
def test_rare_classes_are_in_all_training_rows(tmp_path: Path, learner: str, validation: str) -> None:
    (tmp_path / "index.csv").write_text("name,task_type\nrare,classification\n")
    target = np.repeat(["r", "s", "t"], [3, 28, 29])
    pd.DataFrame({"x": np.arange(60.0), "target": target}).to_parquet(tmp_path / "rare.parquet")
    t = DatasetTask("rare", learner, str(tmp_path), validation=validation, folds=3, test_share=0.5)
    assert all(set(training.y) == {0, 1, 2} for training, _ in t.inner(0))
    assert np.isfinite(run(t, t.fidelity.low).hidden["test"])


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


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("fields", [
    {"learner": "random_forest", "reshuffle": True},
    {"learner": "knn", "reshuffle": True, "validation": "cv", "metric": ("auc", "log_loss")},
    {"learner": "extra_trees", "axis": "rows", "low": 1 / 3, "high": 1, "max_rows": 60},
    {"learner": "logistic", "axis": "folds", "low": 1, "high": 6, "validation": "cv", "repeats": 2},
    {"learner": "decision_tree", "axis": "folds", "low": 1, "high": 4, "repeats": 4, "reshuffle": True},
], ids=str)  # fmt: skip
def test_conforms_with_other_inner_splits(store: str, fields: dict[str, Any], check: Callable[[Task], None]) -> None:
    check(make(store, kind="classification", **fields))


def test_a_reshuffled_split_is_the_trials_and_leaves_the_test_rows_alone() -> None:
    t = DatasetTask("wine", "knn", reshuffle=True)
    assert t.name == "wine-knn-reshuffled"
    outcomes = [run_job(t, replace(job(t), seed=rng.entropy("trial", i))) for i in range(3)]
    splits = {outcome.hidden["split"] for outcome in outcomes}
    assert len(splits) == 3
    assert run_job(t, replace(job(t), seed=rng.entropy("trial", 0))).curve == outcomes[0].curve
    assert t.outer() is DatasetTask("wine", "knn").outer()
    rest = t.outer().rest
    for number in map(int, splits):
        [(training, validation)] = t.inner(number)
        assert len(training) + len(validation) == len(rest)
        assert sorted(map(tuple, np.vstack([training.X, validation.X]))) == sorted(map(tuple, rest.X))
    assert run(DatasetTask("wine", "knn")).hidden["split"] == 0


def test_a_state_keeps_its_inner_split() -> None:
    """Else an inherited model would be validated on rows that it has learnt from."""
    t = DatasetTask("wine", "random_forest", reshuffle=True, low=2, high=6)
    first = run_job(t, job(t, 2))
    heir = replace(job(t), start=2, before=job(t, 2), state=first.state, seed=rng.entropy("another", 1))
    assert run_job(t, heir).hidden["split"] == first.hidden["split"]
    assert run_job(t, replace(heir, state=None)).curve == run_job(t, heir).curve
    assert run_job(t, replace(heir, start=0, state=None)).hidden["split"] != first.hidden["split"]


def test_repeats_are_different_splits_and_averaged() -> None:
    t = DatasetTask("wine", "knn", validation="cv", folds=3, repeats=2)
    assert t.name == "wine-knn-cv3x2"
    folds = t.inner(0)
    assert len(folds) == 6
    for mine, theirs in zip(folds[:3], DatasetTask("wine", "knn", validation="cv").inner(0), strict=True):
        np.testing.assert_array_equal(mine[1].X, theirs[1].X)
    assert not any(np.array_equal(folds[0][1].X, folds[i][1].X) for i in range(1, 6))
    values = [run_on(t, *fold) for fold in folds]
    assert run(t).curve[-1].values[0] == pytest.approx(np.mean(values))


def run_on(t: DatasetTask, training: Any, validation: Any) -> float:
    learner = find_learner(t.learner)
    model = learner.train(t.space.default(), rng.entropy("t", 0), training, 0, 1, None)
    p = learner.predict(model, validation.X, validation.n_classes)
    return float(-np.mean(np.log(np.clip(p[np.arange(len(p)), validation.y], 1e-15, 1))))


def test_folds_are_a_fidelity_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    t = DatasetTask("wine", "knn", validation="cv", folds=4, axis="folds")
    assert (t.fidelity.low, t.fidelity.high, t.fidelity.unit, t.fidelity.continues) == (1, 4, "fold", True)
    values = [run_on(t, *fold) for fold in t.inner(0)]
    first = run_job(t, job(t, 2))
    assert first.curve[-1].values[0] == pytest.approx(np.mean(values[:2]))
    trained: list[int] = []
    learner = type(find_learner("knn"))
    original = learner.train
    monkeypatch.setattr(learner, "train", lambda self, *a: (trained.append(1), original(self, *a))[1])
    second = replace(job(t), start=2, before=job(t, 2), state=first.state)
    assert run_job(t, second).curve[-1].values[0] == pytest.approx(np.mean(values))
    assert len(trained) == 2


def test_rows_are_a_fidelity_of_every_learner() -> None:
    own = DatasetTask("digits", "random_forest")
    rows = replace(own, axis="rows")
    assert rows.name == "digits-random_forest-rows"
    assert rows.fidelity.continues is False
    assert run(rows).curve[-1].values == run(own).curve[-1].values, "all rows and all trees are the same training"
    assert run(rows, 1 / 27).curve[-1].values[0] > run(rows).curve[-1].values[0]


def test_folds_of_another_configuration_are_not_inherited() -> None:
    t = DatasetTask("wine", "knn", validation="cv", folds=4, axis="folds")
    ledger = Ledger(Problem(t.space, t.objectives, t.fidelity, Budget(max_jobs=9)), ("t", 0), Clock.UNITS)
    first = ledger.open(Proposal(t.space.default(), 2))
    ledger.close(first, run_job(t, first))
    other = ledger.open(Proposal({**t.space.default(), "n_neighbors": 1}, 4, source=0))
    assert (other.start, other.before, other.trial) == (0, None, 1)
    assert ledger.open(Proposal(t.space.default(), 4, source=0)).start == 2
    assert ledger.full_evals == 0.5 + 1 + 0.5


def test_folds_in_which_a_metric_is_not_defined_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("name,task_type\nrare,classification\n")
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"x": draw.normal(size=60), "target": ["r"] * 3 + ["s"] * 57})
    frame.to_parquet(tmp_path / "rare.parquet")
    t = DatasetTask("rare", "knn", str(tmp_path), validation="cv", folds=5, metric="auc")
    two = [len(set(valid.y)) == 2 for _, valid in t.inner(0)]
    assert 0 < sum(two) < 5
    outcome = run(t)
    assert 0 <= outcome.curve[-1].values[0] <= 1


def test_predictions_that_are_no_numbers_have_no_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    t = DatasetTask("wine", "knn", metric="accuracy")
    monkeypatch.setattr(type(find_learner("knn")), "predict", lambda self, m, X, k: np.full((len(X), k), np.nan))
    outcome = run(t)
    assert np.isnan(outcome.curve[-1].values[0])
    assert all(np.isnan(v) for name, v in outcome.hidden.items() if name != "split")
