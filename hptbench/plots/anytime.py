"""The anytime figure: what methods have found, against what they have used."""

from __future__ import annotations

import hashlib
import json
import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hptbench.errors import UserError
from hptbench.results.table import DEFAULT, Accounting, Measure
from hptbench.run import write_whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

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
_PANEL = (3.3, 2.5)
"""Inches."""
_POINTS_KEPT = 6
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
    x_label = _X[accounting] + (f" ({x_unit})" if x_unit else "")
    caption = _caption(curves, x_label, measure)
    write_whole(path, lambda part: _draw(curves, tasks, methods, part, x_label, f"{measure} loss of the incumbent"))
    data = {
        task: {method: _numbers(rows) for method, rows in on_task.groupby("method", sort=True)}
        for task, on_task in curves.groupby("task", sort=True)
    }
    side = {
        "figure": path.name,
        "caption": caption,
        "command": command,
        "x": x_label,
        "y": f"{measure} loss of the incumbent",
        "data": data,
        "data_sha256": hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest(),
        "figure_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    beside = path.with_suffix(".json")
    write_whole(beside, lambda part: part.write_text(json.dumps(side, indent=1) + "\n", encoding="utf-8"))
    return beside


def _draw(curves: pd.DataFrame, tasks: list[str], methods: list[str], path: Path, x_label: str, y_label: str) -> None:
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
        for method, of_method in on_task.groupby("method", sort=True):
            if method == DEFAULT:
                level = of_method["mean"].iloc[-1]
                lines[DEFAULT] = axes.axhline(level, color="0.45", linestyle="--", linewidth=1.2, zorder=1)
            else:
                lines[method] = _line(axes, of_method, methods.index(method))
        _scale(axes, on_task)
    figure.supxlabel(x_label, fontsize=9)
    figure.supylabel(y_label, fontsize=9)
    names = [name for name in (*methods, DEFAULT) if name in lines]
    labels = [name if name != DEFAULT else "default configuration" for name in names]
    across = max(1, int(figure.get_figwidth() / 1.5))
    figure.legend([lines[n] for n in names], labels, loc="outside lower center", ncols=across, fontsize=8, frameon=False)
    figure.savefig(path, format="png", metadata={"Software": None})


def _line(axes: Axes, rows: pd.DataFrame, number: int) -> Any:
    colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number // len(_COLOURS) % len(_DASHES)]
    x = rows["x"].to_numpy(float)
    axes.fill_between(x, rows["low"], rows["high"], step="post", color=colour, alpha=0.15, linewidth=0)
    return axes.step(x, rows["mean"], where="post", color=colour, linestyle=dash, linewidth=1.5)[0]


def _scale(axes: Axes, rows: pd.DataFrame) -> None:
    """Scales, limits and ticks of a panel. The limits follow the means: bands of few seeds can be huge."""
    from matplotlib.ticker import LogFormatter, LogLocator, NullFormatter

    mean = rows["mean"].dropna()
    low, high = mean.min(), mean.max()
    if low > 0 and high / low > _WIDE:
        axes.set_yscale("log")
        axes.set_ylim(low / (high / low) ** 0.1, high * (high / low) ** 0.1)
    elif high > low:
        axes.set_ylim(low - 0.15 * (high - low), high + 0.15 * (high - low))
    axes.set_xscale("log")
    x = rows.loc[rows["method"] != DEFAULT, "x"]
    if len(x) and x.max() > x.min():
        axes.set_xlim(x.min(), x.max())
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
