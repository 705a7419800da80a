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
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from hptbench.commands.compare import check_comparable, chosen
from hptbench.errors import UserError, unknown
from hptbench.files import write_whole
from hptbench.results.collect import KEY, Study, collect
from hptbench.results.fronts import several
from hptbench.results.regret import FLOOR, Reference, Standing, incumbents, log_regrets, references, standing
from hptbench.results.table import DEFAULT
from hptbench.stats.pairwise import Pair, against, corrected
from hptbench.stats.ranks import friedman, mean_ranks
from hptbench.stats.words import friedman_sentence

if TYPE_CHECKING:
    import pandas as pd

_COARSE = 1e-2
"""A second floor of the regret, by which ranks are shown once more."""
_AT = (25, 50, 100)


def main(argv: list[str]) -> int:
    """Write the lasting part of a study's results."""
    parser = argparse.ArgumentParser(
        "python -m hptbench publish", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of a study, e.g. results/blackbox")
    parser.add_argument(
        "--at",
        nargs="+",
        type=int,
        metavar="N",
        help="evaluations at which methods are compared; default: 25, 50 and 100, as far as the runs go, or their end",
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
    for path in publish(study, options.at and sorted(set(options.at)), options.reference, command):
        console.print(str(path), highlight=False, soft_wrap=True)
    return 0


def publish(
    study: Study, at: Sequence[int] | None = None, reference: str | None = None, command: str = ""
) -> list[Path]:
    """The files written. UserError if methods, tasks or random search are missing, or ``at`` goes beyond the runs."""
    from hptbench.plots.ranks import ranks

    folder = study.folder
    if several(study.runs).any():
        raise UserError("expected tasks of one objective, got several; see compare, or choose with --where task=…")
    _check_full(study)
    longest = int(study.runs.loc[study.runs["method"] != DEFAULT, "jobs"].max())
    at = at or [n for n in _AT if n <= longest] or [longest]
    if at[0] < 1 or at[-1] > longest:
        raise UserError(f"expected --at between 1 and the {longest} evaluations of the runs, got {list(at)}")
    stored = folder / "references.json"
    before = _before(stored)
    identities = dict(zip(study.runs["task"], study.runs["task_identity"], strict=True))
    known = {str(task): float(least) for task, least in study.runs.groupby("task")["optimum"].min().dropna().items()}
    for task, (one, identity) in before.items():
        if identities.get(task) == identity:
            known[task] = min(one.best, known.get(task, np.inf))
    found = references(study.jobs, known)
    values = incumbents(study.jobs, longest)
    units = dict(zip(study.runs["task"], study.runs["unit"], strict=True))
    where, coarse = (standing(log_regrets(values, found, floor), units) for floor in (FLOOR, _COARSE))
    if reference is not None and reference not in where.methods:
        raise unknown("method", reference, where.methods)
    entries = before | {task: (one, identities[task]) for task, one in found.items()}
    plain = {task: {**asdict(one), "task_identity": identity} for task, (one, identity) in sorted(entries.items())}
    _write(stored, json.dumps(plain, indent=1))
    _write_incumbents(study, longest, folder / "incumbents.parquet")
    side = ranks(where, folder / "ranks.png", command)
    _write(folder / "comparison.md", _text(study, where, coarse, at, reference, found, command))
    return [stored, folder / "incumbents.parquet", side.with_suffix(".png"), side, folder / "comparison.md"]


def _check_full(study: Study) -> None:
    """UserError for jobs below the full fidelity, whose values do not compare with those at it."""
    high = study.jobs[KEY].merge(study.runs[[*KEY, "high"]], how="left", on=KEY)["high"].to_numpy(float)
    low = study.jobs["stop"].to_numpy(float) < high
    if low.any():
        job = study.jobs.loc[low, ["method", "task"]].iloc[0]
        raise UserError(
            f"expected trainings to the full fidelity, got lower ones of {job['method']} on {job['task']}, whose "
            "values do not compare; see compare, or choose with --where method=… task=…"
        )


def _before(stored: Path) -> dict[str, tuple[Reference, str]]:
    """The references that were written before, each with its task's identity: another version has another best."""
    if not stored.is_file():
        return {}
    try:
        read = json.loads(stored.read_text(encoding="utf-8"))
        return {task: (Reference(one["best"], one["random"]), one["task_identity"]) for task, one in read.items()}
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise UserError(f"{stored} is damaged ({error}); delete it: it is made from the runs again") from error


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda part: part.write_text(text.rstrip("\n") + "\n", encoding="utf-8"))


def _write_incumbents(study: Study, evaluations: int, path: Path) -> None:
    """A row per run and evaluation at which the incumbent changed: task, method, seed, evaluation, value, test."""
    import pandas as pd

    from hptbench.results.table import incumbent_curve

    parts = []
    for (task, method, seed), run in study.jobs.groupby(["task", "method", "seed"], sort=True):
        curve = incumbent_curve(run.sort_values(["ended", "job"]))[["value", "test"]].iloc[:evaluations]
        curve.insert(0, "evaluation", np.arange(1, len(curve) + 1))
        changed = curve["value"].ne(curve["value"].shift()) & curve["value"].notna()
        parts.append(curve[changed].assign(task=str(task), method=str(method), seed=int(str(seed))))
    rows = pd.concat(parts, ignore_index=True)[["task", "method", "seed", "evaluation", "value", "test"]]
    rows = rows.astype({"task": "category", "method": "category", "seed": "int32", "evaluation": "int32"})
    write_whole(path, lambda part: rows.to_parquet(part, compression="zstd", index=False))


def _text(
    study: Study,
    where: Standing,
    coarse: Standing,
    at: Sequence[int],
    reference: str | None,
    found: Mapping[str, Reference],
    command: str,
) -> str:
    final = mean_ranks(where.scores[at[-1] - 1])
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
        "Normalised regret: 1 is a median random configuration, 0 the best known value, floored at "
        f"{FLOOR:g}; scores are its log10, averaged over seeds first. Ranks: 1 is the best; the column after them "
        f"shows how much they owe to the last digits: regrets below {_COARSE:g} count as equal. CPU: median processor "
        "seconds of ask and tell over the runs.",
        "",
        "| method | " + " | ".join(f"rank at {n}" for n in at) + f" | at {at[-1]}, coarse | "
        + " | ".join(f"score at {n}" for n in at) + " | CPU s | seeds |",
        "|---" * (2 * len(at) + 4) + "|",
    ]  # fmt: skip
    for j in order:
        method = where.methods[j]
        ranks = " | ".join(f"{mean_ranks(where.scores[n - 1])[j]:.2f}" for n in at)
        scores = " | ".join(f"{where.scores[n - 1, :, j].mean():.3f}" for n in at)
        low, high = seeds.loc[method]
        count = str(low) if low == high else f"{low}–{high}"
        rough = f"{mean_ranks(coarse.scores[at[-1] - 1])[j]:.2f}"
        lines.append(f"| {method} | {ranks} | {rough} | {scores} | {cpu[method]:.3g} | {count} |")
    lines += _missing(runs, study.unfinished)
    lines += ["", f"{friedman_sentence(friedman(where.scores[at[-1] - 1]))} (at {at[-1]} evaluations)", ""]
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


