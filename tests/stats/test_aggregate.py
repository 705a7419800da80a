from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from hptbench.rng import entropy, stream
from hptbench.stats.aggregate import (
    AGGREGATES,
    bootstrap,
    iqm,
    mean,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)
from hptbench.stats.effects import a12, cliffs_delta, size_of


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 7), (4, 5), (26, 5)])
def test_aggregates_are_those_of_rliable(shape: tuple[int, int]) -> None:
    """Whose functions take (runs, tasks), and whose optimality gap is for scores that are better if higher."""
    y = stream(entropy("aggregate", *shape)).normal(0.3, 0.5, size=shape)
    theirs = y.T
    assert iqm(y) == pytest.approx(scipy.stats.trim_mean(theirs, proportiontocut=0.25, axis=None))
    assert mean(y) == pytest.approx(np.mean(np.mean(theirs, axis=0)))
    assert median(y) == pytest.approx(np.median(np.mean(theirs, axis=0)))
    assert optimality_gap(y) == pytest.approx(1 - np.mean(np.minimum(1 - theirs, 1)))
    assert iqm(np.stack([y, y + 1])) == pytest.approx(np.array([iqm(y), iqm(y) + 1]))
    assert set(AGGREGATES) == {"iqm", "mean", "median"}


def test_probability_of_improvement_is_that_of_rliable() -> None:
    rng = stream(entropy("improvement"))
    x, y = rng.integers(0, 6, (4, 5)).astype(float), rng.integers(1, 7, (4, 5)).astype(float)
    tasks = [
        scipy.stats.mannwhitneyu(b, a, alternative="greater").statistic / (5 * 5) for a, b in zip(x, y, strict=True)
    ]
    found = probability_of_improvement(np.stack([x, y, x], axis=1), rng, draws=500)
    assert found.estimate[0, 1] == pytest.approx(np.mean(tasks))
    assert found.estimate + found.estimate.T == pytest.approx(np.ones((3, 3)))
    assert found.estimate[0, 2] == pytest.approx(0.5)
    assert found.low + found.high.T == pytest.approx(np.ones((3, 3)))
    assert 0 <= found.low[0, 1] < found.estimate[0, 1] < found.high[0, 1] <= 1
    assert np.isnan(probability_of_improvement(np.stack([x, y], axis=1)[:, :, :1], rng, draws=50).low).all()


def test_the_interval_of_a_probability_is_that_of_drawing_runs() -> None:
    """Drawn and compared run by run, without counting."""
    rng = stream(entropy("improvement", "runs"))
    y = rng.normal(size=(3, 2, 6)) + np.array([0.0, 0.5])[:, None]
    found = probability_of_improvement(y, rng, draws=4000)
    rows, drawn = np.arange(3)[:, None], []
    for _ in range(4000):
        first, second = (y[:, m][rows, rng.integers(6, size=(3, 6))] for m in range(2))
        drawn.append(a12(first, second).mean())
    wide = np.sqrt(6 / 5) * scipy.stats.t.ppf(0.975, 15) / scipy.stats.norm.ppf(0.975)
    low, high = found.estimate[0, 1] + wide * (np.quantile(drawn, [0.025, 0.975]) - found.estimate[0, 1])
    assert found.low[0, 1] == pytest.approx(low, abs=0.02)
    assert found.high[0, 1] == pytest.approx(min(high, 1), abs=0.02)


def test_effect_sizes_of_autoranks_example() -> None:
    """autorank's README: populations clipped to [0, 1], Cliff's delta of the best against each, higher is better."""
    rng = np.random.RandomState(42)
    pops = [rng.normal(mean, 0.3, 50).clip(0, 1) for mean in (0.2, 0.3, 0.5, 0.8, 0.85, 0.9)]
    deltas = [float(cliffs_delta(-pops[5], -one)) for one in pops[:5]]
    assert deltas == pytest.approx([0.9192, 0.8516, 0.6424, 0.1364, -0.024])
    assert [size_of(d) for d in deltas] == ["large", "large", "large", "negligible", "negligible"]
    assert size_of(-0.2) == "small"
    assert size_of(0.4) == "medium"


def test_a12_with_ties_and_infinities() -> None:
    assert a12([1, 2], [2, np.inf]) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert a12([np.inf], [np.inf]) == 0.5
    assert a12(np.ones((3, 2)), np.zeros((3, 4))).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="without NaN"):
        a12([np.nan], [1.0])


def test_the_generator_decides_the_resamples() -> None:
    y = stream(entropy("seeded")).normal(size=(3, 2, 5))
    one, same, other = (bootstrap(y, iqm, stream(entropy(x)), draws=200) for x in "aab")
    assert one.low.tolist() == same.low.tolist()
    assert one.low.tolist() != other.low.tolist()
    assert one.estimate == pytest.approx(np.array([iqm(y[:, 0]), iqm(y[:, 1])]))


def test_one_repeat_has_no_interval_and_the_rest_is_refused() -> None:
    rng = stream(entropy("x"))
    assert np.isnan(bootstrap(np.ones((3, 2, 1)), mean, rng, draws=10).low).all()
    with pytest.raises(ValueError, match="finite scores"):
        bootstrap(np.full((3, 2, 2), np.inf), mean, rng)
    with pytest.raises(ValueError, match="finite scores"):
        bootstrap(np.ones((3, 2)), mean, rng)


def test_the_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    """Only seeds are drawn, within each unit: the variance is the sum of those of the units."""
    y = stream(entropy("strata")).normal(size=(6, 1, 40)) + 100 * np.arange(6)[:, None, None]
    found = bootstrap(y, mean, stream(entropy("draws")), draws=20_000)
    error = np.sqrt((y.var(axis=2, ddof=1) / 40).sum()) / 6
    assert found.high[0] - found.low[0] == pytest.approx(2 * 1.96 * error, rel=0.03)


def test_profiles() -> None:
    rng = stream(entropy("profile"))
    y = rng.uniform(size=(5, 2, 8))
    y[:, 1] += 0.2
    at = np.array([-1.0, 0.5, 0.9, 2.0])
    found = performance_profile(y, at, rng, draws=400)
    assert found.estimate == pytest.approx(np.array([[(y[:, m] <= t).mean() for t in at] for m in range(2)]))
    assert ((found.low <= found.estimate) & (found.estimate <= found.high)).all()
    assert found.low[0, 1] < found.estimate[0, 1] < found.high[0, 1]
    assert np.isnan(performance_profile(y[:, :, :1], at, rng).low).all()
