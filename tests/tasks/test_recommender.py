from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptbench import rng
from hptbench.errors import UserError
from hptbench.ledger import Ledger
from hptbench.protocol import Budget, Clock, Job, Outcome, Problem, Proposal, Status, Task
from hptbench.recommenders import find_recommender, recommenders
from hptbench.tasks import _interactions, _ranking
from hptbench.tasks.recommender import RecommenderTask, _parts
from hptbench.testing import TASK_CHECKS
from hptbench.workers import evaluate_here


def make(model: str, **fields: Any) -> RecommenderTask:
    explicit = find_recommender(model).feedback == "explicit"
    data = "synthetic_ratings" if explicit else "synthetic_choices"
    return RecommenderTask(data, model, **{"low": 1, "high": 4, **fields})


TASKS = [make(model) for model in recommenders()]


def parts(task: RecommenderTask) -> Any:
    return _parts(task.data, task.path, task._model.feedback, task.leave_out, task.split)


def job(task: RecommenderTask, stop: float | None = None, config: Any = None, **fields: Any) -> Job:
    config = task.space.default() if config is None else config
    return Job(0, 0, Proposal(config), 0.0, stop or task.fidelity.high, rng.entropy("t", 0), **fields)


def run(task: RecommenderTask, *args: Any) -> Outcome:
    [outcome] = task.evaluate([job(task, *args)])
    assert outcome.status is Status.OK, outcome.message
    return outcome


@pytest.mark.slow
@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_conforms(task: Task, check: Callable[[Task], None]) -> None:
    check(task)


def test_what_it_is() -> None:
    t = make("bpr")
    assert (t.name, t.unit, t.objectives) == ("synthetic_choices-bpr", "synthetic_choices", ("ndcg_error",))
    assert replace(t, split=2).name == "synthetic_choices-bpr-s2"
    assert make("biased_mf_sgd").objectives == ("rmse",)
    assert RecommenderTask("synthetic_ratings", "biased_mf_als").fidelity.unit == "sweep"
    assert t.identity() | {"sha256": ""} == {
        "data": "synthetic_choices", "model": "bpr", "leave_out": 3, "cutoff": 10, "split": 0, "metric": "ndcg_error",
        "low": 1, "high": 4, "sha256": "",
    }  # fmt: skip


def test_making_one_reads_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_interactions, "load", None)
    assert len(make("implicit_als").space) == 6


# splits


def test_some_interactions_of_each_user_are_held_out() -> None:
    t = make("biased_mf_als", leave_out=5)
    whole, split = _interactions.load(t.data, None, "explicit"), parts(t)

    def pairs(part: Any) -> set[tuple[int, int, float]]:
        return set(zip(part.users.tolist(), part.items.tolist(), part.values.tolist(), strict=True))

    assert set.union(*map(pairs, split)) == pairs(whole)
    assert sum(len(part.users) for part in split) == len(whole.users)
    many = np.bincount(whole.users)
    assert (many < 15).any()
    for part in (split.validation, split.test):
        np.testing.assert_array_equal(np.bincount(part.users, minlength=300), np.where(many >= 15, 5, 0))
    other = parts(replace(t, split=1))
    assert pairs(other.test) != pairs(split.test)
    assert pairs(parts(replace(t, model="biased_mf_sgd", space=None, metric="mae")).test) == pairs(split.test)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.model)
def test_held_out_values_are_never_trained_with(task: RecommenderTask, monkeypatch: pytest.MonkeyPatch) -> None:
    from hptbench.tasks import recommender

    before, split = run(task), parts(task)
    explicit = task._model.feedback == "explicit"

    def changed(part: Any) -> Any:
        return part._replace(values=6 - part.values) if explicit else part._replace(items=part.items[::-1])

    monkeypatch.setattr(recommender, "_parts", lambda *_: split._replace(test=changed(split.test)))
    after = run(task)
    assert after.curve == before.curve
    assert after.hidden["test"] != before.hidden["test"]
    monkeypatch.setattr(recommender, "_parts", lambda *_: split._replace(validation=changed(split.validation)))
    after = run(task)
    assert after.curve != before.curve
    for mine, theirs in zip(after.state, before.state, strict=True):
        np.testing.assert_array_equal(mine, theirs)


