"""Figures of the methods at the end of their runs, over all tasks."""

from __future__ import annotations

import numpy as np

from hptbench.plots.figure import Axis, Figure, Mark, Panel
from hptbench.report.data import Data
from hptbench.results.table import DEFAULT


def heat_map(data: Data) -> Figure:
    """Tasks by methods."""
    shown = [*data.ranked, *([DEFAULT] if DEFAULT in set(data.table["method"]) else [])]
    wide = data.table.pivot(index="task", columns="method", values=data.measure).reindex(columns=shown)
    values, tasks = wide.to_numpy(float), tuple(map(str, wide.index))
    low = np.nanmin(np.where(np.isnan(values), np.inf, values), axis=1, keepdims=True)
    high = np.nanmax(np.where(np.isnan(values), -np.inf, values), axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        shade = np.where(high > low, (values - low) / (high - low), 0.0)
    rows, columns = np.nonzero(~np.isnan(values))
    cells = Mark(
        "cells",
        {
            "x": columns,
            "y": rows,
            "shade": shade[rows, columns],
            "label": [f"{values[i, j]:.3g}" for i, j in zip(rows, columns, strict=True)],
            "text": [
                f"{shown[j]} on {tasks[i]}: {data.measure} {data.objectives[tasks[i]]} {values[i, j]:.5g}"
                for i, j in zip(rows, columns, strict=True)
            ],
        },
    )
    names = tuple("default" if name == DEFAULT else name for name in shown)
    panel = Panel((cells,), Axis("", "category", names), Axis("", "category", tasks))
    empty = int(np.isnan(values).sum())
    caption = (
        f"Mean {data.measure} score of the final incumbents over seeds. The colour compares within a task: dark is its "
        "best method, yellow its worst."
        + (f" Empty: no score ({empty} of {values.size}, named in the table above)." if empty else "")
    )
    alt = f"A grid of {len(wide)} tasks and {len(shown)} methods, the best mean rank at the left."
    return Figure("heat-map", "Where each method is good", caption, alt, (panel,))


def validation_and_test(data: Data) -> Figure | None:
    """What the chosen configuration promised, and what it is worth."""
    best = data.best
    best = best[best["test"].notna() & best["value"].notna()]
    if best.empty:
        return None
    panels = []
    for task, rows in best.groupby("task", sort=True):
        both = rows[["value", "test"]].to_numpy(float)
        low, high = float(both.min()), float(both.max())
        marks = [Mark("segments", {"x": [low], "y": [low], "x2": [high], "y2": [high]}, faint=True)]
        for method in (*data.methods, DEFAULT):
            one = rows[rows["method"] == method]
            if len(one):
                text = [f"{method}, seed {seed}" for seed in one["seed"]]
                marks.append(Mark("dots", {"x": one["value"], "y": one["test"], "text": text}, method))
        name = data.objectives[str(task)]
        panels.append(Panel(tuple(marks), Axis(f"validation {name}"), Axis(f"test {name}"), str(task), str(task)))
    caption = (
        "The final incumbent of each run: what it showed in validation, by which it was chosen, and its hidden test "
        "score. On the grey line both are equal; above it, it promised more than it keeps."
    )
    alt = f"A panel per task ({len(panels)}) with a dot per run, mostly near the diagonal or above it."
    return Figure("validation-test", "What was promised, and what it is worth", caption, alt, tuple(panels))
