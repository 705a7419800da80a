from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from hptbench.methods._cma import Gaussian, population_size, recombination_weights
from hptbench.space import Floats, Mask

SIZES = np.array([0, 5, 2])
"""A float, an integer of five values and one of two."""


def cells(m: Floats) -> tuple[Floats, Floats]:
    k = SIZES[SIZES > 0][-len(m) :]
    i = np.clip(np.floor(m * k), 0, k - 1)
    return np.where(i == 0, -np.inf, i / k), np.where(i == k - 1, np.inf, (i + 1) / k)


def gaussian(mean: list[float], sigma: float, whole: Mask, size: int = 7) -> Gaussian:
    return Gaussian(np.array(mean), sigma, size, whole, cells)


def loss(x: Floats) -> Floats:
    return np.asarray(((x - 0.31) ** 2 * np.arange(1, x.shape[1] + 1) ** 3).sum(axis=1))


def values(x: Floats) -> Floats:
    """What points with the columns of SIZES stand for."""
    k = np.maximum(SIZES, 1)
    return np.where(SIZES > 0, (np.clip(np.floor(x * k), 0, k - 1) + 0.5) / k, x)


def generation(g: Gaussian, z: Floats, discrete: bool) -> None:
    """One, from draws ``z``, (7, n), of the standard normal."""
    x = g.mean + g.sigma * g._stretch * (z @ np.linalg.cholesky(g._c).T)
    losses = loss(values(x) if discrete else x)
    order = np.argsort(losses, kind="stable")
    g.update(x[order], losses[order[0]], np.ones(len(x), dtype=bool))


def test_it_is_that_of_the_package_cmaes() -> None:
    """After 25 generations; numbers of ``cmaes.CMA`` 0.13.1 on the same draws."""
    g, rng = gaussian([0.2, 0.5, 0.8], 0.3, np.zeros(3, dtype=bool)), np.random.default_rng(7)
    for _ in range(25):
        generation(g, rng.standard_normal((7, 3)), discrete=False)
    assert g.sigma == pytest.approx(0.04644620301875825, rel=1e-9)
    np.testing.assert_allclose(g.mean, [0.2322467501028816, 0.30129440790977213, 0.3068858545130712], rtol=1e-9)
    expected = [
        [0.31064069412040357, -0.0005291863120125634, -0.0076279090158973255],
        [-0.0005291863120125634, 0.14833749713888203, 0.0027323613712316895],
        [-0.0076279090158973255, 0.0027323613712316895, 0.04270772336847802],
    ]
    np.testing.assert_allclose(g._c, expected, rtol=1e-8)


