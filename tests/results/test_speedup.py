from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.results.regret import worth
from hptbench.results.speedup import over_tasks, speedups, targets, times_to_target


def study(**runs: list[tuple[int, list[tuple[float, float, float, float]]]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """method -> [(workers, [(began, ended, stop, value)])], a seed each; the full fidelity is 9."""
    jobs, rows = [], []
    for method, of_seeds in runs.items():
        for seed, (workers, segments) in enumerate(of_seeds):
            key = {"task": "t", "method": method, "seed": seed, "run": f"{method}{seed}"}
            about = {"workers": workers, "high": 9.0, "objectives": ["loss"], "constraints": [], "optimum": None}
            rows.append(key | about)
            for began, ended, stop, value in segments:
                jobs.append(key | {
                    "began": began, "ended": ended, "stop": stop, "value": value, "constraints": [],
                    "job": len(jobs), "status": "failed" if math.isnan(value) else "ok",
                    "hidden": json.dumps({"value": 2 * value}),
                })  # fmt: skip
    return pd.DataFrame(jobs), pd.DataFrame(rows).astype({"optimum": float})


def test_a_target_is_reached_by_a_job_at_the_full_fidelity_only() -> None:
    jobs, runs = study(
        random=[
            (1, [(0, 1, 3, 0.0), (1, 2, 9, math.nan), (2, 4, 9, 0.5), (4, 5, 9, 0.1)]),
            (2, [(0, 2, 9, 0.9), (0, 4, 9, 0.8)]),
        ]
    )
    seen = worth(jobs, {"t": 9.0}, "seen")
    times = times_to_target(seen, runs, {"t": 0.5})
    assert times[["workers", "reached", "time"]].to_numpy().tolist() == [[1, True, 4.0], [2, False, 4.0]]
    assert times["busy"].tolist() == [1.0, 6 / 8]
    full = times_to_target(worth(jobs, {"t": 9.0}, "full"), runs, {"t": 0.5}, "full")
    assert full["time"].tolist() == [1.0, 4.0], "worth twice what is seen: 0 after the first job"


def test_targets_are_regrets_of_the_full_fidelity() -> None:
    jobs, runs = study(random=[(1, [(0, 1, 3, -9.0), (1, 2, 9, 1.0), (2, 3, 9, 3.0), (3, 4, 9, 5.0)])])
    jobs = worth(jobs, {"t": 9.0}, "seen")
    assert targets(jobs, runs, 0.25) == {"t": 1.5}  # best 1, median 3
    assert targets(jobs, runs.assign(optimum=-1.0), 0.25) == {"t": 0.0}
    for wrong in (0.0, 1.0, math.nan):
        with pytest.raises(UserError, match="between 0"):
            targets(jobs, runs, wrong)


def frame(**times: list[tuple[int, float, bool]]) -> pd.DataFrame:
    rows = [
        {
            "task": task,
            "method": "m",
            "seed": seed,
            "run": str(seed),
            "workers": w,
            "reached": hit,
            "time": t,
            "busy": 0.5,
        }
        for task, runs in times.items()
        for seed, (w, t, hit) in enumerate(runs)
    ]
    return pd.DataFrame(rows)


def test_speed_ups_are_ratios_of_expected_running_times() -> None:
    table = speedups(frame(a=[(1, 8.0, True), (1, 8.0, True), (4, 2.0, True), (4, 4.0, False), (16, 1.0, True)]))
    assert table["ert"].tolist() == [8.0, 6.0, 1.0]
    assert table["speedup"].tolist() == [1.0, 8 / 6, 8.0]
    assert table["efficiency"].tolist() == [1.0, 8 / 6 / 4, 0.5]
    assert table["reached"].tolist() == [2, 1, 1]
    assert (table["low"] <= table["speedup"]).all()
    assert (table["high"] >= table["speedup"]).all()
    assert table.loc[1, "low"] == 0, "a sample may hold no run with 4 workers that reached it"
    again = speedups(frame(a=[(1, 8.0, True), (1, 8.0, True), (4, 2.0, True), (4, 4.0, False), (16, 1.0, True)]))
    pd.testing.assert_frame_equal(table, again)


@pytest.mark.slow
def test_the_interval_covers_the_true_speed_up() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(40):
        runs = [(w, float(rng.exponential(12.0 / w)), True) for w in (1, 4) for _ in range(25)]
        row = speedups(frame(a=runs)).iloc[1]
        inside += row["low"] <= 4 <= row["high"]
    assert inside >= 34


def test_tasks_on_which_some_number_of_workers_never_reached_it_are_left_out_and_counted() -> None:
    table = speedups(
        frame(
            a=[(1, 8.0, True), (4, 2.0, True)], b=[(1, 9.0, True), (4, 1.0, True)],
            c=[(1, 8.0, False), (4, 2.0, True)], d=[(1, 8.0, True), (4, 2.0, False)],
        )
    )  # fmt: skip
    assert math.isnan(table[table["task"] == "c"]["speedup"].iloc[1])
    assert table[table["task"] == "d"]["speedup"].iloc[1] == 0
    means = over_tasks(table)
    assert means[["workers", "tasks", "of"]].to_numpy().tolist() == [[1, 2, 4], [4, 2, 4]]
    assert means["speedup"].tolist() == pytest.approx([1.0, 6.0])
    none = over_tasks(table[table["task"] == "c"])
    assert none["tasks"].tolist() == [0, 0]
    assert none["speedup"].isna().all()