def _tests(where: Standing, at: Sequence[int], reference: str) -> list[Pair]:
    """The reference against each other method at each of ``at``, one after the other, as one family."""
    return corrected([pair for n in at for pair in against(where.scores[n - 1], where.methods, reference)])


def _test_lines(pairs: Sequence[Pair], at: Sequence[int], reference: str, chosen_after: bool) -> list[str]:
    each = len(pairs) // len(at)
    note = " It was chosen because it ranks first here, which favours it." if chosen_after else ""
    lines = [
        f"## {reference} against each",
        "",
        f"Wilcoxon signed-rank tests over the problems, Holm over all {len(pairs)} comparisons of this table.{note} "
        "Difference: Hodges–Lehmann, of the scores; negative: the reference is better.",
        "",
        "| method | " + " | ".join(f"won/tied/lost at {n} | difference | p Holm" for n in at) + " |",
        "|---" * (3 * len(at) + 1) + "|",
    ]
    for i in range(each):
        row = pairs[i::each]
        cells = " | ".join(f"{p.wins}/{p.ties}/{p.losses} | {p.difference:.3f} | {p.p_holm:.2g}" for p in row)
        lines.append(f"| {row[0].b} | {cells} |")
    return lines


def _machines(runs: pd.DataFrame) -> list[str]:
    return ["Machines: " + "; ".join(sorted(runs["device"].unique())) + "."]
