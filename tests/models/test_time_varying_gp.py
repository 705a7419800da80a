from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from hptbench.models.time_varying_gp import START, TimeVaryingGP, fit, negative_log_likelihood

THETA = np.array([math.log(1.5), math.log(0.4), 0.2, math.log(0.05)])


def data(n: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((n, 2)), rng.integers(0, 6, n).astype(float), rng.standard_normal(n)


def kernel(a: np.ndarray, s: float, b: np.ndarray, t: float) -> float:
    return 1.5 * math.exp(-float(((a - b) ** 2).sum()) / 0.4) * 0.8 ** (abs(s - t) / 2)


def test_the_likelihood_and_its_gradient() -> None:
    x, t, y = data()
    k = np.array([[kernel(a, s, b, u) for b, u in zip(x, t, strict=True)] for a, s in zip(x, t, strict=True)])
    expected = -multivariate_normal(np.zeros(12), k + 0.05 * np.eye(12)).logpdf(y)
    squares, gaps = ((x[:, None] - x) ** 2).sum(axis=2), np.abs(t[:, None] - t)
    value, gradient = negative_log_likelihood(THETA, squares, gaps, y)
    assert value + 6 * math.log(2 * math.pi) == pytest.approx(expected)
    numeric = approx_fprime(THETA, lambda theta: negative_log_likelihood(theta, squares, gaps, y)[0], 1e-7)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-5)


def test_predictions_by_the_textbook() -> None:
    x, t, y = data()
    k = np.array([[kernel(a, s, b, u) for b, u in zip(x, t, strict=True)] for a, s in zip(x, t, strict=True)])
    new = np.array([0.3, 0.7])
    k_new = np.array([kernel(new, 4.0, b, u) for b, u in zip(x, t, strict=True)])
    inverse = np.linalg.inv(k + 0.05 * np.eye(12))
    mean, variance = TimeVaryingGP(x, t, y, THETA).predict(new[None], 4.0)
    assert mean[0] == pytest.approx(k_new @ inverse @ y)
    assert variance[0] == pytest.approx(1.5 - k_new @ inverse @ k_new)


def test_variances_fall_where_something_is_pending_and_rise_with_time() -> None:
    x, t, y = data()
    gp, new = TimeVaryingGP(x, t, y, THETA), np.array([[0.31, 0.7]])
    given = gp.given(new, np.array([4.0]))
    assert given.predict(new, 4.0)[1] < 0.1 < gp.predict(new, 4.0)[1]
    assert given.predict(new, 9.0)[1] > given.predict(new, 4.0)[1], "it is forgotten"


def test_given_is_conditioning_on_what_is_predicted() -> None:
    x, t, y = data()
    gp, (new, at, _) = TimeVaryingGP(x, t, y, THETA), data(3, seed=1)
    lies = np.concatenate([gp.predict(new[i : i + 1], at[i])[0] for i in range(3)])
    whole = TimeVaryingGP(np.concatenate([x, new]), np.concatenate([t, at]), np.concatenate([y, lies]), THETA)
    where = data(20, seed=2)[0]
    for found, expected in zip(gp.given(new, at).predict(where, 4.0), whole.predict(where, 4.0), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(gp.given(new, at).predict(where, 4.0)[0], gp.predict(where, 4.0)[0], atol=1e-12)


def test_the_fit_tells_what_changes_from_what_stays() -> None:
    rng = np.random.default_rng(1)
    x, t = rng.random((120, 1)), np.repeat(np.arange(12.0), 10)
    stays = np.sin(6 * x[:, 0])
    changes = np.sin(6 * x[:, 0] + 2 * t)
    forgets = [fit(x, t, y + 0.05 * rng.standard_normal(120)).theta[2] for y in (stays, changes)]
    assert forgets[0] < 0.05 < 0.2 < forgets[1]


def test_equal_points_and_constant_targets_do_no_harm() -> None:
    gp = fit(np.zeros((5, 2)), np.zeros(5), np.zeros(5), START)
    mean, variance = gp.predict(np.zeros((1, 2)), 0.0)
    assert mean[0] == 0
    assert np.isfinite(variance).all()
