"""``compare``: the methods of a finished study, with data sets as the units."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from hptbench.commands._formats import FORMATS, formatted
from hptbench.commands.drift import retuned
from hptbench.commands.tables import View, comparison, show
from hptbench.errors import UserError, unknown
from hptbench.results.collect import Study, collect
from hptbench.results.collect import chosen as only
from hptbench.results.schema import KEY
from hptbench.results.table import DEFAULT, Accounting, Missing
from hptbench.stats.aggregate import AGGREGATES
from hptbench.stats.bayes import checked_rope

if TYPE_CHECKING:
    import pandas as pd

PROTOCOL = (
    "version", "task_identity", "space", "objectives", "high", "fidelity_unit", "budget", "workers", "clock", "limits",
    "simulation",
)  # fmt: skip
"""What must be the same for all runs of a task: columns of ``runs``."""


_JSON = ("budget", "limits", "simulation", "hyperparameters", "task_identity")


def main(argv: list[str]) -> int:
    """Print the comparison of a study's methods."""
    parser = argparse.ArgumentParser("python -m hptbench compare", description=__doc__)
    parser.add_argument("results", type=Path, help="folder of a study, e.g. results/embedded")
    parser.add_argument("--measure", default="test", choices=("test", "validation"), help="score of the incumbents")
    parser.add_argument(
        "--accounting", default="credited", choices=get_args(Accounting),
        help="what the anytime curves count: continued training credited, each training from zero, time, or jobs",
    )  # fmt: skip
    parser.add_argument("--anchor", default="default", choices=("default", "none"), help="what scores are divided by")
    parser.add_argument(
        "--where", nargs="+", default=[], metavar="COLUMN=VALUE",
        help="only these runs, e.g. --where workers=4 budget.max_full_evals=20 method=bohb,random",
    )  # fmt: skip
    parser.add_argument(
        "--unequal", nargs="+", default=[], metavar="WHAT", help=f"what may differ: {', '.join(PROTOCOL)}"
    )
    add_missing(parser, "refuse")
    add_rope(parser)
    parser.add_argument(
        "--hierarchical", action="store_true",
        help="with --rope: what the next data set will show, by data sets and seeds; seconds for each pair",
    )  # fmt: skip
    parser.add_argument(
        "--aggregate", default="iqm", choices=tuple(AGGREGATES), help="one number for all data sets and seeds"
    )
    parser.add_argument(
        "--format", default="text", choices=FORMATS, help="of the comparison; all but text print nothing else"
    )
    parser.add_argument("--no-plot", action="store_true", help="draw no anytime curves")
    options = parser.parse_args(argv)
    study = chosen(collect(options.results), options.where)
    check_comparable(study.runs, options.unequal)
    view = View(
        options.measure, options.accounting, options.anchor, options.missing, not options.no_plot, options.aggregate,
        options.rope, options.hierarchical, tuple(options.unequal), tuple(options.where),
    )  # fmt: skip
    command = shlex.join(["python", "-m", "hptbench", "compare", *argv])
    if options.format == "text":
        show(study, view, command=command)
        return 0
    if len(rows := retuned(study)):
        raise UserError(
            f"expected tasks whose incumbents compare, but {rows['task'].iloc[0]} drifts; choose others with --where "
            "task=…, or --format text"
        )
    print(formatted(comparison(study, view), options.format, study.folder.resolve().name, command))
    return 0


def add_missing(parser: argparse.ArgumentParser, default: Missing) -> None:
    """The option of what becomes of missing scores."""
    parser.add_argument(
        "--missing", default=default, choices=get_args(Missing),
        help="runs without a score: an error (refuse), their data sets left out by name (drop), or counted as the "
        f"worst; default: {default}",
    )  # fmt: skip


def add_rope(parser: argparse.ArgumentParser) -> None:
    """The option of what counts as equivalent."""
    parser.add_argument(
        "--rope", type=_width, metavar="WIDTH",
        help="region of practical equivalence, in the unit of the scores (with the anchor default: 0.01 is 1 %% of the "
        "default's loss): adds the probability that a method is better, equivalent or worse",
    )  # fmt: skip


