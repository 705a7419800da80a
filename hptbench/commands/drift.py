"""Drifting tasks on the terminal: what was deployed block after block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from hptbench.commands._numbers import interval
from hptbench.plots.draw import draw
from hptbench.plots.drift import drift
from hptbench.results.collect import Study, inputs
from hptbench.results.drift import block_curves, complete, deployed, differences, drift_table, unit_scores
from hptbench.results.table import DEFAULT
from hptbench.stats.pairwise import pairwise
from hptbench.stats.power import units_needed
from hptbench.stats.words import pair_sentence, power_warning

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5
"""Methods whose differences are printed; those of more are too many to read."""


def retuned(study: Study) -> pd.DataFrame:
    """What methods deployed that do so in every block of a drifting task; empty if the study has none."""
    return complete(deployed(study.jobs, study.runs))


def show_drift(console: Console, study: Study, rows: pd.DataFrame, plot: bool, command: str) -> None:
    """Print the deployed losses ``rows`` of :func:`retuned` and draw them."""
    console.print(
        "On tasks whose data arrive in blocks, the table above is of the last block alone. "
        "[bold]Deployed[/]: each block's incumbent, on the next block; mean over blocks ± 95 % t interval over seeds, "
        "and what it is less another method's, paired by seed (negative: better)",
        highlight=False,
    )
    asked = study.runs[study.runs["task"].isin(rows["task"]) & (study.runs["method"] != DEFAULT)]
    pairs = [set(zip(frame["method"], frame["task"], strict=True)) for frame in (asked, rows)]
    lacking: dict[str, list[str]] = {}
    for method, task in sorted(pairs[0] - pairs[1]):
        lacking.setdefault(method, []).append(task)
    for method, tasks in lacking.items():
        where = "" if method not in set(rows["method"]) else f" on {', '.join(tasks)}, nor in the comparison"
        console.print(f"[dim]Not tuned in every block, so not here: {method}{where}[/]", highlight=False)
    _print_losses(console, rows)
    if plot:
        methods = sorted(rows["method"].unique())
        path, _ = draw(drift(block_curves(rows)), study.folder, methods, command=command, inputs=inputs(study.folder))
        console.print(f"Figure: {path}", highlight=False, soft_wrap=True)
    _print_comparison(console, unit_scores(rows))


def _print_losses(console: Console, rows: pd.DataFrame) -> None:
    table, pairs = drift_table(rows), differences(rows)
    methods = sorted(rows["method"].unique())
    shown = methods if 1 < len(methods) <= _SHOWN else []
    wide = max(12, *map(len, methods))
    head = "".join(f" {f'less {method}':>18}" for method in shown)
    console.print(
        f"{'':{wide}} {'validation':>18} {'next block':>18}{head}", highlight=False, style="dim", soft_wrap=True
    )
    for task, on_task in table.groupby("task", sort=True):
        console.print(f"{escape(str(task))} [dim]{escape(on_task['objective'].iloc[0])}[/]", highlight=False)
        of_task = pairs[pairs["task"] == task].set_index(["first", "second"])
        less = dict(zip(of_task.index, of_task.to_dict("records"), strict=True))
        for row in on_task.to_dict("records"):
            line = f"{escape(row['method']):{wide}} {interval(row, 'validation'):>18} {interval(row, 'test'):>18}"
            line = f"[bold]{line}[/]" if row["test"] == on_task["test"].min() else line
            line += "".join(f" {_less(less, row['method'], other):>18}" for other in shown)
            console.print(line, highlight=False, soft_wrap=True)


def _less(pairs: dict[Any, dict[Any, Any]], first: str, second: str) -> str:
    """The difference of two methods, in the order asked for."""
    if (first, second) in pairs:
        return _signed(interval(pairs[first, second], "minus"))
    if (second, first) in pairs:
        row = pairs[second, first]
        return _signed(interval({"minus": -row["minus"], "minus_low": -row["minus_high"]}, "minus"))
    return ""


def _signed(number: str) -> str:
    return number if number.startswith(("-", "–")) else f"+{number}"


def _print_comparison(console: Console, matrix: pd.DataFrame) -> None:
    """Data sets are the units: seeds are averaged first."""
    if len(matrix.columns) < 2:
        return
    console.print(
        f"[bold]Comparison[/] over {len(matrix)} data set(s), measure: deployed loss (mean of the methods = 1)",
        highlight=False,
    )
    found = pairwise(matrix.to_numpy(), list(matrix.columns))
    if len(matrix) >= units_needed(len(found)):
        for pair in found:
            console.print(f"• {escape(pair_sentence(pair, 'deployed loss'))}", highlight=False)
    elif warning := power_warning(len(matrix), len(found)):
        console.print(f"[yellow]{warning}[/]", highlight=False)
