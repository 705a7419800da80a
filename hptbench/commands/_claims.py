"""What is kept of claims: an entry in claims.json, rows of claims.parquet, and the text of claims.md."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hptbench.results import claims as rule
from hptbench.results.claims import Judgement, Results, verdict_of
from hptbench.results.table import DEFAULT, USED
from hptbench.stats.intervals import median_interval
from hptbench.stats.pairwise import Pair

if TYPE_CHECKING:
    import pandas as pd

_VERSIONS = ("python", "hptbench", "numpy", "scipy", "scikit-learn")


def entry(
    spec: Mapping[str, Any], judgements: Sequence[Judgement], found: Results, runs: pd.DataFrame, command: str
) -> dict[str, Any]:
    """A claim's verdict and all numbers behind it, as JSON; null for NaN and infinity."""
    runs = runs[runs["method"] != DEFAULT]
    cpu = (runs["ask"] + runs["tell"]).groupby(runs["method"])
    versions = [json.loads(text) for text in runs["versions"].unique()]
    return {
        "verdict": verdict_of(judgements),
        "command": command,
        "spec": dict(spec),
        "counted": USED[found.axis.by],
        "comparisons": [_comparison(judgement, found) for judgement in judgements],
        "runs": len(runs),
        "evaluations": int(runs["jobs"].sum()),
        "failed": int(runs["failed"].sum()),
        "cpu_per_run": {str(method): _plain(seconds) for method, seconds in cpu.median().items()},
        "cpu_total": _plain(cpu.sum().sum()),
        "budgets": sorted(runs["budget"].unique()),
        "machines": sorted(runs["device"].unique()),
        "versions": {name: sorted({str(one[name]) for one in versions if name in one}) for name in _VERSIONS},
        "commits": sorted({str(commit) for commit in runs["commit"]}),
    }


def _comparison(judgement: Judgement, found: Results) -> dict[str, Any]:
    c = judgement.comparison
    return {
        "better": c.better,
        "than": c.than,
        "at": c.at,
        "than_at": c.than_at,
        "margin": c.margin,
        "verdict": judgement.verdict,
        "over_units": judgement.over_units and _pair(judgement.over_units),
        "problems": {
            problem: {
                name: _side(method, at, found, problem)
                for name, (method, at) in zip(("better", "than"), c.ends, strict=True)
            }
            | _pair(pair)
            for problem, pair in judgement.problems.items()
        },
    }


def _side(method: str, at: float, found: Results, problem: str) -> dict[str, Any]:
    median = median_interval(found.values[problem, method][:, found.axis.index(at)])
    used = found.used[problem, method].clip(max=at)
    return {
        "median": _plain(median.estimate), "low": _plain(median.low), "high": _plain(median.high),
        "used": [_plain(used.min()), _plain(used.max())],
    }  # fmt: skip


def _pair(pair: Pair) -> dict[str, Any]:
    names = ("wins", "ties", "losses", "difference", "low", "high", "p", "p_holm")
    return {name: _plain(getattr(pair, name)) for name in names}


def _plain(value: Any) -> int | float | None:
    if isinstance(value, int):
        return value
    return float(f"{float(value):.6g}") if math.isfinite(value) else None


