"""Tuning on OpenML's own splits, offline, from a store fetched from a local OpenML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openml_server import Server, TaskOf, credit, prices

from hptbench.errors import UserError
from hptbench.learners import Table
from hptbench.protocol import Job, Proposal, Status, Task
from hptbench.rng import entropy
from hptbench.store.fetch import Settings, fetch, parse
from hptbench.suites import openml
from hptbench.tasks import _data
from hptbench.tasks.openml import OpenMLTask
from hptbench.testing import TASK_CHECKS

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*datasplits:ResourceWarning")
TASKS = [TaskOf(3, 31, "class", 60), TaskOf(4, 43, "price", 40, type=2)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("openml") / "store"
    with (
        Server([credit(), prices()], TASKS, {(99, "OpenML-CC18"): [3, 4]}) as server,
        pytest.MonkeyPatch.context() as m,
    ):
        m.setenv("NO_PROXY", "127.0.0.1")
        results = fetch(folder, [parse("openml/suite/99")], Settings(server.url))
    assert all(result.status == "fetched" for result in results)
    return str(folder)


def of(store: str, **fields: Any) -> OpenMLTask:
    return OpenMLTask(**{"task_id": 3, "learner": "logistic", "store": store, **fields})


def rows_of(table: Table) -> set[bytes]:
    return {np.append(x, y).tobytes() for x, y in zip(table.X, table.y, strict=True)}


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("fields", [{}, {"task_id": 4, "learner": "ridge", "repeat": 1, "fold": 2}], ids=str)
def test_conforms(fields: dict[str, Any], check: Callable[[Task], None], store: str) -> None:
    check(of(store, **fields))


@pytest.mark.parametrize(("repeat", "fold"), [(0, 0), (0, 2), (1, 1)])
@pytest.mark.parametrize("validation", ["holdout", "cv"])
def test_the_test_rows_are_openmls(repeat: int, fold: int, validation: str, store: str) -> None:
    task = of(store, repeat=repeat, fold=fold, validation=validation)
    whole = _data.load("credit-g-31", store, "target", False)
    test = task.outer().test
    expected = TASKS[0].test_rows(repeat, fold)
    np.testing.assert_array_equal(test.X, whole.X[expected])
    np.testing.assert_array_equal(test.y, whole.y[expected])
    for training, valid in task.inner(0):
        assert len(training) + len(valid) + len(test) == 60
        assert not rows_of(training) & rows_of(test)
        assert not rows_of(valid) & rows_of(test)


def test_folds_differ_in_name_and_identity_and_share_the_unit(store: str) -> None:
    tasks = [of(store, repeat=r, fold=f) for r in (0, 1) for f in (0, 1, 2)]
    assert tasks[4].name == "credit-g-31-logistic-t3-r1f1"
    assert len({task.name for task in tasks}) == 6
    assert len({task.identity()["outer_sha256"] for task in tasks}) == 6
    assert {task.unit for task in tasks} == {"credit-g-31"}
    assert "test_share" not in tasks[0].identity()


def test_rows_can_be_thinned(store: str) -> None:
    few, all_rows = (of(store, max_rows=n).outer() for n in (30, None))
    assert rows_of(few.test) < rows_of(all_rows.test)
    assert len(few.rest) + len(few.test) <= 36


def test_it_learns(store: str) -> None:
    task = of(store)
    [outcome] = task.evaluate([Job(0, 0, Proposal(task.space.default()), 0.0, task.fidelity.high, entropy("t"))])
    assert outcome.status is Status.OK
    assert outcome.hidden["test_error"] < 0.4


def test_what_is_fixed_or_absent_is_said(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="leave test_share out"):
        of(store, test_share=0.5)
    with pytest.raises(UserError, match="leave drop_rare out"):
        of(store, drop_rare=True)
    with pytest.raises(UserError, match="expected repeat 0 to 1, got 2"):
        of(store, repeat=2)
    with pytest.raises(UserError, match="python -m hptbench fetch openml/task/8 --store"):
        of(store, task_id=8)
    monkeypatch.setenv("HPTBENCH_STORE", str(tmp_path))
    with pytest.raises(UserError, match=f"fetch openml/task/3 --store {tmp_path}"):
        OpenMLTask(task_id=3, learner="svm")


def test_a_suite_is_its_tasks(store: str) -> None:
    both = {"classification": "logistic", "regression": "ridge"}
    names = [task.name for task in openml(store, "OpenML-CC18", learner=both, fold=[0, 1], validation="cv")]
    assert names == [
        "credit-g-31-logistic-cv3-t3-r0f0", "credit-g-31-logistic-cv3-t3-r0f1",
        "house-prices-raw-43-ridge-cv3-t4-r0f0", "house-prices-raw-43-ridge-cv3-t4-r0f1",
    ]  # fmt: skip
    [only] = openml(
        store, tasks=[4], learner="ridge", spaces={"ridge": {"alpha": {"type": "float", "lower": 1, "upper": 2}}}
    )
    assert only.space.names == ("alpha",)
    with pytest.raises(UserError, match="expected a learner for regression"):
        openml(store, 99, learner={"classification": "svm"})
    with pytest.raises(UserError, match="not both"):
        openml(store, 99, tasks=[3])
    with pytest.raises(UserError, match="fetch openml/suite/271"):
        openml(store, 271)
