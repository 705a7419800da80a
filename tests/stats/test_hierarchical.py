from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from hptbench.rng import entropy, stream
from hptbench.stats.hierarchical import RHAT, Data, State, freedoms, hierarchical, sweep


@pytest.mark.slow
def test_the_sampler_leaves_the_joint_distribution_as_it_is() -> None:
    """Geweke, JASA 99, 2004: variables from the prior, data from them, sweeps given the data: they are still from the
    prior. 2,000 problems at once; the bounds are tight enough to matter."""
    rng, n, units, repeats, rho = stream(entropy("geweke")), 2000, 5, 4, 0.2
    grid, prior = freedoms()

    def draw() -> State:
        mu, tau = rng.uniform(-1, 1, (n, 1)), rng.uniform(0.05, 2, (n, 1))
        nu = rng.choice(grid, p=np.exp(prior), size=(n, 1))
        delta = mu + tau * rng.standard_t(nu, size=(n, units))
        return State(mu, tau, nu, delta, rng.uniform(0.0, 1.5, (n, units)))

    before = draw()
    keep = before.tau[:, 0] > 0.05
    noise = rng.normal(size=(n, units, repeats)) * np.sqrt(1 - rho) + rng.normal(size=(n, units, 1)) * np.sqrt(rho)
    x = before.delta[:, :, None] + before.sigma[:, :, None] * noise
    bounds = (np.full((n, 1), 1.0), np.full((n, 1), 2.0), np.full((n, 1), 1.5))
    data = Data(x.mean(axis=2), x.var(axis=2) * repeats, repeats, rho, bounds)
    after = before
    for _ in range(8):
        after = sweep(after, data, rng)
    for name in ("mu", "sigma"):
        old, new = (getattr(state, name)[keep, 0] for state in (before, after))
        assert not np.array_equal(old, new)
        assert scipy.stats.ks_2samp(old, new).pvalue > 0.001, name
    uniform = scipy.stats.ks_1samp(
        after.tau[:, 0], scipy.stats.uniform(0, 2).cdf
    )  # the prior starts at 0, the draw at .05
    assert uniform.statistic < 0.05
    old, new = np.log(before.nu[:, 0]), np.log(after.nu[:, 0])
    assert abs(old.mean() - new.mean()) < 4 * np.sqrt((old.var() + new.var()) / n)


@pytest.fixture(scope="module")
def planted() -> np.ndarray:
    """(30 units, 8 repeats) around a typical difference of -0.5."""
    rng = stream(entropy("planted", "hierarchical"))
    return rng.normal(-0.5, 0.3, (30, 1)) + rng.normal(0, 0.4, (30, 8))


def test_what_was_planted_is_found(planted: np.ndarray) -> None:
    found = hierarchical(planted, 0.1, stream(entropy("h")), draws=4000)
    assert found.low < -0.5 < found.high < 0
    assert (found.better > 0.99, found.equivalent < 0.01, found.worse < 0.01) == (True, True, True)
    assert found.mean == pytest.approx(planted.mean(), abs=0.03)
    assert (found.rhat < RHAT, found.note) == (True, "")
    means = planted.mean(axis=1)
    assert found.units.std() < means.std()  # drawn together
    assert np.corrcoef(found.units, means)[0, 1] > 0.98
    wide = hierarchical(planted, 5.0, stream(entropy("h")), draws=1000)
    assert wide.equivalent > 0.99


def test_the_generator_decides_the_draws(planted: np.ndarray) -> None:
    one, same, other = (hierarchical(planted[:5], 0.1, stream(entropy(x)), draws=400).mean for x in "aab")
    assert one == same
    assert one != other


def test_correlated_repeats_say_less(planted: np.ndarray) -> None:
    free, tied = (hierarchical(planted[:8], 0.1, stream(entropy("rho")), rho=rho, draws=4000) for rho in (0.0, 0.5))
    assert tied.high - tied.low > free.high - free.low


def test_units_without_spread_are_named(planted: np.ndarray) -> None:
    flat = planted[:6].copy()
    flat[2] = 0.25
    found = hierarchical(flat, 0.1, stream(entropy("flat")), draws=400)
    assert "1 of 6 data sets have no spread" in found.note
    with pytest.raises(ValueError, match="signed-rank test"):
        hierarchical(np.ones((3, 4)), 0.1, stream(entropy("flat")))
    with pytest.raises(ValueError, match="2 units and 2 repeats"):
        hierarchical(np.ones((1, 4)), 0.1, stream(entropy("flat")))


@pytest.mark.slow
def test_the_interval_covers() -> None:
    """The typical difference of 100 studies of 10 units and 5 seeds; 3.5 standard errors below 0.95 at worst."""
    rng = stream(entropy("planted", "coverage"))
    hits = 0
    for _ in range(100):
        x = rng.normal(0.3, 0.5, (10, 1)) + rng.normal(0, 0.5, (10, 5))
        found = hierarchical(x, 0.0, rng, draws=2000)
        hits += found.low <= 0.3 <= found.high
    assert hits >= 88
