from __future__ import annotations

import numpy as np
import pytest

from hptbench.rng import entropy, stream
from hptbench.stats.ratings import bradley_terry, elo, win_matrix

BASEBALL = np.array([
    [0, 7, 9, 7, 7, 9, 11], [6, 0, 7, 5, 11, 9, 9], [4, 6, 0, 7, 7, 8, 12], [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12], [4, 4, 5, 6, 6, 0, 6], [2, 4, 1, 3, 1, 7, 0],
])  # fmt: skip
"""Agresti, Categorical Data Analysis, 2002, table 10.10: wins of Milwaukee, Detroit, Toronto, New York, Boston,
Cleveland and Baltimore against each other in 1987."""


def test_agrestis_example() -> None:
    """Estimates relative to Baltimore in his table 10.11 / section 10.6.1."""
    found = bradley_terry(BASEBALL, prior=0)
    assert found - found[-1] == pytest.approx([1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0], abs=0.006)
    assert found.sum() == pytest.approx(0)


def test_two_methods_have_the_log_odds() -> None:
    assert np.diff(bradley_terry([[0, 3], [1, 0]], prior=0)) == pytest.approx([-np.log(3)])


def test_a_method_that_always_wins_is_finite_by_the_prior_only() -> None:
    wins = [[0, 5, 5], [0, 0, 3], [0, 2, 0]]
    assert np.isfinite(bradley_terry(wins)).all()
    with pytest.raises(RuntimeError, match="set prior above 0"):
        bradley_terry(wins, prior=0)
    with pytest.raises(ValueError, match="wins"):
        bradley_terry([[0, -1], [1, 0]])


def test_wins_count_ties_half() -> None:
    assert win_matrix([[1.0, 2.0], [1.0, 1.0], [3.0, 1.0]]).tolist() == [[1.5, 1.5], [1.5, 1.5]]


def test_planted_ratings_are_found_and_covered() -> None:
    """Scores of which the first is lower with the chance that 200 points mean."""
    rng = stream(entropy("planted", "elo"))
    chance, hits, studies = 1 / (1 + 10 ** (-200 / 400)), 0, 120
    for _ in range(studies):
        first = (rng.uniform(size=200) >= chance).astype(float)
        found = elo(np.stack([first, 1 - first], axis=1), rng, draws=200)
        assert found.estimate.mean() == pytest.approx(1000)
        hits += bool(found.low[0] <= 1100 <= found.high[0])
    assert hits / studies >= 0.88
    assert np.isnan(elo([[1.0, 2.0]], rng).low).all()
