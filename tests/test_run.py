from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pandas as pd
import pytest
from studies import do, plans

from hptbench import journal
from hptbench.errors import UserError
from hptbench.executors.serial import Serial
from hptbench.protocol import Budget, Traits
from hptbench.registry import find
from hptbench.results.collect import collect
from hptbench.results.schema import JOBS, RUNS
from hptbench.testing.problems import Bowl
from hptbench.workers import Limits


def test_the_id_depends_on_all_that_can_change_the_result_and_on_nothing_else(tmp_path: Path) -> None:
    [plan] = plans(tmp_path, tasks=[Bowl()], seeds=[0])
    changed = {
        "seed": 1,
        "budget": Budget(max_full_evals=7),
        "workers": 4,
        "clock": "cost",
        "task": Bowl(noise=0.02),
        "live": True,
    }
    ids = {plan.id} | {dataclasses.replace(plan, **{name: value}).id for name, value in changed.items()}
    assert len(ids) == len(changed) + 1
    assert dataclasses.replace(plan, label="other", study=tmp_path / "elsewhere").id == plan.id
    assert dataclasses.replace(plan, limits=Limits(seconds=3)).id == plan.id  # recorded costs: no limits apply


@dataclasses.dataclass(frozen=True)
class Around:
    """A method around another one."""

    inner: object
    traits = Traits()

    def begin(self, problem: object, rng: object) -> None:
        raise AssertionError("never begun")


def test_the_id_sees_the_class_of_a_method_within_a_method(tmp_path: Path) -> None:
    [plan] = plans(tmp_path, tasks=[Bowl()], seeds=[0])
    random, sobol = (find("method", name)() for name in ("random", "sobol"))
    ids = {dataclasses.replace(plan, method=Around(inner)).id for inner in (random, sobol)}  # type: ignore[arg-type]
    assert len(ids) == 2
    with pytest.raises(TypeError, match="got object"):
        _ = dataclasses.replace(plan, method=Around(object())).id  # type: ignore[arg-type]


def test_the_id_does_not_see_how_a_number_is_written(tmp_path: Path) -> None:
    a, b = (plans(tmp_path, seeds=[0], budget=Budget(max_full_evals=x))[0] for x in (2, 2.0))
    assert a.id == b.id


def test_tables_have_every_column_of_the_schema(tmp_path: Path) -> None:
    do(Serial(), plans(tmp_path))
    study = collect(tmp_path)
    assert list(study.jobs.columns) == [c.name for c in JOBS]
    assert list(study.runs.columns) == [c.name for c in RUNS]
    assert (tmp_path / "jobs.parquet").is_file()
    assert (tmp_path / "runs.parquet").is_file()
    failed = study.jobs["status"] == "failed"
    assert failed.any()
    assert study.jobs["value"].isna().equals(failed)
    assert study.runs["failed"].sum() == failed.sum()
    first = study.jobs[~failed].iloc[0]
    assert json.loads(first["hidden"]).keys() == {"test"}
    assert json.loads(first["config"])
    assert study.runs["provenance"].eq("default").all()


@pytest.mark.parametrize(("measured", "syncs"), [(False, 1), (True, 3)])
def test_jobs_that_are_looked_up_are_not_synced_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: bool, syncs: int
) -> None:
    synced: list[str] = []
    sync = os.fsync

    def watched(fd: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        sync(fd)

    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.setattr(journal, "_DUE_S", 60.0)
    do(Serial(), plans(tmp_path, tasks=[Bowl(measured=measured)], seeds=[0], budget=Budget(max_jobs=8)))
    assert synced.count("journal.jsonl") == syncs, "one for each of three batches, or one at the end"
    assert synced.index("journal.jsonl") < synced.index(next(name for name in synced if "run.json" in name))


def test_units_keep_both_accountings(tmp_path: Path) -> None:
    do(Serial(), plans(tmp_path, ["hyperband"], tasks=[Bowl()], seeds=[0]))
    jobs = collect(tmp_path).jobs
    promoted = jobs[jobs["source"].notna()]
    assert len(promoted)
    assert (promoted["units_from_zero"] > promoted["units"]).all()
    assert (jobs["units_from_zero"] * 27 == jobs["stop"]).all()


def test_collect_says_what_is_damaged(tmp_path: Path) -> None:
    [plan] = plans(tmp_path, tasks=[Bowl()], seeds=[0])
    with pytest.raises(UserError, match="expected the folder of a study"):
        collect(tmp_path)
    do(Serial(), [plan])
    whole = (plan.folder / "jobs.parquet").read_bytes()
    (plan.folder / "jobs.parquet").write_bytes(whole[:50])
    with pytest.raises(UserError, match=r"jobs\.parquet is damaged"):
        collect(tmp_path)
    (plan.folder / "run.json").unlink()  # what the message says to do
    with pytest.raises(UserError, match="no run is finished"):
        collect(tmp_path)
    do(Serial(), [plan])
    assert (plan.folder / "jobs.parquet").read_bytes() == whole
    (plan.folder / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        collect(tmp_path)


def test_tables_are_written_again_when_a_run_is_new_made_anew_or_changed(tmp_path: Path) -> None:
    one, other = plans(tmp_path, tasks=[Bowl()])
    do(Serial(), [one])
    tables = [tmp_path / f"{name}.parquet" for name in ("jobs", "runs")]

    def stamps() -> list[int]:
        return [path.stat().st_mtime_ns for path in tables]

    first, before = collect(tmp_path), stamps()
    again = collect(tmp_path)
    assert stamps() == before
    pd.testing.assert_frame_equal(again.jobs, first.jobs)
    pd.testing.assert_frame_equal(again.runs, first.runs)
    do(Serial(), [other])
    both = collect(tmp_path)
    assert set(both.jobs["seed"]) == {0, 1}
    row = json.loads((one.folder / "run.json").read_text())
    (one.folder / "run.json").write_text(json.dumps(row | {"wall": 1e6}))  # as a run that was made anew has another
    assert collect(tmp_path).runs["wall"].max() == 1e6
    (one.folder / "jobs.parquet").write_bytes((other.folder / "jobs.parquet").read_bytes())
    earlier = (one.folder / "jobs.parquet").stat().st_mtime_ns - 1
    for path in tables:
        os.utime(path, ns=(earlier, earlier))
    assert set(collect(tmp_path).jobs["seed"]) == {1}
    tables[0].write_bytes(b"torn")
    collect(tmp_path)
    assert set(pd.read_parquet(tables[0])["seed"]) == {1}
