"""A Gaussian process of learning curves: K. Swersky, J. Snoek and R. P. Adams, "Freeze-thaw Bayesian optimization",
2014, arXiv:1406.3896.

The curve of configuration x is y(t) = f(x) + g(t) + noise: the asymptotes f are a process over configurations with a
Matérn-5/2 kernel, and each curve has a g of its own, a mixture of decaying exponentials, whose kernel is

    k(t, t') = scale * beta^alpha / (t + t' + beta)^alpha,

a gamma distribution over rates of decay integrated out. Given f the curves are independent. So a curve tells of its
asymptote what one observation would: the estimate m = 1'S^-1 y / 1'S^-1 1 with the variance 1 / 1'S^-1 1, S its own
covariance matrix. The paper's block formulas for the likelihood and for predictions (its section 3) are those of a
process over these estimates; the cost is cubic in the number of configurations, and in the length of a curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from hptbench.models.gp import Inputs, cholesky, inverse_of, matern_and_slope, squares
from hptbench.space import Floats

Integers = NDArray[np.intp]
_BOUNDS = {"noise": (1e-6, 1.0), "scale": (1e-2, 1e2), "alpha": (0.1, 10.0), "beta": (0.1, 100.0)}
_SILENT = -9.0
"""Logarithm of a noise variance that is small by any means."""
_LENGTHS = (1e-3, 1e3)
_SIGNAL = (1e-2, 1e2)


@dataclass(frozen=True)
class Data:
    """Curves over T configurations with N values."""

    x: Floats
    """(T, D)"""
    trial: Integers
    """(N,) the row of each value in ``x``, sorted: no curve without a value."""
    time: Floats
    """(N,) > 0, rising within a curve."""
    value: Floats
    """(N,)"""

    def patterns(self) -> list[tuple[Floats, Integers, Floats]]:
        """The curves that were observed at the same times, together: times (k,), rows (c,), values (c, k)."""
        ends = np.flatnonzero(np.diff(self.trial, append=-1)) + 1
        groups: dict[bytes, list[tuple[int, int]]] = {}
        for begin, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            groups.setdefault(self.time[begin:end].tobytes(), []).append((begin, end))
        out = []
        for spans in groups.values():
            begins = np.array([begin for begin, _ in spans])
            k = spans[0][1] - spans[0][0]
            out.append((self.time[begins[0] : begins[0] + k], self.trial[begins],
                        self.value[begins[:, None] + np.arange(k)]))  # fmt: skip
        return out


class FreezeThawGP:
    """A fitted process."""

    def __init__(self, data: Data, inputs: Inputs, theta: Floats) -> None:
        """``theta``: the logarithms of G length scales and of the asymptotes' signal variance, their mean, then the
        logarithms of the noise variance, and of the curves' scale, alpha and beta."""
        self.data, self.inputs, self.theta = data, inputs, theta
        g = inputs.scales
        self._inverse = np.exp(-theta[:g])[inputs.groups]
        self._signal, self.mean = math.exp(theta[g]), float(theta[g + 1])
        self._decay = _Decay(*np.exp(theta[g + 2 :]).tolist())
        self._z = data.x * self._inverse
        self._estimate, self._variance = np.empty(len(data.x)), np.empty(len(data.x))
        self._patterns = data.patterns()
        self._place = {int(row): (i, j) for i, (_, rows, _) in enumerate(self._patterns) for j, row in enumerate(rows)}
        self._solved = []
        for times, rows, values in self._patterns:
            part = _Solved(self._decay, times, values)
            self._solved.append(part)
            self._estimate[rows], self._variance[rows] = part.estimate, part.variance
        k = self._kernel(self._z, self._z)
        root = cholesky(k + np.diag(self._variance))
        self._inverse_root = solve_triangular(root, np.eye(len(k)), lower=True)
        self._alpha = cho_solve((root, True), self._estimate - self.mean)

    def _kernel(self, a: Floats, b: Floats) -> Floats:
        return self._signal * matern_and_slope(squares(a, b))[0]

    def asymptotes(self, x: Floats) -> tuple[Floats, Floats]:
        """Means and variances of the asymptotes at ``x``, (m, D): (m,) each."""
        k = self._kernel(x * self._inverse, self._z)
        v = k @ self._inverse_root.T
        return self.mean + k @ self._alpha, np.maximum(self._signal - np.einsum("ij,ij->i", v, v), 1e-12)

    def joint(self, x: Floats) -> tuple[Floats, Floats]:
        """Means (m,) and the covariance matrix (m, m) of the asymptotes at ``x``, (m, D)."""
        z = x * self._inverse
        k = self._kernel(z, self._z)
        v = k @ self._inverse_root.T
        return self.mean + k @ self._alpha, self._kernel(z, z) - v @ v.T

    def given_asymptote(self, row: int | None, time: float) -> tuple[float, float, float]:
        """The next value of curve ``row`` of the data, or of a new one (None), at ``time`` as a function of the
        asymptote f: a + b f, with variance v (noise included). Returns a, b, v."""
        prior = self._decay.kernel(np.array([time]), np.array([time]))[0, 0] + self._decay.noise
        if row is None:
            return 0.0, 1.0, prior
        i, j = self._place[row]
        times, _, values = self._patterns[i]
        k = self._decay.kernel(np.array([time]), times)[0]
        weights = self._solved[i].solve(k)
        return float(weights @ values[j]), 1 - float(weights.sum()), prior - float(weights @ k)

    def predict(self, row: int | None, x: Floats, time: float) -> tuple[float, float]:
        """Mean and variance (noise included) of the value at ``time`` of curve ``row``, or of a new one, at ``x``,
        (D,)."""
        mean, variance = self.asymptotes(x[None])
        a, b, v = self.given_asymptote(row, time)
        return a + b * float(mean[0]), v + b * b * float(variance[0])


