from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from hptbench.rng import entropy, stream
from hptbench.stats.ranks import friedman, mean_ranks, unit_ranks


def test_mean_ranks_of_demsars_example(demsar: np.ndarray) -> None:
    assert mean_ranks(demsar) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)


def test_friedman_of_demsars_example(demsar: np.ndarray) -> None:
    """The paper's 9.28 and 3.69 leave ties uncorrected; undoing our correction gives them."""
    test = friedman(demsar)
    ties = ((unit_ranks(demsar) - 2.5) ** 2).sum() / (14 * 5)
    plain = test.chi2 * ties
    assert plain == pytest.approx(9.28, abs=0.005)
    assert 13 * plain / (14 * 3 - plain) == pytest.approx(3.69, abs=0.005)
    assert (test.df1, test.df2) == (3, 39)
    theirs = scipy.stats.friedmanchisquare(*demsar.round(4).T)
    assert (test.chi2, test.p_chi2) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert test.p < test.p_chi2 < 0.05


def test_iman_davenport_without_ties_is_that_of_r_scmamp() -> None:
    first, second = [1, 8, 6, 4, 7, 2, 5, 3, 9], [1, 6, 3, 9, 7, 2, 8, 4, 5]
    test = friedman([first, second])
    assert (test.chi2, test.p_chi2, test.f, test.p) == pytest.approx((11.733, 0.1635, 2.75, 0.08697), abs=6e-4)
    assert (test.df1, test.df2) == (8, 8)


def test_sums_in_another_order_tie() -> None:
    assert unit_ranks([[0.1 + 0.2, 0.3, 0.2]]).tolist() == [[2.5, 2.5, 1.0]]
    assert unit_ranks([[1e-9, 2e-9], [1e9, 1e9 + 1]]).tolist() == [[1, 2], [1, 2]]
    assert unit_ranks([[0.0, 0.0]]).tolist() == [[1.5, 1.5]]


@pytest.mark.parametrize(
    ("scores", "note"),
    [(np.eye(5, 2), "got 2 and 5"), (np.ones((5, 1)), "got 1 and 5"), ([[1, 2, 3]], "got 3 and 1")],
)
def test_too_few_for_a_test(scores: np.ndarray, note: str) -> None:
    test = friedman(scores)
    assert math.isnan(test.p)
    assert math.isnan(test.chi2)
    assert note in test.note


def test_all_tied_is_no_evidence() -> None:
    test = friedman(np.full((6, 4), 0.25))
    assert (test.chi2, test.f, test.p, test.p_chi2) == (0, 0, 1, 1)


def test_one_ranking_everywhere_has_an_exact_p() -> None:
    assert friedman([[1, 2, 3]] * 2).p == pytest.approx(1 / 6)
    assert friedman([[1, 2, 3]] * 5).p == pytest.approx(6.0**-4)
    assert friedman([[1, 1, 2]] * 3).p == pytest.approx(1 / 9)
    assert math.isinf(friedman([[1, 2, 3]] * 2).f)


@pytest.mark.parametrize(
    ("scores", "what"),
    [([1, 2], "shape"), (np.ones((0, 3)), "shape"), ([[1, math.nan, 2]], "finite"), ([[1, math.inf, 2]], "finite")],
)
def test_scores_that_are_none(scores: object, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        friedman(scores)  # type: ignore[arg-type]


@pytest.mark.parametrize("levels", [3, 1000], ids=["ties", "no ties"])
def test_level_and_power(levels: int) -> None:
    draws = stream(entropy("friedman", levels)).integers(levels, size=(1500, 10, 4))
    assert 0.03 < np.mean([friedman(x).p <= 0.05 for x in draws]) <= 0.06
    better = draws - np.array([levels * 0.6, 0, 0, 0])
    assert np.mean([friedman(x).p <= 0.05 for x in better[:300]]) > 0.8
