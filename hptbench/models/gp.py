"""Exact Gaussian-process regression: Matérn-5/2 with a length scale per dimension, fitted to the posterior's mode.

C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press 2006: prediction (2.25,
2.26), marginal likelihood (2.30) and its gradient (5.9), Matérn kernel (4.17).

Priors (densities of the quantities themselves, not of their logarithms): length scales LogNormal(sqrt 2 + log(D) / 2,
sqrt 3) of C. Hvarfner, E. O. Hellsten and L. Nardi, "Vanilla Bayesian optimization performs great in high dimensions",
ICML 2024, arXiv:2402.02229, D the number of length scales: complexity stays the same as dimensions are added.
Input warping by the distribution function of P. Kumaraswamy, J. Snoek et al., "Input warping for Bayesian
optimization of non-stationary functions", ICML 2014, arXiv:1402.0929 (there of the beta distribution).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, lapack, solve_triangular

from hptbench.space import Floats

Integers = NDArray[np.int64]
_LOW, _HIGH = 1e-3, 1e3
"""Bounds of length scales."""
_NOISE = (1e-6, 1.0)
"""Bounds of the noise variance, in variances of the targets."""
_SCALE = (1e-2, 1e2)
"""Bounds of the signal variance, likewise."""
_WARP = (0.25, 4.0)
"""Bounds of both parameters of a warping."""


@dataclass(frozen=True)
class Inputs:
    """What the columns of the inputs are."""

    groups: Integers
    """(D,) which length scale each column has: 0 .. G-1. Columns of one group are a one-hot code, say."""
    warped: Integers
    """Columns, with values in [0, 1], that are warped; may be empty."""

    @property
    def scales(self) -> int:
        """G, the number of length scales."""
        return int(self.groups.max()) + 1


@dataclass(frozen=True)
class Priors:
    """Priors of the hyperparameters; pairs are the mean and the standard deviation of a logarithm."""

    length_mean: float = math.sqrt(2)
    """Of the log of a length scale, before log(G) / 2 is added."""
    length_std: float = math.sqrt(3)
    by_dimension: bool = True
    """Add log(G) / 2, as Hvarfner et al. do."""
    noise: tuple[float, float] = (-4.0, 1.0)
    """Of the noise variance (BoTorch's)."""
    scale: tuple[float, float] = (0.0, 0.5)
    """Of the signal variance; targets are standardised."""
    warp: tuple[float, float] = (0.0, 0.5)
    """Of the warping's parameters, both 1 for none."""


class GP:
    """A fitted process. Targets may have several columns: as many processes with the same inputs and
    hyperparameters."""

    def __init__(self, x: Floats, y: Floats, inputs: Inputs, theta: Floats) -> None:
        """``x``: (n, D), ``y``: (n, S), ``theta``: logarithms of G length scales, the noise variance, the signal
        variance, and two parameters of each warped column."""
        self._x, self._y, self.inputs, self.theta = x, y, inputs, theta
        self._inverse = np.exp(-theta[: inputs.scales])[inputs.groups]
        g = inputs.scales
        self._noise, self._scale = math.exp(theta[g]), math.exp(theta[g + 1])
        self._z = self._scaled(x)
        k = self._scale * _matern(squares(self._z, self._z))
        k[np.diag_indices(len(k))] += self._noise
        self._root = cholesky(k)
        self._inverse_root = solve_triangular(self._root, np.eye(len(k)), lower=True)
        self._alpha = cho_solve((self._root, True), y)

    @property
    def lengths(self) -> Floats:
        """(G,) the length scales."""
        return np.exp(self.theta[: self.inputs.scales])

    @property
    def noise(self) -> float:
        """The noise variance."""
        return self._noise

    def _scaled(self, x: Floats) -> Floats:
        return warp(x, self.inputs, self.theta) * self._inverse

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Means (m, S) and variances (m,), without noise, at the points ``x``, (m, D)."""
        k = self._scale * _matern(squares(self._scaled(x), self._z))
        v = k @ self._inverse_root.T
        return np.asarray(k @ self._alpha), np.maximum(self._scale - np.einsum("ij,ij->i", v, v), 1e-12)

    def mean(self, x: Floats) -> Floats:
        """Means (m, S) alone, in less time."""
        return np.asarray(self._scale * _matern(squares(self._scaled(x), self._z)) @ self._alpha)

    def gradients(self, x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """As :meth:`predict`, and the derivatives by ``x`` of the means, (m, S, D), and of the variances, (m, D)."""
        slope = warp_slope(x, self.inputs, self.theta)
        z = self._scaled(x)
        k, dk = matern_and_slope(squares(z, self._z))
        k, dk = self._scale * k, 2 * self._scale * dk
        v = k @ self._inverse_root.T
        mean, variance = k @ self._alpha, self._scale - np.einsum("ij,ij->i", v, v)
        outer = slope * self._inverse

        def by_x(weights: Floats) -> Floats:
            """d/dx of the sum over the data of weights (n,) or (m, n) times the kernel."""
            w = dk * weights
            return np.asarray((z * w.sum(axis=1)[:, None] - w @ self._z) * outer)

        by_mean = np.stack([by_x(a) for a in self._alpha.T], axis=1)
        return mean, np.maximum(variance, 1e-12), by_mean, by_x(-2 * (v @ self._inverse_root))

    def left_out(self) -> tuple[Floats, Floats]:
        """Means (n, S) and variances (n,) of each target, noise included, given all the others: (5.12) there."""
        precision = (self._inverse_root**2).sum(axis=0)
        return np.asarray(self._y - self._alpha / precision[:, None]), 1 / precision

    def draw(self, x: Floats, n: int, rng: np.random.Generator, noisy: bool = True) -> Floats:
        """(m, n) joint draws at ``x``, (m, D), of a process with one column: of targets, or without their noise."""
        z = self._scaled(x)
        k = self._scale * _matern(squares(z, self._z))
        v = k @ self._inverse_root.T
        covariance = self._scale * _matern(squares(z, z)) - v @ v.T
        covariance[np.diag_indices(len(x))] += self._noise if noisy else 0.0
        return np.asarray(k @ self._alpha[:, :1] + cholesky(covariance) @ rng.standard_normal((len(x), n)))

    def given(self, x: Floats, y: Floats) -> GP:
        """The process that has also seen targets ``y``, (m, S), at ``x``: S columns, same hyperparameters."""
        old = np.broadcast_to(self._y, (len(self._y), y.shape[1]))
        return GP(np.concatenate([self._x, x]), np.concatenate([old, y]), self.inputs, self.theta)


def fit(
    x: Floats, y: Floats, inputs: Inputs, priors: Priors = Priors(), starts: Sequence[Floats] = (), steps: int = 50
) -> GP:
    """The process with the most probable hyperparameters, given inputs (n, D) and standardised targets (n,), or (n, S):
    S processes that share the hyperparameters.

    L-BFGS, at most ``steps`` iterations from each of ``starts`` (``theta`` of earlier fits); without any, from the
    modes of the priors. The most probable end counts."""
    from scipy.optimize import minimize

    posterior = _Posterior(x, y, inputs, priors)
    ends = [
        minimize(
            posterior,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=posterior.bounds.tolist(),
            options={"maxiter": steps, "ftol": 1e-6, "gtol": 1e-3},
        )
        for start in starts or (modes(inputs, priors),)
    ]
    return GP(x, y.reshape(len(x), -1), inputs, min(ends, key=lambda end: float(end.fun)).x)


def modes(inputs: Inputs, priors: Priors = Priors()) -> Floats:
    """The hyperparameters where their priors have their modes, within their bounds."""
    modes: Floats = _Posterior(np.empty((1, len(inputs.groups))), np.zeros(1), inputs, priors).modes
    return modes


class _Posterior:
    """Minus the log posterior density of the hyperparameters, up to a constant, and its gradient."""

    def __init__(self, x: Floats, y: Floats, inputs: Inputs, priors: Priors) -> None:
        """``y``: (n,) or (n, S)."""
        self._x, self._y, self._inputs = x, y.reshape(len(x), -1), inputs
        g, w = inputs.scales, len(inputs.warped)
        length = priors.length_mean + (math.log(g) / 2 if priors.by_dimension else 0.0)
        pairs = [(length, priors.length_std)] * g + [priors.noise, priors.scale] + [priors.warp] * (2 * w)
        self._mean, self._std = np.array(pairs).T
        limits = [(_LOW, _HIGH)] * g + [_NOISE, _SCALE] + [_WARP] * (2 * w)
        self.bounds = np.log(np.array(limits))
        """(hyperparameters, 2)"""
        self.modes = np.clip(self._mean - self._std**2, *self.bounds.T)

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        inputs, (n, columns) = self._inputs, self._y.shape
        g, warped = inputs.scales, inputs.warped
        inverse_lengths = np.exp(-theta[:g])[inputs.groups]
        noise, scale = np.exp(theta[g : g + 2])
        u = warp(self._x, inputs, theta)
        z = u * inverse_lengths
        m, slope = matern_and_slope(squares(z, z))
        k = scale * m
        k[np.diag_indices(n)] += noise
        root = cholesky(k)
        alpha = cho_solve((root, True), self._y)
        standard = (theta - self._mean) / self._std
        logs = columns * np.log(np.diag(root)).sum()
        value = 0.5 * np.vdot(self._y, alpha) + logs + 0.5 * standard @ standard + theta.sum()
        inverse = inverse_of(root)
        by_k = 0.5 * (columns * inverse - alpha @ alpha.T)  # (5.9)
        by_r2 = scale * by_k * slope
        # The squared distance is a sum over columns: all derivatives by z at once, without a matrix per column.
        by_z = 4 * (by_r2.sum(axis=1)[:, None] * z - by_r2 @ z)
        gradient = standard / self._std + 1.0
        gradient[:g] -= np.bincount(inputs.groups, (by_z * z).sum(axis=0), g)
        gradient[g] += noise * np.trace(by_k)
        gradient[g + 1] += scale * np.sum(by_k * m)
        if len(warped):
            gradient[g + 2 :] += self._by_warp(theta, (by_z * inverse_lengths)[:, warped])
        return float(value), gradient

    def _by_warp(self, theta: Floats, by_u: Floats) -> Floats:
        """Derivatives by the logarithms of the warping's parameters: first all a, then all b."""
        x = np.clip(self._x[:, self._inputs.warped], _EDGE, 1 - _EDGE)
        a, b = np.exp(_shapes(theta, self._inputs))
        power = x**a
        rest = 1 - power
        by_a = a * b * rest ** (b - 1) * power * np.log(x)
        by_b = -b * rest**b * np.log1p(-power)
        return np.concatenate([(by_u * by_a).sum(axis=0), (by_u * by_b).sum(axis=0)])


_EDGE = 1e-6
"""Warped inputs keep that far from 0 and 1, where slopes may be infinite."""


def warp(x: Floats, inputs: Inputs, theta: Floats) -> Floats:
    """``x``, (m, D), with its warped columns u replaced by 1 - (1 - u^a)^b."""
    columns = inputs.warped
    if not len(columns):
        return x
    a, b = np.exp(_shapes(theta, inputs))
    out = x.copy()
    out[:, columns] = 1 - (1 - np.clip(x[:, columns], _EDGE, 1 - _EDGE) ** a) ** b
    return out


def warp_slope(x: Floats, inputs: Inputs, theta: Floats) -> Floats:
    """(m, D) the slopes of :func:`warp`."""
    columns = inputs.warped
    slope = np.ones_like(x)
    if len(columns):
        a, b = np.exp(_shapes(theta, inputs))
        u = np.clip(x[:, columns], _EDGE, 1 - _EDGE)
        power = u**a
        slope[:, columns] = a * b * power / u * (1 - power) ** (b - 1)
    return slope


def _shapes(theta: Floats, inputs: Inputs) -> Floats:
    """(2, warped) the logarithms of a and b."""
    return np.asarray(theta[inputs.scales + 2 :].reshape(2, -1))


def squares(a: Floats, b: Floats) -> Floats:
    """(m, n) squared distances between the rows of (m, D) and (n, D)."""
    out = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b) - 2 * (a @ b.T)
    return np.asarray(np.maximum(out, 0.0, out=out))


def _matern(r2: Floats) -> Floats:
    r = np.sqrt(5 * r2)
    return np.asarray((1 + r + 5 / 3 * r2) * np.exp(-r))


def matern_and_slope(r2: Floats) -> tuple[Floats, Floats]:
    """The Matérn kernel of squared distances and its derivative by them."""
    r = np.sqrt(5 * r2)
    decay = np.exp(-r)
    return (1 + r + 5 / 3 * r2) * decay, -5 / 6 * (1 + r) * decay


def cholesky(k: Floats) -> Floats:
    """The lower root of ``k``, to whose diagonal as little is added as rounding makes necessary."""
    jitter = 0.0
    while True:
        root, failed = lapack.dpotrf(k, lower=1, clean=1)
        if not failed:
            return np.asarray(root)
        jitter = max(10 * jitter, 1e-10 * float(np.trace(k)) / len(k))
        k = k + jitter * np.eye(len(k))


def inverse_of(root: Floats) -> Floats:
    """The inverse of the matrix with the lower root ``root``."""
    half, _ = lapack.dpotri(root, lower=1)
    half = np.tril(half)
    half += np.tril(half, -1).T
    return np.asarray(half)