def _width(text: str) -> float:
    try:
        return checked_rope(float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number >= 0, got {text}") from None


def chosen(study: Study, where: Sequence[str]) -> Study:
    """The part of a study with the runs that satisfy all conditions, and the default configurations of their tasks,
    seeds and limits."""
    import numpy as np
    import pandas as pd

    runs = study.runs
    asked_for = selected(runs, where)
    same = ["task", "seed", "version", "task_identity", "space", "limits"]
    asked = set(asked_for[same].itertuples(index=False, name=None))
    fits = np.array([row in asked for row in runs[same].itertuples(index=False, name=None)])
    default = runs[fits & (runs["method"] == DEFAULT).to_numpy()].drop_duplicates(["task", "seed"])
    runs = pd.concat([asked_for, default], ignore_index=True)
    if len(runs) == len(study.runs):  # all: nothing to choose from many jobs
        return replace(study, runs=runs)
    jobs = only(study.jobs, list(runs[KEY].itertuples(index=False, name=None)))
    return replace(study, jobs=jobs, runs=runs)


def selected(runs: pd.DataFrame, where: Sequence[str]) -> pd.DataFrame:
    """The rows of ``runs`` that satisfy all conditions, without those of default configurations. UserError if there is
    none, or for a condition that makes no sense."""
    keep = runs["method"] != DEFAULT
    for condition in where:
        name, equals, values = condition.partition("=")
        column, _, key = name.partition(".")
        if not equals or column not in runs.columns or (key and column not in _JSON):
            raise UserError(
                f"expected COLUMN=VALUE with one of {', '.join(runs.columns)}, or COLUMN.KEY=VALUE with one of "
                f"{', '.join(_JSON)}, got {condition!r}"
            )
        have = runs[column].map(lambda value, key=key: _entry(value, key))
        keep &= have.map(_plain).isin({_plain(value) for value in values.split(",")})
    if not keep.any():
        there = ", ".join(runs["method"].unique())
        raise UserError(f"no run satisfies {' '.join(where)}; methods there are: {there}")
    return runs[keep]


def _entry(value: Any, key: str) -> Any:
    """``value``, or the entry ``key`` of the JSON that it is; None where there is none."""
    if not key:
        return value
    inside = json.loads(value)
    return inside.get(key) if isinstance(inside, dict) else None


def check_comparable(runs: pd.DataFrame, unequal: Sequence[str] = ()) -> None:
    """UserError if runs of one task differ in their protocol, or one label stands for two methods."""
    for name in unequal:
        if name not in PROTOCOL:
            raise unknown("part of a protocol", name, PROTOCOL)
    runs = runs[runs["method"] != DEFAULT]
    for method, group in runs.groupby("method"):
        for column in ("method_class", "hyperparameters"):
            if group[column].nunique() > 1:
                raise UserError(
                    f"{method} stands for runs with different {column}: {_both(group[column])}; run one under another "
                    f"label (+method@method.other={method}), or choose with --where hyperparameters.NAME=…"
                )
    for task, group in runs.groupby("task"):
        for column in PROTOCOL:
            if column not in unequal and group[column].map(str).nunique() > 1:
                raise UserError(
                    f"the runs of {task} differ in {column}: {_both(group[column])}; choose one with --where, or allow "
                    f"it with --unequal {column}"
                )


def _both(column: pd.Series[Any]) -> str:
    first, second = column.map(str).unique()[:2]
    if len(first) > 100:
        at = next(i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
        first, second = f"…{first[max(at - 30, 0) : at + 30]}…", f"…{second[max(at - 30, 0) : at + 30]}…"
    return f"{first} and {second}"


def _plain(value: object) -> str:
    """Numbers, booleans and nulls as on the command line."""
    if value is None:
        return "null"
    try:
        return repr(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value).lower() if isinstance(value, bool) else str(value)
