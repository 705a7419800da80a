from __future__ import annotations

import numpy as np
import pytest

from hptbench.results.importance import LEAST, Explained
from hptbench.rng import entropy, stream
from hptbench.space import Floats


def points(n: int, d: int) -> Floats:
    return stream(entropy("importance", n, d)).random((n, d))


def test_an_additive_function_has_the_shares_of_its_parts() -> None:
    """4 x0 + 2 x1 has variances 16 / 12 and 4 / 12, x2 none: shares 0.8, 0.2 and 0."""
    x = points(600, 3)
    found = Explained(x, 4 * x[:, 0] + 2 * x[:, 1])
    assert found.importance() == pytest.approx([0.8, 0.2, 0.0], abs=0.05)
    assert found.r2 > 0.95


def test_what_only_interacts_has_no_share_alone() -> None:
    x = points(600, 2)
    shares = Explained(x, np.where((x[:, 0] < 0.5) == (x[:, 1] < 0.5), 1.0, 0.0)).importance()
    assert shares.sum() < 0.15


def test_the_marginal_is_the_mean_of_the_forest_over_the_other_parameters() -> None:
    x = points(300, 3)
    found = Explained(x, np.sin(6 * x[:, 0]) + x[:, 1] * x[:, 2])
    at = np.array([0.03, 0.31, 0.77, 0.99])
    mean, sd = found.dependence(0, at)
    drawn = points(8000, 3)
    for place, value in zip(at, mean, strict=True):
        drawn[:, 0] = place
        assert found.predict(drawn).mean() == pytest.approx(value, abs=0.02)
    assert (sd > 0).all()


def test_ablation_takes_the_best_change_first_and_ends_at_the_goal() -> None:
    x = points(600, 3)
    found = Explained(x, 4 * x[:, 0] + 2 * x[:, 1])
    start, end = np.array([0.9, 0.9, 0.5]), np.array([0.1, 0.1, 0.5])
    steps = found.ablation(start, end)
    assert [j for j, _ in steps] == [0, 1]  # the third does not differ
    assert steps[-1][1] == pytest.approx(float(found.predict(end[None])[0]))
    assert steps[0][1] == pytest.approx(float(found.predict(np.array([[0.1, 0.9, 0.5]]))[0]))


def test_nothing_that_varies_has_no_share_and_inactive_parameters_are_allowed() -> None:
    x = points(40, 2)
    x[::3, 1] = np.nan
    assert Explained(x, np.ones(40)).importance().tolist() == [0.0, 0.0]


def test_too_few_configurations() -> None:
    with pytest.raises(ValueError, match=f"at least {LEAST} configurations, got 5"):
        Explained(points(5, 2), np.arange(5.0))
