"""The speed-up figure: how much sooner a target is reached with more workers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.plots._panels import check_png, panels, plain_ticks, save, style, write_beside

if TYPE_CHECKING:
    import pandas as pd

_IDEAL = "ideal"
_ROOM, _BEYOND = 1.15, 10.0
"""Above the greatest value drawn; and where bands end that have no upper end, as a multiple of the axis's end."""


def speedup(table: pd.DataFrame, path: Path, *, regret: float, command: str = "") -> Path:
    """Draw the ``table`` of :func:`hptbench.results.speedup.speedups` to the PNG ``path``; returns its side-car, as
    :func:`hptbench.plots.anytime.anytime` does.

    A panel per task, a line per method, dashed what workers could do at the best. UserError if there is nothing to
    draw: no method with two numbers of workers that reaches the target ``regret`` with the fewest."""
    check_png(path)
    shown = table[np.isfinite(table["speedup"]) & (table["speedup"] > 0)]
    counts = shown.groupby(["task", "method"])["workers"].transform("nunique")
    shown = shown[counts > 1].rename(columns={"speedup": "mean", "runs": "seeds"})
    if shown.empty:
        raise UserError(
            "expected a method with runs of at least two numbers of workers that reach the target, got none; "
            "run it with other workers=, or set an easier --target"
        )
    labels = "workers", "speed-up of the time to the target"
    write_whole(path, lambda part: _draw(shown, part, labels))
    caption = (
        f"Expected running time to a normalised regret of {regret:g} with the fewest workers, divided by that with "
        "more, a panel per task. Bands: 95 % bootstrap interval over runs, to the top where it has no upper end. "
        "Dashed: as many times as fast as there are workers."
    )
    return write_beside(path, shown, "workers", labels, caption, command)


def _draw(shown: pd.DataFrame, path: Path, labels: tuple[str, str]) -> None:
    tasks, methods = sorted(shown["task"].unique()), sorted(shown["method"].unique())
    figure, all_axes = panels(tasks)
    lines: dict[str, Any] = {}
    for task, axes in zip(tasks, all_axes, strict=True):
        on_task = shown[shown["task"] == task]
        ends = np.array([on_task["workers"].min(), on_task["workers"].max()], float)
        top = _ROOM * max(ends[1] / ends[0], *on_task["mean"], *on_task.loc[np.isfinite(on_task["high"]), "high"])
        for number, method in enumerate(methods):
            rows = on_task[on_task["method"] == method]
            if len(rows):
                x = rows["workers"].to_numpy(float)
                colour = style(number)["color"]
                axes.fill_between(
                    x, rows["low"], rows["high"].replace(np.inf, _BEYOND * top), color=colour, alpha=0.13, linewidth=0
                )
                [lines[method]] = axes.plot(x, rows["mean"], marker="o", markersize=3, **style(number))
        [lines[_IDEAL]] = axes.plot(ends, ends / ends[0], color="0.4", linestyle="--", linewidth=1.0, zorder=1)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_ylim(top=top)
        axes.set_xticks(sorted(on_task["workers"].unique()))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        plain_ticks(axes.yaxis, ends[1] / ends[0])
    save(figure, path, {name: lines[name] for name in (*methods, _IDEAL)}, labels)
