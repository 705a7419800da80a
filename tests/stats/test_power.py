from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from hptbench.rng import entropy, stream
from hptbench.stats.pairwise import pairwise, signed_rank
from hptbench.stats.power import detectable, effect_of, power, seeds_for, smallest_p, units_for, units_needed


@pytest.mark.parametrize("n", range(1, 12))
def test_smallest_p_is_that_of_differences_of_one_sign(n: int) -> None:
    assert smallest_p(n) == pytest.approx(signed_rank(np.arange(1.0, n + 1))[0])


def test_units_needed() -> None:
    assert units_needed() == 6
    assert units_needed(comparisons=3) == 7
    assert units_needed(comparisons=10) == 9
    assert units_needed(alpha=0.001) == 11
    assert units_needed(alpha=1) == 1


@pytest.mark.parametrize("methods", [2, 3, 5])
def test_units_needed_are_needed_and_enough(methods: int) -> None:
    needed = units_needed(methods * (methods - 1) // 2)
    for units, reached in [(needed - 1, False), (needed, True)]:
        best = np.arange(1.0, units + 1)[:, None] * np.arange(methods)
        assert any(p.p_holm <= 0.05 for p in pairwise(best, [str(i) for i in range(methods)])) is reached


def test_units_for_and_detectable_invert_power() -> None:
    for effect in (0.4, 1.0, 3.0):
        units = units_for(effect, comparisons=3)
        assert power(units, effect, 3) >= 0.8
        assert units == units_needed(3) or power(units - 1, effect, 3) < 0.8
        assert detectable(units, comparisons=3) <= effect * (1 + 1e-9)
    assert power(20, detectable(20)) == pytest.approx(0.8)
    assert power(5, 10.0) == 0
    assert power(50, 20.0) == 1
    assert detectable(5) == math.inf
    assert power(40, 0.0) == pytest.approx(0.05)
    with pytest.raises(ValueError, match="100,000 data sets"):
        units_for(0.001)


def test_more_seeds_help_only_against_the_noise() -> None:
    assert effect_of(0.3, interaction=0.0, noise=0.09, seeds=2) == pytest.approx(1.0)
    assert effect_of(-0.3, interaction=0.045, noise=0.09, seeds=10**9) == pytest.approx(1.0)
    assert effect_of(0.3, 0.0, 0.0, 1) == math.inf


def test_seeds_for_is_as_predicted() -> None:
    """Noether's formula for the rank-sum test, Gaussian losses."""
    shift = math.sqrt(2) * scipy.stats.norm.ppf(0.75)
    seeds = seeds_for(0.75)
    assert seeds == seeds_for(0.25) == 21
    rng = stream(entropy("planted", "seeds"))
    first, second = rng.normal(size=(500, seeds)), rng.normal(shift, 1, size=(500, seeds))
    p = scipy.stats.mannwhitneyu(first, second, axis=1, method="asymptotic").pvalue
    assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.06)
    with pytest.raises(ValueError, match="not 0"):
        seeds_for(0.5)
