"""Drifting tasks on the terminal: what was deployed block after block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from hptbench.plots.drift import drift
from hptbench.results.collect import Study
from hptbench.results.drift import block_curves, complete, deployed, differences, drift_table, unit_scores
from hptbench.results.table import DEFAULT
from hptbench.stats.pairwise import pairwise
from hptbench.stats.power import units_needed
from hptbench.stats.words import pair_sentence, power_warning

if TYPE_CHECKING:
    import pandas as pd

_PAIRS = 6
"""Pairs of methods whose differences are printed for each task; those of more are too many to read."""


def retuned(study: Study) -> pd.DataFrame:
    """What methods deployed that do so in every block of a drifting task; empty if the study has none."""
    return complete(deployed(study.jobs, study.runs))


def show_drift(console: Console, study: Study, rows: pd.DataFrame, plot: bool, command: str) -> None:
    """Print the deployed losses ``rows`` of :func:`retuned` and draw them."""
    console.print(
        "On tasks whose data arrive in blocks, the table above is of the last block alone. "
        "[bold]Deployed[/]: the incumbent of each block, on the next block, averaged over the blocks",
        highlight=False,
    )
    others = set(study.runs.loc[study.runs["task"].isin(rows["task"]), "method"]) - set(rows["method"]) - {DEFAULT}
    if others:
        console.print(f"[dim]Not tuned in every block, so not here: {', '.join(sorted(others))}[/]", highlight=False)
    table, pairs = drift_table(rows), differences(rows)
    wide = max(12, *(len(method) for method in table["method"]))
    console.print(f"{'':{wide}}  {'validation':>18} {'next block':>18} {'runs':>5}", highlight=False, style="dim")
    for task, on_task in table.groupby("task", sort=True):
        console.print(f"{escape(str(task))} [dim]{escape(on_task['objective'].iloc[0])}[/]", highlight=False)
        for row in on_task.to_dict("records"):
            line = f"{escape(row['method']):{wide}}  {_mean(row, 'validation'):>18} {_mean(row, 'test'):>18}"
            line = f"[bold]{line}[/]" if row["test"] == on_task["test"].min() else line
            console.print(f"{line} {row['runs']:>5}", highlight=False, soft_wrap=True)
        of_task = pairs[pairs["task"] == task]
        for row in of_task.to_dict("records") if len(of_task) <= _PAIRS else []:
            text = f"  {row['first']} – {row['second']}: {_difference(row)}"
            console.print(text, highlight=False, markup=False, soft_wrap=True)
    if plot:
        path = study.folder / "drift.png"
        drift(block_curves(rows), path, command=command)
        console.print(f"Figure: {path}", highlight=False, soft_wrap=True)
    _print_comparison(console, unit_scores(rows))


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


def _mean(row: dict[Any, Any], name: str) -> str:
    half = row[name] - row[f"{name}_low"]
    return f"{row[name]:.4g}" if half != half else f"{row[name]:.4g} ± {half:.2g}"  # NaN with one seed


def _difference(row: dict[Any, Any]) -> str:
    if row["minus_low"] != row["minus_low"]:
        return f"{row['minus']:+.3g} (one seed in common: no interval)"
    interval = f"95 % interval [{row['minus_low']:+.3g}, {row['minus_high']:+.3g}]"
    return f"{row['minus']:+.3g}, {interval}, paired by {row['seeds']} seeds"
