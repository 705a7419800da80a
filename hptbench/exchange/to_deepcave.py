"""A study for DeepCAVE (Sass et al., 2022; arXiv:2206.03493), in its data-frame format: a folder per run with
trials.csv and configspace.csv, OUT/<task>/<method>-<seed>; OUT/<task> is the folder to choose in DeepCAVE.

Its native format is not used: DeepCAVE 1.4.1 cannot load what it saves itself. A data frame knows no conditions, so
conditional spaces are refused. Parameters of one value are left out. Values of categories that are no text are written
``value 1``: DeepCAVE would take them for other numbers. It rounds fidelities to two digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ConfigSpace as CS

from hptbench.errors import UserError
from hptbench.exchange.study import Finished, plain_names, write_folder
from hptbench.methods._peers import is_ordinal, values_of

_STATUS: Mapping[str, str] = {
    "ok": "SUCCESS", "timeout": "TIMEOUT", "memory": "MEMORYOUT", "failed": "CRASHED", "nan": "CRASHED",
}  # fmt: skip


def export(runs: Sequence[Finished], out: Path) -> str:
    """Write ``runs`` below the new folder ``out``; what was written, in words. UserError for a conditional space."""
    if conditional := sorted({str(run.row["task"]) for run in runs if run.space.conditional}):
        raise UserError(
            f"DeepCAVE's frames know no conditional parameters, as {', '.join(conditional[:4])} have; choose other "
            "tasks with --where task=…, or another format"
        )
    if timeless := [run.name for run in runs if any(job["ended"] is None or job["began"] is None for job in run.jobs)]:
        raise UserError(f"DeepCAVE needs times of jobs, not known of {timeless[0]}; choose another format")
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
    import pandas as pd

    searched = [hp for hp in run.space.configspace.values() if len(values_of(hp)) != 1]
    metrics = [
        f"metric:{re.sub(r'[^a-zA-Z0-9_]', '_', name)} [-inf; +inf] (minimize)" for name in run.row["objectives"]
    ]
    numbers: dict[str, int] = {}
    trials = []
    for job in run.jobs:
        config = json.loads(job["config"])
        ok = job["status"] == "ok"
        trials.append(
            {"config_id": numbers.setdefault(job["config"], len(numbers))}
            | {hp.name: _label(config[hp.name]) if values_of(hp) else config[hp.name] for hp in searched}
            | dict(zip(metrics, job["values"] if ok else [None] * len(metrics), strict=True))
            | {"budget": job["stop"], "seed": run.row["seed"], "start_time": job["began"], "end_time": job["ended"]}
            | {"status": _STATUS[job["status"]], "hidden_test": job["test"], "job": job["job"], "trial": job["trial"]}
        )
    pd.DataFrame(trials).to_csv(folder / "trials.csv", index=False)
    pd.DataFrame([_parameter(hp) for hp in searched]).to_csv(folder / "configspace.csv", index=False)


def _parameter(hp: Any) -> dict[str, Any]:
    if values := values_of(hp):
        about = {"type": "categorical", "default": _label(hp.default_value), "log": False, "ordered": is_ordinal(hp)}
        return {"name": hp.name, "lower": None, "upper": None} | about | {
            f"item_{i}": _label(value) for i, value in enumerate(values)
        }  # fmt: skip
    kind = "integer" if isinstance(hp, CS.UniformIntegerHyperparameter) else "float"
    about = {"name": hp.name, "lower": hp.lower, "upper": hp.upper, "type": kind, "default": None}
    return about | {"log": hp.log, "ordered": False}


def _label(value: Any) -> str:
    return value if isinstance(value, str) else f"value {value}"
