"""Figures (``figure.py``) as files: PNG, PDF or SVG, with a side-car of the words and the numbers drawn."""

from __future__ import annotations

import hashlib
import json
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.files import write_whole
from hptbench.plots.figure import Figure, Mark, Panel
from hptbench.results.table import DEFAULT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis as DrawnAxis
    from matplotlib.figure import Figure as Canvas

FORMATS = ("png", "pdf", "svg")
_WITHOUT_DATE: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}
"""So that the same figure gives the same file."""
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, to be told apart with any colour vision; without its yellow, too light for lines."""
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
"""The next style for every round of the palette."""
_GREY = "0.45"
_WIDE, _HIGH, _ROW = 3.6, 2.7, 0.22
"""Inches of a panel, and at least of a row of a category axis."""
_PANELS = 24
"""More in one file would not be seen."""
_ABOVE = 8
"""Methods of a legend above the panels; more stand beside them."""
_SHORT, _VERY_SHORT = 100.0, 5.0
"""Log scales of a smaller ratio of ends get ticks at 2 and 5, and still smaller ones a few even ticks."""


def draw(
    figure: Figure,
    folder: Path,
    methods: Sequence[str],
    formats: Iterable[str] = ("png",),
    command: str = "",
    inputs: Mapping[str, str] | None = None,
) -> list[Path]:
    """Draw ``figure`` to ``folder``/<name>.<format>; returns the files, the last one the side-car.

    ``methods`` gives colours, in order. The side-car, <name>.json, has the caption, the ``command``, the ``inputs``
    (file -> SHA-256), the numbers drawn, and SHA-256 of them and of the files. All files depend on the arguments alone.
    Of many panels the first ones are drawn, and the side-car has all. UserError for an unknown format."""
    import matplotlib as mpl

    formats = tuple(formats)
    for name in formats:
        if name not in FORMATS:
            raise unknown("format of figures", name, FORMATS)
    if not formats:
        raise UserError(f"expected a format of figures, one or more of {', '.join(FORMATS)}, got none")
    folder.mkdir(parents=True, exist_ok=True)
    canvas = _canvas(figure, methods)
    paths = [folder / f"{figure.name}.{name}" for name in formats]
    with mpl.rc_context({"svg.hashsalt": figure.name, "svg.fonttype": "none"}):
        for path, name in zip(paths, formats, strict=True):

            def save(part: Path, name: str = name) -> None:
                canvas.savefig(part, format=name, metadata=_WITHOUT_DATE[name])

            write_whole(path, save)
    data = figure.to_json()["panels"]
    side = {
        "title": figure.title, "caption": figure.caption, "alt": figure.alt, "command": command,
        "inputs": dict(inputs or {}), **figure.also, "panels": data,
        "panels_sha256": hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest(),
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths},
    }  # fmt: skip
    beside = folder / f"{figure.name}.json"
    write_whole(beside, lambda part: part.write_text(json.dumps(side, indent=1) + "\n", encoding="utf-8"))
    return [*paths, beside]


def _canvas(figure: Figure, methods: Sequence[str]) -> Canvas:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    panels = figure.panels[:_PANELS]
    columns = min(len(panels), max(2, math.ceil(math.sqrt(len(panels)))))
    rows = math.ceil(len(panels) / columns)
    high = max(_HIGH, *(_ROW * len(p.y.names) + 1.0 for p in panels))
    wide = max(_WIDE, *(0.35 * len(p.x.names) + 1.5 for p in panels))
    above = len(methods) < _ABOVE  # and the default configuration
    tall = max(high * rows + 0.7, 0.0 if above else 0.17 * len(methods) + 0.5)
    canvas = Canvas(figsize=(wide * columns + 0.3, tall), dpi=150, layout="constrained")
    FigureCanvasAgg(canvas)
    lines: dict[str, Any] = {}
    for i, panel in enumerate(panels):
        axes = canvas.add_subplot(rows, columns, i + 1)
        for mark in panel.marks:
            drawn = _MARKS[mark.kind](axes, mark, _style(mark.series, methods))
            if mark.series and not mark.faint:
                lines.setdefault(mark.series, drawn)
        axes.autoscale_view()  # segments are not looked at without
        _dress(axes, panel)
    shown = [name for name in (*methods, DEFAULT) if name in lines]
    if shown:
        labels = ["default configuration" if name == DEFAULT else name for name in shown]
        across = max(1, int(canvas.get_figwidth() / 1.6)) if above else 1
        canvas.legend(
            [lines[n] for n in shown], labels, loc="outside upper center" if above else "outside right upper",
            ncols=across, fontsize=8, frameon=False,
        )  # fmt: skip
    return canvas


def _style(series: str, methods: Sequence[str]) -> dict[str, Any]:
    if series in methods:
        number = methods.index(series)
        dash = _DASHES[number // len(_COLOURS) % len(_DASHES)]
        return {"color": _COLOURS[number % len(_COLOURS)], "linestyle": dash, "linewidth": 1.5}
    return {"color": _GREY, "linestyle": "--" if series == DEFAULT else "-", "linewidth": 1.2}


def _dress(axes: Axes, panel: Panel) -> None:
    """Titles, scales and grid."""
    axes.set_title("\n".join(textwrap.wrap(panel.title, 36)), fontsize=9)
    axes.set_xlabel(panel.x.label, fontsize=8)
    axes.set_ylabel(panel.y.label, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    if not any(mark.kind == "cells" for mark in panel.marks):
        axes.grid(alpha=0.25, linewidth=0.5)
    for axis, of, limits in ((axes.xaxis, panel.x, axes.set_xlim), (axes.yaxis, panel.y, axes.set_ylim)):
        if of.scale == "category":
            axis.set_ticks(range(len(of.names)), [_short(name) for name in of.names])
            ends = (-0.5, len(of.names) - 0.5)
            limits(*(ends[::-1] if axis is axes.yaxis else ends))
            if axis is axes.xaxis:
                axis.set_tick_params(rotation=40)
        elif of.scale == "log":
            (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
    _follow_lines(axes, panel)
    if any(mark.kind == "bars" for mark in panel.marks) and not any(_column(mark, "x").any() for mark in panel.marks):
        axes.set_xlim(0, 1)  # bars without length
    for axis, of in ((axes.xaxis, panel.x), (axes.yaxis, panel.y)):
        if of.scale == "log":
            _plain_ticks(axis)


def _plain_ticks(axis: DrawnAxis) -> None:
    """Ticks 0.1, 1, 10 instead of powers, 2 and 5 between them on short scales, and a few even ones on very short
    ones."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    low, high = axis.get_view_interval()
    span = high / low if low > 0 else np.inf
    evenly = MaxNLocator(3) if span < _VERY_SHORT else LogLocator(subs=(1, 2, 5) if span < _SHORT else (1,))
    axis.set_major_locator(evenly)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _follow_lines(axes: Axes, panel: Panel) -> None:
    """Limits of y for lines with bands, by the lines alone."""
    if not any("low" in mark.columns for mark in panel.marks if mark.kind in ("step", "line")):
        return
    y = np.concatenate([_column(mark, "y") for mark in panel.marks])
    y = y[np.isfinite(y) & ((y > 0) | (panel.y.scale != "log"))]
    if not len(y) or y.min() == y.max():
        return
    low, high = float(y.min()), float(y.max())
    if panel.y.scale == "log":
        room = (high / low) ** 0.1
        axes.set_ylim(low / room, high * room)
    else:
        axes.set_ylim(low - 0.12 * (high - low), high + 0.12 * (high - low))


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "…"


