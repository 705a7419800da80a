from __future__ import annotations

import numpy as np

from hptbench.stats.pairwise import pairwise
from hptbench.stats.ranks import friedman
from hptbench.stats.words import friedman_sentence, pair_sentence, power_warning


def test_a_difference() -> None:
    random = np.linspace(1, 1.11, 12)
    pair = pairwise(np.stack([random, random - 0.03 - 0.001 * np.arange(12)], axis=1), ["random", "bohb"])[0]
    assert pair_sentence(pair, "normalised test loss") == (
        "bohb is better than random on 12 of 12 data sets (mean rank 1.00 vs 2.00); "
        "Hodges–Lehmann difference of the normalised test loss -0.0355, unadjusted 95 % interval [-0.038, -0.033]; "
        "Wilcoxon p = 0.000488: significant at 0.05."
    )


def test_no_difference_is_not_called_equality() -> None:
    scores = np.array([[1.0, 2, 5], [2, 1, 5], [3, 3, 5], [1, 2, 5]])
    pair = pairwise(scores, ["a", "b", "c"])[0]
    assert pair_sentence(pair) == (
        "a is better than b on 2 of 4 data sets and ties on 1 (mean rank 1.38 vs 1.62); "
        "Hodges–Lehmann difference of the test loss -0.25 (too few data sets for an interval); "
        "Wilcoxon p = 1 (Holm over 3 comparisons: 1): "
        "no significant difference at 0.05 (this does not show that they are equal)."
    )


def test_more_losses_than_wins_are_told_first() -> None:
    d = np.array([-9.0, -8, -7, -6, 1, 2, 3, 4, 5, 5.5])
    for swap in (False, True):
        pair = pairwise(np.stack([10 + d, np.full(10, 10.0)], axis=1), "ab")[0]
        assert pair_sentence(pair.swapped() if swap else pair).startswith(
            "a wins on 4 and b on 6 of 10 data sets, but a by the larger differences (mean rank 1.60 vs 1.40); "
        )


def test_neither_is_ahead() -> None:
    even = pairwise([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]], "ab")[0]
    assert pair_sentence(even).startswith("a wins on 1 and b on 1 of 3 data sets (mean rank 1.50 vs 1.50); ")
    assert pair_sentence(pairwise(np.ones((8, 2)), "ab")[0]) == "a and b tie on all 8 data sets."


def test_holm_decides() -> None:
    scores = np.arange(6.0)[:, None] * [1, 1.1, 1.2] + [0, 1, 2]
    pair = pairwise(scores, "abc")[0]
    assert pair.p < 0.05 < pair.p_holm
    assert "p = 0.0312 (Holm over 3 comparisons: 0.0938): no significant" in pair_sentence(pair)
    assert pair_sentence(pair, alpha=0.1).endswith(": significant at 0.1.")


def test_tiny_p() -> None:
    scores = np.arange(20.0)[:, None] * [1, 1.1] + [0, 1]
    assert "Wilcoxon p < 0.0001: significant" in pair_sentence(pairwise(scores, "ab")[0])


def test_friedman(demsar: np.ndarray) -> None:
    assert friedman_sentence(friedman(demsar)) == (
        "Friedman test of 4 methods on 14 data sets, Iman-Davenport F(3, 39) = 4.19, p = 0.0116: the methods differ."
    )
    assert "this does not show that they are equal" in friedman_sentence(friedman(demsar), alpha=0.01)
    assert friedman_sentence(friedman([[1, 2, 3]])) == (
        "No test of all methods together: the Friedman test needs 3 methods and 2 data sets, got 3 and 1."
    )
    assert "(all methods tie on every data set)" in friedman_sentence(friedman(np.ones((3, 3))))


def test_power_warning() -> None:
    assert power_warning(4) == (
        "With 4 data sets the smallest possible p is 0.125: no difference can reach 0.05; at least 6 are needed."
    )
    assert power_warning(6, comparisons=3) == (
        "With 6 data sets the smallest possible p is 0.0938 after Holm over 3 comparisons: "
        "no difference can reach 0.05; at least 7 are needed."
    )
    assert power_warning(6) == ""
    assert power_warning(1).startswith("With 1 data set the")