# scores


def test_ratings_are_scored_as_by_scikit_learn() -> None:
    from sklearn import metrics

    t = make("biased_mf_als")
    outcome, split = run(t), parts(t)
    for part, name in ((split.validation, "validation"), (split.test, "test")):
        model = outcome.state
        full = model.mean + model.user_bias[:, None] + model.item_bias + model.users @ model.items.T
        predicted = np.clip(full[part.users, part.items], 1, 5)
        expected = metrics.root_mean_squared_error(part.values, predicted)
        assert outcome.hidden[f"{name}_rmse"] == pytest.approx(expected)
        assert outcome.hidden[f"{name}_mae"] == pytest.approx(metrics.mean_absolute_error(part.values, predicted))
    assert outcome.curve[-1].values[0] == outcome.hidden["validation_rmse"]
    assert outcome.hidden["test"] == outcome.hidden["test_rmse"]


def test_rankings_are_scored_as_by_scikit_learn() -> None:
    """Over the items that the user has not trained with; for the test score also not validated with."""
    from sklearn.metrics import ndcg_score

    t = make("implicit_als", cutoff=7)
    outcome, split = run(t), parts(t)
    scores = outcome.state.users @ outcome.state.items.T
    for held, seen, name in (
        (split.validation, [split.training], "validation"),
        (split.test, [split.training, split.validation], "test"),
    ):
        ndcg, recall = [], []
        for user in np.unique(held.users):
            known = np.concatenate([part.items[part.users == user] for part in seen])
            wanted = held.items[held.users == user]
            left = np.setdiff1d(np.arange(200), known)
            relevant = np.isin(left, wanted)
            ndcg.append(ndcg_score(relevant[None], scores[user, left][None], k=7))
            recall.append(relevant[np.argsort(-scores[user, left])[:7]].sum() / 3)
        assert outcome.hidden[f"{name}_ndcg_error"] == pytest.approx(1 - np.mean(ndcg))
        assert outcome.hidden[f"{name}_recall_error"] == pytest.approx(1 - np.mean(recall))
    assert outcome.curve[-1].values[0] == outcome.hidden["validation_ndcg_error"]


def test_ranking_by_hand() -> None:
    predictions = np.array([[9.0, 8, 7, 6, 5], [1, 1, 1, 1, 1]])
    allowed = np.array([[False, True, True, True, True], [True] * 5])
    chosen = np.array([[True, False, True, False, False], [True, False, False, False, True]])
    found = _ranking.hits(predictions, allowed, chosen, 2)
    np.testing.assert_array_equal(found, [[0, 1], [1, 0]])  # equals in the order of items
    n = np.array([1.0, 2.0])
    assert _ranking.recall_error(found, n) == pytest.approx(1 - (1 + 0.5) / 2)
    second = 1 / math.log2(3)
    assert _ranking.ndcg_error(found, n) == pytest.approx(1 - (second + 1 / (1 + second)) / 2)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.model)
def test_training_helps(task: RecommenderTask) -> None:
    """Against what needs no training, the items' mean ratings and their popularity."""
    split = parts(task)
    training, held = split.training, split.validation
    if task._model.feedback == "explicit":
        n = np.bincount(training.items, minlength=200)
        mean = np.bincount(training.items, training.values - training.values.mean(), 200) / np.maximum(n, 1)
        plain = _ranking.rmse(held.values, training.values.mean() + mean[held.items])
    else:
        from hptbench.recommenders import Factors
        from hptbench.tasks.recommender import _ranked

        popularity = np.bincount(training.items, minlength=200).astype(float)
        model = Factors(np.zeros((300, 1)), np.zeros((200, 1)), np.zeros(300), popularity, 0.0)
        plain = _ranking.ndcg_error(*_ranked(model, (training,), held, 10))
    config = task.space.canonical(
        {**task.space.default(), **({"learning_rate": 0.1} if "learning_rate" in task.space.names else {"factors": 4})}
    )
    assert run(replace(task, high=40), 40, config).curve[-1].values[0] < 0.97 * plain


