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
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from rich.console import Console

from hptbench.commands._formats import markdown_table
from hptbench.commands.compare import check_comparable, chosen, selected
from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.results.collect import collect
from hptbench.results.fronts import several
from hptbench.results.published import BEGIN_ANEW, Published, condensed, is_published, read, write
from hptbench.results.ranking import COARSE, Ranking, all_full, ranked
from hptbench.results.reaching import Reaching, reaching
from hptbench.results.regret import FLOOR, Worth
from hptbench.results.table import DEFAULT, USED, Accounting
from hptbench.stats.words import friedman_sentence

if TYPE_CHECKING:
    import pandas as pd

_WORTH = {
    "seen": "the incumbent's value at the full fidelity",
    "full": "what the incumbent's configuration is worth at the full fidelity, whatever it was trained to",
}


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Of the command."""
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
    parser.add_argument(
        "--target",
        nargs="+",
        type=float,
        default=[],
        metavar="REGRET",
        help="compare also what the methods use until their incumbents reach this normalised regret, 0 < REGRET < 1",
    )
    parser.add_argument("--where", nargs="+", default=[], metavar="COLUMN=VALUE", help="only these runs, as in compare")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Write the lasting part of a study's results."""
    options = arguments(argv)
    folder, command = options.results, shlex.join(["python", "-m", "hptbench", "publish", *argv])
    found, unfinished = gathered(folder, options.where, options.worth)
    at = options.at and sorted(set(options.at))
    console = Console()
    written = publish(
        folder,
        found,
        by=options.by,
        at=at,
        references=options.reference,
        command=command,
        where=options.where,
        unfinished=unfinished,
        targets=options.target,
    )
    for path in written:
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
    of = of or (before.worth if before is not None else "seen" if all_full(runs) else "full")
    found = condensed(study.jobs, runs, of, before)
    try:
        check_comparable(found.runs)
    except UserError as error:
        raise (
            error if before is None else UserError(f"{error}; what was published counts, too: {BEGIN_ANEW}")
        ) from error
    return found, study.unfinished


def publish(
    folder: Path,
    found: Published,
    by: Accounting | None = None,
    at: Sequence[float] | None = None,
    references: Sequence[str] = (),
    command: str = "",
    where: Sequence[str] = (),
    unfinished: Sequence[str] = (),
    targets: Sequence[float] = (),
) -> list[Path]:
    """The files written: the lasting ones of all of ``found``, and the comparison of the runs that satisfy ``where``.

    Methods that lack tasks are kept and named: they have no ranks, and are tested on the tasks that they have.
    ``targets``: see ``--target``. UserError if none is complete, or a reference is not, or ``at`` goes beyond the
    runs, or a target is none."""
    from hptbench.plots.draw import draw
    from hptbench.report.curves import standings

    ranking = ranked(found, selected(found.runs, where), by, at, references)
    reached = reaching(ranking, targets) if targets else None
    files = write(folder, found)
    drawn = draw(standings(ranking.fine), folder, ranking.methods, command=command)
    text = _text(folder.resolve().name, ranking, command, unfinished, reached)
    path = folder / "comparison.md"
    write_whole(path, lambda new: new.write_text(text.rstrip("\n") + "\n", encoding="utf-8"))
    return [*files, *drawn, path]


def _text(name: str, found: Ranking, command: str, unfinished: Sequence[str], reached: Reaching | None) -> str:
    axis, at = found.fine.axis, found.at
    note = " It was chosen because it ranks first here, which favours it." if found.chosen_after else ""
    lines = [
        f"# {name}: {len(found.methods)} methods on {problems(found)}",
        "",
        f"Made by `{command}`." if command else "",
        "",
        "![Mean ranks and regrets](ranks.png)",
        "",
        f"Normalised regret of {_WORTH[axis.worth]}, after {USED[axis.by]}: 1 is a median random "
        "configuration, 0 the best known value, floored at "
        f"{FLOOR:g}; scores are its log10, averaged over seeds first. Ranks: 1 is the best; the column after them "
        f"shows how much they owe to the last digits: regrets below {COARSE:g} count as equal. CPU: median processor "
        f"seconds of ask and tell over the runs on one machine ({found.timed_on}).",
        "",
        *markdown_table(*found.method_rows()),
        *_missing(found, unfinished),
        "",
        f"{friedman_sentence(found.friedman)} (at {at[-1]:g} {USED[axis.by]})",
    ]
    for reference, tests in found.tests.items():
        said = (
            f"Wilcoxon signed-rank tests over the problems that both have, Holm over all {len(tests)} comparisons of "
            f"this table.{note} Difference: Hodges–Lehmann, of the scores; negative: the reference is better."
        )
        lines += _section(f"## {reference} against each", said, found.test_rows(reference))
    lines += _reaching(reached, found) if reached else []
    rows = [[task, f"{one.best:.6g}", f"{one.random:.6g}"] for task, one in found.part.references.items()]
    lines += ["", "## Problems", "", *markdown_table(["task", "best known", "median random"], rows)]
    return "\n".join([*lines, "", *_machines(found.part.runs)])


def _reaching(reached: Reaching, found: Ranking) -> list[str]:
    said = (
        f"{USED[found.fine.axis.by].capitalize()} until the incumbent's normalised regret is at most the target, "
        f"{found.fine.axis.at[-1]:.3g} where it never is: geometric mean over seeds and problems. Reached: share of "
        "the runs that did."
    )
    lines = _section("## Until a target is reached", said, reached.method_rows())
    for reference, tests in reached.tests.items():
        said = (
            f"Tests as above, Holm over all {len(tests)} comparisons of this table. Difference: of log10 of what was "
            "used; negative: the reference is sooner there."
        )
        lines += _section(f"### {reference} against each", said, reached.test_rows(reference))
    return lines


def _section(title: str, said: str, table: tuple[list[str], list[list[str]]]) -> list[str]:
    return ["", title, "", said, "", *markdown_table(*table)]


def problems(found: Ranking) -> str:
    """How many there are, and tasks."""
    units, tasks = len(found.fine.units), len(found.part.references)
    return f"{units} problems" + (
        "" if tasks == units else f", made of {tasks} tasks; those of one data set count once"
    )


def _missing(found: Ranking, unfinished: Sequence[str]) -> list[str]:
    """By name, the methods that lack runs which others have; and how many runs are not finished."""
    lines = []
    if found.partial:
        left_out = ", ".join(f"{method} ({text})" for method, text in found.partial.items())
        lines += [
            "",
            f"**Not ranked**, since they lack tasks: {left_out}. The tests below take the tasks that they have.",
        ]
    if found.lacking:
        seeds = found.part.runs["seed"].nunique()
        named = ", ".join(f"{method} {lack}" for method, lack in found.lacking.items())
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


def _machines(runs: pd.DataFrame) -> list[str]:
    commits = ", ".join(sorted(str(commit)[:8] for commit in runs["commit"].dropna().unique()))
    return ["Machines: " + "; ".join(sorted(runs["device"].dropna().unique())) + ".", "", f"Code: commits {commits}."]
