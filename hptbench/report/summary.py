"""The words of a report: what was compared, and what may be concluded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hptbench.errors import UserError
from hptbench.provenance import by_method
from hptbench.report.data import Data
from hptbench.results import conclusions
from hptbench.results.comparison import ALPHA, Comparison
from hptbench.results.table import DEFAULT
from hptbench.stats.power import units_needed

NOT_STATED = "not stated"
_UNKNOWN = "not known"


@dataclass(frozen=True)
class Verdict:
    """What may be concluded of the methods at the end of their runs: :mod:`hptbench.results.conclusions`, with a
    headline."""

    headline: str
    warnings: tuple[str, ...] = ()
    comparison: Comparison | None = None
    """None: nothing can be concluded; why is a warning."""

    @property
    def best(self) -> str | None:
        """The method with the best mean rank."""
        c = self.comparison
        return None if c is None else c.methods[c.order[0]]

    @property
    def beaten(self) -> frozenset[str]:
        """The methods that it is significantly better than."""
        if self.comparison is None or self.best is None:
            return frozenset()
        seen = [p if p.a == self.best else p.swapped() for p in self.comparison.significant if self.best in (p.a, p.b)]
        return frozenset(pair.b for pair in seen if pair.rank_biserial > 0)


def verdict(data: Data) -> Verdict:
    """The verdict of ``compare``."""
    if len(data.methods) < 2:
        return Verdict(f"Nothing is compared: methods run are {', '.join(data.methods) or 'none'}.")
    drifting = (
        [f"Not in ranks and tests, but in those of `compare`, by what was deployed: {', '.join(data.drifting)}."]
        if data.drifting
        else []
    )
    try:
        c = data.comparison
    except UserError as error:
        return Verdict("Nothing can be concluded: the methods have no scores to compare.", (*drifting, str(error)))
    weak = conclusions.power(c) if math.isinf(c.detectable) else ""
    found = Verdict("", tuple(filter(None, [*drifting, *conclusions.warnings(c), weak])), c)
    return replace(found, headline=_headline(found, c))


def _headline(found: Verdict, c: Comparison) -> str:
    ranks = {c.methods[i]: float(c.ranks[i]) for i in c.order}
    best, beaten, units = next(iter(ranks)), found.beaten, len(c.units)
    methods = list(ranks)
    data_sets = _count(units, "data set")
    tied = [name for name in methods if name != best and math.isclose(ranks[name], ranks[best])]
    began = " (warm-started)" if best in c.warm else ""
    whom = f"{best}{began}" + (f" (tied with {_some(tied)})" if tied else "")
    lead = f"{whom} has the best mean rank, {ranks[best]:.2f} of {len(methods)} methods over {data_sets}"
    others = [name for name in methods if name != best]
    if not beaten:
        enough = units >= units_needed(len(methods) * (len(methods) - 1) // 2, ALPHA)
        why = "the differences may be chance" if enough else "there are too few data sets to tell"
        return f"{lead}, but no method is shown to be worse than it: {why}."
    if len(beaten) == len(others):
        return f"{lead}, and is significantly better than " + (
            "each other one." if len(others) > 1 else f"{others[0]}."
        )
    rest = [name for name in others if name not in beaten]
    return f"{lead}; significantly better than {', '.join(sorted(beaten))}; not shown to be better than {_some(rest)}."


def _some(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def in_short(data: Data) -> str:
    """What was compared, in a line."""
    runs = data.runs[data.runs["method"] != DEFAULT]
    budgets = " or ".join(_budget(text) for text in runs["budget"].unique()[:2])
    parts = [_count(len(data.methods), "method"), _count(len(data.tasks), "task"), _count(len(data.seeds), "seed")]
    return " · ".join([*parts, *([f"{budgets} per run"] if budgets else []), f"{data.measure} score, lower is better"])


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def facts(data: Data) -> list[tuple[str, str]]:
    """What was compared, as (what, value)."""
    runs = data.runs[data.runs["method"] != DEFAULT]
    runs = data.runs if runs.empty else runs
    clocks = ", ".join(sorted(runs["clock"].dropna().unique()))
    workers = ", ".join(f"{n:g}" for n in sorted(runs["workers"].dropna().unique()))
    time = f"{workers or _UNKNOWN} worker(s), time in {_clock(clocks) if clocks else _UNKNOWN}"
    protocols_known = runs["protocol"].dropna().unique()
    protocols = runs.groupby("task")["protocol"].nunique()
    imported = int(data.runs["provenance"].str.startswith('{"imported"').sum())
    one = "one per task" if (protocols == 1).all() else f"several on {', '.join(protocols.index[protocols > 1][:4])}"
    reference = " and the default configuration" if DEFAULT in set(data.runs["method"]) else ""
    seeds = data.seeds
    units = _count(runs["unit"].nunique(), "data set")
    listed = _some([str(seed) for seed in seeds], 12)
    same = "the same for all methods" if complete(data) else "some runs are missing"
    return [
        ("Methods", f"{len(data.methods)}: {_some(data.methods, 24)}{reference}"),
        ("Tasks", f"{len(data.tasks)} of {units} (or functions): {_some(data.tasks)}"),
        ("Seeds", f"{len(seeds)}: {listed}; {same}"),
        ("Budget of a run", f"{' or '.join(_budget(text) for text in runs['budget'].unique()[:4])}. "
                            f"{conclusions.reason_words(reasons(data))}"),
        ("Hyperparameters", conclusions.origins(by_method(runs)).removeprefix("Hyperparameters: ")),
        ("Workers, clock", time),
        ("Protocol", f"{one} ({', '.join(sorted(p[:8] for p in protocols_known)[:4])}"
                     f"{', …' if len(protocols_known) > 4 else ''}): equal task, space, splits, limits"
                     if len(protocols_known) else _UNKNOWN),
        *([("Imported", f"{imported} of {len(data.runs)} runs were made elsewhere: what is not known of them is null")]
          if imported else []),
        ("Score", f"{data.measure} score of the incumbent, chosen by validation alone; lower is better"),
        ("Jobs", f"{len(data.jobs):,} in {len(data.runs):,} runs, {int((data.jobs['status'] != 'ok').sum()):,} failed"),
        ("Compute", compute(data)),
        ("Green", green(data)),
        ("Licences of data", "; ".join(f"{name}: {_some(units)}" for name, units in licences(data).items())),
        ("Machine", "; ".join(sorted(data.runs["device"].dropna().unique())[:3]) or _UNKNOWN),
    ]  # fmt: skip


def complete(data: Data) -> bool:
    """Every method has run on every task with every seed."""
    asked = data.runs[data.runs["method"] != DEFAULT]
    return len(asked) == asked["task"].nunique() * asked["method"].nunique() * asked["seed"].nunique()


def _clock(clocks: str) -> str:
    words = {"units": "full evaluations", "cost": "seconds, simulated", "live": "seconds"}
    return ", ".join(words[clock] for clock in clocks.split(", "))


def _budget(text: object) -> str:
    return conclusions.budget_words(text) if isinstance(text, str) else _UNKNOWN


def reasons(data: Data) -> list[str]:
    """Why a run is as long as it is, in the author's words."""
    return sorted(set(data.runs["budget_reason"].dropna()))