def raw(claim: str, judgements: Sequence[Judgement], found: Results) -> pd.DataFrame:
    """A row per run and number of evaluations compared: claim, problem, method, seed, at, value, score."""
    import pandas as pd

    at: dict[str, set[float]] = {}
    for judgement in judgements:
        for method, end in judgement.comparison.ends:
            at.setdefault(method, set()).add(end)
    frames = [
        pd.DataFrame({
            "claim": claim, "problem": problem, "method": method, "seed": range(len(values)), "at": n,
            "value": values[:, found.axis.index(n)], "score": found.scores[problem, method][:, found.axis.index(n)],
        })
        for (problem, method), values in sorted(found.values.items()) for n in sorted(at.get(method, ()))
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def markdown(entries: Mapping[str, Mapping[str, Any]], missing: Iterable[str]) -> str:
    """The text of claims.md: an overview, the rule, then each claim."""
    doc = re.sub(r":mod:`([^`]*)`", r"`\1`", inspect.getdoc(rule) or "").replace("``", "`")
    lines = ["# Claims of papers, tested by our own runs", "", "| claim | paper | verdict |", "|---|---|---|"]
    for name, one in entries.items():
        lines.append(f"| [{name}](#{name}): {one['spec']['claim']} | {one['spec']['paper']} | **{one['verdict']}** |")
    lines += [f"| {name} | | not run |" for name in missing]
    lines += ["", "## The rule", "", doc.partition("\n\n")[2], ""]
    lines += [
        "In the tables: medians over the seeds of the incumbents' values (with several objectives: of the hypervolume "
        "regrets), with what was really used where it is less; on how many seeds the first was better / as "
        "good / worse; Hodges–Lehmann difference of the scores, negative if the first is better; intervals of 95 %, "
        "not corrected. –: nothing found that keeps the constraints."
    ]
    for name, one in entries.items():
        lines += ["", *_section(name, one)]
    return "\n".join(lines) + "\n"


def _section(name: str, one: Mapping[str, Any]) -> list[str]:
    spec = one["spec"]
    lines = [
        f"## {name}",
        "",
        f"**{one['verdict']}**: {spec['claim']} ({spec['paper']})",
        "",
        f"    {one['command']}",
        "",
    ]
    lines += [f"Study, {spec['seeds']} seeds:", "", *(f"    {' '.join(line.split())}" for line in spec["study"])]
    for c in one["comparisons"]:
        margin = f" (up to {c['margin']:g})" if c["margin"] else ""
        than_at = c["at"] if c["than_at"] is None else c["than_at"]
        after = f" after {c['at']:g}" if than_at != c["at"] else ""
        lines += ["", f"**{c['better']}**{after} {'no worse' if margin else 'better'} than **{c['than']}**{margin} "
                  f"after {than_at:g} {one['counted']}: **{c['verdict']}**." + _over(c["over_units"]), ""]  # fmt: skip
        lines += [f"| problem | {c['better']} | {c['than']} | seeds | difference | p Holm |", "|---" * 6 + "|"]
        for problem, row in c["problems"].items():
            sides = " | ".join(_median(row[side], at) for side, at in (("better", c["at"]), ("than", than_at)))
            counts = f"{row['wins']}/{row['ties']}/{row['losses']}"
            difference = f"{_number(row['difference'])}{_interval(row)}"
            lines.append(f"| {problem} | {sides} | {counts} | {difference} | {row['p_holm']:.2g} |")
    cpu = ", ".join(f"{method} {_number(seconds)}" for method, seconds in one["cpu_per_run"].items())
    versions = ", ".join(f"{name} {' or '.join(found)}" for name, found in one["versions"].items())
    failed = f", {one['failed']} of them failed" if one["failed"] else ""
    return [
        *lines, "",
        f"Processor seconds of ask and tell, median of the runs: {cpu}; {_number(one['cpu_total'])} in all. "
        f"{one['runs']} runs, {one['evaluations']:,} evaluations{failed}. {'; '.join(one['machines'])}. {versions}; "
        f"commit {' or '.join(one['commits'])}.",
    ]  # fmt: skip


def _over(pair: Mapping[str, Any] | None) -> str:
    if pair is None:
        return ""
    return (
        f" Over {pair['wins'] + pair['ties'] + pair['losses']} units: better on {pair['wins']}, as good on "
        f"{pair['ties']}, worse on {pair['losses']}; difference of the mean scores {_number(pair['difference'])}"
        f"{_interval(pair)}, p Holm {pair['p_holm']:.2g}."
    )


def _median(side: Mapping[str, Any], at: float) -> str:
    least, most = side["used"]
    fewer = "" if least == at else f" (after {least:g})" if least == most else f" (after {least:g} or more)"
    return f"{_number(side['median'])}{_interval(side)}{fewer}"


def _interval(row: Mapping[str, Any]) -> str:
    return "" if row["low"] is None and row["high"] is None else f" [{_number(row['low'])}, {_number(row['high'])}]"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
