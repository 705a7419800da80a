"""Results of tests as plain sentences, the honest negatives included."""

from __future__ import annotations

import math

from hptbench.stats.bayes import Posterior
from hptbench.stats.hierarchical import Hierarchical
from hptbench.stats.mixed import Check, Mixed
from hptbench.stats.overtuning import Overtuning
from hptbench.stats.pairwise import Pair
from hptbench.stats.power import smallest_p, units_needed
from hptbench.stats.ranks import Friedman
from hptbench.stats.resampled import Corrected

_NO_DIFFERENCE = "no significant difference at {alpha:g} (this does not show that they are equal)"


def pair_sentence(pair: Pair, measure: str = "test loss", alpha: float = 0.05) -> str:
    """What was found of a pair, told from the method that the test finds ahead.

    ``measure`` names the scores, e.g. ``normalised test loss``."""
    if pair.ties == pair.units:
        return f"{pair.a} and {pair.b} tie on all {_data_sets(pair.units)}."
    if pair.rank_biserial < 0:
        pair = pair.swapped()
    if pair.wins > pair.losses:
        ties = f" and ties on {pair.ties}" if pair.ties else ""
        counts = f"{pair.a} is better than {pair.b} on {pair.wins} of {_data_sets(pair.units)}{ties}"
    else:
        larger = f", but {pair.a} by the larger differences" if pair.rank_biserial else ""
        counts = f"{pair.a} wins on {pair.wins} and {pair.b} on {pair.losses} of {_data_sets(pair.units)}{larger}"
    ranks = f"mean rank {2 - pair.a12:.2f} vs {1 + pair.a12:.2f}"
    interval = (
        " (too few data sets for an interval)"
        if math.isnan(pair.low)
        else f", unadjusted 95 % interval [{pair.low:.3g}, {pair.high:.3g}]"
    )
    holm = f" (Holm over {pair.family} comparisons: {_p(pair.p_holm)})" if pair.family > 1 else ""
    verdict = f"significant at {alpha:g}" if pair.p_holm <= alpha else _NO_DIFFERENCE.format(alpha=alpha)
    return (
        f"{counts} ({ranks}); Hodges–Lehmann difference of the {measure} {pair.difference:.3g}{interval}; "
        f"Wilcoxon p {_equals(pair.p)}{holm}: {verdict}."
    )


def friedman_sentence(test: Friedman, alpha: float = 0.05) -> str:
    """What the Friedman test says of all methods together."""
    if math.isnan(test.p):
        return f"No test of all methods together: {test.note}."
    found = "the methods differ" if test.p <= alpha else _NO_DIFFERENCE.format(alpha=alpha)
    note = f" ({test.note})" if test.note else ""
    return (
        f"Friedman test of {test.methods} methods on {_data_sets(test.units)}, Iman-Davenport "
        f"F({test.df1}, {test.df2}) = {test.f:.3g}, p {_equals(test.p)}{note}: {found}."
    )


def power_warning(units: int, comparisons: int = 1, alpha: float = 0.05) -> str:
    """Why no difference can come out significant with so few units; empty if one can."""
    needed = units_needed(comparisons, alpha)
    if units >= needed:
        return ""
    holm = f" after Holm over {comparisons} comparisons" if comparisons > 1 else ""
    reached = min(1.0, comparisons * smallest_p(units))
    return (
        f"With {_data_sets(units)} the smallest possible p is {reached:.3g}{holm}: "
        f"no difference can reach {alpha:g}; at least {needed} are needed."
    )


def power_sentence(units: int, effect: float, comparisons: int = 1) -> str:
    """How large a difference had to be to be found, given the least ``effect`` that is; empty if none can be."""
    if math.isinf(effect):
        return ""
    holm = f" after Holm over {comparisons} comparisons" if comparisons > 1 else ""
    return (
        f"{_data_sets(units)} show a mean difference of {effect:.2g} standard deviations (over data sets) in 80 % of "
        f"such studies{holm}; smaller ones are mostly missed."
    )


