from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.stats

from hptbench.rng import entropy, stream
from hptbench.stats.bayes import signed_rank_posterior
from hptbench.stats.resampled import corrected_t, correlated_t

D = np.array([0.01, 0.03, -0.002, 0.05, 0.02, -0.004, 0.001, 0.015, 0.03, 0.04])


def test_the_signed_rank_test_is_that_of_baycomp() -> None:
    """baycomp 1.0.3, SignedRankTest.probs(D, zeros, 0.01) with 50,000 draws and random_state 0 and 1."""
    found = signed_rank_posterior(D, 0.01, stream(entropy("baycomp")))
    assert (found.better, found.equivalent, found.worse) == pytest.approx((0.0, 0.0972, 0.9028), abs=0.006)
    assert found.better + found.equivalent + found.worse == pytest.approx(1)


def test_the_generator_decides_the_draws() -> None:
    one, same, other = (signed_rank_posterior(D, 0.01, stream(entropy(name)), draws=2000) for name in "aab")
    assert one == same
    assert one != other


def test_swapping_and_scaling() -> None:
    one, other = (signed_rank_posterior(sign * 100 * D, rope, stream(entropy("s"))) for sign, rope in ((1, 1), (-1, 1)))
    assert (one.better, one.equivalent, one.worse) == pytest.approx((other.worse, other.equivalent, other.better))
    wider = signed_rank_posterior(D, 0.05, stream(entropy("s")))
    assert wider.equivalent > 0.99


def test_without_a_rope_nothing_is_equivalent() -> None:
    found = signed_rank_posterior([0.0, 0.0, 0.0], 0.0, stream(entropy("rope")), draws=100)
    assert (found.better, found.equivalent, found.worse) == (0.5, 0.0, 0.5)


def test_the_prior_matters_with_few_units_only() -> None:
    few, many = (signed_rank_posterior(np.full(n, -1.0), 0.1, stream(entropy("n")), prior=1.0) for n in (2, 30))
    assert few.better_least < few.better <= few.better_most == 1
    assert few.better_most - few.better_least > 0.2
    assert many.better_most - many.better_least < 1e-3


def test_planted_equivalence_and_superiority_are_found() -> None:
    rng = stream(entropy("planted", "rope"))
    for shift, name in ((-0.3, "better"), (0.0, "equivalent"), (0.3, "worse")):
        found = [signed_rank_posterior(rng.normal(shift, 0.05, 15), 0.1, rng, draws=1000) for _ in range(50)]
        assert np.mean([getattr(p, name) > 0.95 for p in found]) > 0.95


@pytest.mark.parametrize("rope", [-1.0, np.inf, np.nan])
def test_a_rope_is_a_width(rope: float) -> None:
    with pytest.raises(ValueError, match="practical equivalence"):
        signed_rank_posterior(D, rope, stream(entropy("x")))


def test_differences_are_finite() -> None:
    with pytest.raises(ValueError, match="finite differences"):
        signed_rank_posterior([1.0, np.nan], 0.0, stream(entropy("x")))


def test_independent_repeats_give_students_test() -> None:
    found, theirs = corrected_t(D, 0.0), scipy.stats.ttest_1samp(D, 0)
    assert (found.t, found.df, found.p) == pytest.approx((theirs.statistic, theirs.df, theirs.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))


def test_the_correction_is_nadeau_and_bengios() -> None:
    """t = mean / sqrt((1/n + n_test/n_train) s²), here for 10-fold cross-validation: 1/9."""
    found = corrected_t(D, 0.1)
    assert found.t == pytest.approx(D.mean() / np.sqrt((1 / 10 + 1 / 9) * D.var(ddof=1)))
    posterior = correlated_t(D, 0.0, 0.1)
    assert posterior.better == pytest.approx(found.p / 2)  # D is positive: the first is worse
    assert posterior.equivalent == pytest.approx(0, abs=1e-15)


def test_the_correlated_posterior_is_that_of_baycomp() -> None:
    """baycomp 1.0.3, CorrelatedTTest.probs(D, zeros, 0.01, runs=1)."""
    found = correlated_t(D, 0.01, 0.1)
    assert dataclasses.astuple(found)[:3] == pytest.approx((0.003716, 0.153271, 0.843013), abs=1e-6)


def test_no_spread() -> None:
    assert corrected_t([0.0, 0.0], 0.1).p == 1
    assert corrected_t([1.0, 1.0], 0.1).p == 0
    assert correlated_t([-1.0, -1.0], 0.5, 0.1).better == 1
    with pytest.raises(ValueError, match="at least 2"):
        corrected_t([1.0], 0.1)
