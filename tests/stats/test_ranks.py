from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from hptbench.rng import entropy, stream
from hptbench.stats.ranks import critical_difference, friedman, mean_ranks, unit_ranks


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
def test_power(levels: int) -> None:
    draws = stream(entropy("friedman", levels)).integers(levels, size=(300, 10, 4))
    better = draws - np.array([levels * 0.6, 0, 0, 0])
    assert np.mean([friedman(x).p <= 0.05 for x in better]) > 0.8


@pytest.mark.parametrize(("alpha", "quantiles"), [
    (0.05, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
    (0.10, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
])  # fmt: skip
def test_critical_differences_are_demsars(alpha: float, quantiles: list[float]) -> None:
    """Table 5 (a), for 2 to 10 methods; and his example, 4 methods on 14 data sets."""
    for k, q in zip(range(2, 11), quantiles, strict=True):
        assert critical_difference(k, 1, alpha) == pytest.approx(q * math.sqrt(k * (k + 1) / 6), abs=2e-3 * k)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, 0.10) == pytest.approx(1.12, abs=0.005)
    with pytest.raises(ValueError, match="at least 2 methods"):
        critical_difference(1, 5)


def test_autoranks_example() -> None:
    """Its README, 6 populations of 50, higher is better; its CD interpolates a table of quantiles."""
    rng = np.random.RandomState(42)
    losses = -np.stack([rng.normal(mean, 0.3, 50).clip(0, 1) for mean in (0.2, 0.3, 0.5, 0.8, 0.85, 0.9)], axis=1)
    assert mean_ranks(losses) == pytest.approx([5.40, 4.71, 3.95, 2.47, 2.29, 2.18])
    assert friedman(losses).p_chi2 == pytest.approx(2.3412212612346733e-28, rel=1e-9)
    assert critical_difference(6, 50) == pytest.approx(1.0662484349869374, abs=2e-5)
