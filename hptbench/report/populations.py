"""Figures of trainings that take over others' states: lineages, and the schedules of hyperparameters that they make."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.errors import UserError
from hptbench.plots.figure import Axis, Figure, Mark, Panel
from hptbench.report.data import Data
from hptbench.results.schedules import Schedule, schedule
from hptbench.results.schema import KEY

if TYPE_CHECKING:
    import pandas as pd

_HYPERPARAMETERS = 4
"""Numbers of a space whose schedules are drawn."""


def populations(data: Data) -> list[Figure]:
    """Lineages and schedules of the best run of each method on each task, of those in which a trial went on from
    another's state; none if there is no such run."""
    lineages, schedules = [], []
    for rows, found in _runs(data):
        lineages.append(_lineage(data, rows, found))
        schedules += _schedules(data, rows, found)
    out = []
    if lineages:
        caption = (
            "The best run of each method on each task: a thin line per segment of training, from the value at the end "
            "of the segment that it went on from to its own. Thick: what led to the best final state."
        )
        alt = f"{len(lineages)} panels with a branching tree of trainings, and one path through it."
        out.append(Figure("lineages", "How populations train", caption, alt, tuple(lineages)))
    if schedules:
        caption = (
            "Thin: the value of a hyperparameter in each segment of the same runs; thick: the schedule behind the best "
            "final state (python -m hptbench schedule exports it)."
        )
        alt = f"{len(schedules)} panels, one per task and hyperparameter, with one thick step line."
        out.append(Figure("schedules", "Which schedules populations found", caption, alt, tuple(schedules)))
    return out


def _runs(data: Data) -> Iterator[tuple[pd.DataFrame, Schedule]]:
    """The jobs and the best schedule of each run that is drawn."""
    jobs = data.jobs[data.jobs["method"].isin(data.methods)]
    if not (jobs["start"] > 0).any():
        return
    source = jobs[[*KEY, "job", "trial", "value"]].rename(
        columns={"job": "source", "trial": "from_trial", "value": "from_value"}
    )
    jobs = jobs.merge(source, how="left", on=[*KEY, "source"])
    taken = jobs[(jobs["start"] > 0) & (jobs["from_trial"] != jobs["trial"])]
    for (task, method), _ in taken.groupby(["task", "method"], sort=True):
        own = jobs[(jobs["task"] == task) & (jobs["method"] == method)]
        runs = data.runs[(data.runs["task"] == task) & (data.runs["method"] == method)]
        try:
            found = schedule(replace(data.study, jobs=own, runs=runs))
        except UserError:  # nothing succeeded: there is no best
            continue
        yield own[own["run"] == found.run], found


def _lineage(data: Data, rows: pd.DataFrame, found: Schedule) -> Panel:
    ok = rows[rows["status"] == "ok"]
    before = ok["from_value"].where(ok["start"] > 0).fillna(ok["value"])
    text = [f"trial {trial}, job {job}: {value:.5g}" for trial, job, value in
            zip(ok["trial"], ok["job"], ok["value"], strict=True)]  # fmt: skip
    all_of_them = {"x": ok["start"], "y": before, "x2": ok["stop"], "y2": ok["value"], "text": text}
    steps = found.steps
    path = {
        "x": [steps[0].start, *(step.stop for step in steps)],
        "y": [steps[0].value, *(step.value for step in steps)],
    }
    values = ok["value"]
    log = values.min() > 0 and values.max() > 10 * values.min()
    unit = data.runs.loc[data.runs["task"] == found.task, "fidelity_unit"].iloc[0]
    title = f"{found.task}: {found.method}, seed {found.seed}"
    y = Axis(data.first_objective[found.task], "log" if log else "linear")
    marks = (Mark("segments", all_of_them, found.method, faint=True), Mark("line", path, found.method))
    return Panel(marks, Axis(str(unit)), y, title, found.task)


def _schedules(data: Data, rows: pd.DataFrame, found: Schedule) -> list[Panel]:
    configs = [json.loads(text) for text in rows["config"]]
    space = data.space(found.task)
    unit = str(data.runs.loc[data.runs["task"] == found.task, "fidelity_unit"].iloc[0])
    panels = []
    for name in [name for name in space.names if not space.levels(name)][:_HYPERPARAMETERS]:
        y = np.array([config.get(name, np.nan) for config in configs], dtype=float)
        segments = {"x": rows["start"], "y": y, "x2": rows["stop"], "y2": y}
        own = [float(step.config.get(name, np.nan)) for step in found.steps]
        path = {"x": [*(step.start for step in found.steps), found.steps[-1].stop], "y": [*own, own[-1]]}
        hp: Any = space.configspace[name]
        log = bool(hp.log)
        marks = (Mark("segments", segments, found.method, faint=True), Mark("step", path, found.method))
        title = f"{name}: {found.method}, {found.task}"
        panels.append(Panel(marks, Axis(unit), Axis(name, "log" if log else "linear"), title, found.task))
    return panels
