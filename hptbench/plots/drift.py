"""The drift figure: what was deployed, block after block."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hptbench.files import write_whole
from hptbench.plots._panels import BANDS, check_png, panels, save, scale_losses, style, write_beside

if TYPE_CHECKING:
    import pandas as pd

_LABELS = "block", "loss of the deployed model on the next block"


def drift(curves: pd.DataFrame, path: Path, *, command: str = "") -> Path:
    """Draw the ``curves`` of :func:`hptbench.results.drift.block_curves` to the PNG ``path``; returns its side-car, as
    that of :func:`hptbench.plots.anytime.anytime`.

    A panel per task; a line per method with its band. Both files appear whole or not at all, and depend on nothing
    but the arguments. UserError if ``path`` is no PNG."""
    check_png(path)
    methods = sorted(curves["method"].unique())
    write_whole(path, lambda part: _draw(curves, methods, part))
    return write_beside(path, curves, "block", _LABELS, _caption(curves, len(methods) <= BANDS), command)


def _draw(curves: pd.DataFrame, methods: list[str], path: Path) -> None:
    from matplotlib.ticker import MaxNLocator

    tasks = sorted(curves["task"].unique())
    figure, all_axes = panels(tasks)
    lines: dict[str, Any] = {}
    for task, axes in zip(tasks, all_axes, strict=True):
        on_task = curves[curves["task"] == task]
        for number, method in enumerate(methods):
            rows = on_task[on_task["method"] == method]
            if rows.empty:
                continue
            if len(methods) <= BANDS:
                colour = style(number)["color"]
                axes.fill_between(rows["block"], rows["low"], rows["high"], color=colour, alpha=0.13, linewidth=0)
            lines[method] = axes.plot(rows["block"], rows["mean"], marker="o", markersize=3, **style(number))[0]
        scale_losses(axes, on_task["mean"].dropna())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    save(figure, path, {m: lines[m] for m in methods}, _LABELS)


def _caption(curves: pd.DataFrame, bands: bool) -> str:
    seeds = sorted({int(n) for n in curves["seeds"]})
    n = f"n = {seeds[0]}" if len(seeds) == 1 else f"n = {seeds[0]} to {seeds[-1]}"
    where = "panels may cut them" if bands else "they would hide so many lines: see the file beside the figure"
    sentences = [
        "Mean loss on the next block of what a method deploys in each block, a panel per task.",
        f"Bands: 95 % t interval of the mean over seeds ({n}); {where}." if seeds[-1] > 1 else "One seed: no bands.",
        "Deployed is the best configuration by validation on the block itself, as it was validated.",
    ]
    return " ".join(sentences)
