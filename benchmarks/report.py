"""How long a report takes, and how large it is: python benchmarks/report.py

A made-up study of --jobs jobs (10 tasks with 8 parameters, 10 methods, 5 seeds) is written as its runs would leave it,
gathered into its tables, as ``run`` does at its end, and made into a page; printed are seconds of each step and the
page's size. Targets for 50,000 jobs on a core: 10 s from the folder to the page, 3 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pyarrow.parquet as pq

from hptbench.commands.report import made
from hptbench.report.page import render
from hptbench.results.collect import collect
from hptbench.results.schema import JOBS, RUNS, table

TASKS, SEEDS, PARAMETERS = 10, 5, 8
METHODS = ("random", "tpe", "gp", "asha", "bohb", "dehb", "cmaes", "rf", "hebo", "turbo")


def write(folder: Path, jobs: int, tasks: int = TASKS) -> None:
    """The files of the finished runs of a study of so many jobs, those of default configurations not counted."""
    rng = np.random.default_rng(0)
    space = {"hyperparameters": [_parameter(j) for j in range(PARAMETERS)], "conditions": [], "forbiddens": []}
    each = jobs // (tasks * SEEDS * len(METHODS))
    for task in range(tasks):
        weights = rng.random(PARAMETERS)
        for skill, method in enumerate(("default", *METHODS)):
            for seed in range(SEEDS):
                n = 1 if method == "default" else each
                key = {"task": f"task{task}", "method": method, "seed": seed, "run": f"{task}{method}{seed}"}
                x = rng.random((n, PARAMETERS)) ** (1 + 0.05 * skill * np.linspace(0, 1, n)[:, None])
                value = (weights * x).sum(axis=1) + 0.01
                run = folder / "runs" / key["task"] / method / f"{seed}-{key['run']}"
                run.mkdir(parents=True)
                rows = [
                    key | {
                        "job": i, "trial": i, "source": None, "start": 0.0, "stop": 1.0, "trained": None, "units": 1.0,
                        "units_from_zero": 1.0, "began": float(i), "ended": i + 1.0, "worker": 0, "cost": 1.0,
                        "cpu": None, "memory": None, "energy": None, "gpu": None,
                        "gpu_energy": None, "left": None, "status": "ok", "message": "", "value": value[i],
                        "values": [value[i]], "constraints": [], "test": value[i] * rng.normal(1, 0.02),
                        "hidden": "{}", "config": json.dumps({f"p{j}": x[i, j] for j in range(PARAMETERS)}),
                        "note": "{}",
                    }
                    for i in range(n)
                ]  # fmt: skip
                pq.write_table(table(JOBS, rows), run / "jobs.parquet", compression="zstd")
                row = key | {
                    "unit": key["task"], "version": 1, "objective": "loss", "objectives": ["loss"], "constraints": [],
                    "front": None, "optimum": None, "high": 1.0, "fidelity_unit": None, "protocol": key["task"],
                    "method_class": method, "hyperparameters": "{}", "provenance": "default",
                    "budget": json.dumps({"max_jobs": each}), "workers": 1, "clock": "units", "limits": "null",
                    "simulation": "{}", "task_identity": "{}", "space": json.dumps(space), "jobs": n, "failed": 0,
                    "full_evals": float(n), "wall": 1.0, "ask": 0.01, "tell": 0.01, "peak_memory": 100.0, "load": 0.5,
                    "device": "made up", "versions": "{}", "commit": None, "hypotheses": None,
                    "licence": None, "advice": None, "budget_reason": None, "states": None,
                }  # fmt: skip
                assert row.keys() == {column.name for column in RUNS}
                (run / "run.json").write_text(json.dumps(row))


def _parameter(j: int) -> dict[str, object]:
    return {
        "type": "uniform_float", "name": f"p{j}", "lower": 0.0, "upper": 1.0, "default_value": 0.5, "log": False,
        "meta": None,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--out", type=Path, help="keep the page here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "made_up"
        write(study, options.jobs)
        steps = []
        for what, step in (
            ("gather the runs", lambda: collect(study)),
            ("read and analyse", lambda: made(study)),
            ("write", lambda: render(steps[1][1])),
        ):
            wall, cpu = time.perf_counter(), time.process_time()
            done = step()
            steps.append((f"{time.perf_counter() - wall:.1f} s ({time.process_time() - cpu:.1f} of processor)", done))
            print(f"{what}: {steps[-1][0]}", flush=True)
    text = steps[-1][1]
    print(f"{options.jobs:,} jobs: page of {len(text.encode()) / 1e6:.2f} MB")
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
