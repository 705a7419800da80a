from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import approx_fprime
from scipy.special import beta

from hptbench.models.gp import GP, Inputs, Priors, _Posterior, fit, modes, warp, warp_slope
from hptbench.space import Floats

GROUPS = Inputs(np.array([0, 1, 2, 3, 3, 3]), np.array([], dtype=int))
WARPED = Inputs(np.array([0, 1, 2, 3, 3, 3]), np.array([0, 2]))


def data(n: int = 40, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.random((n, 3)), np.eye(3)[rng.integers(3, size=n)] / np.sqrt(2)], axis=1)
    y = np.sin(6 * x[:, 0]) + x[:, 2] ** 2 + x[:, 4] + 0.05 * rng.standard_normal(n)
    return x, (y - y.mean()) / y.std()


def theta(inputs: Inputs) -> Floats:
    rng = np.random.default_rng(5)
    return modes(inputs) + 0.3 * rng.standard_normal(inputs.scales + 2 + 2 * len(inputs.warped))


@pytest.mark.parametrize("inputs", [GROUPS, WARPED])
def test_the_posterior_density_is_that_of_the_book(inputs: Inputs) -> None:
    from sklearn.gaussian_process.kernels import Matern

    x, y = data()
    t = theta(inputs)
    z = warp(x, inputs, t)
    lengths, noise, scale = np.exp(t[:4])[inputs.groups], np.exp(t[4]), np.exp(t[5])
    k = scale * Matern(length_scale=lengths, nu=2.5)(z) + noise * np.eye(len(y))
    likelihood = stats.multivariate_normal(np.zeros(len(y)), k).logpdf(y)
    mean = np.sqrt(2) + np.log(4) / 2
    priors = stats.lognorm(np.sqrt(3), scale=np.exp(mean)).logpdf(np.exp(t[:4])).sum()
    priors += stats.lognorm(1.0, scale=np.exp(-4)).logpdf(noise) + stats.lognorm(0.5).logpdf(scale)
    priors += stats.lognorm(0.5).logpdf(np.exp(t[6:])).sum()
    constant = 0.5 * len(y) * np.log(2 * np.pi) + 0.5 * len(t) * np.log(2 * np.pi)
    constant += np.log([np.sqrt(3)] * 4 + [1.0, 0.5] + [0.5] * len(t[6:])).sum()
    assert _Posterior(x, y, inputs, Priors())(t)[0] == pytest.approx(-likelihood - priors - constant, rel=1e-9)


@pytest.mark.parametrize("inputs", [GROUPS, WARPED])
def test_gradients_are_derivatives(inputs: Inputs) -> None:
    x, y = data()
    t = theta(inputs)
    posterior = _Posterior(x, y, inputs, Priors())
    assert posterior(t)[1] == pytest.approx(approx_fprime(t, lambda t: posterior(t)[0], 1e-6), rel=1e-3, abs=1e-3)
    gp = GP(x, np.stack([y, y**2], axis=1), inputs, t)
    at = data(2, seed=3)[0][:1]
    mean, variance, by_mean, by_variance = gp.gradients(at)
    assert mean == pytest.approx(gp.predict(at)[0])
    assert variance == pytest.approx(gp.predict(at)[1])
    for s in range(2):
        assert by_mean[0, s] == pytest.approx(
            approx_fprime(at[0], lambda row, s=s: gp.predict(row[None])[0][0, s], 1e-6), rel=1e-3, abs=1e-4
        )
    numeric = approx_fprime(at[0], lambda row: gp.predict(row[None])[1][0], 1e-6)
    assert by_variance[0] == pytest.approx(numeric, rel=1e-3, abs=1e-4)


def test_predictions_are_those_of_scikit_learn() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    x, y = data()
    t = theta(GROUPS)
    lengths = np.exp(t[:4])[GROUPS.groups]
    kernel = ConstantKernel(np.exp(t[5]), "fixed") * Matern(lengths, "fixed", nu=2.5)
    other = GaussianProcessRegressor(kernel, alpha=np.exp(t[4]), optimizer=None).fit(x, y)
    at = data(20, seed=1)[0]
    mean, std = other.predict(at, return_std=True)
    ours = GP(x, y[:, None], GROUPS, t).predict(at)
    assert ours[0][:, 0] == pytest.approx(mean)
    assert np.sqrt(ours[1]) == pytest.approx(std)


