"""The anytime figure: what methods have found, against what they have used."""

from __future__ import annotations

import hashlib
import json
import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.results.table import DEFAULT, Accounting, Measure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, to be told apart with any colour vision; without its yellow, too light for lines."""
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
"""The next style for every round of the palette."""
_X = {
    "credited": "full evaluations consumed",
    "from_zero": "full evaluations, each training from zero",
    "time": "time of the run",
}
_WIDE = 10.0
"""Means whose largest is so many times the smallest are drawn on a log scale."""
_BANDS = 6
"""Methods with bands; those of more hide the lines."""
_PANEL = (3.3, 2.5)
"""Inches."""
_SHORT = 100.0
"""Log scales of a smaller ratio of ends get ticks at 2 and 5."""
_DIGITS = 6
"""Significant digits in the side-car."""


def anytime(
    curves: pd.DataFrame,
    path: Path,
    *,
    accounting: Accounting = "credited",
    measure: Measure = "test",
    x_unit: str = "",
    command: str = "",
) -> Path:
    """Draw the ``curves`` of :func:`hptbench.results.table.mean_curves` to the PNG ``path``; returns its
    side-car, ``path`` with the suffix .json: caption, command, numbers drawn, SHA-256 of those and of the PNG.

    A panel per task; a line per method with its band; the method ``default`` as a dashed level.
    ``accounting`` and ``measure`` are those the curves were made with; ``x_unit`` is the clock's unit for
    accounting by time. Both files appear whole or not at all, and depend on nothing but the arguments.
    UserError if there is nothing to draw or ``path`` is no PNG."""
    if path.suffix != ".png":
        raise UserError(f"expected a figure's path ending in .png, got {path}")
    tasks = sorted(curves["task"].unique())
    methods = [m for m in sorted(curves["method"].unique()) if m != DEFAULT]
    if not methods:
        raise UserError(f"expected curves of at least one method besides {DEFAULT!r}, got none; run one")
    labels = _X[accounting] + (f" ({x_unit})" if x_unit else ""), f"{measure} loss of the incumbent"
    bands = len(methods) <= _BANDS
    write_whole(path, lambda part: _draw(curves, tasks, methods, part, labels, bands))
    data = {
        task: {method: _numbers(rows) for method, rows in on_task.groupby("method", sort=True)}
        for task, on_task in curves.groupby("task", sort=True)
    }
    side = {
        "figure": path.name,
        "caption": _caption(curves, labels[0], measure, bands),
        "command": command,
        "x": labels[0],
        "y": labels[1],
        "data": data,
        "data_sha256": hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest(),
        "figure_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    beside = path.with_suffix(".json")
    write_whole(beside, lambda part: part.write_text(json.dumps(side, indent=1) + "\n", encoding="utf-8"))
    return beside


def _draw(
    curves: pd.DataFrame, tasks: list[str], methods: list[str], path: Path, labels: tuple[str, str], bands: bool
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(len(tasks), max(2, math.ceil(math.sqrt(len(tasks)))))
    rows = math.ceil(len(tasks) / columns)
    figure = Figure(figsize=(_PANEL[0] * columns + 0.3, _PANEL[1] * rows + 0.7), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    lines: dict[str, Any] = {}
    for i, task in enumerate(tasks):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.set_title("\n".join(textwrap.wrap(task, 36)), fontsize=9)
        on_task = curves[curves["task"] == task]
        for number, method in enumerate(methods):
            of_method = on_task[on_task["method"] == method]
            if len(of_method):
                lines[method] = _line(axes, of_method, number, bands)
        level = on_task.loc[on_task["method"] == DEFAULT, "mean"]
        if len(level):
            lines[DEFAULT] = axes.axhline(level.iloc[-1], color="0.4", linestyle="--", linewidth=1.2, zorder=1)
        _scale(axes, on_task)
    figure.supxlabel(labels[0], fontsize=9)
    figure.supylabel(labels[1], fontsize=9)
    shown = {m: "default configuration" if m == DEFAULT else m for m in (*methods, DEFAULT) if m in lines}
    across = max(1, int(figure.get_figwidth() / 1.6))
    handles = [lines[m] for m in shown]
    figure.legend(handles, list(shown.values()), loc="outside upper center", ncols=across, fontsize=8, frameon=False)
    figure.savefig(path, format="png", metadata={"Software": None})


def _line(axes: Axes, rows: pd.DataFrame, number: int, band: bool) -> Any:
    colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number // len(_COLOURS) % len(_DASHES)]
    x = rows["x"].to_numpy(float)
    if band:
        axes.fill_between(x, rows["low"], rows["high"], step="post", color=colour, alpha=0.13, linewidth=0)
    style = {"color": colour, "linestyle": dash, "linewidth": 1.5, "marker": "o" if len(x) == 1 else None}
    return axes.step(x, rows["mean"], where="post", **style)[0]


def _scale(axes: Axes, rows: pd.DataFrame) -> None:
    """Scales, limits and ticks of a panel. The limits follow the means: bands of few seeds can be huge."""
    mean = rows["mean"].dropna()
    low, high = mean.min(), mean.max()
    if low > 0 and high / low > _WIDE:
        axes.set_yscale("log")
        room = (high / low) ** 0.1
        axes.set_ylim(low / room, high * room)
        _plain_ticks(axes.yaxis, high / low)
    elif high > low:
        room = 0.12 * (high - low)
        axes.set_ylim(low - room, high + room)
    x = rows.loc[(rows["method"] != DEFAULT) & (rows["x"] > 0), "x"]
    axes.set_xscale("log")
    if len(x) and x.max() > x.min():
        room = (x.max() / x.min()) ** 0.04  # so that what happens at the very end is seen
        axes.set_xlim(x.min() / room, x.max() * room)
        _plain_ticks(axes.xaxis, x.max() / x.min())
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)


def _plain_ticks(axis: Axis, ratio: float) -> None:
    """Ticks 0.1, 1, 10 instead of powers, and 2 and 5 between them on short scales."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if ratio < _SHORT else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _caption(curves: pd.DataFrame, x_label: str, measure: Measure, bands: bool) -> str:
    seeds = sorted({int(n) for n in curves["seeds"]})
    n = f"n = {seeds[0]}" if len(seeds) == 1 else f"n = {seeds[0]} to {seeds[-1]}"
    where = "panels may cut them" if bands else "they would hide so many lines: see the file beside the figure"
    sentences = [
        f"Mean {measure} loss of the incumbent against {x_label}, a panel per task.",
        f"Bands: 95 % t interval of the mean over seeds ({n}); {where}." if seeds[-1] > 1 else "One seed: no bands.",
        "Dashed: the default configuration." if DEFAULT in set(curves["method"]) else "",
        "The incumbent is chosen by validation alone." if measure == "test" else "",
        "A line begins where every seed has an incumbent, and may rise where a higher fidelity is first reached.",
    ]
    return " ".join(filter(None, sentences))


def _numbers(rows: pd.DataFrame) -> dict[str, Any]:
    """The columns of one line, to 6 digits; NaN as null, as JSON knows no NaN."""

    def plain(value: float) -> float | None:
        return None if math.isnan(value) else float(f"{value:.{_DIGITS}g}")

    columns = {name: [plain(v) for v in rows[name]] for name in ("x", "mean", "low", "high")}
    return {"seeds": int(rows["seeds"].iloc[0]), **columns}
