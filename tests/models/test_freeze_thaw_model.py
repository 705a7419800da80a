"""The process of learning curves against the dense process that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from hptbench.models.freeze_thaw import Data, FreezeThawGP, Posterior, fit
from hptbench.models.gp import Inputs, matern_and_slope, squares
from hptbench.space import Floats

_INPUTS = Inputs(np.arange(2), np.arange(0))


def _data(seed: int = 0) -> Data:
    rng = np.random.default_rng(seed)
    lengths = [3, 1, 5, 3, 1, 2]
    time = np.concatenate([np.arange(1.0, n + 1) for n in lengths])
    time[3] = 7.0  # a curve that is no prefix
    return Data(rng.random((6, 2)), np.repeat(np.arange(6), lengths), time, rng.standard_normal(len(time)))


def _theta(data: Data) -> Floats:
    posterior = Posterior(data, _INPUTS)
    return posterior.medians + 0.3 * np.random.default_rng(1).standard_normal(len(posterior.medians))


def _dense(theta: Floats, x: Floats, a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> Floats:
    """Covariances of values without noise, for pairs of trials and times."""
    scale, alpha, beta = np.exp(theta[5:])
    z = x * np.exp(-theta[:2])
    asymptotes = np.exp(theta[2]) * matern_and_slope(squares(z, z))[0]
    (i, s), (j, t) = a, b
    own = scale * beta**alpha / (s[:, None] + t + beta) ** alpha
    return asymptotes[np.ix_(i.astype(int), j.astype(int))] + (i[:, None] == j) * own


def test_the_likelihood_is_that_of_the_dense_process() -> None:
    data = _data()
    theta, posterior = _theta(data), Posterior(data, _INPUTS)
    where = data.trial.astype(float), data.time
    k = _dense(theta, data.x, where, where) + np.exp(theta[4]) * np.eye(len(data.value))
    standard = (theta - posterior.medians) / np.array([np.sqrt(3)] * 2 + [0.5, 1, 1, 1, 0.5, 1])
    likelihood = multivariate_normal(np.full(len(k), theta[3]), k).logpdf(data.value)
    assert posterior(theta)[0] == pytest.approx(0.5 * standard @ standard - likelihood)


def test_its_gradient_is_that_of_differences() -> None:
    data = _data()
    theta, posterior = _theta(data), Posterior(data, _INPUTS)
    steps = 1e-6 * np.eye(len(theta))
    numeric = [(posterior(theta + e)[0] - posterior(theta - e)[0]) / 2e-6 for e in steps]
    np.testing.assert_allclose(posterior(theta)[1], numeric, atol=1e-5)


@pytest.mark.parametrize(("row", "time"), [(0, 4.0), (2, 6.0), (1, 8.0), (None, 1.0), (None, 5.0)])
def test_predictions_are_those_of_the_dense_process(row: int | None, time: float) -> None:
    data = _data()
    theta = _theta(data)
    x = np.concatenate([data.x, [[0.3, 0.4]]])
    there = np.array([6.0 if row is None else row]), np.array([time])
    where = data.trial.astype(float), data.time
    noise = np.exp(theta[4])
    weights = np.linalg.solve(
        _dense(theta, x, where, where) + noise * np.eye(len(data.value)), _dense(theta, x, where, there)
    )[:, 0]
    mean = theta[3] + weights @ (data.value - theta[3])
    variance = _dense(theta, x, there, there)[0, 0] + noise - weights @ _dense(theta, x, where, there)[:, 0]
    found = FreezeThawGP(data, _INPUTS, theta).predict(row, x[int(there[0][0])], time)
    assert found == pytest.approx((mean, variance))


def test_a_fit_extrapolates_curves() -> None:
    x = np.linspace(0, 1, 8)[:, None]
    rows, time = np.repeat(np.arange(8), 6), np.tile(np.arange(1.0, 7), 8)
    value = x[rows, 0] + 2 / (1 + time)
    gp = fit(Data(x, rows, time, value - value.mean()), Inputs(np.arange(1), np.arange(0)))
    mean, variance = gp.predict(3, x[3], 10.0)
    assert abs(mean + value.mean() - (x[3, 0] + 2 / 11)) < 0.1
    assert variance < 0.05
