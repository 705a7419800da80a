"""What the rows of :mod:`hptbench.meta.proof` show, with statistics, as a page of Markdown.

The units of every test are families of data sets: the losses of a family's data sets and of all learners on them are
averaged first, so that neither near relatives nor learners count as independent data sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hptbench.meta.proof import AUTO, COUNTS, RANDOM, RANDOM_COUNTS
from hptbench.space import Floats
from hptbench.stats.pairwise import Pair, against
from hptbench.stats.words import pair_sentence

if TYPE_CHECKING:
    import pandas as pd

_ALPHA = 0.05
_SHARE, _P = 0.75, 0.001
"""Data sets on which the first recommendation is to be better than the default, and the p to be reached."""
_RIVALS = ("greedy_portfolio", "nearest")


@dataclass(frozen=True)
class Target:
    """A claim that was to hold."""

    claim: str
    holds: bool
    found: str


def losses(rows: pd.DataFrame, wanted: Sequence[tuple[str, int]]) -> tuple[list[str], Floats]:
    """(families, (families, wanted) mean normalised test losses) of recommenders with so many recommendations."""
    mean = rows.groupby(["kind", "family", "recommender", "count"])["loss"].mean().unstack(["recommender", "count"])
    return [f"{family} ({kind})" for kind, family in mean.index], mean[list(wanted)].to_numpy(float)


def pairs(rows: pd.DataFrame, count: int) -> list[Pair]:
    """auto against all others with so many recommendations, corrected as one family of tests."""
    there = rows.loc[rows["count"] == count, "recommender"].unique()
    names = [AUTO, *(name for name in there if name != AUTO)]
    return against(losses(rows, [(name, count) for name in names])[1], names, AUTO)


def targets(rows: pd.DataFrame) -> list[Target]:
    """The targets of the first part of the proof."""
    first = rows[rows["count"] == 1].set_index(["learner", "kind", "data", "recommender"])["loss"].unstack()
    better, tied = (first[AUTO] < first["default"]).mean(), (first[AUTO] == first["default"]).mean()
    default = _pair(rows, (AUTO, 1), ("default", 1))
    out = [
        Target(
            f"the first recommendation is better than the default on at least {_SHARE:.0%} of the data sets, "
            f"p < {_P:g}",
            bool(better >= _SHARE and default.p < _P and default.rank_biserial > 0),
            f"better on {better:.1%}, equal on {tied:.1%} (there it is the default) of {len(first)} pairs of a learner "
            f"and a data set; {pair_sentence(default, _MEASURE)}",
        )
    ]
    for count, most in ((1, _drawn(rows, 16)), (8, _drawn(rows, 64))):
        pair = _pair(rows, (AUTO, count), (RANDOM, most))
        what = "the first recommendation is" if count == 1 else f"the best of the first {count} is"
        out.append(
            Target(
                f"{what} at least as good as random search's best of {most}",
                bool(pair.difference <= 0),
                f"mean {_mean(rows, AUTO, count):.3f} against {_mean(rows, RANDOM, most):.3f}; "
                + pair_sentence(pair, _MEASURE),
            )
        )
    for rival in _RIVALS:
        tested = {count: next(p for p in pairs(rows, count) if p.b == rival) for count in COUNTS}
        won = [count for count, p in tested.items() if p.p_holm <= _ALPHA and p.rank_biserial > 0]
        lost = [count for count, p in tested.items() if p.p_holm <= _ALPHA and p.rank_biserial < 0]
        out.append(
            Target(
                f"auto is significantly better than {rival} with {', '.join(map(str, COUNTS))} recommendations",
                len(won) == len(COUNTS),
                f"significantly better with {_some(won)}, significantly worse with {_some(lost)} of them",
            )
        )
    return out


_MEASURE = "normalised test loss"


def _pair(rows: pd.DataFrame, a: tuple[str, int], b: tuple[str, int]) -> Pair:
    names = [f"{name} ({count})" for name, count in (a, b)]
    return against(losses(rows, [a, b])[1], names, names[0])[0]


def _mean(rows: pd.DataFrame, name: str, count: int) -> float:
    return float(losses(rows, [(name, count)])[1].mean())


def _some(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts)) or "none"


def page(rows: pd.DataFrame, ablated: pd.DataFrame, command: str) -> str:
    """The page; ``ablated`` as :func:`hptbench.meta.ablation.ablate` returns it."""
    learners = rows.groupby(["learner", "kind"])["data"].nunique()
    families = rows.groupby("kind")["family"].nunique()
    members = rows.loc[rows["recommender"] == AUTO].drop_duplicates(["kind", "family"])["members"].value_counts()
    lines = [
        "# Recommendations on data sets that nobody saw",
        "",
        "    " + command,
        "",
        f"{len(learners)} pairs of a learner and a kind of task on {rows['data'].nunique()} data sets of "
        f"{int(families.sum())} families ({', '.join(f'{n} of {kind}' for kind, n in families.items())}). Each family "
        "was left out once: what is recommended for its data sets was learnt from the other families, without data "
        f"sets that have nearly the same meta-features (left out in {_near(rows)}). Meta-features are of rows that do "
        "not test; the loss below is that of the test rows.",
        "",
        "- **Loss**: of the configuration that is best by validation among the first so many recommendations; per data "
        "set, 0 is the best of all configurations in the table and 1 their median or worse. Lower is better. Small "
        "test sets are noisy: the best by validation of the whole table has the loss in the last column of `random`.",
        "- **random**: random search of the table's configurations, its exact expectation.",
        "- **auto** chose its members within the past: "
        + ", ".join(f"{name} {n} times" for name, n in members.items())
        + ".",
        "- **adaptive**: auto, each recommendation made when the validation losses of those before it are known, as "
        "with `recommend evaluate=k`.",
        "- **Settings** of the recommenders (sharpness, noise, trees, number of complements) were chosen in trial runs "
        "on the project's own table: on it, the figures of `similar`, `process`, `forest` and `auto` are somewhat "
        "optimistic.",
        "- **Tests**: Wilcoxon signed-rank over families, Holm's correction over all comparisons with one number of "
        "recommendations.",
        "",
        "## Targets",
        "",
        *(f"- {'**holds**' if t.holds else '**does not hold**'}: {t.claim}. {t.found}" for t in targets(rows)),
        "",
        "## Mean loss over families",
        "",
        *_table(rows),
        "",
        "## auto against the others",
        "",
        *_against(rows),
        "",
        "## By learner: the first recommendation, and the best of the first eight",
        "",
        *_by_learner(rows, learners),
        "",
        "## What limits it",
        "",
        *_ceiling(rows),
        "",
        "The recommender `process` with less to learn from (means over learners and data sets, each family left out):",
        "",
        "| | first | best of 8 | first better than the default |",
        "|---|---|---|---|",
        *(
            f"| {name} | {one['loss_1'].mean():.3f} | {one['loss_8'].mean():.3f} | {one['better'].mean():.1%} |"
            for name, one in ablated.groupby("change", sort=False)
        ),
    ]
    return "\n".join(lines) + "\n"


def _ceiling(rows: pd.DataFrame) -> list[str]:
    """How often anything could be better than the default."""
    most = _drawn(rows, 64)
    wide = rows.set_index(["learner", "kind", "data", "recommender", "count"])["loss"].unstack(["recommender", "count"])
    default, searched, first = wide["default", 1], wide[RANDOM, most], wide[AUTO, 1]
    differs = first != default
    return [
        f"Trying all {most} configurations of the table and taking the best by validation is better than the default "
        f"on the test rows of {(searched < default).mean():.1%} of the pairs of a learner and a data set, equal on "
        f"{(searched == default).mean():.1%}; no configuration at all is better on {(default == 0).mean():.1%}. "
        "Where auto's first recommendation is not the default itself, it is better on "
        f"{(first < default)[differs].mean():.1%}.",
    ]


def _drawn(rows: pd.DataFrame, wanted: int) -> int:
    """Of the numbers of draws of random search the largest that is not above ``wanted``."""
    counts = rows.loc[rows["recommender"] == RANDOM, "count"]
    return int(counts[counts <= wanted].max())


def _near(rows: pd.DataFrame) -> str:
    cases = rows.drop_duplicates(["learner", "kind", "family"])
    return f"{int((cases['excluded'] > 0).sum())} of {len(cases)} cases"


def _names(rows: pd.DataFrame) -> list[str]:
    return [str(name) for name in rows["recommender"].unique()]


def _table(rows: pd.DataFrame) -> list[str]:
    counts = [k for k in RANDOM_COUNTS if (rows["count"] == k).any()]
    out = [f"| | {' | '.join(map(str, counts))} |", "|---|" + "---|" * len(counts)]
    there = set(zip(rows["recommender"], rows["count"], strict=True))
    for name in _names(rows):
        cells = [f"{_mean(rows, name, k):.3f}" if (name, k) in there else "" for k in counts]
        out.append(f"| {name} | {' | '.join(cells)} |")
    return out


def _against(rows: pd.DataFrame) -> list[str]:
    """Hodges–Lehmann differences with p after Holm's correction."""
    tests: Mapping[int, Mapping[str, Pair]] = {k: {pair.b: pair for pair in pairs(rows, k)} for k in COUNTS}
    out = [f"| auto minus | {' | '.join(map(str, COUNTS))} |", "|---|" + "---|" * len(COUNTS)]
    for name in _names(rows):
        if name != AUTO:
            found = [tests[k].get(name) for k in COUNTS]
            cells = [f"{pair.difference:+.3f} (p {pair.p_holm:.2g})" if pair else "" for pair in found]
            out.append(f"| {name} | {' | '.join(cells)} |")
    return out


