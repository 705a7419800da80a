"""Acquisition functions of Gaussian processes, to be maximised."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from scipy.special import erfcx, log_ndtr, logsumexp, ndtr

from hptbench.methods._prior import LogPrior
from hptbench.models.embedding import Embedding
from hptbench.space import Floats

_C1, _C2 = math.log(2 * math.pi) / 2, math.log(math.pi / 2) / 2
_FAR = -1e5
"""Below it what the expansion of log h leaves out is lost in rounding; below -5e7 all of what precedes it is."""
_STEP = 1e-5


class Acquisition(Protocol):
    """A function of encoded points, (m, d), NaN where inactive."""

    def __call__(self, u: Floats) -> Floats:
        """(m,) values."""
        ...

    def gradients(self, u: Floats) -> tuple[Floats, Floats]:
        """Values, (m,), and their derivatives by the numbers among the columns, (m, d), 0 for categories."""
        ...


class Process(Protocol):
    """A posterior over functions of points (m, D), with S columns of means."""

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Means (m, S) and variances (m,)."""
        ...

    def gradients(self, x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """The same, and their derivatives by ``x``: (m, S, D) and (m, D)."""
        ...


class LogEI:
    """The logarithm of the expected improvement below ``best``, (S,), averaged over the S columns of the process:
    fantasies of what pending jobs will return (J. Snoek, H. Larochelle and R. Adams, NeurIPS 2012, section 3.2).

    S. Ament, S. Daulton, D. Eriksson, M. Balandat and E. Bakshy, "Unexpected improvements to expected improvement for
    Bayesian optimization", NeurIPS 2023, arXiv:2310.20708: unlike the expected improvement itself it does not vanish in
    floating point, nor does its gradient."""

    def __init__(self, gp: Process, best: Floats, embedding: Embedding) -> None:
        self._gp, self._best, self._embed = gp, best, embedding

    def __call__(self, u: Floats) -> Floats:
        mean, variance = self._gp.predict(self._embed(u))
        std = np.sqrt(variance)
        return _mean_exp(log_h((self._best - mean) / std[:, None])) + np.log(std)

    def gradients(self, u: Floats) -> tuple[Floats, Floats]:
        mean, variance, by_mean, by_variance = self._gp.gradients(self._embed(u))
        std = np.sqrt(variance)
        z = (self._best - mean) / std[:, None]
        h = log_h(z)
        value = _mean_exp(h)
        share = np.exp(h - value[:, None]) / h.shape[1]  # of each fantasy in the average
        slope = share * np.exp(log_ndtr(z) - h)  # the derivative of phi + z Phi is Phi
        by_std = by_variance / (2 * std[:, None])
        by_x = -np.einsum("ms,msd->md", slope, by_mean) / std[:, None]
        by_x += (1 - (slope * z).sum(axis=1))[:, None] * by_std / std[:, None]
        return value + np.log(std), self._embed.back(by_x)


class EI:
    """The expected improvement as it is usually computed (D. Jones, M. Schonlau and W. Welch, J. Global Optimization
    13, 1998, (15)), averaged over fantasies: 0, with no gradient, where no improvement is in sight."""

    def __init__(self, gp: Process, best: Floats, embedding: Embedding) -> None:
        self._gp, self._best, self._embed = gp, best, embedding

    def __call__(self, u: Floats) -> Floats:
        mean, variance = self._gp.predict(self._embed(u))
        std = np.sqrt(variance)[:, None]
        z = (self._best - mean) / std
        return np.asarray((std * (_density(z) + z * ndtr(z))).mean(axis=1))

    def gradients(self, u: Floats) -> tuple[Floats, Floats]:
        mean, variance, by_mean, by_variance = self._gp.gradients(self._embed(u))
        std = np.sqrt(variance)[:, None]
        z = (self._best - mean) / std
        density, below = _density(z), ndtr(z)
        by_x = -np.einsum("ms,msd->md", below, by_mean) / z.shape[1]
        by_x += density.mean(axis=1)[:, None] * by_variance / (2 * std)
        return (std * (density + z * below)).mean(axis=1), self._embed.back(by_x)


ACQUISITIONS: dict[str, type[LogEI] | type[EI]] = {"log_ei": LogEI, "ei": EI}


class Weighted:
    """The logarithm of an acquisition function plus what a prior adds to it after ``n`` evaluations."""

    def __init__(self, inner: Acquisition, log_prior: LogPrior, n: int) -> None:
        self._inner, self._log_prior, self._n = inner, log_prior, n

    def __call__(self, u: Floats) -> Floats:
        return self._inner(u) + self._log_prior(u, self._n)

    def gradients(self, u: Floats) -> tuple[Floats, Floats]:
        value, gradient = self._inner.gradients(u)
        moving = np.flatnonzero((gradient != 0).any(axis=0))
        prior = self._log_prior(u, self._n)
        for j in moving:  # by central differences: priors are cheap, and not all are smooth
            ends = np.stack([u, u])
            ends[0, :, j], ends[1, :, j] = np.maximum(u[:, j] - _STEP, 0.0), np.minimum(u[:, j] + _STEP, 1.0)
            low, high = (self._log_prior(end, self._n) for end in ends)
            gradient[:, j] += np.where(np.isnan(u[:, j]), 0.0, (high - low) / (ends[1, :, j] - ends[0, :, j]))
        return value + prior, gradient


def log_h(z: Floats) -> Floats:
    """log(phi(z) + z Phi(z)) for all z: (9) of Ament et al."""
    out = np.empty_like(z)
    near, far = z > -1, z <= _FAR
    between = ~near & ~far
    x = z[near]
    out[near] = np.log(_density(x) + x * ndtr(x))
    x = z[between]
    out[between] = -x * x / 2 - _C1 + log1mexp(np.log(erfcx(-x / math.sqrt(2)) * -x) + _C2)
    x = z[far]
    out[far] = -x * x / 2 - _C1 - 2 * np.log(-x)
    return out


def _density(z: Floats) -> Floats:
    return np.asarray(np.exp(-z * z / 2 - _C1))


def log1mexp(x: Floats) -> Floats:
    """log(1 - exp(x)) for x < 0, without cancellation."""
    small = x > -math.log(2)
    out = np.empty_like(x)
    out[small] = np.log(-np.expm1(x[small]))
    out[~small] = np.log1p(-np.exp(x[~small]))
    return out


def _mean_exp(logs: Floats) -> Floats:
    """(m,) the logarithm of the mean of the exponentials of each row of (m, S)."""
    return logs[:, 0] if logs.shape[1] == 1 else np.asarray(logsumexp(logs, axis=1) - math.log(logs.shape[1]))