# states and failures


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.model)
def test_a_training_goes_on_with_other_factors(task: RecommenderTask) -> None:
    default = task.space.default()
    [left] = task.evaluate([first := job(task, 2, {**default, "factors": 8})])
    results = []
    for k in (4, 8, 16):
        proposal = Proposal({**default, "factors": k}, source=0)
        second = replace(first, id=1, proposal=proposal, start=2.0, stop=3.0, state=left.state, before=first)
        [outcome] = task.evaluate([second])
        assert outcome.status is Status.OK
        assert outcome.state.users.shape == (300, k)
        results.append(outcome.curve[-1].values[0])
    assert len(set(results)) == 3


def test_a_state_that_nothing_can_make_again() -> None:
    with pytest.raises(ValueError, match="neither a state nor a job before"):
        TASKS[0].evaluate([replace(job(TASKS[0]), start=1.0)])


@pytest.mark.parametrize("model", ["biased_mf_sgd", "bpr"])
def test_a_training_that_diverges_is_a_nan(model: str) -> None:
    wild = {
        "learning_rate": {"type": "float", "lower": 1.0, "upper": 1e6, "default": 1e6},
        "init_std": {"type": "float", "lower": 1.0, "upper": 1e6, "default": 1e6},
    }
    t = make(model, space=wild)
    ledger = Ledger(Problem(t.space, t.objectives, t.fidelity, Budget(max_jobs=9)), ("t", 0), Clock.UNITS)
    opened = ledger.open(Proposal(t.space.default()))
    _, outcome, report = ledger.close(opened, evaluate_here(t, [opened])[0])
    assert outcome.status is Status.NAN
    assert report.values == (math.inf,)


def test_test_interactions_that_cannot_be_scored_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    t = make("biased_mf_als")
    expected, test = run(t), parts(t).test
    original = RecommenderTask._score

    def score(self: Any, model: Any, training: Any, held: Any, seen: Any) -> Any:
        if held is test:
            raise ValueError("a\nnew value")
        return original(self, model, training, held, seen)

    monkeypatch.setattr(RecommenderTask, "_score", score)
    outcome = run(t)
    assert outcome.curve == expected.curve
    assert outcome.message == "test score failed: ValueError: a new value"
    assert all(math.isnan(v) == name.startswith("test") for name, v in outcome.hidden.items())


# data


