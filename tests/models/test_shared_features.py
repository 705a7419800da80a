"""Regressions on shared features against what is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import multivariate_normal

from hptbench.models.shared_features import Regression, SharedFeatures

RNG = np.random.default_rng(0)
PHI, Y = RNG.normal(size=(12, 5)), RNG.normal(size=12)
ALPHA, BETA = 0.7, 9.0


def test_the_posterior_is_that_of_the_equivalent_process() -> None:
    """Rasmussen & Williams (2.25, 2.26) with kernel phi phi' / alpha; and scikit-learn's for one feature less."""
    new = RNG.normal(size=(4, 5))
    mean, variance = Regression(PHI, Y, ALPHA, BETA).predict(new)
    k, cross = PHI @ PHI.T / ALPHA + np.eye(12) / BETA, new @ PHI.T / ALPHA
    assert mean == pytest.approx(cross @ np.linalg.solve(k, Y))
    assert variance == pytest.approx((new**2).sum(axis=1) / ALPHA - np.diag(cross @ np.linalg.solve(k, cross.T)))


def test_the_mean_is_that_of_a_ridge_regression() -> None:
    from sklearn.linear_model import Ridge

    ridge = Ridge(alpha=ALPHA / BETA, fit_intercept=False).fit(PHI, Y)
    assert Regression(PHI, Y, ALPHA, BETA).mean == pytest.approx(ridge.coef_)


@pytest.mark.parametrize("n", [0, 1, 12])
def test_the_evidence_is_a_normal_density(n: int) -> None:
    phi, y = PHI[:n], Y[:n]
    covariance = phi @ phi.T / ALPHA + np.eye(n) / BETA
    expected = multivariate_normal(np.zeros(n), covariance).logpdf(y) if n else 0.0
    assert Regression(phi, y, ALPHA, BETA).evidence()[0] == pytest.approx(expected)


def test_expected_targets_leave_the_mean_and_tell_of_where_they_are() -> None:
    one = Regression(PHI, Y, ALPHA, BETA)
    new = RNG.normal(size=(2, 5))
    more = one.expecting(new)
    assert more.mean == pytest.approx(one.mean)
    assert (more.predict(new)[1] < one.predict(new)[1]).all()


def test_gradients_are_slopes() -> None:
    def evidence(p: np.ndarray) -> float:
        return Regression(p[:60].reshape(12, 5), Y, np.exp(p[60]), np.exp(p[61])).evidence()[0]

    def slopes(p: np.ndarray) -> np.ndarray:
        _, by_phi, *by_logs = Regression(p[:60].reshape(12, 5), Y, np.exp(p[60]), np.exp(p[61])).evidence()
        return np.concatenate([by_phi.ravel(), by_logs])

    assert check_grad(evidence, slopes, np.concatenate([PHI.ravel(), np.log([ALPHA, BETA])])) < 1e-4
    network = SharedFeatures(3, 1, np.random.default_rng(1), width=4)
    by_phi = RNG.normal(size=4)
    for weights in (network._weights, network._weights + RNG.normal(size=len(network._weights))):
        x = RNG.random((1, 3))
        assert check_grad(
            lambda w, x=x: float(network._forward(x, w)[-1][0] @ by_phi),
            lambda w, x=x: network._back(network._forward(x, w), by_phi[None], w)[0],
            weights,
        ) < 1e-5  # fmt: skip
        assert check_grad(
            lambda flat: float(network.features(flat[None])[0] @ by_phi),
            lambda flat: network.by_inputs(flat[None], by_phi[None])[0],
            x[0],
        ) < 1e-5  # fmt: skip


def _tasks(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each is a multiple, of either sign, of one bent function."""
    rng = np.random.default_rng(2)
    xs = [rng.random((25, 2)) for _ in range(count)]
    return [(x, rng.choice([-1.0, 1.0]) * np.sin(6 * x[:, 0] + 2 * x[:, 1]) * np.sqrt(2)) for x in xs]


def test_training_raises_the_sum_of_the_evidences_and_finds_what_tasks_share() -> None:
    tasks = _tasks(5)
    network = SharedFeatures(2, 4, np.random.default_rng(3), width=20)

    def total() -> float:
        return sum(network.regression(x, y, t).evidence()[0] for t, (x, y) in enumerate(tasks[:4]))

    before = total()
    network.train(tasks[:4], 80)
    assert total() > before + 20
    network.add_task()
    (x, y), few = tasks[4], 4
    fresh = SharedFeatures(2, 5, np.random.default_rng(3), width=20)
    missed = [np.mean((n.regression(x[:few], y[:few], 4).predict(n.features(x))[0] - y) ** 2) for n in (network, fresh)]
    assert missed[0] < 0.5 * missed[1]


def test_the_same_seed_gives_the_same_network() -> None:
    found = []
    for _ in range(2):
        network = SharedFeatures(2, 2, np.random.default_rng(4), width=8)
        network.train(_tasks(2), 10)
        found.append(network.features(np.full((1, 2), 0.3)))
    assert (found[0] == found[1]).all()


def test_noise_and_weights_keep_within_their_bounds() -> None:
    x = np.random.default_rng(5).random((6, 2))
    network = SharedFeatures(2, 1, np.random.default_rng(5), width=8)
    network.train([(x, np.zeros(6))], 50)
    one = network.regression(x, np.zeros(6), 0)
    assert 1e-3 * 0.999 <= one.alpha <= 1e3 * 1.001
    assert one.beta == pytest.approx(1e5)
