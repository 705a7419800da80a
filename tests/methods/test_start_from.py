from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evolving import MIXED, SPHERE, report

from hptbench.errors import UserError
from hptbench.methods.start_from import StartFrom
from hptbench.protocol import Advice, Budget, Fidelity, Problem
from hptbench.tasks.training import TrainingTask
from hptbench.testing.methods import records_of


def begin(method: StartFrom, space: Any = SPHERE, **more: Any) -> Any:
    problem = Problem(space, ("loss",), more.pop("fidelity", None), Budget(max_jobs=100), **more)
    return method.begin(problem, np.random.default_rng(0))


A, B = {"a": 0.1, "b": 0.2, "c": 0.3}, {"a": 0.9, "b": 0.8, "c": 0.7}


def test_the_list_then_the_advice_then_the_method() -> None:
    search = begin(StartFrom(inner="grid", configs=[A, {"a": 0.4}]), advice=Advice((B, A)), fidelity=Fidelity(1, 9))
    [first] = search.ask(1, [])
    assert (first.config, first.fidelity) == (A, 9.0)
    second, third = search.ask(2, [first])
    assert second.config == {"a": 0.4, "b": 0.5, "c": 0.5}
    assert third.config == B
    assert "start" not in search.ask(1, [first, second, third])[0].note


def test_without_any_the_default_configuration() -> None:
    search = begin(StartFrom(), MIXED)
    assert search.ask(1, [])[0].config == MIXED.default()


class _Recorder:
    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.told: list[Any] = []

    def ask(self, n: int, running: Any) -> list[Any]:
        self.asked.append((n, [proposal.config for proposal in running]))
        return []

    def tell(self, reports: Any) -> None:
        self.told += [entry.proposal.config for entry in reports]


def test_the_method_is_told_of_all_and_knows_what_is_running() -> None:
    search = begin(StartFrom(configs=[A, B]))
    inner = search._inner = _Recorder()
    assert len(search.ask(5, [])) == 2
    assert inner.asked == [(3, [A, B])]
    search.tell([report(B, 1.0)])
    assert inner.told == [B]


def test_what_it_is_told_of_reaches_multi_fidelity_methods() -> None:
    records = records_of(StartFrom(inner="pbt", configs=[{"rate": 0.9}, {"rate": 0.02}], settings={"population": 4}),
                         TrainingTask("noisy_quadratic"), budget=Budget(max_full_evals=6))  # fmt: skip
    assert [r.job.stop for r in records[:2]] == [100, 100]
    members = [r.job.proposal.config for r in records if r.job.proposal.note.get("population") == 1]
    first = [r.job.proposal.config for r in records[2:6]]
    assert {"rate": 0.02} in first + members


def test_the_best_of_an_earlier_study(tmp_path: Path) -> None:
    def job(task: str, a: float, value: float | None, stop: float = 9.0) -> dict[str, Any]:
        config = json.dumps({"a": a, "b": 0.5, "c": 0.5})
        status = "nan" if value is None else "ok"
        return {"task": task, "status": status, "value": value, "stop": stop, "config": config, "seed": 0}

    rows = [job("t", 0.1, 3.0), job("t", 0.2, 1.0), job("t", 0.2, 1.5), job("t", 0.3, None), job("t", 0.4, 0.1, 3.0),
            job("t", 0.5, 2.0), job("t", 0.6, 4.0), job("other", 0.7, 0.0)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "jobs.parquet")
    method = StartFrom(study=str(tmp_path), task="t", top=3, configs=[A])
    assert [config["a"] for config in method.configs] == [0.1, 0.2, 0.5, 0.1]
    assert method.study is None
    assert method == StartFrom(study=str(tmp_path / "jobs.parquet"), task="t", top=3, configs=[A])
    assert [p.config["a"] for p in begin(method).ask(4, [])] == [0.1, 0.2, 0.5, 0.1]
    with pytest.raises(UserError, match=r"one of the tasks of .*: other, t"):
        StartFrom(study=str(tmp_path))
    with pytest.raises(UserError, match="other"):
        StartFrom(study=str(tmp_path), task="othre")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"task": "t", "status": "failed", "value": None, "stop": 9.0, "config": "{}"}], "succeeded on t"),
        ([{"task": "t", "status": "ok"}], "no table of jobs"),
        (None, "damaged"),
    ],
)
def test_a_study_that_is_of_no_use(tmp_path: Path, rows: list[dict[str, Any]] | None, message: str) -> None:
    file = tmp_path / "jobs.parquet"
    if rows is None:
        file.write_bytes(b"PAR1 torn")
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    with pytest.raises(UserError, match=message):
        StartFrom(study=str(tmp_path))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"configs": [{"z": 1}]}, "parameter 'z'"),
        ({"configs": [{"a": 3.0}]}, "in \\[0, 1\\]"),
        ({"inner": "gqp"}, "gp"),
        ({"inner": "nsga2"}, "takes? 1 objective"),
        ({"inner": "gp", "settings": {"colour": 1}}, "colour"),
        ({"inner": "hyperband"}, "with a fidelity"),
    ],
)
def test_wrong_settings_of_a_problem(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        begin(StartFrom(**wrong))


@pytest.mark.parametrize(
    "wrong", [{"top": 0}, {"configs": {"a": 1}}, {"configs": [3]}, {"settings": [1]}, {"study": "nowhere"}]
)
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"start_from\.{next(iter(wrong))}"):
        StartFrom(**wrong)
