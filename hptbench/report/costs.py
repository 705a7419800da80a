"""Figures of what runs cost, and of what their workers did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hptbench.plots.figure import Axis, Figure, Mark, Panel
from hptbench.report.data import Data
from hptbench.results.schema import KEY
from hptbench.results.table import CLOCK_UNITS

if TYPE_CHECKING:
    import pandas as pd

_BARS = 400
"""Jobs of a timeline: the first ones."""


def overhead(data: Data) -> Figure:
    """What methods think, and how busy their workers are."""
    runs = data.runs[data.runs["method"].isin(data.methods) & (data.runs["jobs"] > 0)]
    cost = data.jobs.groupby(KEY)["cost"].mean().rename("evaluation").reset_index()
    runs = runs.merge(cost, on=KEY, how="left")
    thought = ((runs["ask"] + runs["tell"]) / runs["jobs"]).to_numpy(float)
    x = Axis("s per job", "log")
    panels = [
        _dots(data, runs, np.maximum(thought, 1e-7), "Thinking (ask and tell), processor time", x),
        _dots(data, runs, runs["evaluation"].to_numpy(float), "Evaluation, worker time", x),
    ]
    caption = (
        "A dot per run: the processor seconds that the method itself takes per job (of the session that finished the "
        "run), and the mean worker seconds of a job, as recorded by its task or measured."
    )
    if (runs["workers"] > 1).any():
        span = data.jobs.groupby(KEY)["ended"].max()
        work = (data.jobs["ended"] - data.jobs["began"]).groupby([data.jobs[k] for k in KEY]).sum()
        share = (work / span).rename("busy").reset_index()
        busy = runs.merge(share, on=KEY, how="left")
        shares = (busy["busy"] / busy["workers"]).to_numpy(float)
        panels.append(_dots(data, busy, shares, "Utilisation", Axis("busy share of the workers' time")))
        caption += " Utilisation: jobs' time over the workers' time until the last job ended."
    alt = f"{len(panels)} panels with a row of dots per method."
    return Figure("overhead", "What it costs", caption, alt, tuple(panels))


def _dots(data: Data, runs: pd.DataFrame, values: np.ndarray, title: str, x: Axis) -> Panel:
    marks = []
    for j, method in enumerate(data.ranked):
        own = (runs["method"] == method).to_numpy()
        rows, shown = runs[own], values[own]
        spread = j + np.linspace(-0.25, 0.25, len(shown)) if len(shown) > 1 else np.array([float(j)])
        text = [f"{method}, {t}, seed {s}: {v:.3g}" for t, s, v in
                zip(rows["task"], rows["seed"], shown, strict=True)]  # fmt: skip
        if len(shown):
            marks.append(Mark("dots", {"x": shown, "y": spread, "text": text}, method))
    return Panel(tuple(marks), x, Axis("", "category", data.ranked), title)


def workers(data: Data) -> Figure | None:
    """What the workers of one run per method did, on the first task with several workers."""
    runs = data.runs[(data.runs["workers"] > 1) & data.runs["method"].isin(data.methods)]
    if runs.empty:
        return None
    task = sorted(runs["task"].unique())[0]
    of_runs = runs[runs["task"] == task].sort_values("seed").drop_duplicates("method").set_index("method")
    of_jobs = data.jobs[data.jobs["task"] == task]
    panels = []
    for method in data.ranked:
        if method not in of_runs.index:
            continue
        run = of_runs.loc[method]
        rows = of_jobs[of_jobs["run"] == run["run"]].sort_values("began").head(_BARS)
        text = [f"job {job}, trial {trial}: fidelity {a:g} to {b:g}, {status}" for job, trial, a, b, status in
                zip(rows["job"], rows["trial"], rows["start"], rows["stop"], rows["status"], strict=True)]  # fmt: skip
        bars = Mark("bars", {"start": rows["began"], "x": rows["ended"], "y": rows["worker"], "text": text}, method)
        names = tuple(map(str, range(int(run["workers"]))))
        x = Axis(f"time ({CLOCK_UNITS.get(run['clock'], 'unknown unit')})")
        panels.append(Panel((bars,), x, Axis("worker", "category", names), f"{method}, seed {run['seed']}"))
    caption = f"The first {_BARS} jobs of one run per method on {task}; gaps are waiting."
    alt = f"{len(panels)} timelines with a row of bars per worker."
    return Figure("workers", "What the workers did", caption, alt, tuple(panels))
