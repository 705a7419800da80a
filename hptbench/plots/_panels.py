"""What figures share: a panel per task, a line with a band per method, one legend, and the file beside the figure."""

from __future__ import annotations

import hashlib
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.protocol import Front
from hptbench.results.table import DEFAULT

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

BANDS = 6
"""Methods with bands; those of more hide the lines."""
WIDE = 10.0
"""Means whose largest is so many times the smallest are drawn on a log scale."""
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, to be told apart with any colour vision; without its yellow, too light for lines."""
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
"""The next style for every round of the palette."""
_PANEL = (3.3, 2.5)
"""Inches."""
_SHORT = 100.0
"""Log scales of a smaller ratio of ends get ticks at 2 and 5."""
_DIGITS = 6
"""Significant digits in the side-car."""


def check_png(path: Path) -> None:
    """UserError if ``path`` is no PNG's."""
    if path.suffix != ".png":
        raise UserError(f"expected a figure's path ending in .png, got {path}")


def panels(tasks: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """A figure with a panel per task, titled with its name."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(len(tasks), max(2, math.ceil(math.sqrt(len(tasks)))))
    rows = math.ceil(len(tasks) / columns)
    figure = Figure(figsize=(_PANEL[0] * columns + 0.3, _PANEL[1] * rows + 0.7), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(len(tasks))]
    for one, task in zip(axes, tasks, strict=True):
        one.set_title("\n".join(textwrap.wrap(task, 36)), fontsize=9)
        one.tick_params(labelsize=8)
        one.grid(alpha=0.25, linewidth=0.5)
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def style(number: int) -> dict[str, Any]:
    """Colour and dashes of the method of that number."""
    dash = _DASHES[number // len(_COLOURS) % len(_DASHES)]
    return {"color": _COLOURS[number % len(_COLOURS)], "linestyle": dash, "linewidth": 1.5}


def scale_losses(axes: Axes, mean: pd.Series[Any]) -> None:
    """The scale and limits of y. They follow the means: bands of few seeds can be huge."""
    low, high = mean.min(), mean.max()
    if low > 0 and high / low > WIDE:
        axes.set_yscale("log")
        room = (high / low) ** 0.1
        axes.set_ylim(low / room, high * room)
        plain_ticks(axes.yaxis, high / low)
    elif high > low:
        room = 0.12 * (high - low)
        axes.set_ylim(low - room, high + room)


def plain_ticks(axis: Axis, ratio: float) -> None:
    """Ticks 0.1, 1, 10 instead of powers, and 2 and 5 between them on short scales."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if ratio < _SHORT else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def references(fronts: Mapping[str, Front]) -> dict[str, Any]:
    """What hypervolumes of tasks were measured by, for a side-car."""
    return {
        task: {
            "reference_point": [plain(v) for v in front.reference_point],
            "ideal": [plain(v) for v in front.ideal],
            "hypervolume": plain(front.hypervolume),
        }
        for task, front in sorted(fronts.items())
    }


def save(figure: Figure, path: Path, lines: Mapping[str, Any], labels: tuple[str, str]) -> None:
    """With the labels of x and y and a legend of ``lines`` (method -> its line) in their order."""
    figure.supxlabel(labels[0], fontsize=9)
    figure.supylabel(labels[1], fontsize=9)
    shown = ["default configuration" if method == DEFAULT else method for method in lines]
    across = max(1, int(figure.get_figwidth() / 1.6))
    figure.legend(list(lines.values()), shown, loc="outside upper center", ncols=across, fontsize=8, frameon=False)
    figure.savefig(path, format="png", metadata={"Software": None})


def write_beside(
    path: Path, curves: pd.DataFrame, x: str, labels: tuple[str, str], caption: str, command: str, **more: Any
) -> Path:
    """The side-car (:func:`write_side`) of a figure of lines: of each task and method the column ``x`` of ``curves``
    and mean, low, high."""
    data = {
        str(task): {str(method): _numbers(rows, x) for method, rows in on_task.groupby("method", sort=True)}
        for task, on_task in curves.groupby("task", sort=True)
    }
    return write_side(path, data, labels, caption, command, **more)


def write_side(
    path: Path, data: Mapping[str, Any], labels: tuple[str, str], caption: str, command: str, **more: Any
) -> Path:
    """The figure's side-car, ``path`` with the suffix .json: caption, command, the numbers drawn ``data``, SHA-256 of
    those and of the PNG, and what else there is to tell."""
    side = {
        "figure": path.name,
        "caption": caption,
        "command": command,
        "x": labels[0],
        "y": labels[1],
        **more,
        "data": data,
        "data_sha256": hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest(),
        "figure_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    beside = path.with_suffix(".json")
    write_whole(beside, lambda part: part.write_text(json.dumps(side, indent=1) + "\n", encoding="utf-8"))
    return beside


def plain(value: float) -> float | None:
    """A number of a side-car, to 6 digits; NaN as null, as JSON knows no NaN."""
    return None if math.isnan(value) else float(f"{value:.{_DIGITS}g}")


def _numbers(rows: pd.DataFrame, x: str) -> dict[str, Any]:
    """The columns of one line."""
    columns = {name: [plain(v) for v in rows[column]] for name, column in
               {"x": x, "mean": "mean", "low": "low", "high": "high"}.items()}  # fmt: skip
    return {"seeds": int(rows["seeds"].iloc[0]), **columns}
