"""A Gaussian process of a function that changes with time.

I. Bogunovic, J. Scarlett and V. Cevher, "Time-varying Gaussian process bandit optimization", AISTATS 2016,
arXiv:1601.06650, equation (5): the covariance of the function at two points is that of its values at one time, times
(1 - epsilon)^(|t - t'| / 2), so that it forgets. Here the former is scale * exp(-|x - x'|^2 / length), and both, the
rate of forgetting and the variance of the noise have the values of the greatest marginal likelihood.
"""

from __future__ import annotations

import math
from copy import copy

import numpy as np
from scipy.linalg import cho_solve, lapack

from hptbench.space import Floats

_BOUNDS = (
    (math.log(1e-2), math.log(1e2)),
    (math.log(1e-2), math.log(1e1)),
    (0.0, 0.5),
    (math.log(1e-4), math.log(2.0)),
)
"""Of the logarithm of the scale, of that of the length, of epsilon, and of the logarithm of the noise's variance."""
START: Floats = np.array([0.0, 0.0, 0.1, math.log(0.1)])
"""Where the search for them begins."""


class TimeVaryingGP:
    """A process with given hyperparameters, conditioned on data."""

    def __init__(self, x: Floats, t: Floats, y: Floats, theta: Floats) -> None:
        """``x``: (n, d) inputs, ``t``: (n,) times, ``y``: (n,) targets of mean 0, ``theta``: (4,) as in START."""
        self._x, self._t, self.theta = x, t, theta
        k = _kernel(x, t, x, t, theta)
        k[np.diag_indices(len(k))] += math.exp(theta[3])
        self._root = _cholesky(k)
        self._alpha = cho_solve((self._root, True), y)

    def predict(self, x: Floats, t: float) -> tuple[Floats, Floats]:
        """Means and variances, (m,) each, of the function at (m, d) inputs and one time, without noise."""
        k = _kernel(x, np.full(len(x), t), self._x, self._t, self.theta)
        v = lapack.dtrtrs(self._root, k.T, lower=1)[0]
        return np.asarray(k @ self._alpha), np.maximum(math.exp(self.theta[0]) - np.einsum("ij,ij->j", v, v), 1e-12)

    def given(self, x: Floats, t: Floats) -> TimeVaryingGP:
        """The process that has also seen targets at (m, d) inputs and (m,) times, just as it predicts them: its means
        stay, its variances, which do not depend on targets, fall."""
        n, m = len(self._t), len(t)
        cross = lapack.dtrtrs(self._root, _kernel(self._x, self._t, x, t, self.theta), lower=1)[0]
        own = _kernel(x, t, x, t, self.theta)
        own[np.diag_indices(m)] += math.exp(self.theta[3])
        root = np.zeros((n + m, n + m))
        root[:n, :n], root[n:, :n], root[n:, n:] = self._root, cross.T, _cholesky(own - cross.T @ cross)
        out = copy(self)
        out._x, out._t, out._root = np.concatenate([self._x, x]), np.concatenate([self._t, t]), root
        out._alpha = np.concatenate([self._alpha, np.zeros(m)])
        return out


def fit(x: Floats, t: Floats, y: Floats, start: Floats = START, steps: int = 30) -> TimeVaryingGP:
    """The process with the most likely hyperparameters: L-BFGS from ``start``, at most ``steps`` iterations."""
    from scipy.optimize import minimize

    end = minimize(
        negative_log_likelihood, start, args=(_squares(x, x), np.abs(t[:, None] - t), y), jac=True, method="L-BFGS-B",
        bounds=_BOUNDS, options={"maxiter": steps},
    )  # fmt: skip
    return TimeVaryingGP(x, t, y, end.x)


def negative_log_likelihood(theta: Floats, squares: Floats, gaps: Floats, y: Floats) -> tuple[float, Floats]:
    """Of ``theta``, up to a constant, and its gradient, (4,). ``squares``, ``gaps``: (n, n) squared distances between
    the inputs, and differences between the times; ``y``: (n,)."""
    clean = _covariance(theta, squares, gaps)
    noise, diagonal = math.exp(theta[3]), np.diag_indices(len(y))
    k = clean.copy()
    k[diagonal] += noise
    root = _cholesky(k)
    alpha = cho_solve((root, True), y)
    outer = lapack.dpotri(root, lower=1)[0].T  # one triangle of the inverse, the other one is 0 …
    outer *= 2  # … so it counts twice: all that it is multiplied by is symmetric
    outer[diagonal] /= 2
    outer -= np.outer(alpha, alpha)
    weighted = outer * clean
    gradient = 0.5 * np.array([
        weighted.sum(),
        np.vdot(weighted, squares) / math.exp(theta[1]),
        -np.vdot(weighted, gaps) / (2 * (1 - theta[2])),
        noise * np.trace(outer),
    ])  # fmt: skip
    return float(0.5 * y @ alpha + np.log(np.diag(root)).sum()), gradient


def _kernel(x: Floats, t: Floats, other: Floats, at: Floats, theta: Floats) -> Floats:
    """(m, n), without noise."""
    return _covariance(theta, _squares(x, other), np.abs(t[:, None] - at))


def _covariance(theta: Floats, squares: Floats, gaps: Floats) -> Floats:
    return np.asarray(np.exp(theta[0] - squares / math.exp(theta[1]) + math.log1p(-theta[2]) / 2 * gaps))


def _squares(a: Floats, b: Floats) -> Floats:
    out = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b) - 2 * (a @ b.T)
    return np.asarray(np.maximum(out, 0.0))


def _cholesky(k: Floats) -> Floats:
    root, failed = lapack.dpotrf(k, lower=1, clean=1)
    jitter = 1e-10
    while failed:
        root, failed = lapack.dpotrf(k + jitter * np.trace(k) * np.eye(len(k)), lower=1, clean=1)
        jitter *= 10
    return np.asarray(root)
