from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptbench import rng
from hptbench.errors import UserError
from hptbench.learners import Table, find_learner
from hptbench.protocol import Job, Outcome, Proposal, Status, Task
from hptbench.tasks import drifting
from hptbench.tasks._metrics import METRICS
from hptbench.tasks.drifting import DriftingTask, _blocks
from hptbench.testing import TASK_CHECKS

SMALL: dict[str, Any] = {"blocks": 4, "block_rows": 40}
SEA = DriftingTask("logistic", "sea", "abrupt", **SMALL)
SHORT = {"mlp": 3, "random_forest": 5, "hist_gradient_boosting": 5}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    _blocks.cache_clear()


@pytest.fixture
def store(tmp_path: Path) -> str:
    """350 rows in time order: row i holds i, and the class turns over in the middle."""
    i = np.arange(350)
    target = np.where((i % 2 == 0) == (i < 175), "a", "b")
    pd.DataFrame({"i": i, "parity": i % 2, "target": target}).to_parquet(tmp_path / "log.parquet")
    (tmp_path / "index.csv").write_text("name,task_type\nlog,classification\n")
    return str(tmp_path)


def job(task: DriftingTask, block: float, **config: Any) -> Job:
    return Job(0, 0, Proposal({**task.space.default(), **config}, block), 0.0, block, rng.entropy("t", 0))


def run(task: DriftingTask, block: float, **config: Any) -> Outcome:
    [outcome] = task.evaluate([job(task, block, **config)])
    assert outcome.status is Status.OK
    return outcome


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("learner", "stream", "window"),
    [
        ("logistic", "sea", None), ("knn", "hyperplane", 1), ("mlp", "friedman", 2), ("svr", "friedman", 3),
        ("hist_gradient_boosting", "hyperplane", None), ("random_forest", "friedman", 2), ("svm", "sea", 2),
    ],
)  # fmt: skip
def test_conforms(learner: str, stream: str, window: int | None, check: Callable[[Task], None]) -> None:
    check(DriftingTask(learner, stream, window=window, length=SHORT.get(learner), **SMALL))


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
def test_a_data_set_conforms(store: str, check: Callable[[Task], None]) -> None:
    check(DriftingTask("knn", data="log", store=store, blocks=5))


def test_what_it_is() -> None:
    assert (SEA.name, SEA.unit, SEA.objectives) == ("sea_abrupt-b4-logistic", "sea_abrupt", ("log_loss",))
    assert (SEA.fidelity.low, SEA.fidelity.high, SEA.fidelity.unit, SEA.fidelity.continues) == (1, 4, "block", False)
    assert replace(SEA, window=2, number=3).name == "sea_abrupt-b4-w2-logistic-r3"
    assert replace(SEA, number=3).unit == "sea_abrupt"
    assert DriftingTask("svm", "sea").objectives == ("error",)
    assert DriftingTask("svr", "friedman").objectives == ("rmse",)


def changed(monkeypatch: pytest.MonkeyPatch, *which: int) -> None:
    """From now on, the blocks of these numbers are other rows."""
    original = drifting._blocks

    def other(key: Any) -> list[Table]:
        parts = list(original(key))
        for b in which:
            parts[b] = replace(parts[b], X=parts[b].X[::-1] * 0.5, y=1 - parts[b].y)
        return parts

    monkeypatch.setattr(drifting, "_blocks", other)


@pytest.mark.parametrize("window", [None, 1])
@pytest.mark.parametrize("block", [1, 2, 4])
def test_nobody_peeks(monkeypatch: pytest.MonkeyPatch, block: int, window: int | None) -> None:
    """Rows after the next block change nothing; the next block changes only what is hidden; the newest block changes
    the validation, not the model."""
    t = replace(SEA, window=window)
    before = run(t, block)
    with monkeypatch.context() as m:
        changed(m, *range(block + 2, 6))
        assert (run(t, block).curve, run(t, block).hidden) == (before.curve, before.hidden)
    with monkeypatch.context() as m:
        changed(m, block + 1)
        assert run(t, block).curve == before.curve
        assert of("test", run(t, block)) != of("test", before)
        assert of("validation", run(t, block)) == of("validation", before)
    with monkeypatch.context() as m:
        changed(m, block)
        assert run(t, block).curve != before.curve
        assert of("test", run(t, block)) == of("test", before)
    with monkeypatch.context() as m:
        changed(m, block - 1)
        assert run(t, block).curve != before.curve
        assert of("test", run(t, block)) != of("test", before)
    if window and block > window:
        with monkeypatch.context() as m:
            changed(m, *range(block - window))
            assert (run(t, block).curve, run(t, block).hidden) == (before.curve, before.hidden)


def of(part: str, outcome: Outcome) -> dict[str, float]:
    return {name: value for name, value in outcome.hidden.items() if name.startswith(part)}


def test_it_trains_on_the_past_validates_on_the_block_and_tests_on_the_next() -> None:
    parts, learner = _blocks(SEA._row_key), find_learner("logistic")
    assert [len(part) for part in parts] == [40] * 6
    for window, first in ((None, 0), (2, 1)):
        past = Table(
            np.concatenate([p.X for p in parts[first:3]]), np.concatenate([p.y for p in parts[first:3]]),
            parts[0].categorical, 2,
        )  # fmt: skip
        one = job(SEA, 3)
        model = learner.train(one.proposal.config, one.seed, past, 0, 1, None)
        got = run(replace(SEA, window=window, metric="error"), 3)
        for part, value in ((parts[3], got.curve[-1].values[0]), (parts[4], got.hidden["test"])):
            assert value == np.mean(learner.predict(model, part.X, 2).argmax(axis=1) != part.y)
        assert got.hidden["validation_error"] == got.curve[-1].values[0]
        assert {f"test_{m.name}" for m in METRICS["classification"]} == of("test", got).keys() - {"test"}


