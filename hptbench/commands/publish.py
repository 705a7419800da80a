"""``publish``: what of a finished study is worth keeping for good: curves, ranks, tests and costs, small enough to
commit.

Into the folder of the study it writes incumbents.parquet (every change of every run's incumbent), published.parquet
(a row per run) and references.json (lowest value known, optima included, and median random value of each task), and
made of these ranks.png with ranks.json and comparison.md (ranks, tests, processor seconds). What was published there
before stays: a study can grow from day to day, and what is committed can be looked at without its runs. Regret and its
references: hptbench/results/regret.py.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from rich.console import Console

from hptbench.commands.compare import check_comparable, chosen, selected
from hptbench.errors import UserError, unknown
from hptbench.files import write_whole
from hptbench.results.collect import collect
from hptbench.results.fronts import several
from hptbench.results.published import BEGIN_ANEW, Published, condensed, is_published, read, write
from hptbench.results.regret import (
    COLUMN_OF,
    FLOOR,
    Axis,
    Reference,
    Standing,
    Worth,
    evaluations,
    incumbents,
    log_regrets,
    standing,
)
from hptbench.results.table import DEFAULT, USED, Accounting
from hptbench.stats.pairwise import Pair, against, corrected
from hptbench.stats.ranks import friedman, mean_ranks
from hptbench.stats.words import friedman_sentence

if TYPE_CHECKING:
    import pandas as pd

_COARSE = 1e-2
"""A second floor of the regret, by which ranks are shown once more."""
_AT, _AT_FULL = (25.0, 50.0, 100.0), (1.0, 3.0, 10.0, 30.0, 100.0)
_WORTH = {
    "seen": "the incumbent's value at the full fidelity",
    "full": "what the incumbent's configuration is worth at the full fidelity, whatever it was trained to",
}
_SPAN, _POINTS = 1000, 200
"""Of curves on a logarithmic axis: from at most a 1000th of its end, so many points."""


def main(argv: list[str]) -> int:
    """Write the lasting part of a study's results."""
    parser = argparse.ArgumentParser(
        "python -m hptbench publish", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of a study, e.g. results/blackbox")
    parser.add_argument(
        "--at",
        nargs="+",
        type=float,
        metavar="N",
        help="where methods are compared; default: after 25, 50 and 100 evaluations, or after 1, 3, 10, … full ones, "
        "as far as the runs go, or at their end",
    )
    parser.add_argument(
        "--by",
        choices=get_args(Accounting),
        help="what is counted along a run: evaluations (default, if all are full ones), full evaluations with "
        "continued trainings credited (default else) or from_zero, or the run's time",
    )
    parser.add_argument(
        "--worth",
        choices=get_args(Worth),
        help="what an incumbent is worth: the value seen at the full fidelity (default, if all evaluations are full), "
        "or that of its configuration trained in full, which the task knows (default else)",
    )
    parser.add_argument(
        "--reference",
        nargs="+",
        default=[],
        metavar="METHOD",
        help="tested against each other method, in a table of its own; default: the best final mean rank",
    )
    parser.add_argument("--where", nargs="+", default=[], metavar="COLUMN=VALUE", help="only these runs, as in compare")
    options = parser.parse_args(argv)
    folder, command = options.results, shlex.join(["python", "-m", "hptbench", "publish", *argv])
    found, unfinished = gathered(folder, options.where, options.worth)
    at = options.at and sorted(set(options.at))
    console = Console()
    for path in publish(folder, found, options.by, at, options.reference, command, options.where, unfinished):
        console.print(str(path), highlight=False, soft_wrap=True)
    return 0


def gathered(folder: Path, where: Sequence[str] = (), of: Worth | None = None) -> tuple[Published, tuple[str, ...]]:
    """The lasting part of the study in ``folder``, of its runs that satisfy ``where`` and of all that were published
    before, and the names of unfinished runs; ``of``: see ``--worth``."""
    before = read(folder) if is_published(folder) else None
    if before is not None and not (folder / "runs").is_dir():
        if of not in (None, before.worth):
            raise UserError(f"expected --worth {before.worth}, as published before, got {of}; the runs are not there")
        return before, ()
    study = chosen(collect(folder), where)
    runs = study.runs[study.runs["method"] != DEFAULT]
    if runs.empty:
        raise UserError("expected runs of methods, got none")
    if several(runs).any():
        raise UserError("expected tasks of one objective, got several; see compare, or choose with --where task=…")
    of = of or (before.worth if before is not None else "seen" if _full(runs) else "full")
    found = condensed(study.jobs, runs, of, before)
    try:
        check_comparable(found.runs)
    except UserError as error:
        raise (
            error if before is None else UserError(f"{error}; what was published counts, too: {BEGIN_ANEW}")
        ) from error
    return found, study.unfinished


def axis_of(found: Published, by: Accounting | None = None) -> Axis:
    """Along what the runs of a study are compared, to the end of the longest; None: see ``--help``."""
    by = by or ("evaluations" if _full(found.runs) else "credited")
    used = found.steps[COLUMN_OF[by]]
    if by == "evaluations":
        return replace(evaluations(int(used.max())), worth=found.worth)
    return Axis(np.geomspace(max(used.min(), used.max() / _SPAN), used.max(), _POINTS), by, found.worth)


def _full(runs: pd.DataFrame) -> bool:
    """Whether every job was a full evaluation."""
    return bool(np.isclose(runs["full_evals"], runs["jobs"]).all())


def publish(
    folder: Path,
    found: Published,
    by: Accounting | None = None,
    at: Sequence[float] | None = None,
    reference: Sequence[str] = (),
    command: str = "",
    where: Sequence[str] = (),
    unfinished: Sequence[str] = (),
) -> list[Path]:
    """The files written: the lasting ones of all of ``found``, and the comparison of the runs that satisfy ``where``.

    Methods that lack tasks are kept and named: they have no ranks, and are tested on the tasks that they have.
    UserError if none is complete, or a reference is not, or ``at`` goes beyond the runs."""
    from hptbench.plots.draw import draw
    from hptbench.report.curves import standings

    chosen_runs = selected(found.runs, where)
    partial = _partial(chosen_runs)
    for one in reference:
        if one in partial:
            raise UserError(f"expected runs of {one} on every task to test it against others, got {partial[one]}")
    part = found.of(chosen_runs[~chosen_runs["method"].isin(partial)])
    axis = axis_of(part, by)
    first, last = float(axis.at[0]), float(axis.at[-1])
    at = at or [n for n in (_AT if axis.by == "evaluations" else _AT_FULL) if first <= n <= last] or [last]
    if not first <= at[0] <= at[-1] <= last * (1 + 1e-9):
        raise UserError(f"expected --at between {first:.3g} and {last:.6g} {USED[axis.by]}, got {list(at)}")
    axis = replace(axis, at=np.union1d(axis.at, at))
    fine, coarse = (_standing(part, axis, floor) for floor in (FLOOR, _COARSE))
    for one in reference:
        if one not in fine.methods:
            raise unknown("method", one, fine.methods)
    files = write(folder, found)
    best_first = [fine.methods[j] for j in np.argsort(mean_ranks(fine.after(at[-1])), kind="stable")]
    tests = []
    for one in dict.fromkeys(reference or best_first[:1]):
        duels = [_standing(found.of(_duel(chosen_runs, one, method)), axis) for method in partial]
        tests += _test_lines(_tests([fine, *duels], at, one), at, one, chosen_after=not reference)
    drawn = draw(standings(fine), folder, best_first, command=command)
    text = _text(folder.resolve().name, part, fine, coarse, at, tests, command, partial, unfinished)
    path = folder / "comparison.md"
    write_whole(path, lambda new: new.write_text(text.rstrip("\n") + "\n", encoding="utf-8"))
    return [*files, *drawn, path]


def _text(
    name: str,
    part: Published,
    where: Standing,
    coarse: Standing,
    at: Sequence[float],
    tests: Sequence[str],
    command: str,
    partial: Mapping[str, str],
    unfinished: Sequence[str],
) -> str:
    order = np.argsort(mean_ranks(where.after(at[-1])), kind="stable")
    runs = part.runs
    seeds = runs.groupby(["task", "method"]).size().groupby("method").agg(["min", "max"])
    cpu = (runs["ask"] + runs["tell"]).groupby(runs["method"]).median()
    lines = [
        f"# {name}: {len(where.methods)} methods on {_problems(where, part.references)}",
        "",
        f"Made by `{command}`." if command else "",
        "",
        "![Mean ranks and regrets](ranks.png)",
        "",
        f"Normalised regret of {_WORTH[where.axis.worth]}, after {USED[where.axis.by]}: 1 is a median random "
        "configuration, 0 the best known value, floored at "
        f"{FLOOR:g}; scores are its log10, averaged over seeds first. Ranks: 1 is the best; the column after them "
        f"shows how much they owe to the last digits: regrets below {_COARSE:g} count as equal. CPU: median processor "
        "seconds of ask and tell over the runs.",
        "",
        "| method | " + " | ".join(f"rank at {n:g}" for n in at) + f" | at {at[-1]:g}, coarse | "
        + " | ".join(f"score at {n:g}" for n in at) + " | CPU s | seeds |",
        "|---" * (2 * len(at) + 4) + "|",
    ]  # fmt: skip
    for j in order:
        method = where.methods[j]
        ranks = " | ".join(f"{mean_ranks(where.after(n))[j]:.2f}" for n in at)
        scores = " | ".join(f"{where.after(n)[:, j].mean():.3f}" for n in at)
        low, high = seeds.loc[method]
        count = str(low) if low == high else f"{low}–{high}"
        rough = f"{mean_ranks(coarse.after(at[-1]))[j]:.2f}"
        lines.append(f"| {method} | {ranks} | {rough} | {scores} | {cpu[method]:.3g} | {count} |")
    lines += _missing(runs, partial, unfinished)
    lines += ["", f"{friedman_sentence(friedman(where.after(at[-1])))} (at {at[-1]:g} {USED[where.axis.by]})"]
    lines += tests
    lines += ["", "## Problems", "", "| task | best known | median random |", "|---|---|---|"]
    lines += [f"| {task} | {one.best:.6g} | {one.random:.6g} |" for task, one in part.references.items()]
    lines += ["", *_machines(runs)]
    return "\n".join(lines)


def _problems(where: Standing, found: Mapping[str, Reference]) -> str:
    units, tasks = len(where.units), len(found)
    return f"{units} problems" + (
        "" if tasks == units else f", made of {tasks} tasks; those of one data set count once"
    )


def _partial(runs: pd.DataFrame) -> dict[str, str]:
    """The methods that lack tasks which others have, and how many they have. UserError if all do."""
    tasks = runs["task"].nunique()
    have = {str(method): int(n) for method, n in runs.groupby("method")["task"].nunique().items()}
    partial = {method: f"{n} of {tasks} tasks" for method, n in have.items() if n < tasks}
    if len(partial) == len(have):
        named = ", ".join(f"{method} {text}" for method, text in partial.items())
        raise UserError(
            f"expected a method with runs on every task, got only {named}; run them, or choose tasks (--where)"
        )
    return partial


def _missing(runs: pd.DataFrame, partial: Mapping[str, str], unfinished: Sequence[str]) -> list[str]:
    """By name, the methods that lack runs which others have; and how many runs are not finished."""
    seeds = runs["seed"].nunique()
    lacking = {
        str(method): runs["task"].nunique() * seeds - len(of_method) for method, of_method in runs.groupby("method")
    }
    named = ", ".join(f"{method} {lack}" for method, lack in lacking.items() if lack)
    lines = []
    if partial:
        left_out = ", ".join(f"{method} ({text})" for method, text in partial.items())
        lines += [
            "",
            f"**Not ranked**, since they lack tasks: {left_out}. The tests below take the tasks that they have.",
        ]
    if named:
        lines += [
            "",
            f"**Missing runs**, of {seeds} seeds on every task: {named}. Their scores are means over fewer seeds, "
            "which favours nobody on average, but makes them, and the tests below, less certain.",
        ]
    if unfinished:
        n = len(unfinished)
        begun = "1 run of this study has" if n == 1 else f"{n} runs of this study have"
        lines += ["", f"{begun} begun, but not finished, and count{'s' if n == 1 else ''} nowhere."]
    return lines


def _standing(part: Published, axis: Axis, floor: float = FLOOR) -> Standing:
    units = dict(zip(part.runs["task"], part.runs["unit"], strict=True))
    return standing(log_regrets(incumbents(part.steps, axis), part.references, floor), units, axis)


def _duel(runs: pd.DataFrame, reference: str, method: str) -> pd.DataFrame:
    """The runs of two methods on the tasks that ``method`` has."""
    tasks = runs.loc[runs["method"] == method, "task"].unique()
    return runs[runs["method"].isin([reference, method]) & runs["task"].isin(tasks)]


def _tests(where: Sequence[Standing], at: Sequence[float], reference: str) -> list[Pair]:
    """The reference against each other method at each of ``at``, one after the other, as one family."""
    return corrected([pair for one in where for n in at for pair in against(one.after(n), one.methods, reference)])


def _test_lines(pairs: Sequence[Pair], at: Sequence[float], reference: str, chosen_after: bool) -> list[str]:
    note = " It was chosen because it ranks first here, which favours it." if chosen_after else ""
    lines = [
        "",
        f"## {reference} against each",
        "",
        f"Wilcoxon signed-rank tests over the problems that both have, Holm over all {len(pairs)} comparisons of this "
        f"table.{note} Difference: Hodges–Lehmann, of the scores; negative: the reference is better.",
        "",
        "| method | problems | " + " | ".join(f"won/tied/lost at {n:g} | difference | p Holm" for n in at) + " |",
        "|---" * (3 * len(at) + 2) + "|",
    ]
    for method in sorted({pair.b for pair in pairs}):
        row = [pair for pair in pairs if pair.b == method]
        cells = " | ".join(f"{p.wins}/{p.ties}/{p.losses} | {p.difference:.3f} | {p.p_holm:.2g}" for p in row)
        lines.append(f"| {method} | {row[0].units} | {cells} |")
    return lines


def _machines(runs: pd.DataFrame) -> list[str]:
    commits = ", ".join(sorted(str(commit)[:8] for commit in runs["commit"].dropna().unique()))
    return ["Machines: " + "; ".join(sorted(runs["device"].dropna().unique())) + ".", "", f"Code: commits {commits}."]
