from __future__ import annotations

import math

import numpy as np
import pytest

from hptbench.stats.run_lengths import ecdf, ert, restricted_mean


def test_the_distribution_of_run_lengths() -> None:
    found = ecdf([[2.0, 4.0], [6.0, 9.0]], [[True, True], [False, True]], [1, 2, 5, 9])
    assert found.tolist() == [0, 0.25, 0.5, 0.75]
    with pytest.raises(ValueError, match="times of runs"):
        ecdf([], [], [1.0])


def test_ert_counts_what_runs_used_that_never_reached_it() -> None:
    time, reached = np.array([2.0, 10.0, 4.0]), np.array([1.0, 0.0, 1.0])
    assert ert(time, reached) == 8.0
    assert ert(time, np.zeros(3)) == math.inf


def test_the_restricted_mean_is_the_area_under_kaplan_and_meiers_curve() -> None:
    # Alive 1 until 2, 3/4 until 4, then 1/2 up to the horizon 6, at which the first one is censored.
    time, reached = np.array([2.0, 4.0, 6.0, 9.0]), np.array([1.0, 1.0, 0.0, 1.0])
    assert restricted_mean(time, reached) == (2 + 0.75 * 2 + 0.5 * 2, 6.0)
    assert restricted_mean(time, np.ones(4)) == (pytest.approx(time.mean()), 9.0)
    assert restricted_mean(np.array([3.0, 3.0]), np.zeros(2)) == (3.0, 3.0)
