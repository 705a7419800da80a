"""The speed-up figure: how much sooner a target is reached with more workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hptbench.errors import UserError
from hptbench.plots.figure import Axis, Figure, Mark, Panel

if TYPE_CHECKING:
    import pandas as pd


def speedup(table: pd.DataFrame, regret: float) -> Figure:
    """A panel per task and a line per method of the ``table`` of :func:`hptbench.results.speedup.speedups`.

    UserError if there is nothing to draw: no method with two numbers of workers that reaches the target ``regret`` with
    the fewest."""
    shown = table[np.isfinite(table["speedup"]) & (table["speedup"] > 0)]
    counts = shown.groupby(["task", "method"])["workers"].transform("nunique")
    shown = shown[counts > 1]
    if shown.empty:
        raise UserError(
            "expected a method with runs of at least two numbers of workers that reach the target, got none; "
            "run it with other workers=, or set an easier --target"
        )
    panels = []
    for task, on_task in shown.groupby("task", sort=True):
        few, many = on_task["workers"].min(), on_task["workers"].max()
        marks = [Mark("line", {"x": [few, many], "y": [1, many / few]}, faint=True)]
        for method, rows in on_task.groupby("method", sort=True):
            columns = {"x": rows["workers"], "y": rows["speedup"], "low": rows["low"], "high": rows["high"]}
            marks.append(Mark("line", columns, str(method)))
        panels.append(Panel(tuple(marks), Axis("workers", "log"), Axis("speed-up", "log"), str(task), str(task)))
    caption = (
        f"Expected running time to a normalised regret of {regret:g} with the fewest workers, divided by that with "
        "more, a panel per task. Bands: 95 % bootstrap interval over runs, to the top where it has no upper end. "
        "Grey: as many times as fast as there are workers."
    )
    alt = f"A panel per task ({len(panels)}) with a line per method, below a grey one."
    return Figure("speedup", "How much sooner the target is reached", caption, alt, tuple(panels))
