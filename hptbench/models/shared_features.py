"""Bayesian linear regressions of many tasks on features that one small network makes for all of them.

The model of V. Perrone, R. Jenatton, M. Seeger and C. Archambeau, "Scalable hyperparameter transfer learning", NeurIPS
2018, section 3: targets y_t = Phi_t w_t + noise, with weights w_t ~ N(0, 1/alpha_t) and noise N(0, 1/beta_t) of each
task's own, and features Phi_t, the last of three layers of 50 tanh units, of all tasks together. Network, alphas and
betas are what makes the sum over tasks of the log marginal likelihoods greatest, by L-BFGS, as there. Gradients are
written out, so that nothing but NumPy is needed.

Formulas of the regression: C. M. Bishop, "Pattern recognition and machine learning", Springer 2006, (3.53), (3.54),
(3.58) and (3.86).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from hptbench.models.gp import cholesky, inverse_of
from hptbench.space import Floats

_ALPHA, _BETA = (1e-3, 1e3), (1.0, 1e5)
"""Bounds of the precisions of weights and of the noise; targets are standardised."""
_START = 1.0, 1e2


class Regression:
    """The posterior of the weights of one task."""

    def __init__(self, phi: Floats, y: Floats, alpha: float, beta: float) -> None:
        """``phi``: (n, D), ``y``: (n,); both may be empty, which leaves the prior."""
        self.phi, self.y, self.alpha, self.beta = phi, y, alpha, beta
        self._root = cholesky(alpha * np.eye(phi.shape[1]) + beta * phi.T @ phi)
        self.mean: Floats = beta * cho_solve((self._root, True), phi.T @ y)
        """(D,)"""

    def predict(self, phi: Floats) -> tuple[Floats, Floats]:
        """Means and variances, without the noise, (m,) each, at features (m, D)."""
        v = solve_triangular(self._root, phi.T, lower=True)
        return phi @ self.mean, np.asarray((v**2).sum(axis=0))

    def gradients(self, phi: Floats) -> tuple[Floats, Floats]:
        """Derivatives of the same by the features: (D,) and (m, D)."""
        return self.mean, 2 * cho_solve((self._root, True), phi.T).T

    def expecting(self, phi: Floats) -> Regression:
        """The same after targets at features (m, D) that are as expected: the mean stays."""
        return Regression(
            np.concatenate([self.phi, phi]), np.concatenate([self.y, phi @ self.mean]), self.alpha, self.beta
        )

    def evidence(self) -> tuple[float, Floats, float, float]:
        """The log marginal likelihood, and its derivatives by the features, (n, D), log alpha and log beta."""
        (n, d), alpha, beta = self.phi.shape, self.alpha, self.beta
        missed = self.y - self.phi @ self.mean
        square, size = float(missed @ missed), float(self.mean @ self.mean)
        value = 0.5 * (d * math.log(alpha) + n * math.log(beta / (2 * math.pi)) - beta * square - alpha * size)
        value -= float(np.log(np.diag(self._root)).sum())
        inverse = inverse_of(self._root)
        spread = alpha * float(np.trace(inverse))  # the share of the weights that the data leave open
        by_phi = beta * (np.outer(missed, self.mean) - self.phi @ inverse)
        return value, by_phi, 0.5 * (d - alpha * size - spread), 0.5 * (n - beta * square - (d - spread))


class SharedFeatures:
    """The network and the precisions, not trained yet."""

    def __init__(self, columns: int, tasks: int, rng: np.random.Generator, layers: int = 3, width: int = 50) -> None:
        """``columns``: of the inputs, which lie in [0, 1]. Weights begin as Glorot's do, biases as 0."""
        self._shapes = [shape for a, b in itertools.pairwise([columns, *[width] * layers]) for shape in ((a, b), (b,))]
        parts = [np.zeros(shape) for shape in self._shapes]
        for weights in parts[::2]:
            bound = math.sqrt(6 / sum(weights.shape))
            weights[...] = rng.uniform(-bound, bound, weights.shape)
        self._weights = np.concatenate([part.ravel() for part in parts])
        self._logs = np.log(np.tile(_START, (tasks, 1)))
        """(tasks, 2) logarithms of alpha and beta."""

    def train(self, tasks: Sequence[tuple[Floats, Floats]], iterations: int) -> None:
        """From where they are, at most so many iterations of L-BFGS; inputs (n, columns) and standardised targets (n,)
        of each task."""
        from scipy.optimize import minimize

        x = np.concatenate([x for x, _ in tasks])
        ends = np.cumsum([len(y) for _, y in tasks])[:-1]
        k = len(self._weights)

        def negative(flat: Floats) -> tuple[float, Floats]:
            layers = self._forward(x, flat[:k])
            logs = flat[k:].reshape(-1, 2)
            total, by_logs, by_phi = 0.0, np.zeros_like(logs), []
            for t, (phi, (_, y)) in enumerate(zip(np.split(layers[-1], ends), tasks, strict=True)):
                alpha, beta = np.exp(logs[t])
                value, slope, *by_logs[t] = Regression(phi, y, alpha, beta).evidence()
                total += value
                by_phi.append(slope)
            by_weights, _ = self._back(layers, np.concatenate(by_phi), flat[:k])
            return -total / len(x), -np.concatenate([by_weights, by_logs.ravel()]) / len(x)

        box = [(None, None)] * k + [tuple(np.log(ends)) for _ in self._logs for ends in (_ALPHA, _BETA)]
        start = np.concatenate([self._weights, self._logs.ravel()])
        found = minimize(
            negative, start, jac=True, method="L-BFGS-B", bounds=box, options={"maxiter": iterations}
        )  # fmt: skip
        self._weights, self._logs = found.x[:k], found.x[k:].reshape(-1, 2)

    def features(self, x: Floats) -> Floats:
        """(m, width) of inputs (m, columns)."""
        return self._forward(x, self._weights)[-1]

    def by_inputs(self, x: Floats, by_phi: Floats) -> Floats:
        """(m, columns) derivatives by the inputs of what has the derivatives ``by_phi``, (m, width)."""
        return self._back(self._forward(x, self._weights), by_phi, self._weights)[1]

    def regression(self, x: Floats, y: Floats, task: int) -> Regression:
        """Of the targets, (n,), at inputs (n, columns), with the precisions of a task."""
        alpha, beta = np.exp(self._logs[task])
        return Regression(self.features(x), y, float(alpha), float(beta))

    def add_task(self) -> None:
        """There is one more task, which begins with the geometric means of the others' precisions."""
        self._logs = np.vstack([self._logs, self._logs.mean(axis=0)])

    def _parts(self, weights: Floats) -> list[Floats]:
        ends = np.cumsum([math.prod(shape) for shape in self._shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(weights, ends), self._shapes, strict=True)]

    def _forward(self, x: Floats, weights: Floats) -> list[Floats]:
        """What each layer takes, and what the last one gives."""
        parts, values = self._parts(weights), [2 * x - 1]
        for w, b in zip(parts[::2], parts[1::2], strict=True):
            values.append(np.tanh(values[-1] @ w + b))
        return values

    def _back(self, values: list[Floats], by_last: Floats, weights: Floats) -> tuple[Floats, Floats]:
        """Derivatives by the weights and by the inputs."""
        slopes: list[Floats] = []
        for w, below, above in zip(self._parts(weights)[-2::-2], values[-2::-1], values[:0:-1], strict=True):
            by_linear = by_last * (1 - above**2)
            slopes += [by_linear.sum(axis=0), (below.T @ by_linear).ravel()]
            by_last = by_linear @ w.T
        return np.concatenate(slopes[::-1]), 2 * by_last