def licences(data: Data) -> dict[str, list[str]]:
    """Licence of the data -> the data sets that are under it; "not stated" last."""
    stated = data.runs[["unit", "licence"]].drop_duplicates().sort_values(["licence", "unit"])
    out: dict[str, list[str]] = {}
    for unit, licence in stated.itertuples(index=False, name=None):
        out.setdefault(licence if isinstance(licence, str) else NOT_STATED, []).append(str(unit))
    return out


def compute(data: Data) -> str:
    """What the study has used, in words."""
    wall, thought = data.runs["wall"].sum(), (data.runs["ask"] + data.runs["tell"]).sum()
    cpu, cost = data.jobs["cpu"].sum(), data.jobs["cost"].sum()
    jobs = (
        f"{_duration(cpu)} of processors in jobs" if cpu > 0 else f"{_duration(cost)} of jobs, as their tasks recorded"
    )
    cards = data.jobs["gpu"].sum()
    on_cards = f", {_duration(cards)} of graphics cards" if cards > 0 else ""
    left = data.jobs["left"].sum()
    states = f", {left:,.3g} MB of states to go on from" if left > 0 else ""
    return f"{_duration(wall)} of runs, {_duration(thought)} of thinking, {jobs}{on_cards}{states}"


def green(data: Data) -> str:
    """The energy of the study's jobs as far as it was measured, in words: never a guess."""
    parts = []
    for column, what in (("energy", "processors"), ("gpu_energy", "graphics cards")):
        joules = data.jobs[column].dropna()
        if len(joules):
            parts.append(f"{joules.sum() / 3.6e6:.3g} kWh of the machine's {what} while {len(joules):,} jobs ran")
    return ", ".join(parts) or "energy not measured: no counters could be read, or the jobs were looked up"


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2g} s"