def posterior_sentence(first: str, second: str, found: Posterior, unit: str) -> str:
    """How probable it is that one method is better, for practical purposes; ``unit``: of the scores and the ROPE."""
    better, worse, least, most = found.better, found.worse, found.better_least, found.better_most
    if better < worse:
        first, second, better, worse, least, most = second, first, worse, better, found.worse_least, found.worse_most
    return (
        f"{first} is better than {second} with probability {better:.3f} ({least:.2f} to {most:.2f} by the prior), "
        f"equivalent with {found.equivalent:.3f}, worse with {worse:.3f} (Bayesian signed-rank test; equivalent: "
        f"within ±{found.rope:g} of the {unit})."
    )


def hierarchical_sentence(first: str, second: str, found: Hierarchical, unit: str) -> str:
    """What the next data set is expected to show; ``unit``: of the scores and the ROPE."""
    better, worse, mean, low, high = found.better, found.worse, found.mean, found.low, found.high
    if better < worse:
        first, second, better, worse, mean, low, high = second, first, worse, better, -mean, -high, -low
    note = f" ({found.note})" if found.note else ""
    return (
        f"On the next data set {first} is better than {second} with probability {better:.3f}, equivalent with "
        f"{found.equivalent:.3f}, worse with {worse:.3f}; typical difference of the {unit} {mean:.3g}, 95 % credible "
        f"interval [{low:.3g}, {high:.3g}] (Bayesian hierarchical test of data sets and seeds, ±{found.rope:g}){note}."
    )


def resampled_sentence(
    first: str, second: str, test: Corrected, splits: int, rho: float, p_holm: float, pairs: int, alpha: float = 0.05
) -> str:
    """What the splits of one data set say of two methods."""
    mean, low, high = test.mean, test.low, test.high
    if mean > 0:
        first, second, mean, low, high = second, first, -mean, -high, -low
    holm = f" (Holm over {pairs} comparisons: {_p(p_holm)})" if pairs > 1 else ""
    verdict = f"significant at {alpha:g}" if p_holm <= alpha else _NO_DIFFERENCE.format(alpha=alpha)
    return (
        f"{first} less {second} on {splits} splits of this data set: {mean:.3g}, 95 % interval [{low:.3g}, {high:.3g}]"
        f"; corrected resampled t test ({rho:.3g} of the rows test), p {_equals(test.p)}{holm}: {verdict}, on this "
        "data set."
    )


def mixed_sentence(model: Mixed, seeds: Check, informative: int, alpha: float = 0.05) -> str:
    """What the mixed model of all runs says, and its checks."""
    total = model.unit + model.interaction + model.noise
    found = "the methods differ" if model.p <= alpha else _NO_DIFFERENCE.format(alpha=alpha)
    shares = ", ".join(
        f"{name} {part / total:.0%}" if total else name
        for name, part in (
            ("data sets", model.unit), ("how they suit methods", model.interaction), ("seeds", model.noise),
        )
    )  # fmt: skip
    lucky = "" if not seeds.p <= alpha else f" Seeds have an effect across data sets (p {_equals(seeds.p)}): why?"
    note = f" ({model.note})" if model.note else ""
    return (
        f"Mixed model of {_data_sets(model.units)} with {model.repeats} seeds each: F({model.df1}, {model.df2}) = "
        f"{model.f:.3g}, p {_equals(model.p)} (likelihood ratio {model.lr:.3g}): {found}. Variance: {shares}{note}. "
        f"{informative} of {_data_sets(model.units)} tell the methods apart by their seeds.{lucky}"
    )


def overtuning_sentence(method: str, found: Overtuning) -> str:
    """What the choice by validation cost in test."""
    default = (
        f", {found.than_default:.0%} of {found.with_default} worse than the default configuration"
        if found.with_default
        else ""
    )
    return (
        f"{method}: in {found.any:.0%} of {found.runs} runs an earlier incumbent was better in test, in "
        f"{found.severe:.0%} even the first configuration{default}."
    )


def _data_sets(n: int) -> str:
    return f"{n} data set{'' if n == 1 else 's'}"


def _p(p: float) -> str:
    return f"{p:.3g}" if p >= 1e-4 else "< 0.0001"


def _equals(p: float) -> str:
    return f"= {_p(p)}" if p >= 1e-4 else _p(p)