def _column(mark: Mark, name: str) -> Any:
    return np.asarray(mark.columns[name], dtype=float)


def _line(axes: Axes, mark: Mark, look: dict[str, Any]) -> Any:
    x, y = _column(mark, "x"), _column(mark, "y")
    if "low" in mark.columns:
        step = {"step": "post"} if mark.kind == "step" else {}
        low, high = _column(mark, "low"), _column(mark, "high")
        high = np.where(np.isposinf(high), 1e3 * np.nanmax(np.abs(y)), high)  # beyond the panel
        axes.fill_between(x, low, high, color=look["color"], alpha=0.13, linewidth=0, **step)  # type: ignore[arg-type]
    drawstyle = "steps-post" if mark.kind == "step" else "default"
    width = look["linewidth"] * (0.5 if mark.faint else 1)
    marker = "o" if len(x) == 1 else None
    alpha = 0.4 if mark.faint else 1
    return axes.plot(x, y, **look | {"linewidth": width}, alpha=alpha, drawstyle=drawstyle, marker=marker)[0]


def _dots(axes: Axes, mark: Mark, look: dict[str, Any]) -> Any:
    x, y = _column(mark, "x"), _column(mark, "y")
    if "low" in mark.columns:
        low, high = _column(mark, "low"), _column(mark, "high")
        axes.hlines(y, low, high, color=look["color"], linewidth=2, alpha=0.6)
    alpha, size = (0.35, 8) if mark.faint else (1, 18)
    return axes.scatter(x, y, s=size, color=look["color"], alpha=alpha, linewidths=0)


def _bars(axes: Axes, mark: Mark, look: dict[str, Any]) -> Any:
    start = _column(mark, "start") if "start" in mark.columns else 0.0
    return axes.barh(_column(mark, "y"), _column(mark, "x") - start, left=start, height=0.7, color=look["color"])


def _segments(axes: Axes, mark: Mark, look: dict[str, Any]) -> Any:
    from matplotlib.collections import LineCollection

    ends = [np.stack([_column(mark, a), _column(mark, b)], axis=1) for a, b in (("x", "y"), ("x2", "y2"))]
    width, alpha = (0.7, 0.5) if mark.faint else (1.6, 1)
    lines = LineCollection(list(np.stack(ends, axis=1)), colors=look["color"], linewidths=width, alpha=alpha)
    return axes.add_collection(lines)


def _cells(axes: Axes, mark: Mark, look: dict[str, Any]) -> Any:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    shades = colormaps["viridis"](_column(mark, "shade"))
    labels = mark.columns.get("label", [""] * len(shades))
    for x, y, colour, label in zip(_column(mark, "x"), _column(mark, "y"), shades, labels, strict=True):
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.5))
        dark = float(colour[:3] @ np.array([0.3, 0.6, 0.1])) < 0.5
        axes.text(x, y, label, ha="center", va="center", fontsize=6, color="white" if dark else "black")


def _paths(axes: Axes, mark: Mark, look: dict[str, Any]) -> Any:
    from matplotlib import colormaps

    shades = colormaps["viridis"](_column(mark, "shade"))
    for ys, colour in zip(mark.columns["ys"], shades, strict=True):
        y = np.asarray(ys, dtype=float)
        axes.plot(np.arange(len(y)), y, color=colour, linewidth=0.7, alpha=0.8)


_MARKS: dict[str, Callable[[Axes, Mark, dict[str, Any]], Any]] = {
    "step": _line, "line": _line, "dots": _dots, "bars": _bars, "segments": _segments, "cells": _cells, "paths": _paths,
}  # fmt: skip
