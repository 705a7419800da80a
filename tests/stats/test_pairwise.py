from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
import scipy.stats
from statsmodels.stats.multitest import multipletests

from hptbench.rng import entropy, stream
from hptbench.stats.pairwise import against, corrected, hodges_lehmann, holm, pairwise, signed_rank

METHODS = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
DEPRESSION = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]) - np.array(
    [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
)
"""Hollander & Wolfe, 1999, table 3.1: depression scores before and after a tranquilliser."""


def test_hollander_and_wolfes_example() -> None:
    p, effect = signed_rank(DEPRESSION)
    assert p == pytest.approx(2 * 0.0195, abs=1e-4)
    assert effect == pytest.approx((40 - 5) / 45)
    assert hodges_lehmann(DEPRESSION) == pytest.approx((0.46, 0.010, 0.786))


def test_demsars_example(demsar: np.ndarray) -> None:
    """Rank sums 93 and 12 in the paper, which shares out the two zeros (1.5 each); Pratt leaves them out."""
    pair = pairwise(demsar, METHODS)[0]
    assert (pair.a, pair.b) == ("C4.5", "C4.5+m")
    assert (pair.wins, pair.ties, pair.losses, pair.units) == (2, 2, 10, 14)
    assert pair.rank_biserial == pytest.approx((10.5 - 91.5) / 102)
    assert pair.p < 0.05
    assert pair.difference > 0


@pytest.mark.parametrize(("n", "critical"), [(6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (14, 21), (20, 52), (25, 89)])
def test_table_of_critical_values(n: int, critical: int) -> None:
    """Two-sided 0.05: the smaller rank sum may be at most this."""

    def p_of(smaller: int) -> float:
        ranks = np.arange(1.0, n + 1)
        negative = np.zeros(n, dtype=bool)
        for r in range(n, 0, -1):
            if smaller >= r:
                negative[r - 1], smaller = True, smaller - r
        return signed_rank(np.where(negative, -ranks, ranks))[0]

    assert p_of(critical) <= 0.05 < p_of(critical + 1)


@pytest.mark.parametrize("n", [1, 2, 5, 12, 40])
def test_wilcoxon_is_scipys_without_ties(n: int) -> None:
    d = stream(entropy("wilcoxon", n)).normal(0.3, size=n)
    assert signed_rank(d)[0] == pytest.approx(scipy.stats.wilcoxon(d, method="exact").pvalue)


@pytest.mark.parametrize("seed", range(5))
def test_wilcoxon_with_ties_and_zeros_is_the_permutation_test(seed: int) -> None:
    d = stream(entropy("ties", seed)).integers(-3, 6, size=9).astype(float)
    d[0] = 0
    assert len(set(np.abs(d))) < len(d)
    all_flips = scipy.stats.PermutationMethod(n_resamples=10_000)
    assert signed_rank(d)[0] == pytest.approx(scipy.stats.wilcoxon(d, zero_method="pratt", method=all_flips).pvalue)


def test_no_difference_at_all() -> None:
    assert signed_rank(np.zeros(8)) == (1.0, 0.0)
    pair = pairwise(np.full((8, 2), 0.5), ["a", "b"])[0]
    assert (pair.ties, pair.p, pair.p_holm, pair.difference, pair.low, pair.high) == (8, 1, 1, 0, 0, 0)
    assert (pair.a12, pair.rank_biserial) == (0.5, 0)


def test_rounding_errors_are_no_differences() -> None:
    pair = pairwise([[0.1 + 0.2, 0.3]] * 3 + [[0.768, 0.763], [0.111, 0.116]], ["a", "b"])[0]
    assert (pair.wins, pair.ties, pair.losses) == (1, 3, 1)
    assert pair.rank_biserial == 0


def test_holm_and_p_values_are_those_of_scikit_posthocs() -> None:
    scores = stream(entropy("posthocs")).normal([0, 0.5, 1, 2], size=(12, 4))
    long = pd.DataFrame(scores, columns=list("abcd")).melt()
    theirs = scikit_posthocs.posthoc_wilcoxon(long, "value", "variable", method="exact", p_adjust="holm")
    pairs = pairwise(scores, "abcd")
    assert len(pairs) == 6
    for pair in pairs:
        assert pair.p_holm == pytest.approx(theirs.loc[pair.a, pair.b])
        assert pair.family == 6
    assert any(pair.p < pair.p_holm for pair in pairs)


@pytest.mark.parametrize("m", [1, 2, 7, 30])
def test_holm_is_that_of_statsmodels(m: int) -> None:
    p = stream(entropy("holm", m)).beta(0.2, 2, size=m).round(2)
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_swapping_is_comparing_the_other_way() -> None:
    scores = stream(entropy("swap")).normal([0, 0.4], size=(9, 2))
    pair, other = pairwise(scores, ["a", "b"])[0], pairwise(scores[:, ::-1], ["b", "a"])[0]
    assert pair.swapped() == other
    assert pair.a12 == pytest.approx(1 - other.a12)
    assert pair.rank_biserial > 0 > pair.difference
    assert pair.low < pair.difference < pair.high


def test_interval_needs_six_units_and_then_agrees_with_the_test() -> None:
    assert math.isnan(hodges_lehmann([1, 2, 3, 4, 5])[1])
    assert hodges_lehmann([1, 2, 3, 4, 5])[0] == 3
    assert hodges_lehmann([1, 2, 3, 4, 5, 6]) == (3.5, 1, 6)
    for d in stream(entropy("agree")).normal(0.7, size=(200, 10)):
        _, low, high = hodges_lehmann(d)
        assert (signed_rank(d)[0] <= 0.05) == (not low <= 0 <= high)


def test_too_few_methods_or_columns() -> None:
    assert pairwise([[1.0], [2.0]], ["a"]) == []
    with pytest.raises(ValueError, match="3 methods, got 2"):
        pairwise([[1.0, 2.0]], ["a", "b", "c"])


def test_a_reference_against_each_other_is_a_smaller_family() -> None:
    scores = np.random.default_rng(0).random((9, 4))
    names = ["a", "b", "c", "d"]
    every = {(p.a, p.b): p for p in pairwise(scores, names)}
    some = against(scores, names, "b")
    assert [(p.a, p.b) for p in some] == [("b", "a"), ("b", "c"), ("b", "d")]
    assert [p.family for p in some] == [3, 3, 3]
    assert some[0].p == every["a", "b"].p
    assert some[0].wins == every["a", "b"].losses
    assert [p.p_holm for p in some] == pytest.approx(holm([p.p for p in some]))
    both = corrected([*some, *some])
    assert [p.p_holm for p in both] == pytest.approx(holm([p.p for p in some] * 2))