def methods_table(data: Data, found: Verdict, warm: bool = False) -> tuple[list[str], list[list[str]]]:
    """Headings and a row per method that began cold, or of those that did not; the best mean rank first."""
    table = data.table
    asked = table[table["method"].isin(data.methods)]
    best = asked.groupby("task")[data.measure].transform("min")
    wins = asked[asked[data.measure] == best].groupby("method").size()
    of_runs = data.runs.groupby("method")
    head = [
        "method",
        "mean rank",
        "best on tasks",
        "first one is better",
        "runs",
        "failed jobs",
        "s thought per job",
    ]
    rows, c = [], found.comparison
    ranks = dict(zip(c.methods, c.ranks.tolist(), strict=True)) if c else {}
    for method in (m for m in data.ranked if (m in data.warm) is warm):
        own = asked[asked["method"] == method]
        runs = of_runs.get_group(method)
        thought = (runs["ask"] + runs["tell"]).sum() / max(runs["jobs"].sum(), 1)
        shown = (
            "–"
            if method in (data.ranked[0], found.best) or method not in ranks
            else "yes"
            if method in found.beaten
            else "not shown"
        )
        rank = f"{ranks[method]:.2f}" if method in ranks else "–"
        done = f"{int(own['runs'].sum())} of {int(own['expected'].sum())}"
        jobs = max(int(own["jobs"].sum()), 1)
        failed = f"{int(own['failed'].sum())} ({own['failed'].sum() / jobs:.1%})"
        rows.append([method, rank, str(int(wins.get(method, 0))), shown, done, failed, f"{thought:.2g}"])
    return head, rows


def tasks_table(data: Data) -> tuple[list[str], list[list[str]]]:
    """Headings and a row per task and method."""
    head = ["task", "measured by", "method", "validation", "test (hidden)", "runs", "failed jobs"]
    rows = []
    for row in data.table.to_dict("records"):
        runs = f"{row['runs']} of {row['expected']}"
        rows.append([row["task"], row["objective"], row["method"], _interval(row, "validation"),
                     _interval(row, "test"), runs, str(row["failed"])])  # fmt: skip
    return head, rows


def _interval(row: Mapping[Any, Any], name: str) -> str:
    mean, half = row[name], row[name] - row[f"{name}_low"]
    if math.isnan(mean):
        return "–"
    return f"{mean:.4g}" if math.isnan(half) else f"{mean:.4g} ± {half:.2g}"


def problems(data: Data) -> list[str]:
    """What a reader has to know before trusting the numbers: failures, missing and unfinished runs."""
    out = []
    for row in data.table.to_dict("records"):
        if row["without"]:
            out.append(f"{row['method']} on {row['task']}: {row['without']} of {row['runs']} runs recommend nothing, "
                       "as all their jobs failed or violated a constraint; they are in no mean.")  # fmt: skip
        if row["below"]:
            out.append(f"{row['method']} on {row['task']}: in {row['below']} of {row['runs']} runs nothing was "
                       "trained to the end; their validation does not compare.")  # fmt: skip
        if not row["without"] and math.isnan(row[data.measure]):
            out.append(f"{row['method']} on {row['task']}: no finite {data.measure} score of what a run recommends.")
        if row["runs"] < row["expected"]:
            here = data.runs[(data.runs["method"] == row["method"]) & (data.runs["task"] == row["task"])]
            lacking = [str(seed) for seed in data.seeds if seed not in set(here["seed"])]
            out.append(f"{row['method']} on {row['task']}: {row['expected'] - row['runs']} run(s) are missing"
                       f" (seed {_some(lacking)}).")  # fmt: skip
    return out
