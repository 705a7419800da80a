"""A study on the terminal: what the methods found, and what may be concluded from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hptbench.commands._numbers import interval
from hptbench.commands.drift import retuned, show_drift
from hptbench.plots.draw import draw
from hptbench.report import curves, objectives
from hptbench.report.data import Data
from hptbench.results import conclusions
from hptbench.results.collect import Study, chosen, inputs
from hptbench.results.comparison import Comparison, compared
from hptbench.results.fronts import Fronts
from hptbench.results.registered import registered
from hptbench.results.schema import KEY, Measure
from hptbench.results.table import DEFAULT, RANDOM, Accounting, Anchor, Missing, final_table, kind_of, per_run

if TYPE_CHECKING:
    import pandas as pd

_WIDE = 120


@dataclass(frozen=True)
class View:
    """How a study is to be looked at."""

    measure: Measure = "test"
    accounting: Accounting = "credited"
    anchor: Anchor = "default"
    missing: Missing = "refuse"
    plot: bool = True
    aggregate: str = "iqm"
    rope: float | None = None
    hierarchical: bool = False
    unequal: tuple[str, ...] = ()
    where: tuple[str, ...] = ()


def show(study: Study, view: View = View(), command: str = "") -> None:
    """Print the study's table and comparison, draw its curves, and say where everything lies."""
    console = Console()
    best = per_run(study.jobs, study.runs)
    table = final_table(study.jobs, study.runs, view.measure, best)
    _print_results(console, table, view.measure)
    _print_failures(console, table, study)
    console.print(f"Tables: {study.folder}/jobs.parquet, {study.folder}/runs.parquet", highlight=False, soft_wrap=True)
    if len(rows := retuned(study)):
        show_drift(console, study, rows, view.plot, command)
        rest = list(study.runs.loc[~study.runs["task"].isin(rows["task"]), KEY].itertuples(index=False, name=None))
        if not rest:
            return
        study = replace(study, jobs=chosen(study.jobs, rest), runs=chosen(study.runs, rest))
        best = chosen(best, rest)
    methods = [m for m in sorted(study.runs["method"].unique()) if m != DEFAULT]
    fronts = Fronts(study.jobs, study.runs)
    _print_references(console, fronts, view.measure)
    if view.plot and methods and table["validation"].notna().any():
        data = Data(study, view.measure, view.accounting)
        for figure in filter(None, (curves.anytime(data), objectives.fronts(data))):
            path, _ = draw(figure, study.folder, data.methods, command=command, inputs=inputs(study.folder))
            console.print(f"Figure: {path}", highlight=False, soft_wrap=True)
    if len(methods) > 1:
        _print_comparison(console, comparison(study, view, best))


def _print_results(console: Console, table: pd.DataFrame, measure: Measure) -> None:
    seeds = int(table["expected"].max())
    wide = max(12, *(len(method) for method in table["method"]))
    head = f"{'':{wide}}  {'validation':>16} {'test (hidden)':>16} {'vs default':>11} {'vs random':>10} {'runs':>5}"
    kind = kind_of(table["objective"])
    over = "one seed: no intervals" if seeds == 1 else f"mean ± 95 % t interval over {seeds} seeds"
    console.print(
        f"[bold]Incumbents[/] at the end, {over}; lower is better, changes are those of the {measure} {kind}",
        highlight=False,
    )
    console.print(head, highlight=False, style="dim")
    for task, rows in table.groupby("task", sort=True):
        console.print(f"{escape(str(task))} [dim]{escape(rows['objective'].iloc[0])}[/]", highlight=False)
        best = rows[measure].min()
        for row in rows.to_dict("records"):
            default = "" if row["method"] == DEFAULT else _change(row["minus_default"], row["default"])
            random = "" if row["method"] in (DEFAULT, RANDOM) else _change(row["minus_random"], row["random"])
            runs = str(row["runs"]) if row["runs"] == row["expected"] else f"{row['runs']}/{row['expected']}"
            failed = f"  [yellow]{row['failed']} of {row['jobs']} jobs failed[/]" if row["failed"] else ""
            line = f"{escape(row['method']):{wide}}  {interval(row, 'validation'):>16} {interval(row, 'test'):>16}"
            line = f"[bold]{line}[/]" if row[measure] == best else line
            console.print(f"{line} {default:>11} {random:>10} {runs:>5}{failed}", highlight=False, soft_wrap=True)


def _print_references(console: Console, fronts: Fronts, measure: Measure) -> None:
    """What the hypervolumes in the table are measured by."""
    for task, front in fronts.references(measure).items():
        source = "the true front" if fronts.is_known(task) else "all fronts of this study together"
        point = ", ".join(f"{v:.4g}" for v in front.reference_point)
        console.print(
            f"[dim]{escape(task)}: {', '.join(fronts.objectives(task))}; regret against {source}, "
            f"reference point ({point})[/]",
            highlight=False,
            soft_wrap=True,
        )  # fmt: skip