def _by_learner(rows: pd.DataFrame, learners: pd.Series[int]) -> list[str]:
    shown = ("default", "greedy_portfolio", "nearest", AUTO)
    drawn = _drawn(rows, 16)
    heads = [*(f"{name} {k}" for k in (1, 8) for name in shown if (name, k) != ("default", 8))]
    out = [
        f"| learner | kind | data sets | {' | '.join(heads)} | random {drawn} | auto 1 better than default | equal |",
        "|---|---|---|" + "---|" * (len(heads) + 3),
    ]
    for (learner, kind), n in zip(learners.index.to_list(), learners, strict=True):
        own = rows[(rows["learner"] == learner) & (rows["kind"] == kind)]
        mean = own.groupby(["recommender", "count"])["loss"].mean()
        first = own[own["count"] == 1].pivot(index="data", columns="recommender", values="loss")
        cells = [f"{mean[name, k]:.3f}" for k in (1, 8) for name in shown if (name, k) != ("default", 8)]
        cells += [f"{mean[RANDOM, drawn]:.3f}", f"{np.mean(first[AUTO] < first['default']):.0%}"]
        cells += [f"{np.mean(first[AUTO] == first['default']):.0%}"]
        out.append(f"| {learner} | {kind} | {n} | {' | '.join(cells)} |")
    return out
