"""``publish``: what of a finished study is worth keeping for good: curves, ranks, tests and costs, small enough to
commit.

Into the folder of the study it writes incumbents.parquet (every run's incumbent after each evaluation), ranks.png with
ranks.json, references.json (lowest value known, optima included, and median random value of each task) and
comparison.md (ranks, tests, processor seconds); runs.parquet is there already. Regret and its references:
hptbench/results/regret.py.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from rich.console import Console

from hptbench.commands.compare import check_comparable, chosen
from hptbench.errors import UserError, unknown
from hptbench.files import write_whole
from hptbench.results.collect import Study, collect
from hptbench.results.fronts import several
from hptbench.results.regret import (
    FLOOR,
    Axis,
    Reference,
    Standing,
    Worth,
    evaluations,
    incumbents,
    log_regrets,
    references,
    standing,
    worth,
)
from hptbench.results.schema import KEY
from hptbench.results.table import DEFAULT, USED, Accounting, incumbent_curve
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
        "--reference", metavar="METHOD", help="tested against each other method; default: the best final mean rank"
    )
    parser.add_argument("--where", nargs="+", default=[], metavar="COLUMN=VALUE", help="only these runs, as in compare")
    options = parser.parse_args(argv)
    study = chosen(collect(options.results), options.where)
    check_comparable(study.runs)
    command = shlex.join(["python", "-m", "hptbench", "publish", *argv])
    console = Console()
    axis = axis_of(study, options.by, options.worth)
    for path in publish(study, axis, options.at and sorted(set(options.at)), options.reference, command):
        console.print(str(path), highlight=False, soft_wrap=True)
    return 0


def axis_of(study: Study, by: Accounting | None = None, of: Worth | None = None) -> Axis:
    """Along what the runs of a study are compared, to the end of the longest; None: see ``--help``."""
    jobs = study.jobs[study.jobs["method"] != DEFAULT]
    if jobs.empty:
        raise UserError("expected runs of methods, got none")
    full = bool((jobs["stop"] >= jobs["task"].map(_high(study))).all())
    by, of = by or ("evaluations" if full else "credited"), of or ("seen" if full else "full")
    used = [incumbent_curve(run, by)["x"].to_numpy(float) for _, run in jobs.sort_values(["ended", "job"]).groupby(KEY)]
    last = max(x[-1] for x in used)
    if by == "evaluations":
        return replace(evaluations(int(last)), worth=of)
    return Axis(np.geomspace(max(min(x[0] for x in used), last / _SPAN), last, _POINTS), by, of)


def _high(study: Study) -> dict[str, float]:
    return {str(task): float(high) for task, high in study.runs.groupby("task")["high"].max().items()}


def publish(
    study: Study, axis: Axis, at: Sequence[float] | None = None, reference: str | None = None, command: str = ""
) -> list[Path]:
    """The files written. UserError if methods, tasks or random search are missing, or ``at`` goes beyond the runs."""
    from hptbench.plots.ranks import ranks

    folder = study.folder
    if several(study.runs).any():
        raise UserError("expected tasks of one objective, got several; see compare, or choose with --where task=…")
    first, last = float(axis.at[0]), float(axis.at[-1])
    at = at or [n for n in (_AT if axis.by == "evaluations" else _AT_FULL) if first <= n <= last] or [last]
    if not first <= at[0] <= at[-1] <= last * (1 + 1e-9):
        raise UserError(f"expected --at between {first:.3g} and {last:.6g} {USED[axis.by]}, got {list(at)}")
    axis = replace(axis, at=np.union1d(axis.at, at))
    study = replace(study, jobs=worth(study.jobs, _high(study), axis.worth))
    stored = folder / "references.json"
    before = _before(stored)
    marks = {
        task: [identity, axis.worth] for task, identity in study.runs.groupby("task")["task_identity"].first().items()
    }
    known = {str(task): float(least) for task, least in study.runs.groupby("task")["optimum"].min().dropna().items()}
    for task, (one, mark) in before.items():
        if marks.get(task) == mark:
            known[task] = min(one.best, known.get(task, np.inf))
    found = references(study.jobs, known)
    values = incumbents(study.jobs, axis)
    units = dict(zip(study.runs["task"], study.runs["unit"], strict=True))
    where, coarse = (standing(log_regrets(values, found, floor), units, axis) for floor in (FLOOR, _COARSE))
    if reference is not None and reference not in where.methods:
        raise unknown("method", reference, where.methods)
    entries = before | {task: (one, marks[task]) for task, one in found.items()}
    plain = {task: {**asdict(one), "of": mark} for task, (one, mark) in sorted(entries.items())}
    _write(stored, json.dumps(plain, indent=1))
    _write_incumbents(study, folder / "incumbents.parquet")
    side = ranks(where, folder / "ranks.png", command)
    _write(folder / "comparison.md", _text(study, where, coarse, at, reference, found, command))
    return [stored, folder / "incumbents.parquet", side.with_suffix(".png"), side, folder / "comparison.md"]


def _before(stored: Path) -> dict[str, tuple[Reference, list[str]]]:
    """The references that were written before, each with its task's identity and the kind of value: another version has
    another best."""
    if not stored.is_file():
        return {}
    try:
        read = json.loads(stored.read_text(encoding="utf-8"))
        return {task: (Reference(one["best"], one["random"]), one["of"]) for task, one in read.items()}
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise UserError(f"{stored} is damaged ({error}); delete it: it is made from the runs again") from error


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda part: part.write_text(text.rstrip("\n") + "\n", encoding="utf-8"))


def _write_incumbents(study: Study, path: Path) -> None:
    """A row per run and evaluation at which the incumbent changed: task, method, seed, evaluation, credited (full
    evaluations consumed), fidelity, value, worth, test."""
    import pandas as pd

    columns = ("credited", "fidelity", "value", "worth", "test")
    parts = []
    for (task, method, seed), run in study.jobs.groupby(["task", "method", "seed"], sort=True):
        run = run.sort_values(["ended", "job"]).assign(fidelity=lambda rows: rows["stop"])
        run = run.assign(credited=incumbent_curve(run, "credited")["x"].to_numpy())
        curve = incumbent_curve(run, "evaluations", columns)
        changed = curve[list(columns)].ne(curve[list(columns)].shift()).any(axis=1) & curve["value"].notna()
        curve = curve[changed].rename(columns={"x": "evaluation"})
        parts.append(curve.assign(task=str(task), method=str(method), seed=int(str(seed))))
    rows = pd.concat(parts, ignore_index=True)[["task", "method", "seed", "evaluation", *columns]]
    rows = rows.astype({"task": "category", "method": "category", "seed": "int32", "evaluation": "int32"})
    write_whole(path, lambda part: rows.to_parquet(part, compression="zstd", index=False))


def _text(
    study: Study,
    where: Standing,
    coarse: Standing,
    at: Sequence[float],
    reference: str | None,
    found: Mapping[str, Reference],
    command: str,
) -> str:
    final = mean_ranks(where.after(at[-1]))
    order = np.argsort(final, kind="stable")
    chosen_after = reference is None
    reference = reference or where.methods[order[0]]
    pairs = _tests(where, at, reference)
    runs = study.runs[study.runs["method"] != DEFAULT]
    seeds = runs.groupby(["task", "method"]).size().groupby("method").agg(["min", "max"])
    cpu = (runs["ask"] + runs["tell"]).groupby(runs["method"]).median()
    lines = [
        f"# {study.folder.name}: {len(where.methods)} methods on {_problems(where, found)}",
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
    lines += _missing(runs, study.unfinished)
    lines += ["", f"{friedman_sentence(friedman(where.after(at[-1])))} (at {at[-1]:g} {USED[where.axis.by]})", ""]
    lines += _test_lines(pairs, at, reference, chosen_after)
    lines += ["", "## Problems", "", "| task | best known | median random |", "|---|---|---|"]
    lines += [f"| {task} | {one.best:.6g} | {one.random:.6g} |" for task, one in found.items()]
    lines += ["", *_machines(runs)]
    return "\n".join(lines)


def _problems(where: Standing, found: Mapping[str, Reference]) -> str:
    units, tasks = len(where.units), len(found)
    return f"{units} problems" + (
        "" if tasks == units else f", made of {tasks} tasks; those of one data set count once"
    )


def _missing(runs: pd.DataFrame, unfinished: Sequence[str]) -> list[str]:
    """By name, the methods that lack runs which others have; and how many runs are not finished."""
    seeds = runs["seed"].nunique()
    lacking = {
        str(method): runs["task"].nunique() * seeds - len(of_method) for method, of_method in runs.groupby("method")
    }
    named = ", ".join(f"{method} {lack}" for method, lack in lacking.items() if lack)
    lines = []
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


def _tests(where: Standing, at: Sequence[float], reference: str) -> list[Pair]:
    """The reference against each other method at each of ``at``, one after the other, as one family."""
    return corrected([pair for n in at for pair in against(where.after(n), where.methods, reference)])


def _test_lines(pairs: Sequence[Pair], at: Sequence[float], reference: str, chosen_after: bool) -> list[str]:
    each = len(pairs) // len(at)
    note = " It was chosen because it ranks first here, which favours it." if chosen_after else ""
    lines = [
        f"## {reference} against each",
        "",
        f"Wilcoxon signed-rank tests over the problems, Holm over all {len(pairs)} comparisons of this table.{note} "
        "Difference: Hodges–Lehmann, of the scores; negative: the reference is better.",
        "",
        "| method | " + " | ".join(f"won/tied/lost at {n:g} | difference | p Holm" for n in at) + " |",
        "|---" * (3 * len(at) + 1) + "|",
    ]
    for i in range(each):
        row = pairs[i::each]
        cells = " | ".join(f"{p.wins}/{p.ties}/{p.losses} | {p.difference:.3f} | {p.p_holm:.2g}" for p in row)
        lines.append(f"| {row[0].b} | {cells} |")
    return lines


def _machines(runs: pd.DataFrame) -> list[str]:
    return ["Machines: " + "; ".join(sorted(runs["device"].unique())) + "."]
