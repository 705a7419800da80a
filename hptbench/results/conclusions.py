"""A comparison in plain sentences and tables, what was planned apart from what was only seen."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hptbench.provenance import is_said, tuned_on, words
from hptbench.results.comparison import ALPHA, Comparison, Tested
from hptbench.stats.aggregate import DRAWS
from hptbench.stats.pairwise import Pair
from hptbench.stats.words import (
    friedman_sentence,
    hierarchical_sentence,
    mixed_sentence,
    overtuning_sentence,
    pair_sentence,
    posterior_sentence,
    power_sentence,
    power_warning,
    resampled_sentence,
)

NAMES = {"iqm": "interquartile mean", "mean": "mean", "median": "median"}
"""Aggregates in words."""


def over(c: Comparison) -> str:
    """What an aggregate is over, and what its interval is."""
    seeds = "1 seed: no intervals" if c.seeds == 1 else (
        f"95 % stratified bootstrap over {c.seeds} seeds, {DRAWS:,} resamples"
    )  # fmt: skip
    return f"{len(c.units)} data set(s); {seeds}"


def caption(c: Comparison) -> str:
    """What the numbers of the table of methods are."""
    return f"{NAMES[c.aggregate]} of the {c.scores.name}, lower is better, over {over(c)}" + (
        "; overtuned: runs in which an earlier incumbent (the first configuration) was better in test"
        if c.overtuning
        else ""
    )


def warnings(c: Comparison) -> list[str]:
    """What a reader has to know before the numbers."""
    out = []
    if c.unequal:
        out.append(f"Runs were allowed to differ in: {', '.join(c.unequal)}. They are not under one protocol.")
    if c.warm:
        began = "; ".join(f"{method}: {what}" for method, what in c.warm.items())
        cold = "" if len(c.warm) < len(c.methods) else " No method began cold."
        out.append(
            f"Warm-started, in a block of their own: {began}. No budget here counts what that cost; ranks and tests "
            f"against cold methods show what such knowledge is worth, too.{cold}"
        )
    out += chosen_warnings(c.origins, c.units)
    if c.where and c.registration:
        out.append(f"Hypotheses were registered for the whole study, and are tested on {' '.join(c.where)} alone.")
    if c.scores.dropped:
        out.append(f"Left out for missing scores: {', '.join(c.scores.dropped)}.")
    if c.scores.filled:
        out.append(f"Missing, and counted as the worst of their task: {', '.join(c.scores.filled)}.")
    if c.scores.anchor == "none" and len(c.units) > 1:
        out.append("Losses as they are: signed ranks, differences and aggregates mix the scales of the tasks.")
    return out


def name_of(c: Comparison, method: str) -> str:
    """The method, and whether it did not begin cold."""
    return f"{method} (warm)" if method in c.warm else method


def origins(found: Mapping[str, Sequence[str]]) -> str:
    """How the hyperparameters of the methods were chosen, as a sentence; ``found``: as in Comparison."""
    other = [
        f"{m} ({'; or '.join(filter(None, map(words, texts)))})" for m, texts in found.items() if any(map(words, texts))
    ]
    but = (
        ("" if len(other) == len(found) else "defaults of their classes, but for ")
        if other
        else "the defaults of their classes"
    )
    return f"Hyperparameters: {but}{'; '.join(other)}."


def chosen_warnings(found: Mapping[str, Sequence[str]], units: Sequence[str]) -> list[str]:
    """Methods of which it is not said how their hyperparameters were chosen, and those tuned on what is compared."""
    silent = [m for m, texts in found.items() if not all(map(is_said, texts))]
    out = [f"How the changed hyperparameters of {', '.join(silent)} were chosen, and at what cost, is not said "
           f"(method.{silent[0]}.provenance)."] if silent else []  # fmt: skip
    for m, texts in found.items():
        if same := sorted({name for text in texts for name in tuned_on(text)} & set(units)):
            out.append(f"{m} was tuned on {', '.join(same)}, which it is compared on here: that favours it.")
    return out


def horizon(c: Comparison) -> str:
    """How long a run is, and why."""
    limits = " or ".join(map(budget_words, c.budgets)) or "not known"
    return f"Budget of a run: {limits}. {reason_words(c.reasons)}"


def reason_words(reasons: Sequence[str]) -> str:
    """Why a run is so long, as a sentence."""
    return f"Why so long: {'; '.join(reasons)}." if reasons else "Why so long is not said (budget.reason)."


def budget_words(text: str) -> str:
    """Limits of a run, given as JSON."""
    words = {
        "max_full_evals": "full evaluations", "max_jobs": "jobs", "max_time": "s", "cpu_hours": "h of processors",
        "gpu_hours": "h of graphics cards", "energy_kwh": "kWh",
    }  # fmt: skip
    limits = {name: limit for name, limit in json.loads(text).items() if limit is not None}
    return ", at most ".join(f"{limit:g} {words[name]}" for name, limit in limits.items())


def planned(c: Comparison) -> list[str]:
    """What became of the hypotheses that were registered before the study."""
    return [_hypothesis(tested) for tested in c.hypotheses]


def _hypothesis(tested: Tested) -> str:
    """What is tested with a margin is another number than the method's score: its sentence says so."""
    h = tested.hypothesis
    if tested.pair is None:
        return f"{h}: {tested.verdict} ({tested.note})"
    pair = replace(tested.pair, a=f"{h.better} less {h.margin:g}") if h.margin else tested.pair
    return f"{h}: {tested.verdict}. {pair_sentence(pair, 'score')}"


