"""MOBSTER's process against the formulas of its paper, computed densely."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from hptbench.models.decay_gp import Data, DecayGP, Posterior, fit
from hptbench.models.gp import Inputs, matern_and_slope, squares
from hptbench.space import Floats

_INPUTS = Inputs(np.array([0, 1, 1]), np.arange(0))


def _data() -> Data:
    rng = np.random.default_rng(0)
    x, level = rng.random((15, 3)), rng.integers(0, 4, 15)
    return Data(x, level, np.array([1.0, 3, 9, 27]), rng.standard_normal((15, 1)))


def _theta(data: Data) -> Floats:
    medians = Posterior(data, _INPUTS).medians
    return medians + 0.3 * np.random.default_rng(1).standard_normal(len(medians))


def _prior(theta: Floats, x: Floats, r: Floats) -> tuple[Floats, Floats]:
    """Means and covariances of values without noise."""
    alpha, rate, gamma = np.exp(theta[4:7])
    beta = alpha / rate
    kappa = (beta / (r + beta)) ** alpha
    both = (beta / (r[:, None] + r + beta)) ** alpha
    z = x * np.exp(-theta[:2])[_INPUTS.groups]
    k = np.exp(theta[3]) * matern_and_slope(squares(z, z))[0]
    return theta[7] + gamma * kappa, k + gamma**2 * (both - np.outer(kappa, kappa))


def test_the_likelihood_and_its_gradient() -> None:
    data = _data()
    theta, posterior = _theta(data), Posterior(data, _INPUTS)
    mean, k = _prior(theta, data.x, data.resources[data.level])
    k = k + np.exp(theta[2]) * np.eye(15)
    standard = (theta - posterior.medians) / np.array([np.sqrt(3)] * 2 + [1, 0.5, 0.5, 1, 0.5, 1])
    expected = 0.5 * standard @ standard - multivariate_normal(mean, k).logpdf(data.y[:, 0])
    assert posterior(theta)[0] == pytest.approx(expected)
    numeric = [(posterior(theta + e)[0] - posterior(theta - e)[0]) / 2e-6 for e in 1e-6 * np.eye(len(theta))]
    np.testing.assert_allclose(posterior(theta)[1], numeric, atol=1e-5)


def test_predictions_at_a_resource_and_their_gradients() -> None:
    data = _data()
    theta = _theta(data)
    x = np.random.default_rng(2).random((2, 3))
    mean, k = _prior(theta, np.concatenate([data.x, x]), np.append(data.resources[data.level], [9.0, 9.0]))
    weights = np.linalg.solve(k[:15, :15] + np.exp(theta[2]) * np.eye(15), k[:15, 15:])
    at = DecayGP(data, _INPUTS, theta).at(2)
    found, variance, by_mean, by_variance = at.gradients(x)
    np.testing.assert_allclose(found[:, 0], mean[15:] + weights.T @ (data.y[:, 0] - mean[:15]))
    np.testing.assert_allclose(variance, np.diag(k[15:, 15:] - weights.T @ k[:15, 15:]))
    for j in range(3):
        up, down = at.predict(x + 1e-6 * np.eye(3)[j]), at.predict(x - 1e-6 * np.eye(3)[j])
        np.testing.assert_allclose(by_mean[:, :, j], (up[0] - down[0]) / 2e-6, atol=1e-6)
        np.testing.assert_allclose(by_variance[:, j], (up[1] - down[1]) / 2e-6, atol=1e-6)


def test_draws_have_the_moments_of_predictions_and_can_be_conditioned_on() -> None:
    data = _data()
    gp = DecayGP(data, _INPUTS, _theta(data))
    x, level = np.random.default_rng(3).random((3, 3)), np.array([0, 2, 3])
    drawn = gp.draw(x, level, 20000, np.random.default_rng(4))
    for i, at in enumerate(level.tolist()):
        mean, variance = gp.at(at).predict(x[[i]])
        assert drawn[i].mean() == pytest.approx(mean[0, 0], abs=0.03)
        assert drawn[i].var() == pytest.approx(variance[0] + gp.noise, rel=0.05)
    given = gp.given(x, level, drawn[:, :4])
    assert given.at(3).predict(x)[0].shape == (3, 4)
    assert given.at(3).predict(x)[1][2] < gp.at(3).predict(x)[1][2]


def test_a_fit_finds_the_decay() -> None:
    rng = np.random.default_rng(5)
    x, level = rng.random((60, 1)), rng.integers(0, 4, 60)
    resources = np.array([1.0, 3, 9, 27])
    value = np.sin(4 * x[:, 0]) + 2 / (1 + resources[level])
    y = (value - value.mean()) / value.std()
    gp = fit(Data(x, level, resources, y[:, None]), Inputs(np.arange(1), np.arange(0)))
    means = [gp.at(i).predict(np.array([[0.5]]))[0][0, 0] * value.std() + value.mean() for i in range(4)]
    np.testing.assert_allclose(means, np.sin(2) + 2 / (1 + resources), atol=0.15)
