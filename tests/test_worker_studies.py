from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from studies import do, plans

from hptbench.commands.speedup import main
from hptbench.errors import UserError
from hptbench.executors.serial import Serial
from hptbench.protocol import Budget, Clock
from hptbench.results.collect import collect
from hptbench.run import Plan
from hptbench.simulate import Simulation
from hptbench.testing.problems import Bowl

BOWL = Bowl(over="sphere", noise=0.0)


def study(folder: Path, workers: int) -> list[Plan]:
    todo = plans(folder, tasks=[BOWL], seeds=range(3), budget=Budget(max_jobs=20), workers=workers)
    return [replace(plan, clock=Clock.COST) for plan in todo]


def test_prints_and_writes_what_more_workers_make_of_the_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    do(Serial(), study(tmp_path, 1))
    with pytest.raises(UserError, match="at least two numbers of workers"):
        main([str(tmp_path)])
    do(Serial(), study(tmp_path, 5))
    assert main([str(tmp_path), "--target", "0.5"]) == 0
    out = capsys.readouterr().out
    assert "speedup.csv" in out
    assert "random" in out
    table = pd.read_csv(tmp_path / "speedup.csv")
    assert table["workers"].tolist() == [1, 5]
    assert table["reached"].tolist() == [3, 3]
    assert table["speedup"].iloc[1] > 1.5
    assert table["busy"].iloc[0] == pytest.approx(1.0)
    assert json.loads((tmp_path / "speedup.json").read_text())["panels"][0]["x"]["label"] == "workers"


def test_a_measured_overhead_is_replayed_from_the_journal_and_only_the_rest_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [plan, *_] = study(tmp_path, 3)
    plan = replace(plan, simulation=Simulation(overhead="measured"))
    do(Serial(), [plan])
    whole = collect(tmp_path).jobs[["job", "began", "ended", "worker"]]
    journal = plan.folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert whole["began"].min() > 0, "the method thought before the first job"
    for kept in (len(lines), len(lines) - 1, 15):  # killed after everything, at the end, in the middle
        journal.write_bytes(b"".join(lines[:kept]))
        (plan.folder / "run.json").unlink()
        do(Serial(), [plan])
        again = collect(tmp_path).jobs[["job", "began", "ended", "worker"]]
        logged = {json.loads(line.rpartition(b"\t")[0]).get("job") for line in lines[:kept]} - {None}
        was, now = (frame[frame["job"].isin(logged)].set_index("job").sort_index() for frame in (whole, again))
        pd.testing.assert_frame_equal(was, now)
        assert len(again) == len(whole)


def test_simulations_are_protocols_and_the_plain_one_leaves_ids_as_they_were(tmp_path: Path) -> None:
    [plan, *_] = study(tmp_path, 3)
    assert "simulation" not in plan.protocol
    others = [Simulation(overhead=1.0), Simulation(overhead="measured"), Simulation(spread=0.5)]
    assert len({plan.id, *(replace(plan, simulation=one).id for one in others)}) == 4
    do(Serial(), [plan, replace(plan, simulation=Simulation(spread=0.5))])
    runs = collect(tmp_path).runs
    assert sorted(json.loads(text)["spread"] for text in runs["simulation"]) == [0.0, 0.5]
    with pytest.raises(UserError, match="differ in simulation"):
        main([str(tmp_path)])
