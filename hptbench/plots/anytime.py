"""The anytime figure: what methods have found, against what they have used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.plots._panels import (
    BANDS,
    check_png,
    panels,
    plain_ticks,
    references,
    save,
    scale_losses,
    style,
    write_beside,
)
from hptbench.protocol import Front
from hptbench.results.fronts import REGRET
from hptbench.results.schema import Measure
from hptbench.results.table import DEFAULT, USED, Accounting

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def anytime(
    curves: pd.DataFrame,
    path: Path,
    *,
    accounting: Accounting = "credited",
    measure: Measure = "test",
    x_unit: str = "",
    fronts: Mapping[str, Front] = MappingProxyType({}),
    command: str = "",
) -> Path:
    """Draw the ``curves`` of :func:`hptbench.results.table.mean_curves` to the PNG ``path``; returns its
    side-car, ``path`` with the suffix .json: caption, command, numbers drawn, SHA-256 of those and of the PNG.

    A panel per task; a line per method with its band; the method ``default`` as a dashed level.
    ``accounting`` and ``measure`` are those the curves were made with; ``x_unit`` is the clock's unit for
    accounting by time; ``fronts`` are the references of the tasks of several objectives. Both files appear whole or
    not at all, and depend on nothing but the arguments. UserError if there is nothing to draw or ``path`` is no PNG."""
    check_png(path)
    tasks = sorted(curves["task"].unique())
    methods = [m for m in sorted(curves["method"].unique()) if m != DEFAULT]
    if not methods:
        raise UserError(f"expected curves of at least one method besides {DEFAULT!r}, got none; run one")
    loss, regret = f"{measure} loss of the incumbent", f"{measure} {REGRET} of the front"
    kinds = [
        kind for kind, there in ((loss, set(tasks) - fronts.keys()), (regret, set(tasks) & fronts.keys())) if there
    ]
    labels = USED[accounting] + (f" ({x_unit})" if x_unit else ""), " or ".join(kinds)
    bands = len(methods) <= BANDS
    write_whole(path, lambda part: _draw(curves, tasks, methods, part, labels, bands))
    caption = _caption(curves, labels, measure, bands, several=regret in kinds)
    return write_beside(path, curves, "x", labels, caption, command, references=references(fronts))


def _draw(
    curves: pd.DataFrame, tasks: list[str], methods: list[str], path: Path, labels: tuple[str, str], bands: bool
) -> None:
    figure, all_axes = panels(tasks)
    lines: dict[str, Any] = {}
    for task, axes in zip(tasks, all_axes, strict=True):
        on_task = curves[curves["task"] == task]
        for number, method in enumerate(methods):
            of_method = on_task[on_task["method"] == method]
            if len(of_method):
                lines[method] = _line(axes, of_method, number, bands)
        level = on_task.loc[on_task["method"] == DEFAULT, "mean"]
        if len(level):
            lines[DEFAULT] = axes.axhline(level.iloc[-1], color="0.4", linestyle="--", linewidth=1.2, zorder=1)
        _scale(axes, on_task)
    save(figure, path, {m: lines[m] for m in (*methods, DEFAULT) if m in lines}, labels)


def _line(axes: Axes, rows: pd.DataFrame, number: int, band: bool) -> Any:
    x = rows["x"].to_numpy(float)
    if band:
        colour = style(number)["color"]
        axes.fill_between(x, rows["low"], rows["high"], step="post", color=colour, alpha=0.13, linewidth=0)
    marker = "o" if len(x) == 1 else None
    return axes.step(x, rows["mean"], where="post", marker=marker, **style(number))[0]


def _scale(axes: Axes, rows: pd.DataFrame) -> None:
    scale_losses(axes, rows["mean"].dropna())
    x = rows.loc[(rows["method"] != DEFAULT) & (rows["x"] > 0), "x"]
    axes.set_xscale("log")
    if len(x) and x.max() > x.min():
        room = (x.max() / x.min()) ** 0.04  # so that what happens at the very end is seen
        axes.set_xlim(x.min() / room, x.max() * room)
        plain_ticks(axes.xaxis, x.max() / x.min())


def _caption(curves: pd.DataFrame, labels: tuple[str, str], measure: Measure, bands: bool, several: bool) -> str:
    seeds = sorted({int(n) for n in curves["seeds"]})
    n = f"n = {seeds[0]}" if len(seeds) == 1 else f"n = {seeds[0]} to {seeds[-1]}"
    where = "panels may cut them" if bands else "they would hide so many lines: see the file beside the figure"
    sentences = [
        f"Mean {labels[1]} against {labels[0]}, a panel per task.",
        f"Bands: 95 % t interval of the mean over seeds ({n}); {where}." if seeds[-1] > 1 else "One seed: no bands.",
        "Dashed: the default configuration." if DEFAULT in set(curves["method"]) else "",
        "What is shown is chosen by validation alone." if measure == "test" else "",
        "Regret: the share of the reference front's hypervolume that is missing." if several else "",
        "A line begins where every seed has an incumbent, and may rise where a higher fidelity is first reached.",
    ]
    return " ".join(filter(None, sentences))