def explored(c: Comparison) -> list[str]:
    """What the tests over data sets say of all methods, and of each pair that differs."""
    lines = [friedman_sentence(c.friedman)] if len(c.methods) > 2 else []
    pairs = c.pairs if len(c.methods) == 2 else c.significant
    lines += [pair_sentence(pair, "score") for pair in pairs]
    if not pairs:
        lines.append(f"No pair differs significantly at {ALPHA:g} (this does not show that they are equal).")
    if len(c.methods) == 2:  # of more there is a table
        lines += [posterior_sentence(a, b, found, c.scores.name) for (a, b), found in c.posteriors.items()]
        lines += [hierarchical_sentence(a, b, found, c.scores.name) for (a, b), found in c.hierarchies.items()]
    lines += [
        resampled_sentence(r.a, r.b, r.test, r.splits, r.rho, r.p_holm, len(c.resampled))
        for r in c.resampled
        if r.p_holm <= ALPHA or len(c.resampled) == 1
    ]
    if len(c.resampled) > 1 and all(r.p_holm > ALPHA for r in c.resampled):
        lines.append(
            f"No pair differs significantly on this data set by its {c.resampled[0].splits} splits (corrected "
            f"resampled t tests, Holm over {len(c.resampled)} comparisons)."
        )
    if c.mixed and c.seed_effect and c.informative is not None:
        lines.append(mixed_sentence(c.mixed, c.seed_effect, c.informative))
    return lines


def overtuned(c: Comparison) -> list[str]:
    """What the choice by validation cost each method in test."""
    return [overtuning_sentence(method, found) for method, found in c.overtuning.items()]


def power(c: Comparison) -> str:
    """What so many data sets can show at all."""
    units, family = len(c.units), len(c.pairs)
    return power_warning(units, family) or power_sentence(units, c.detectable, family)


def method_rows(c: Comparison) -> tuple[list[str], list[list[str]]]:
    """The table of methods: its head, and a row per method from the best mean rank to the worst; those that did not
    begin cold come after all that did."""
    head = ["method", *(["began"] if c.warm else []), "mean rank", {"iqm": "IQM"}.get(c.aggregate, c.aggregate)]
    head += ["overtuned", "worse than default"] if c.overtuning else []
    rows = []
    cold, warm = c.blocks
    for i in (*cold, *warm):
        estimate, low, high = (float(part[i]) for part in c.aggregates)
        interval = "" if math.isnan(low) else f" [{low:.4g}, {high:.4g}]"
        began = [["cold"], ["warm"]][i in warm] if c.warm else []
        row = [c.methods[i], *began, f"{c.ranks[i]:.2f}", f"{estimate:.4g}{interval}"]
        if c.overtuning:
            found = c.overtuning.get(c.methods[i])
            row.append(f"{found.any:.0%} ({found.severe:.0%})" if found else "–")
            row.append(f"{found.than_default:.0%}" if found and found.with_default else "–")
        rows.append(row)
    return head, rows


def pair_rows(c: Comparison) -> tuple[list[str], list[list[str]]]:
    """The table of pairs."""
    head = ["pair", "better/tied/worse", "difference", "P(first better run)", "p", "p Holm"]
    head += ["P(better)", "P(equivalent)", "P(worse)"] if c.posteriors else []
    head += ["next: better", "equivalent", "worse"] if c.hierarchies else []
    return head, [_pair(c, p) for p in c.pairs]


def _pair(c: Comparison, p: Pair) -> list[str]:
    interval = f" [{p.low:.2g}, {p.high:.2g}]" if not math.isnan(p.low) else ""
    run = c.improvement[p.a, p.b]
    spread = f" [{float(run.low):.2f}, {float(run.high):.2f}]" if not math.isnan(float(run.low)) else ""
    row = [
        f"{p.a} – {p.b}", f"{p.wins}/{p.ties}/{p.losses}", f"{p.difference:.2g}{interval}",
        f"{float(run.estimate):.2f}{spread}", f"{p.p:.2g}", f"{p.p_holm:.2g}",
    ]  # fmt: skip
    if found := c.posteriors.get((p.a, p.b)):
        row += [f"{found.better:.3f}", f"{found.equivalent:.3f}", f"{found.worse:.3f}"]
    if c.hierarchies:
        deeper = c.hierarchies.get((p.a, p.b))
        row += [f"{x:.3f}" for x in (deeper.better, deeper.equivalent, deeper.worse)] if deeper else ["–"] * 3
    return row


def pairs_caption(c: Comparison) -> str:
    """What the numbers of the table of pairs are."""
    rope = "" if c.rope is None else f"; equivalent: within ±{c.rope:g} of the {c.scores.name}"
    bootstrapped = f" (95 % stratified bootstrap, {DRAWS:,} resamples)" if c.seeds > 1 else ""
    rope += "; next: probabilities on the next data set, by the hierarchical test" if c.hierarchies else ""
    return (
        "each pair: data sets on which the first is better/tied/worse, Hodges–Lehmann difference with its unadjusted "
        f"95 % interval, chance that a run of the first is better{bootstrapped}, Wilcoxon signed-rank p, and Holm over "
        f"{len(c.pairs)} comparison(s){rope}"
    )
