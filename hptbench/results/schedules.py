"""Schedules that a population found: the path of segments that led to a job, each with the configuration that trained.

A job's ``source`` is the job whose state it went on from; from job to job that leads back to a fresh start. What was
trained after a state was left, or before another one was taken over, is not on the path.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hptbench.errors import UserError
from hptbench.results.collect import Study
from hptbench.results.schema import KEY
from hptbench.results.table import DEFAULT

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Step:
    """One segment of a path."""

    job: int
    trial: int
    start: float
    stop: float
    """Fidelity."""
    value: float
    """The first objective at its end."""
    config: dict[str, Any]


@dataclass(frozen=True)
class Schedule:
    """How the state of one job came about."""

    task: str
    method: str
    seed: int
    run: str
    steps: tuple[Step, ...]
    """The first segment first, each beginning where the one before ends."""

    def to_json(self) -> dict[str, Any]:
        """For a file, which the wrapper ``replayed`` reads: neighbouring steps of one configuration are one."""
        steps: list[dict[str, Any]] = []
        for step in self.steps:
            if steps and steps[-1]["config"] == step.config:
                steps[-1] |= {"stop": step.stop, "value": step.value, "job": step.job}
            else:
                one = {"start": step.start, "stop": step.stop, "config": step.config, "value": step.value}
                steps.append(one | {"job": step.job})
        key = {"task": self.task, "method": self.method, "seed": self.seed, "run": self.run}
        return key | {"job": self.steps[-1].job, "value": self.steps[-1].value, "steps": steps}


def schedule(study: Study, job: int | None = None) -> Schedule:
    """The schedule behind ``job`` of the study's only run, or, without a job, behind the best of all jobs that were
    trained furthest; reference runs of the default configuration do not count. UserError if there is no such job, or
    none that succeeded, or several tasks to choose from."""
    jobs = study.jobs[(study.jobs["status"] == "ok") & (study.jobs["method"] != DEFAULT)]
    runs = study.runs[study.runs["method"] != DEFAULT]
    if job is not None:
        if len(runs) != 1:
            raise UserError(f"expected one run to find job {job} in, got {len(runs)}; choose it with --where")
        chosen = jobs[jobs["job"] == job]
        if chosen.empty:
            raise UserError(f"expected a job that succeeded, got {job}, which did not or is not there")
    else:
        tasks = sorted(runs["task"].unique())
        if len(tasks) != 1:
            raise UserError(f"expected one task, got {', '.join(tasks)}; choose with --where task=NAME")
        chosen = jobs[jobs["stop"] == jobs["stop"].max()]
        if chosen.empty:
            raise UserError("expected a job that succeeded, got none")
    best = chosen.sort_values(["value", "seed", "method", "job"], kind="stable").iloc[0]
    run = jobs[(jobs[KEY] == best[KEY]).all(axis=1)].set_index("job")
    return Schedule(str(best["task"]), str(best["method"]), int(best["seed"]), str(best["run"]),
                    _path(run, int(best["job"])))  # fmt: skip


def _path(run: pd.DataFrame, job: int) -> tuple[Step, ...]:
    steps: list[Step] = []
    at: int | None = job
    while at is not None:
        row: Any = run.loc[at]
        config = json.loads(row["config"])
        steps.append(Step(at, int(row["trial"]), float(row["start"]), float(row["stop"]), float(row["value"]), config))
        at = int(row["source"]) if row["start"] > 0 else None
    return tuple(steps[::-1])
