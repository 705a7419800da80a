"""Figures of methods along their runs: what they have found, and how they rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hptbench.plots.figure import Axis, Figure, Mark, Panel, Scale, scale_of, with_bands
from hptbench.report.data import Data
from hptbench.report.objectives import references
from hptbench.results.regret import FLOOR, Standing, standing
from hptbench.results.table import CLOCK_UNITS, DEFAULT, USED, mean_curves
from hptbench.space import Floats
from hptbench.stats.ranks import unit_ranks

if TYPE_CHECKING:
    import pandas as pd

_POINTS = 60
"""Of a line: more than a small panel shows."""


def anytime(data: Data) -> Figure:
    """What the incumbents are worth against what was used."""
    curves = mean_curves(data.jobs, data.runs, data.accounting, data.measure)
    bands, words = with_bands(len(data.methods), [int(n) for n in curves["seeds"].unique()])
    clocks = {CLOCK_UNITS.get(clock, "") for clock in data.runs.loc[data.runs["method"] != DEFAULT, "clock"]}
    unit = f" ({clocks.pop()})" if data.accounting == "time" and len(clocks) == 1 else ""
    x = Axis(USED[data.accounting] + unit, "log")
    fronts = data.fronts.references(data.measure)
    caption = (
        f"Mean {data.measure} score of the incumbent, chosen by validation alone, against {x.label}. {words} "
        + ("Dashed: the default configuration. " if DEFAULT in set(curves["method"]) else "")
        + ("Regret: the share of the reference front's hypervolume that is missing. " if fronts else "")
        + "A line begins where every seed has an incumbent, and may rise where a higher fidelity is first reached. "
        "Lower is better."
    )
    panels = []
    for task, rows in curves.groupby("task", sort=True):
        end, of_methods = float(rows["x"].max()), dict(iter(rows.groupby("method")))
        shown = [method for method in (*data.methods, DEFAULT) if method in of_methods]
        marks = [_steps(of_methods[method], method, bands, end) for method in shown]
        y = Axis(data.objectives[str(task)], scale_of(rows["mean"]))
        panels.append(Panel(tuple(marks), x, y, str(task), str(task)))
    alt = f"A panel per task ({len(panels)}), a falling line per method: {', '.join(data.methods)}."
    also = {"references": references(fronts)} if fronts else {}
    return Figure("anytime", "Who is ahead, and when", caption, alt, tuple(panels), also)


def _steps(rows: pd.DataFrame, method: str, bands: bool, end: float) -> Mark:
    """A line as far as ``end``, thinned evenly on the logarithmic axis."""
    x = rows["x"].to_numpy(float)
    if method == DEFAULT:
        level = float(rows["mean"].iloc[-1])
        return Mark("step", {"x": [x.min(), max(end, x.max())], "y": [level, level]}, method)
    grid = np.union1d(np.geomspace(max(x[0], end * 1e-6), end, _POINTS), x[:1]) if len(x) > _POINTS else x
    at = np.unique(np.searchsorted(x, grid * (1 + 1e-9), side="right") - 1)
    at = at[at >= 0]
    rows, x = rows.iloc[at], x[at]
    last = x[-1] < end
    columns: dict[str, Floats] = {"x": np.append(x, end) if last else x}
    for name, column in (("y", "mean"), ("low", "low"), ("high", "high")):
        if name == "y" or (bands and rows["low"].notna().any()):
            y = rows[column].to_numpy(float)
            columns[name] = np.append(y, y[-1]) if last else y
    return Mark("step", columns, method)


def ranks(data: Data) -> Figure:
    """Mean ranks and regrets against what was used."""
    found = data.found
    return standings(standing(found.scores, found.units, found.axis))


def standings(where: Standing) -> Figure:
    """Mean ranks and regrets of methods along their runs."""
    axis = where.axis
    of_units = np.stack([np.asarray(unit_ranks(scores)) for scores in where.scores])
    x, keep = axis.at, _thinned(len(axis.at))
    scale: Scale = "linear" if axis.by == "evaluations" else "log"
    panels = []
    for title, values, label in (
        ("Mean rank", of_units, "mean rank (1: best)"),
        ("Mean regret", where.scores, "mean log10 normalised regret"),
    ):
        marks = [
            Mark("line", {"x": x[keep], "y": values[keep, :, j].mean(axis=1)}, method)
            for j, method in enumerate(where.methods)
        ]
        panels.append(Panel(tuple(marks), Axis(USED[axis.by], scale), Axis(label), title))
    worth = "value seen at the full fidelity" if axis.worth == "seen" else "configuration's worth if trained fully"
    caption = (
        f"Mean over {len(where.units)} data set(s) of the ranks and of the log10 normalised regret of the incumbents, "
        f"by validation ({worth}); seeds are averaged first. Regret 1: a median random configuration; 0: the best "
        f"known; floored at {FLOOR:g}. Lower is better in both."
    )
    best = where.methods[int(np.argmin(of_units[-1].mean(axis=0)))]
    alt = f"Two panels with a line per method over the run; {best} ends with the best mean rank."
    return Figure("ranks", "How the order changes along the run", caption, alt, tuple(panels))


def _thinned(n: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, n - 1, min(n, 2 * _POINTS)).round().astype(int))
