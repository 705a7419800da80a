"""A Gaussian process over configurations and resources, whose values decay as the resource grows.

The model of MOBSTER: A. Klein, L. C. Tiao, T. Lienart, C. Archambeau and M. Seeger, "Model-based asynchronous
hyperparameter and neural architecture search", 2020, arXiv:2003.10865, as it is the default of its authors' code, Syne
Tune (``exp-decay-sum``): the additive kernel of K. Swersky, J. Snoek and R. P. Adams (2014, arXiv:1406.3896), centred,
without the independence of curves. A value is f(x) + h(r) + noise, f a Matérn-5/2 process over configurations and h a
mixture of decaying exponentials with gamma-distributed rates, common to all configurations: with

    kappa(r) = (1 + lambda r / alpha)^-alpha,

h has the mean gamma kappa(r) and the covariance gamma^2 (kappa(r + r') - kappa(r) kappa(r')).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from hptbench.models.gp import Inputs, cholesky, inverse_of, matern_and_slope, squares
from hptbench.space import Floats

Integers = NDArray[np.intp]
_LENGTH = math.sqrt(2), math.sqrt(3)
_PRIORS = {"noise": (-4.0, 1.0), "scale": (0.0, 0.5), "alpha": (0.0, 0.5), "lambda": (0.0, 1.0), "gamma": (0.0, 0.5)}
"""Means and standard deviations of logarithms; of length scales as in :mod:`hptbench.models.gp`."""
_BOUNDS = {
    "length": (1e-3, 1e3), "noise": (1e-6, 1.0), "scale": (1e-2, 1e2), "alpha": (0.05, 20.0), "lambda": (1e-3, 50.0),
    "gamma": (1e-3, 10.0),
}  # fmt: skip


@dataclass(frozen=True)
class Data:
    """n observations at L resources."""

    x: Floats
    """(n, D)"""
    level: Integers
    """(n,) which resource."""
    resources: Floats
    """(L,)"""
    y: Floats
    """(n, S) standardised values; S columns, as many processes with the same hyperparameters."""

    def and_also(self, x: Floats, level: Integers, y: Floats) -> Data:
        """With m more observations, ``y`` (m, S)."""
        old = np.broadcast_to(self.y, (len(self.y), y.shape[1]))
        return replace(
            self,
            x=np.concatenate([self.x, x]),
            level=np.concatenate([self.level, level]),
            y=np.concatenate([old, y]),
        )


class DecayGP:
    """A fitted process."""

    def __init__(self, data: Data, inputs: Inputs, theta: Floats) -> None:
        """``theta``: logarithms of G length scales, the noise variance, the signal variance, alpha, lambda and gamma,
        then the mean of f."""
        self.data, self.inputs, self.theta = data, inputs, theta
        g = inputs.scales
        self.inverse = np.exp(-theta[:g])[inputs.groups]
        self.noise, self.scale = np.exp(theta[g : g + 2]).tolist()
        shift, self._r, _ = _decay(data.resources, theta[g + 2 : g + 5])
        self.means = theta[g + 5] + shift
        """(L,) of the values at each resource, before anything is known."""
        self.z = data.x * self.inverse
        k = self.scale * matern_and_slope(squares(self.z, self.z))[0] + self._r[data.level][:, data.level]
        k[np.diag_indices(len(k))] += self.noise
        self.root = cholesky(k)
        self.inverse_root = solve_triangular(self.root, np.eye(len(k)), lower=True)
        self.alpha = cho_solve((self.root, True), data.y - self.means[data.level][:, None])

    def at(self, level: int) -> AtLevel:
        """What it says of values at one resource."""
        return AtLevel(self, level)

    def draw(self, x: Floats, level: Integers, n: int, rng: np.random.Generator) -> Floats:
        """(m, n) joint draws of values, noise included, at ``x``, (m, D), and resources ``level``, (m,); of a process
        with one column."""
        z = x * self.inverse
        k = self.scale * matern_and_slope(squares(z, self.z))[0] + self._r[level][:, self.data.level]
        v = k @ self.inverse_root.T
        covariance = self.scale * matern_and_slope(squares(z, z))[0] + self._r[level][:, level] - v @ v.T
        covariance[np.diag_indices(len(x))] += self.noise
        mean = self.means[level][:, None] + k @ self.alpha
        return np.asarray(mean + cholesky(covariance) @ rng.standard_normal((len(x), n)))

    def given(self, x: Floats, level: Integers, y: Floats) -> DecayGP:
        """The process that has also seen ``y``, (m, S): S columns."""
        return DecayGP(self.data.and_also(x, level, y), self.inputs, self.theta)


class AtLevel:
    """The process at one resource: a process over configurations, as an acquisition function wants it."""

    def __init__(self, gp: DecayGP, level: int) -> None:
        self._gp, self._mean = gp, gp.means[level]
        self._constant = gp._r[level, gp.data.level]
        """(n,) what the resources add to covariances with the data."""
        self._prior = gp.scale + gp._r[level, level]

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Means (m, S) and variances (m,), without noise, at ``x``, (m, D)."""
        gp = self._gp
        k = gp.scale * matern_and_slope(squares(x * gp.inverse, gp.z))[0] + self._constant
        v = k @ gp.inverse_root.T
        return self._mean + k @ gp.alpha, np.maximum(self._prior - np.einsum("ij,ij->i", v, v), 1e-12)

    def gradients(self, x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """As ``predict``, and the derivatives by ``x`` of the means, (m, S, D), and of the variances, (m, D)."""
        gp = self._gp
        z = x * gp.inverse
        m, slope = matern_and_slope(squares(z, gp.z))
        k, dk = gp.scale * m + self._constant, 2 * gp.scale * slope
        v = k @ gp.inverse_root.T

        def by_x(weights: Floats) -> Floats:
            w = dk * weights
            return np.asarray((z * w.sum(axis=1)[:, None] - w @ gp.z) * gp.inverse)

        by_mean = np.stack([by_x(a) for a in gp.alpha.T], axis=1)
        variance = np.maximum(self._prior - np.einsum("ij,ij->i", v, v), 1e-12)
        return self._mean + k @ gp.alpha, variance, by_mean, by_x(-2 * (v @ gp.inverse_root))


def fit(data: Data, inputs: Inputs, starts: Sequence[Floats] = (), steps: int = 30) -> DecayGP:
    """The process with the most probable hyperparameters: L-BFGS, at most ``steps`` iterations from each of ``starts``,
    and from the medians of the priors; the most probable end counts."""
    from scipy.optimize import minimize

    posterior = Posterior(data, inputs)
    ends = [
        minimize(posterior, start, jac=True, method="L-BFGS-B", bounds=posterior.bounds.tolist(),
                 options={"maxiter": steps, "ftol": 1e-6, "gtol": 1e-3})
        for start in [*starts, posterior.medians]
    ]  # fmt: skip
    return DecayGP(data, inputs, min(ends, key=lambda end: float(end.fun)).x)


class Posterior:
    """Minus the log posterior density of ``theta``, up to the priors' constants, and its gradient; one column."""

    def __init__(self, data: Data, inputs: Inputs) -> None:
        self._data, self._inputs = data, inputs
        g = inputs.scales
        pairs = [(_LENGTH[0] + math.log(g) / 2, _LENGTH[1])] * g + [*_PRIORS.values(), (0.0, 1.0)]
        self.medians, self._std = np.array(pairs).T
        limits = [_BOUNDS["length"]] * g + [_BOUNDS[name] for name in _PRIORS]
        self.bounds = np.concatenate([np.log(np.array(limits)), [[-5.0, 5.0]]])
        """(hyperparameters, 2)"""

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        data, inputs, g = self._data, self._inputs, self._inputs.scales
        n, level = len(data.y), data.level
        noise, scale = np.exp(theta[g : g + 2])
        shift, r, slopes = _decay(data.resources, theta[g + 2 : g + 5])
        z = data.x * np.exp(-theta[:g])[inputs.groups]
        m, slope = matern_and_slope(squares(z, z))
        k = scale * m + r[level][:, level]
        k[np.diag_indices(n)] += noise
        root = cholesky(k)
        inverse = inverse_of(root)
        rest = data.y[:, 0] - theta[g + 5] - shift[level]
        alpha = inverse @ rest
        standard = (theta - self.medians) / self._std
        value = 0.5 * float(rest @ alpha) + float(np.log(np.diag(root)).sum()) + n / 2 * math.log(2 * math.pi)
        value += 0.5 * float(standard @ standard)
        by_k = 0.5 * (inverse - np.outer(alpha, alpha))
        by_r2 = scale * by_k * slope
        by_z = 4 * (by_r2.sum(axis=1)[:, None] * z - by_r2 @ z)
        gradient = standard / self._std
        gradient[:g] -= np.bincount(inputs.groups, (by_z * z).sum(axis=0), g)
        gradient[g] += noise * float(np.trace(by_k))
        gradient[g + 1] += scale * float(np.sum(by_k * m))
        one_hot = (level[:, None] == np.arange(len(data.resources))).astype(float)
        by_levels, by_shift = one_hot.T @ by_k @ one_hot, -(one_hot.T @ alpha)
        for i, (by_mean, by_covariance) in enumerate(slopes):
            gradient[g + 2 + i] += float(by_shift @ by_mean + np.sum(by_levels * by_covariance))
        gradient[g + 5] -= float(alpha.sum())
        return value, gradient


def _decay(resources: Floats, logs: Floats) -> tuple[Floats, Floats, list[tuple[Floats, Floats]]]:
    """The mean (L,) and the covariance (L, L) of h, and the derivatives of both by ``logs``: alpha, lambda, gamma."""
    alpha, rate, gamma = np.exp(logs)

    def kappa(t: Floats) -> tuple[Floats, Floats, Floats]:
        u = rate * t / alpha
        value = (1 + u) ** -alpha
        return value, value * alpha * (u / (1 + u) - np.log1p(u)), -value * alpha * u / (1 + u)

    one, *one_slopes = kappa(resources)
    both, *both_slopes = kappa(resources[:, None] + resources)
    mean, covariance = gamma * one, gamma**2 * (both - np.outer(one, one))
    slopes = [
        (gamma * a, gamma**2 * (b - np.outer(a, one) - np.outer(one, a)))
        for a, b in zip(one_slopes, both_slopes, strict=True)
    ]
    return mean, covariance, [*slopes, (mean, 2 * covariance)]