def test_the_margin_is_that_of_the_package_cmaes() -> None:
    """After 25 generations; numbers of ``cmaes.CMAwM`` 0.13.1 on the same draws."""
    g, rng = gaussian([0.2, 0.5, 0.8], 0.3, SIZES > 0), np.random.default_rng(8)
    for _ in range(25):
        generation(g, rng.standard_normal((7, 3)), discrete=True)
    assert g.sigma == pytest.approx(0.06066184055967328, rel=1e-6)
    np.testing.assert_allclose(g.mean, [0.30808148867429985, 0.2873296772276359, 0.4490173175754992], rtol=1e-6)
    np.testing.assert_allclose(g._stretch, [1, 2.5525261679191655, 1], rtol=1e-6)
    assert g._c[2, 2] == pytest.approx(0.4977927157843841, rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_no_integer_is_stuck(seed: int) -> None:
    """Every integer leaves its cell with probability alpha at least: 1 / (n lambda), half of it to either side."""
    g, rng = gaussian([0.2, 0.5, 0.8], 0.3, SIZES > 0), np.random.default_rng(seed)
    alpha = 1 / (3 * 7)
    for _ in range(60):
        generation(g, rng.standard_normal((7, 3)), discrete=True)
        spread = g.sigma * g._stretch * np.sqrt(np.diag(g._c))
        below, above = cells(g.mean[1:])
        for m, s, a, b in zip(g.mean[1:], spread[1:], below, above, strict=True):
            low, high = norm.cdf(a, m, s), norm.sf(b, m, s)
            if math.isinf(a) or math.isinf(b):
                assert low + high >= alpha * (1 - 1e-6)
            else:
                assert min(low, high) >= alpha / 2 * (1 - 1e-6)


def test_weights() -> None:
    """By hand for lambda = 6: mu = 3, and the negative ones sum to minus the least of (50) to (52)."""
    g = gaussian([0.5] * 4, 0.3, np.zeros(4, dtype=bool), size=6)
    positive = np.array([math.log(3.5 / i) for i in (1, 2, 3)])
    np.testing.assert_allclose(g._weights[:3], positive / positive.sum())
    mu_eff = 1 / ((positive / positive.sum()) ** 2).sum()
    c1 = 2 / (5.3**2 + mu_eff)
    c_mu = 2 * (mu_eff - 2 + 1 / mu_eff) / (6**2 + mu_eff)
    lowest = np.array([math.log(3.5 / i) for i in (4, 5, 6)])
    negative = lowest.sum() ** 2 / (lowest**2).sum()
    bound = min(1 + c1 / c_mu, 1 + 2 * negative / (mu_eff + 2), (1 - c1 - c_mu) / (4 * c_mu))
    assert -g._weights[3:].sum() == pytest.approx(bound)
    assert recombination_weights(6)[3:].max() < 0


def test_population_sizes() -> None:
    assert [population_size(d) for d in (0, 1, 2, 3, 10, 40)] == [4, 4, 6, 7, 10, 15]


def test_samples_stay_in_the_box_but_for_integers() -> None:
    g = gaussian([0.02, 0.5, 0.9], 0.5, SIZES > 0)
    x = g.sample(2000, np.random.default_rng(0))
    assert x[:, 0].min() >= 0
    assert (x[:, 0] == 0).sum() == 0, "drawn again, not moved to the edge"
    assert x[:, 1].min() < 0
    assert x[:, 2].max() > 1


def test_a_box_that_is_hardly_hit_gets_points_on_its_edge() -> None:
    g = gaussian([0.5] * 3, 1e3, np.zeros(3, dtype=bool))
    x = g.sample(5, np.random.default_rng(0))
    assert ((x == 0) | (x == 1)).any(axis=1).all()
    assert ((x >= 0) & (x <= 1)).all()


def test_injected_points_are_brought_near_and_own_ones_are_not() -> None:
    """A step of 50 sigma is taken as one of sqrt(n) + 2 n / (n + 2)."""
    rng = np.random.default_rng(0)
    moves = {}
    for own in (True, False):
        g = gaussian([0.5] * 3, 0.01, np.zeros(3, dtype=bool))
        x = g.mean + 1e-9 * rng.standard_normal((7, 3))
        x[0] = [1.0, 0.5, 0.5]
        g.update(x, 0.0, np.array([own] + [True] * 6))
        moves[own] = (g.mean[0] - 0.5) / 0.01 / g._weights[0]
    assert moves[True] == pytest.approx(50, rel=1e-3)
    assert moves[False] == pytest.approx(math.sqrt(3) + 6 / 5, rel=1e-3)


def test_it_has_converged_where_all_is_flat_and_where_it_scatters_no_more() -> None:
    rng, none = np.random.default_rng(0), np.zeros(2, dtype=bool)
    flat, steep = gaussian([0.5, 0.5], 0.1, none, size=6), gaussian([0.5, 0.5], 0.1, none, size=6)
    own, ended = np.ones(6, dtype=bool), {}
    for i in range(400):
        for name, g in (("flat", flat), ("steep", steep)):
            if name not in ended:
                x = g.sample(6, rng)
                order = np.argsort(loss(x)) if name == "steep" else np.arange(6)
                g.update(x[order], float(i) * -1.0 if name == "steep" else math.inf, own)
                if g.converged:
                    ended[name] = i + 1
    assert ended["flat"] == 10 + 30 * 2 // 6
    assert 100 < ended["steep"] < 400
    assert np.abs(steep.mean - 0.31).max() < 1e-10
