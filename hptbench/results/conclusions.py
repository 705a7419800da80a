"""A comparison in plain sentences, what was planned apart from what was only seen."""

from __future__ import annotations

from hptbench.results.comparison import ALPHA, DRAWS, Comparison, Tested
from hptbench.stats.words import (
    friedman_sentence,
    mixed_sentence,
    overtuning_sentence,
    pair_sentence,
    posterior_sentence,
    power_sentence,
    power_warning,
)

NAMES = {"iqm": "interquartile mean", "mean": "mean", "median": "median"}
"""Aggregates in words."""


def caption(c: Comparison) -> str:
    """What the numbers of the table of methods are."""
    seeds = "1 seed: no intervals" if c.seeds == 1 else (
        f"95 % stratified bootstrap over {c.seeds} seeds, {DRAWS:,} resamples"
    )  # fmt: skip
    return f"{NAMES[c.aggregate]} of the {c.scores.name} over {len(c.units)} data set(s), lower is better; {seeds}" + (
        "; overtuned: runs in which an earlier incumbent (the first configuration) was better in test"
        if c.overtuning
        else ""
    )


def warnings(c: Comparison) -> list[str]:
    """What a reader has to know before the numbers."""
    out = []
    if c.unequal:
        out.append(f"Runs were allowed to differ in: {', '.join(c.unequal)}. They are not under one protocol.")
    if c.scores.dropped:
        out.append(f"Left out for missing scores: {', '.join(c.scores.dropped)}.")
    if c.scores.filled:
        out.append(f"Missing, and counted as the worst of their task: {', '.join(c.scores.filled)}.")
    if c.scores.anchor == "none" and len(c.units) > 1:
        out.append("Losses as they are: signed ranks, differences and aggregates mix the scales of the tasks.")
    return out


def planned(c: Comparison) -> list[str]:
    """What became of the hypotheses that were registered before the study."""
    return [_hypothesis(tested) for tested in c.hypotheses]


def _hypothesis(tested: Tested) -> str:
    found = f" ({tested.note})" if tested.pair is None else f". {pair_sentence(tested.pair, 'score')}"
    return f"{tested.hypothesis}: {tested.verdict}{found}"


def explored(c: Comparison) -> list[str]:
    """What the tests over data sets say of all methods, and of each pair that differs."""
    lines = [friedman_sentence(c.friedman)] if len(c.methods) > 2 else []
    pairs = c.pairs if len(c.methods) == 2 else c.significant
    lines += [pair_sentence(pair, "score") for pair in pairs]
    if not pairs:
        lines.append(f"No pair differs significantly at {ALPHA:g} (this does not show that they are equal).")
    if len(c.methods) == 2:  # of more there is a table
        lines += [posterior_sentence(a, b, found, c.scores.name) for (a, b), found in c.posteriors.items()]
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
