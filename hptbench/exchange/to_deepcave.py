"""A study for DeepCAVE (Sass et al., 2022; arXiv:2206.03493), in its native format: a folder per run with meta.json,
configspace.json, configs.json, origins.json and history.jsonl (deepcave.runs.run.Run.save of 1.4).

Its data-frame format is not used: it knows no conditions. Folders are OUT/<task>/<method>-<seed>, so that OUT/<task> is
the folder to choose in DeepCAVE, and its runs can be grouped. As in ``Run.add``, of evaluations of one configuration at
one fidelity the last one counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hptbench.exchange.study import Finished, plain_names, write_folder

_STATUS: Mapping[str, int] = {"ok": 1, "timeout": 2, "memory": 3, "failed": 4, "nan": 4}
"""DeepCAVE's SUCCESS, TIMEOUT, MEMORYOUT and CRASHED."""


def export(runs: Sequence[Finished], out: Path) -> str:
    """Write ``runs`` below the new folder ``out``; what was written, in words."""
    tasks = plain_names({str(run.row["task"]) for run in runs})
    methods = plain_names({str(run.row["method"]) for run in runs})

    def write(part: Path) -> None:
        for run in runs:
            folder = part / tasks[run.row["task"]] / f"{methods[run.row['method']]}-{run.row['seed']}"
            folder.mkdir(parents=True)
            _write(run, folder)

    write_folder(out, write)
    return f"{len(runs)} runs; in DeepCAVE choose the folder of a task below {out}"


def _write(run: Finished, folder: Path) -> None:
    configs: dict[str, int] = {}
    history: dict[tuple[int, float], list[Any]] = {}
    for job in run.jobs:
        number = configs.setdefault(job["config"], len(configs))
        history[number, job["stop"]] = _trial(run, job, number)
    trials = list(history.values())
    costs = [trial[3] for trial in trials]
    meta = {
        "objectives": [_objective(name, [row[i] for row in costs]) for i, name in enumerate(_names(run))],
        "budgets": sorted({trial[1] for trial in trials}),
        "seeds": [run.row["seed"]],
        "hptbench": {name: run.row[name] for name in ("task", "method", "seed", "run", "protocol", "fidelity_unit")},
    }
    known = {number: json.loads(text) for text, number in configs.items()}
    for name, content in (("meta", meta), ("configs", known), ("origins", dict.fromkeys(known, run.row["method"]))):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    run.space.configspace.to_json(folder / "configspace.json")
    lines = "".join(json.dumps(trial) + "\n" for trial in trials)
    (folder / "history.jsonl").write_text(lines, encoding="utf-8")


def _trial(run: Finished, job: Mapping[str, Any], number: int) -> list[Any]:
    """config_id, budget, seed, costs, cpu_time, start_time, end_time, status, additional."""
    ok = job["status"] == "ok"
    costs = [*job["values"], job["cost"]] if ok else [None] * len(_names(run))
    additional = {name: job[name] for name in ("test", "trial", "job", "message") if job[name] not in (None, "")}
    cpu, began, ended = (job[name] or 0.0 for name in ("cpu", "began", "ended"))  # 0.0 is DeepCAVE's own default
    return [number, job["stop"], run.row["seed"], costs, cpu, began, ended, _STATUS[job["status"]], additional]


def _names(run: Finished) -> list[str]:
    return [*run.row["objectives"], "Time"]


def _objective(name: str, values: Sequence[float | None]) -> dict[str, Any]:
    """Bounds are those of the values, as DeepCAVE keeps them; of none they are the empty ones that it begins with."""
    known = [value for value in values if value is not None]
    return {
        "name": name,
        "lower": min(known, default=float("inf")),
        "upper": max(known, default=float("-inf")),
        "lock_lower": False,
        "lock_upper": False,
        "optimize": "lower",
    }
