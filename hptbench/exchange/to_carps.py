"""A study as a table with the columns of CARP-S' gathered logs (Benjamins et al., 2025; arXiv:2506.06143): what
``carps.analysis.gather_data`` of 1.1 makes of ``trial_logs.jsonl``, before its ``normalize_logs``.

A row per job. ``n_trials`` is training so far in full evaluations, with continued trainings credited;
``n_function_calls`` counts jobs; configurations and several objectives are JSON lists, as text. What
failed has a null cost. Added: ``test`` (hidden score) and ``config`` (JSON with names).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hptbench.exchange.study import Finished
from hptbench.files import write_whole

_STATUS: Mapping[str, int] = {"ok": 1, "failed": 2, "nan": 2, "timeout": 3, "memory": 4}
"""carps.utils.trials.StatusType."""


def export(runs: Sequence[Finished], out: Path) -> str:
    """Write one parquet file; what was written, in words."""
    import pandas as pd

    frame = pd.DataFrame([row for number, run in enumerate(runs) for row in _rows(run, number)])
    write_whole(out, lambda part: frame.to_parquet(part, index=False, compression="zstd"))
    return f"{len(frame)} trials of {len(runs)} runs in {out}"


def _rows(run: Finished, experiment: int) -> Iterator[dict[str, Any]]:
    several, partial = len(run.row["objectives"]) > 1, run.row["fidelity_unit"] is not None
    kind = ("multi-fidelity-objective" if several else "multi-fidelity") if partial else (
        "multi-objective" if several else "blackbox"
    )  # fmt: skip
    spent, best = 0.0, None
    for calls, job in enumerate(run.jobs, 1):
        spent += job["units"]
        ok = job["status"] == "ok"
        if run.usable(job) and (best is None or job["value"] < best):
            best = job["value"]
        yield {
            "benchmark_id": "hptbench",
            "task_id": run.row["task"],
            "subset_id": "unknown",
            "task_type": kind,
            "optimizer_id": run.row["method"],
            "seed": run.row["seed"],
            "experiment_id": experiment,
            "n_trials": spent,
            "n_function_calls": calls,
            "trial_info__config": json.dumps(list(json.loads(job["config"]).values())),
            "trial_info__instance": None,
            "trial_info__seed": run.row["seed"],
            "trial_info__budget": job["stop"] if partial else None,
            "trial_info__normalized_budget": job["stop"] / run.row["high"] if partial else None,
            "trial_info__name": str(job["trial"]),
            "trial_info__checkpoint": None,
            "trial_info__cutoff": None,
            "trial_value__cost": (json.dumps(job["values"]) if several else job["value"]) if ok else None,
            "trial_value__cost_raw": json.dumps(job["values"]) if ok else None,
            "trial_value__cost_inc": None if several else best,
            "trial_value__time": job["cost"],
            "trial_value__virtual_time": job["ended"] - job["began"] if job["ended"] is not None else None,
            "trial_value__status": _STATUS[job["status"]],
            "trial_value__starttime": job["began"],
            "trial_value__endtime": job["ended"],
            "time": job["ended"],
            "test": job["test"],
            "config": job["config"],
        }