def test_what_is_given_later_counts_as_if_it_had_been_there() -> None:
    x, y = data()
    t = theta(WARPED)
    whole = GP(x, y[:, None], WARPED, t)
    part = GP(x[:30], y[:30, None], WARPED, t).given(x[30:], y[30:, None])
    at = data(10, seed=1)[0]
    assert part.predict(at)[0] == pytest.approx(whole.predict(at)[0])
    assert part.predict(at)[1] == pytest.approx(whole.predict(at)[1])


def test_draws_have_the_mean_and_covariance_of_the_process() -> None:
    x, y = data()
    gp = GP(x, y[:, None], GROUPS, theta(GROUPS))
    at = data(3, seed=2)[0]
    at[1] = at[0] + 0.01
    drawn = gp.draw(at, 40_000, np.random.default_rng(0))
    mean, variance = gp.predict(at)
    assert drawn.mean(axis=1) == pytest.approx(mean[:, 0], abs=0.02)
    assert drawn.var(axis=1) == pytest.approx(variance + gp.noise, rel=0.03)
    assert np.corrcoef(drawn)[0, 1] > np.corrcoef(drawn)[0, 2]


def test_a_fit_finds_what_matters() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((60, 4))
    y = np.sin(8 * x[:, 1]) + 0.1 * rng.standard_normal(60)
    gp = fit(x, (y - y.mean()) / y.std(), Inputs(np.arange(4), np.array([], dtype=int)))
    assert gp.lengths[1] < min(np.delete(gp.lengths, 1)) / 3
    assert 0.005 < gp.noise < 0.08  # 0.02 is true


def test_a_fit_from_several_starts_keeps_the_best() -> None:
    x, y = data()
    bad = modes(GROUPS) + np.array([7.0] * 4 + [5.0, 0.0])
    alone, both = fit(x, y, GROUPS), fit(x, y, GROUPS, starts=[bad, modes(GROUPS)])
    posterior = _Posterior(x, y, GROUPS, Priors())
    assert posterior(both.theta)[0] <= posterior(alone.theta)[0] + 1e-6
    assert np.array_equal(fit(x, y, GROUPS).theta, alone.theta)


def test_modes_are_where_the_priors_are_greatest() -> None:
    t = modes(WARPED)
    assert np.exp(t[:4]) == pytest.approx(2 * np.exp(np.sqrt(2) - 3))
    assert np.exp(t[4:6]) == pytest.approx([np.exp(-5), np.exp(-0.25)])


def test_warping_is_a_distribution_function() -> None:
    x = np.linspace(0, 1, 101)[:, None]
    t = np.array([0.0, 0.0, 0.0, np.log(2.0), np.log(3.0)])
    inputs = Inputs(np.array([0]), np.array([0]))
    u, slope = warp(x, inputs, t), warp_slope(x, inputs, t)
    assert u[:, 0] == pytest.approx(1 - (1 - x[:, 0] ** 2) ** 3, abs=1e-5)
    assert slope[1:-1, 0] == pytest.approx(np.gradient(u[:, 0], x[:, 0])[1:-1], abs=2e-2)
    density_mean = 3 * beta(1 + 1 / 2, 3)  # of Kumaraswamy's distribution
    assert (x[:, 0] * slope[:, 0]).mean() * 1.01 == pytest.approx(density_mean, rel=0.02)


def test_equal_points_do_not_break_it() -> None:
    x = np.repeat(data(4)[0], 5, axis=0)
    y = np.tile([1.0, -1.0, 0.5, 0.0, -0.5], 4)
    assert np.isfinite(fit(x, y, GROUPS).predict(x)[0]).all()
    flat = fit(x, np.zeros(20), GROUPS)
    assert flat.predict(x)[0] == pytest.approx(np.zeros((20, 1)))
