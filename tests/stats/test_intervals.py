from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from hptbench.rng import entropy, stream
from hptbench.stats.intervals import median_interval, t_interval


def test_t_interval_is_scipys() -> None:
    values = stream(entropy("t")).normal(3, 2, 7)
    low, high = scipy.stats.t.interval(0.9, 6, values.mean(), scipy.stats.sem(values))
    assert t_interval(values, 0.9) == pytest.approx((values.mean(), low, high))


def test_t_interval_works_on_columns() -> None:
    values = stream(entropy("columns")).normal(size=(5, 3))
    table = t_interval(values)
    for j in range(3):
        assert [x[j] for x in table] == pytest.approx(list(t_interval(values[:, j])))


def test_one_repeat_has_no_bounds_and_none_is_refused() -> None:
    estimate, low, high = t_interval([0.4])
    assert estimate == 0.4
    assert math.isnan(low)
    assert math.isnan(high)
    with pytest.raises(ValueError, match="at least one repeat"):
        t_interval([])


def test_equal_repeats_have_an_interval_of_no_width() -> None:
    assert t_interval([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_spoils_its_own_column_only(bad: float) -> None:
    mean, low, _ = t_interval([[1.0, 2.0], [bad, 4.0]])
    assert math.isnan(mean[0])
    assert mean[1] == 3
    assert low[1] < 3


def test_a_median_lies_between_two_of_the_repeats() -> None:
    # Conover's tables: with 10 repeats the 2nd and 9th (97.9 %), with 6 the extremes (96.9 %), with 5 none reach 95 %
    assert median_interval(range(10, 0, -1)) == (5.5, 2, 9)
    assert median_interval([3, 1, 2, 6, 5, 4]) == (3.5, 1, 6)
    few = median_interval([1, 2, 3, 4, 5])
    assert few.estimate == 3
    assert math.isnan(few.low)
    assert median_interval(range(1, 21)) == (10.5, 6, 15)  # 95.9 %


def test_medians_of_columns_with_infinite_and_missing_values() -> None:
    inf = math.inf
    found = median_interval([[1.0, inf, np.nan], [2.0, inf, 1.0], [4.0, inf, 1.0], [5.0, 3.0, 1.0]])
    assert found.estimate.tolist()[:2] == [3.0, inf]
    assert np.isnan(found.estimate[2])
    with pytest.raises(ValueError, match="at least one repeat"):
        median_interval([])


@pytest.mark.parametrize("n", [6, 15, 40])
def test_the_interval_of_a_median_covers_it(n: int) -> None:
    values = stream(entropy("cover", n)).exponential(size=(n, 4000))
    found = median_interval(values)
    assert ((found.low <= math.log(2)) & (math.log(2) <= found.high)).mean() > 0.94
