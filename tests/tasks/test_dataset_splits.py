"""Which rows a task trains, validates and tests on: splits, folds, repeats, shares of rows."""

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
from hptbench.learners import find_learner
from hptbench.ledger import Ledger
from hptbench.protocol import Budget, Clock, Problem, Proposal, Task
from hptbench.tasks.dataset import DatasetTask
from hptbench.testing import TASK_CHECKS


@pytest.mark.slow
@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("learner", ["random_forest", "svm"])
def test_conforms_with_folds_and_few_rows(store: str, learner: str, check: Callable[[Task], None]) -> None:
    check(make(store, learner, "classification", validation="cv", max_rows=40, metric="balanced_error", split=2))


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


@pytest.mark.parametrize("validation", ["holdout", "cv"])
@pytest.mark.parametrize("learner", ["logistic", "random_forest", "hist_gradient_boosting", "knn"])
def test_rare_classes_are_in_all_training_rows(tmp_path: Path, learner: str, validation: str) -> None:
    (tmp_path / "index.csv").write_text("name,task_type\nrare,classification\n")
    target = np.repeat(["r", "s", "t"], [3, 28, 29])
    pd.DataFrame({"x": np.arange(60.0), "target": target}).to_parquet(tmp_path / "rare.parquet")
    t = DatasetTask("rare", learner, str(tmp_path), validation=validation, folds=3, test_share=0.5)
    assert all(set(training.y) == {0, 1, 2} for training, _ in t.inner(0))
    assert np.isfinite(run(t, t.fidelity.low).hidden["test"])


@pytest.mark.slow
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