@pytest.mark.parametrize("name", _interactions.BUNDLED)
def test_synthetic_interactions(name: str) -> None:
    source = _interactions.BUNDLED[name]
    data = _interactions.load(name, None, source.feedback)
    many = np.bincount(data.users, minlength=data.n_users)
    assert (data.n_users, data.n_items) == (source.users, source.items)
    assert many.min() >= 10
    assert many.mean() == pytest.approx(source.per_user, rel=0.1)
    assert len(np.unique(data.users * data.n_items + data.items)) == len(data.users)
    assert data.values.min() == 1
    popular = np.sort(np.bincount(data.items, minlength=data.n_items))[::-1]
    assert popular[: data.n_items // 10].sum() > 0.18 * popular.sum(), "a tenth of the items has more than its share"
    if source.feedback == "explicit":
        assert set(data.values) == {1, 2, 3, 4, 5}


def test_synthetic_interactions_never_change() -> None:
    assert _interactions.fingerprint("synthetic_ratings", None, "explicit").startswith(RATINGS)
    assert _interactions.fingerprint("synthetic_choices", None, "implicit").startswith(CHOICES)


RATINGS, CHOICES = "5711b82ce9", "0e74ca5830"


def test_interactions_of_ones_own(tmp_path: Path) -> None:
    data = _interactions.load("synthetic_ratings", None, "explicit")
    frame = pd.DataFrame({"item": data.items, "user": data.users, "rating": data.values, "timestamp": 0})
    frame.to_parquet(tmp_path / "mine.parquet")
    t = RecommenderTask("mine", "biased_mf_als", str(tmp_path / "mine.parquet"), low=1, high=2)
    assert t.identity()["sha256"] == make("biased_mf_als").identity()["sha256"]
    assert str(tmp_path) not in repr(t.identity())
    assert run(t).hidden["test_rmse"] < 1.2


def test_implicit_rows_of_a_pair_are_added_up(tmp_path: Path) -> None:
    file = tmp_path / "clicks.parquet"
    frame = pd.DataFrame({"user": ["b", "a", "b", "b"], "item": ["y", "x", "x", "y"]})
    frame.to_parquet(file)
    data = _interactions.load("clicks", str(file), "implicit")
    assert (data.users.tolist(), data.items.tolist(), data.values.tolist()) == ([0, 1, 1], [0, 0, 1], [1, 1, 2])
    frame.assign(rating=[1.0, 0.5, 2.0, 4.0]).to_parquet(tmp_path / "weighted.parquet")
    assert _interactions.load("x", str(tmp_path / "weighted.parquet"), "implicit").values.tolist() == [0.5, 2, 5]


ROWS: dict[str, Any] = {"user": [1, 1, 2], "item": [1, 2, 1], "rating": [1.0, 2.0, 3.0]}


@pytest.mark.parametrize(("model", "columns", "message"), [
    ("biased_mf_als", {"rating": None}, "expected the columns user, item, rating, found no rating"),
    ("bpr", {"user": None}, "expected the columns user, item, found no user"),
    ("bpr", {"item": [1, None, 2]}, "expected no missing values, got 1 rows"),
    ("biased_mf_als", {"rating": ["a", "b", "c"]}, "expected numbers in the column 'rating'"),
    ("biased_mf_als", {"rating": [1, math.inf, 2]}, "expected finite ratings; drop"),
    ("bpr", {"rating": [1.0, 0.0, 2.0]}, "expected finite ratings, above 0; drop"),
    ("biased_mf_als", {"item": [1, 1, 1]}, "rate an item once, got 1 rows too many"),
    ("bpr", {}, "expected a user with at least 9, got at most 2 of one; set leave_out lower"),
])  # fmt: skip
def test_files_that_cannot_be_used(tmp_path: Path, model: str, columns: dict[str, Any], message: str) -> None:
    file = tmp_path / "bad.parquet"
    pd.DataFrame({k: v for k, v in (ROWS | columns).items() if v is not None}).to_parquet(file)
    t = RecommenderTask("bad", model, str(file))
    with pytest.raises(UserError, match=message):
        t.evaluate([job(t)])


@pytest.mark.parametrize(("fields", "message"), [
    ({"data": "synthetic_rating"}, "unknown interactions.*Did you mean 'synthetic_ratings'"),
    ({"model": "als"}, "unknown recommender 'als'"),
    ({"model": "bpr"}, "expected a model of explicit feedback for 'synthetic_ratings', got 'bpr'"),
    ({"metric": "ndcg_error"}, "unknown metric of explicit feedback 'ndcg_error'"),
    ({"leave_out": 0}, "leave_out >= 1"),
    ({"cutoff": 0}, "cutoff >= 1"),
    ({"low": 0}, "0 < low"),
    ({"low": 30}, "low <= high"),
    ({"high": 2.5}, "whole numbers"),
    ({"path": "none.parquet"}, "found no none.parquet"),
    ({"space": {"factor": {"type": "integer", "lower": 1, "upper": 2}}}, "Did you mean 'factors'"),
])  # fmt: skip
def test_bad_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        RecommenderTask(**{"data": "synthetic_ratings", "model": "biased_mf_als", **fields}).identity()