@dataclass(frozen=True)
class _Decay:
    noise: float
    scale: float
    alpha: float
    beta: float

    def kernel(self, a: Floats, b: Floats) -> Floats:
        """(len(a), len(b))"""
        return np.asarray(self.scale * (1 + (a[:, None] + b) / self.beta) ** -self.alpha)


class _Solved:
    """What is made of the curves with the same times."""

    def __init__(self, decay: _Decay, times: Floats, values: Floats) -> None:
        self._root = cholesky(decay.kernel(times, times) + decay.noise * np.eye(len(times)))
        ones = self.solve(np.ones(len(times)))
        self.ones = ones
        self.variance = 1 / float(ones.sum())
        self.estimate = values @ ones * self.variance
        """(c,)"""
        self.residuals = self.solve((values - self.estimate[:, None]).T).T
        """(c, k) S^-1 (y - estimate)."""
        self.log_likelihood = (
            -0.5 * float(np.sum(self.residuals * values))
            + len(values) * (0.5 * math.log(self.variance) - float(np.log(np.diag(self._root)).sum()))
            - 0.5 * (len(times) - 1) * len(values) * math.log(2 * math.pi)
        )
        """Of the curves, without what their estimates tell."""

    def solve(self, b: Floats) -> Floats:
        return np.asarray(cho_solve((self._root, True), b))


def fit(data: Data, inputs: Inputs, starts: Sequence[Floats] = (), steps: int = 20) -> FreezeThawGP:
    """The process with the most probable hyperparameters, given standardised values.

    L-BFGS, at most ``steps`` iterations, from the medians of the priors, with the noise of the prior and with much less
    (curves that look like noise to a model of few data are a mode of their own), or from ``starts``, the ``theta`` of
    earlier fits, and the latter. The most probable end counts."""
    from scipy.optimize import minimize

    posterior = Posterior(data, inputs)
    silent = posterior.medians.copy()
    silent[inputs.scales + 2] = _SILENT
    ends = [
        minimize(posterior, start, jac=True, method="L-BFGS-B",
                 bounds=posterior.bounds.tolist(), options={"maxiter": steps, "ftol": 1e-6, "gtol": 1e-3})
        for start in [*(starts or [posterior.medians]), silent]
    ]  # fmt: skip
    return FreezeThawGP(data, inputs, min(ends, key=lambda end: float(end.fun)).x)