def test_the_deployed_loss_rises_when_the_concept_jumps_and_a_window_forgets_the_old_one(store: str) -> None:
    t = DriftingTask("knn", data="log", store=store, blocks=5, window=1, metric="error")
    losses = [run(t, b, n_neighbors=3).hidden["test"] for b in range(1, 6)]
    assert losses[0] < 0.1  # parity decides, in the neighbourhood of the newest rows
    assert losses[2] > 0.9  # block 3 was trained on the old concept, and block 4 is of the new one
    assert losses[4] < 0.1


def test_blocks_of_a_data_set_are_its_rows_in_order(store: str) -> None:
    parts = _blocks(DriftingTask("knn", data="log", store=store, blocks=5)._row_key)
    assert np.concatenate([part.X[:, 0] for part in parts]).tolist() == list(range(350))
    thin = _blocks(DriftingTask("knn", data="log", store=store, blocks=5, block_rows=25)._row_key)
    assert [len(part) for part in thin] == [25] * 7
    assert all(set(some.X[:, 0]) < set(part.X[:, 0]) for some, part in zip(thin, parts, strict=True))


def test_identity_tells_what_can_change_an_outcome(store: str) -> None:
    changes: list[dict[str, Any]] = [
        {"stream": "hyperplane"}, {"drift": "none"}, {"number": 1}, {"blocks": 5}, {"block_rows": 50}, {"window": 2},
        {"metric": "error"}, {"learner": "knn"},
    ]  # fmt: skip
    seen = [SEA.identity(), *(replace(SEA, **change, space=None).identity() for change in changes)]
    assert len({repr(one) for one in seen}) == len(changes) + 1
    assert len({one["sha256"] for one in seen}) == 6, "window, metric and learner leave the rows as they are"
    assert store not in repr(DriftingTask("knn", data="log", store=store, blocks=5).identity())


def test_a_class_that_has_not_been_seen_is_the_users_error(tmp_path: Path) -> None:
    pd.DataFrame({"x": np.arange(300.0), "target": np.arange(300) > 200}).to_parquet(tmp_path / "late.parquet")
    (tmp_path / "index.csv").write_text("name,task_type\nlate,classification\n")
    t = DriftingTask("knn", data="late", store=str(tmp_path), blocks=4)
    with pytest.raises(UserError, match=r"late: expected rows of every class .* before block 1, got none of .* 1;"):
        t.identity()


def test_scores_of_the_future_that_cannot_be_computed_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, future = run(SEA, 2), _blocks(SEA._row_key)[3]
    learner = type(find_learner("logistic"))
    original = learner.predict

    def predict(self: Any, model: Any, X: Any, n_classes: int) -> Any:
        if X is future.X:
            raise ValueError("a\nnew value")
        return original(self, model, X, n_classes)

    monkeypatch.setattr(learner, "predict", predict)
    outcome = run(SEA, 2)
    assert outcome.curve == expected.curve
    assert outcome.message == "test score failed: ValueError: a new value"
    assert outcome.hidden.keys() == expected.hidden.keys()
    assert np.isnan(list(of("test", outcome).values())).all()
    assert of("validation", outcome) == of("validation", expected)


def test_a_narrower_space() -> None:
    narrow = {"C": {"type": "float", "lower": 1e-2, "upper": 1e2, "log": True, "default": 1.0}}
    t = DriftingTask("logistic", "sea", space=narrow, **SMALL)  # type: ignore[arg-type]
    assert t.space.names == ("C",)


@pytest.mark.parametrize(("fields", "message"), [
    ({"stream": None}, "either stream or data"),
    ({"data": "iris"}, "either stream or data"),
    ({"stream": "hyperplain"}, "Did you mean 'hyperplane'"),
    ({"drift": "abrubt"}, "Did you mean 'abrupt'"),
    ({"stream": None, "data": "irsi"}, "Did you mean 'iris'"),
    ({"learner": "knm"}, "Did you mean 'knn'"),
    ({"learner": "ridge"}, "a learner for sea, a classification task, got 'ridge', which does regression"),
    ({"metric": "rmse"}, "unknown metric of a classification task 'rmse'"),
    ({"learner": "svm", "metric": "log_loss"}, "log_loss needs probabilities"),
    ({"blocks": 1}, "blocks >= 2"),
    ({"block_rows": 5}, "block_rows >= 20"),
    ({"window": 0}, "window >= 1"),
    ({"number": -1}, "number >= 0"),
    ({"length": 3}, "no length for knn"),
    ({"learner": "mlp", "length": 2.5}, "whole number of epochs from 3 to 81, got 2.5"),
    ({"learner": "mlp", "length": 500}, "whole number of epochs from 3 to 81, got 500"),
    ({"space": {"p_neighbors": {"type": "float", "lower": 1, "upper": 2}}}, "Did you mean 'n_neighbors'"),
])  # fmt: skip
def test_bad_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DriftingTask(**{"learner": "knn", "stream": "sea", **fields})


def test_too_few_rows() -> None:
    t = DriftingTask("knn", data="iris")
    with pytest.raises(UserError, match=r"'iris': expected at least 220 rows for 9 \+ 2 blocks of 20, got 150"):
        t.identity()