def comparison(study: Study, view: View, best: pd.DataFrame | None = None) -> Comparison:
    """What is concluded from a study; scores are not normalised if the default configuration was not run. ``best``: as
    in :func:`hptbench.results.table.final_table`."""
    anchor: Anchor = view.anchor if DEFAULT in set(study.runs["method"]) else "none"
    return compared(
        study.jobs, study.runs, measure=view.measure, anchor=anchor, missing=view.missing, aggregate=view.aggregate,
        rope=view.rope, deeper=view.hierarchical, registration=registered(study.folder), unequal=view.unequal,
        where=view.where, best=best,
    )  # fmt: skip


def _print_comparison(console: Console, c: Comparison) -> None:
    """Data sets are the units: seeds are averaged first."""
    for warning in conclusions.warnings(c):
        console.print(f"[red]{escape(warning)}[/]", highlight=False)
    if c.registration:
        console.print(
            f"[bold]Hypotheses[/] registered on {c.registration.when} UTC, {c.registration.sha}", highlight=False
        )
        _bullets(console, conclusions.planned(c))
    title = "Exploratory comparison" if c.registration else "Comparison"
    console.print(f"[bold]{title}[/] over {len(c.units)} data set(s), measure: {c.scores.name}", highlight=False)
    for line in (conclusions.horizon(c), conclusions.origins(c.origins)):
        console.print(line, highlight=False, style="dim", markup=False)
    ranks = (f"{conclusions.name_of(c, c.methods[i])} {c.ranks[i]:.2f}" for i in c.order)
    console.print(f"Mean ranks: {', '.join(ranks)}", highlight=False)
    _print_table(console, _rows(conclusions.caption(c), *conclusions.method_rows(c)))
    if len(c.methods) > 2 or c.posteriors:
        _print_table(console, _pair_table(c))
    _bullets(console, conclusions.explored(c))
    console.print(f"[yellow]{conclusions.power(c)}[/]", highlight=False)


def _bullets(console: Console, sentences: list[str]) -> None:
    for sentence in sentences:
        console.print(f"• {escape(sentence)}", highlight=False)


def _print_table(console: Console, table: Table) -> None:
    """Whole, however narrow the terminal."""
    Console(file=console.file, width=max(console.width, _WIDE)).print(table, crop=False)


def _rows(title: str, head: list[str], rows: list[list[str]]) -> Table:
    shown = Table(
        title=escape(title), title_justify="left", title_style="dim", box=None, padding=(0, 1)
    )  # fmt: skip
    for i, name in enumerate(head):
        shown.add_column(name, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*map(escape, row))
    return shown


def _pair_table(c: Comparison) -> Table:
    """As narrow as a terminal; the other formats have more."""
    title = "Each pair: first better / tied / worse; Hodges–Lehmann difference with 95 % interval"
    head = ["pair", "units", "difference", "P(first)", "p", "p Holm"]
    rows = []
    for p in c.pairs:
        interval = f" [{p.low:.2g}, {p.high:.2g}]" if not math.isnan(p.low) else ""
        better = c.improvement[p.a, p.b].estimate
        row = [f"{p.a} – {p.b}", f"{p.wins}/{p.ties}/{p.losses}", f"{p.difference:.2g}{interval}", f"{better:.2f}"]
        row += [f"{p.p:.2g}", f"{p.p_holm:.2g}"]
        if found := c.posteriors.get((p.a, p.b)):
            row.append(f"{found.better:.2f}/{found.equivalent:.2f}/{found.worse:.2f}")
        if c.hierarchies:
            deeper = c.hierarchies.get((p.a, p.b))
            row.append(f"{deeper.better:.2f}/{deeper.equivalent:.2f}/{deeper.worse:.2f}" if deeper else "–")
        rows.append(row)
    if c.rope is not None:
        head.append("Bayes")
        title += f"; Bayes: better/equivalent (±{c.rope:g})/worse"
    if c.hierarchies:
        head.append("next data set")
    return _rows(title, head, rows)


def _print_failures(console: Console, table: pd.DataFrame, study: Study) -> None:
    for row in table[table["without"] > 0].to_dict("records"):
        console.print(
            f"[red]{row['method']} on {row['task']}: {row['without']} of {row['runs']} runs have no incumbent, "
            "since all their jobs failed or violated a constraint; they are in no mean.[/]"
        )
    for row in table[table["below"] > 0].to_dict("records"):
        console.print(
            f"[red]{row['method']} on {row['task']}: in {row['below']} of {row['runs']} runs nothing was trained to "
            "the end; their incumbents are those of a lower fidelity, whose validation does not compare.[/]"
        )
    failed = study.jobs[study.jobs["status"] != "ok"]
    for status, group in failed.groupby("status"):
        message = group["message"].iloc[0]
        example = f", e.g. {escape(str(message))}" if message else ""  # of jobs that were imported none is known
        console.print(f"[yellow]{len(group)} job(s) {status}[/]{example}", highlight=False)
    if study.unfinished:
        console.print(f"[yellow]{len(study.unfinished)} run(s) of this study are not finished and in no table.[/]")


def _change(difference: float, reference: float) -> str:
    if math.isnan(difference) or not reference:
        return "–"
    return f"{100 * difference / abs(reference):+.1f} %"