class Posterior:
    """Minus the log posterior density of ``theta``, up to the priors' constants, and its gradient.

    Priors: of the logarithms of length scales as in :mod:`hptbench.models.gp`; of the logarithms of the others, and of
    the mean, normal."""

    def __init__(self, data: Data, inputs: Inputs) -> None:
        self._data, self._inputs, self._patterns = data, inputs, data.patterns()
        g = inputs.scales
        length = (math.sqrt(2) + math.log(g) / 2, math.sqrt(3))
        pairs = [(length[0], length[1])] * g + [(0.0, 0.5), (0.0, 1.0), (-4.0, 1.0), (0.0, 1.0), (0.0, 0.5), (1.0, 1.0)]
        self.medians, self._std = np.array(pairs).T
        limits = [np.log(_LENGTHS)] * g + [np.log(_SIGNAL), np.array([-5.0, 5.0])]
        self.bounds = np.array([*limits, *(np.log(pair) for pair in _BOUNDS.values())])
        """(hyperparameters, 2)"""

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        data, inputs = self._data, self._inputs
        g = inputs.scales
        signal, mean = math.exp(theta[g]), theta[g + 1]
        decay = _Decay(*np.exp(theta[g + 2 :]).tolist())
        standard = (theta - self.medians) / self._std
        value, gradient = 0.5 * float(standard @ standard), standard / self._std
        estimate, variance = np.empty(len(data.x)), np.empty(len(data.x))
        solved = [_Solved(decay, times, values) for times, _, values in self._patterns]
        for part, (_, rows, _) in zip(solved, self._patterns, strict=True):
            estimate[rows], variance[rows] = part.estimate, part.variance
            value -= part.log_likelihood
        z = data.x * np.exp(-theta[:g])[inputs.groups]
        m, slope = matern_and_slope(squares(z, z))
        root = cholesky(signal * m + np.diag(variance))
        inverse = inverse_of(root)
        alpha = inverse @ (estimate - mean)
        value += 0.5 * float((estimate - mean) @ alpha) + float(np.log(np.diag(root)).sum())
        value += 0.5 * len(z) * math.log(2 * math.pi)
        by_k = 0.5 * (inverse - np.outer(alpha, alpha))
        by_r2 = signal * by_k * slope
        by_z = 4 * (by_r2.sum(axis=1)[:, None] * z - by_r2 @ z)
        gradient[:g] -= np.bincount(inputs.groups, (by_z * z).sum(axis=0), g)
        gradient[g] += signal * float(np.sum(by_k * m))
        gradient[g + 1] -= float(alpha.sum())
        for part, (times, rows, _) in zip(solved, self._patterns, strict=True):
            gradient[g + 2 :] += _by_decay(decay, part, times, alpha[rows], np.diag(by_k)[rows])
        return value, gradient


def _by_decay(decay: _Decay, part: _Solved, times: Floats, by_estimate: Floats, by_variance: Floats) -> Floats:
    """(4,) derivatives of minus the log likelihood by the logarithms of noise, scale, alpha and beta, given those by
    the curves' estimates and their variances, (c,) each."""
    ones, v, r = part.ones, part.variance, part.residuals
    # By S: of the curve given its estimate, of the estimate (-v 1'S^-1 dS r), of its variance (v^2 1'S^-1 dS S^-1 1).
    inverse = part.solve(np.eye(len(times)))
    by_s = 0.5 * (len(r) * (inverse - v * np.outer(ones, ones)) - r.T @ r)
    by_s -= v * np.outer(ones, by_estimate @ r)
    by_s += v * v * by_variance.sum() * np.outer(ones, ones)
    k = decay.kernel(times, times)
    far = 1 + (times[:, None] + times) / decay.beta
    by_k = by_s * k
    return np.array([
        decay.noise * np.trace(by_s), by_k.sum(), -decay.alpha * float(np.sum(by_k * np.log(far))),
        decay.alpha * float(np.sum(by_k * (1 - 1 / far))),
    ])  # fmt: skip
