"""The drift figure: what was deployed, block after block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hptbench.plots.figure import Axis, Figure, Mark, Panel, scale_of, with_bands

if TYPE_CHECKING:
    import pandas as pd


def drift(curves: pd.DataFrame) -> Figure:
    """A panel per task and a line per method of the ``curves`` of :func:`hptbench.results.drift.block_curves`."""
    methods = sorted(curves["method"].unique())
    bands, words = with_bands(len(methods), [int(n) for n in curves["seeds"].unique()])
    panels = []
    for task, on_task in curves.groupby("task", sort=True):
        marks = []
        for method, rows in on_task.groupby("method", sort=True):
            columns = {"x": rows["block"], "y": rows["mean"]}
            marks.append(
                Mark("line", columns | ({"low": rows["low"], "high": rows["high"]} if bands else {}), str(method))
            )
        panels.append(Panel(tuple(marks), Axis("block"), Axis("loss", scale_of(on_task["mean"])), str(task), str(task)))
    caption = (
        f"Mean loss on the next block of what a method deploys in each block, a panel per task. {words} Deployed is "
        "the best configuration by validation on the block itself, as it was validated."
    )
    alt = f"A panel per task ({len(panels)}) with a line per method over the blocks."
    return Figure("drift", "What was deployed", caption, alt, tuple(panels))
