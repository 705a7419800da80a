"""A study for IOHanalyzer and IOHinspector, in IOHprofiler's format (Doerr et al., 2018; arXiv:1810.05281) as ioh 0.4
writes it: a JSON file per function and algorithm, and a .dat file with the runs one after another.

A function is a task, its number the task's place by name, its dimension the number of parameters; an algorithm is a
method; a run is a seed. Every job is an evaluation. What failed, violates a constraint or was trained in part is worth
``inf``: it is counted, but recommends nothing. Further columns: ``fidelity``, ``full_evaluations`` (training so far),
``test`` (hidden score, ``nan`` if there is none), ``seed``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from hptbench.exchange.study import Finished, plain_names, single_objective, write_folder

COLUMNS = ("evaluations", "raw_y", "fidelity", "full_evaluations", "test", "seed")
_VERSION = "0.4.2"
"""Of ioh, whose format this is."""


def export(runs: Sequence[Finished], out: Path) -> str:
    """Write ``runs`` below the new folder ``out``; what was written, in words. UserError for several objectives."""
    single_objective(runs, "IOHprofiler's format")
    kept = [run for run in runs if any(run.usable(job) for job in run.jobs)]
    left = sorted({run.name for run in runs} - {run.name for run in kept})
    names = plain_names({str(run.row["task"]) for run in kept} | {str(run.row["method"]) for run in kept})
    numbers = {task: i for i, task in enumerate(sorted({str(run.row["task"]) for run in kept}), 1)}

    def write(part: Path) -> None:
        for (task, method), of_both in groupby(kept, lambda run: (run.row["task"], run.row["method"])):
            folder = part / names[method]
            folder.mkdir(exist_ok=True)
            _write(list(of_both), folder, numbers[task], names[task])

    write_folder(out, write)
    without = f"; left out, without a full evaluation: {', '.join(left)}" if left else ""
    return f"{len(kept)} runs; IOHanalyzer reads {out}, or its folder of one method{without}"


def _write(runs: Sequence[Finished], folder: Path, number: int, name: str) -> None:
    dimension = len(runs[0].space)
    data = Path(f"data_f{number}_{name}") / f"IOHprofiler_f{number}_DIM{dimension}.dat"
    lines, found = [], []
    for run in runs:
        lines.append(" ".join(COLUMNS))
        spent = 0.0
        values = [job["value"] if run.usable(job) else math.inf for job in run.jobs]
        for i, (job, value) in enumerate(zip(run.jobs, values, strict=True), 1):
            spent += job["units"]
            test = math.nan if job["test"] is None else job["test"]
            lines.append(" ".join(map(repr, (i, value, job["stop"], spent, test, run.row["seed"]))))
        best = values.index(min(values))
        found.append(
            {
                "instance": 1,
                "evals": len(values),
                "best": {"evals": best + 1, "y": values[best], "x": _point(run, best)},
            }
        )
    about: dict[str, Any] = {
        "version": _VERSION,
        "suite": "hptbench",
        "function_id": number,
        "function_name": str(runs[0].row["task"]),
        "maximization": False,
        "algorithm": {"name": str(runs[0].row["method"]), "info": f"{runs[0].row['hyperparameters']}"},
        "attributes": list(COLUMNS),
        "scenarios": [{"dimension": dimension, "path": data.as_posix(), "runs": found}],
    }
    (folder / data).parent.mkdir()
    (folder / data).write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = json.dumps(about, indent=1)
    (folder / f"IOHprofiler_f{number}_{name}.json").write_text(text + "\n", encoding="utf-8")


def _point(run: Finished, job: int) -> list[float | None]:
    """Where a configuration lies in the unit cube; None where a parameter is inactive."""
    [u] = run.space.encode([json.loads(run.jobs[job]["config"])])
    return [None if math.isnan(x) else float(x) for x in u]
