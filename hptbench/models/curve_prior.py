"""Learning curves under a parametric prior, by weighted draws of their shapes; asymptotes are a Gaussian process.

The prior over shapes is that of FT-PFN: H. Rakotoarison, S. Adriaensen, N. Mallik, S. Garibov, E. Bergman and
F. Hutter, "In-context freeze-thaw Bayesian optimization for hyperparameter optimization", ICML 2024, arXiv:2404.16795,
appendix A: a curve of scores (higher is better) goes from y0 to y_inf along a convex combination of four ways (power
law, exponential, logarithm, Hill) that each saturate at a point of their own, and may turn afterwards. There a
transformer that was trained on draws from this prior predicts; here the posterior is approximated by hand:

- ``draws`` shapes (with y0 and the noise) are drawn once. Given a shape a curve is linear in y_inf, which is normal:
  its posterior and the shape's weight, the marginal likelihood of the curve, are exact.
- y_inf of configuration x is a Gaussian process over configurations (there a random network makes all parameters of a
  curve from x). Every curve's own information on y_inf is summed up by a normal factor; the process, without the curve
  itself, gives the prior with which the curve is weighed again.
- The prior is adapted to the curves, in a few rounds of expectation maximisation: the shapes' weights are ``share``
  uniform ones and the mean of the curves', long curves counting more; and the mean and the variance of y_inf.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from scipy.special import ndtr

from hptbench.models.gp import cholesky, inverse_of
from hptbench.space import Floats

Integers = NDArray[np.intp]
_LEVEL, _SPREAD = 0.25, 0.4
"""Mean and standard deviation of y_inf before anything is known, in units of the score."""
_ROUNDS = 3
"""In which the prior is adapted to the curves."""
_FREE = 3
"""So many values of a curve say nothing of its shape: y0, y_inf and the noise are free."""
_PSEUDO = 2.0
"""Curves that the prior of y_inf counts for."""
_START = 0.3
"""Mean distance of y0 below 0."""


@dataclass(frozen=True)
class Shapes:
    """M shapes, drawn once."""

    way: Floats
    """(M, S) how far from y0 to y_inf a curve has come after each step."""
    start: Floats
    """(M,) y0."""
    noise: Floats
    """(M,) variances of the noise."""


def draw_shapes(draws: int, steps: int, rng: np.random.Generator) -> Shapes:
    """Shapes of curves of ``steps`` steps. What the paper draws for y0 and y_inf, uniform scores in [0, 1], is
    replaced: y0 lies below 0, the score of the median configuration after one step."""
    t = np.arange(1, steps + 1) / steps
    weights = rng.dirichlet(np.ones(4), draws)
    latest = 10 ** rng.standard_normal((draws, 1))
    relative = rng.gamma(1.0, size=(draws, 4))
    saturation = latest * relative / relative.max(axis=1, keepdims=True)
    precision = 10 ** rng.uniform(0, 3, (draws, 4))
    after = 1 - rng.exponential(size=(draws, 4))
    alpha = np.exp(rng.normal([1.0, 0.0, -4.0, 0.5], [1.0, 1.0, 1.0, 0.5], (draws, 4)))
    x = t[None, :, None] / saturation[:, None, :]
    x = np.maximum(np.where(x < 1, x, after[:, None, :] * (x - 1) + 1), 0.0)
    way = np.einsum("ms,mst->mt", weights, _ways(x, alpha[:, None, :], precision[:, None, :]).transpose(0, 2, 1))
    return Shapes(way, -rng.exponential(_START, draws), np.exp(2 * rng.normal(-5.0, 1.0, draws)))


def _ways(x: Floats, alpha: Floats, precision: Floats) -> Floats:
    """(M, S, 4) progress 0 .. 1 at times ``x`` in units of the points of saturation, where 1 / precision is left."""
    out = np.empty(np.broadcast_shapes(x.shape, alpha.shape))
    a, p = alpha, precision
    out[..., 0] = 1 - ((p[..., 0] ** (1 / a[..., 0]) - 1) * x[..., 0] + 1) ** -a[..., 0]
    out[..., 1] = 1 - p[..., 1] ** -(x[..., 1] ** a[..., 1])
    b = np.log1p(a[..., 2])  # the logarithm's base is 1 + alpha
    out[..., 2] = 1 - b / np.log((np.exp(np.minimum(b * p[..., 2], 700.0)) - np.exp(b)) * x[..., 2] + np.exp(b))
    out[..., 3] = 1 - 1 / (x[..., 3] ** a[..., 3] * (p[..., 3] - 1) + 1)
    return out


class CurvePosterior:
    """What T curves with N scores, over configurations with the kernel matrix ``k``, (T, T), tell."""

    def __init__(
        self, shapes: Shapes, k: Floats, trial: Integers, step: Integers, score: Floats, share: float = 0.1
    ) -> None:
        """``trial``: (N,) rows of ``k``, each at least once; ``step``: (N,) 1 .. S; ``score``: (N,). ``k`` holds shares
        of the prior variance of y_inf: 1 on its diagonal."""
        self._shapes = shapes
        self._sums = _sums(shapes, len(k), trial, step, score)
        uniform = np.full(len(shapes.start), 1 / len(shapes.start))
        self.prior = uniform
        """(M,) weights of the shapes for a new curve."""
        self._level, self._spread = _LEVEL, _SPREAD
        lengths = np.maximum(self._sums[0] - _FREE, 0.0)
        told = share if lengths.any() else 1.0
        lengths /= max(lengths.sum(), 1.0)
        for _ in range(_ROUNDS):
            level, spread = np.full(len(k), self._level), np.full(len(k), self._spread**2)
            weights, mean, variance = self._posterior(self.prior, level, spread)
            self.prior = told * uniform + (1 - told) * (lengths @ weights)
            centre, width = _mixed(weights, mean, variance)
            self._level = float((_PSEUDO * _LEVEL + centre.sum()) / (_PSEUDO + len(k)))
            squares = float((width + (centre - self._level) ** 2).sum())
            self._spread = math.sqrt((_PSEUDO * _SPREAD**2 + squares) / (_PSEUDO + len(k)))
        level, spread = np.full(len(k), self._level), np.full(len(k), self._spread**2)
        weights, mean, variance = self._posterior(self.prior, level, spread)
        precision = np.maximum(1 / _mixed(weights, mean, variance)[1] - 1 / spread, 1e-6)
        factor = (_mixed(weights, mean, variance)[0] * (precision + 1 / spread) - level / spread) / precision
        precision = np.minimum(precision, 1e8)
        root = cholesky(self._spread**2 * k + np.diag(1 / precision))
        inverse = inverse_of(root)
        self._alpha, self._root = cho_solve((root, True), factor - self._level), root
        without = 1 / np.diag(inverse)
        """Variances of the factors given all others."""
        self.weights, self.mean, self.variance = self._posterior(
            self.prior, factor - self._alpha * without, np.maximum(without - 1 / precision, 1e-6)
        )
        """(T, M) each: the weights of the shapes, and the means and variances of y_inf given each."""

    def _posterior(self, prior: Floats, level: Floats, spread: Floats) -> tuple[Floats, Floats, Floats]:
        """Weights, means and variances, (T, M) each, given normal priors of y_inf, (T,)."""
        n, gg, gr, rr = self._sums
        noise = self._shapes.noise
        precision = 1 / spread[:, None] + gg / noise
        mean = (level[:, None] / spread[:, None] + gr / noise) / precision
        logs = np.log(prior) - 0.5 * (n[:, None] * np.log(2 * math.pi * noise) + np.log(spread[:, None] * precision))
        logs -= 0.5 * (rr / noise + (level**2 / spread)[:, None] - mean**2 * precision)
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True), mean, 1 / precision

    def asymptotes(self, k: Floats) -> tuple[Floats, Floats]:
        """Means and variances of y_inf, (m,) each, of new configurations with the kernel ``k``, (m, T)."""
        c = self._spread**2 * k
        v = np.einsum("ij,ji->i", c, cho_solve((self._root, True), c.T))
        return np.asarray(self._level + c @ self._alpha), np.maximum(self._spread**2 - v, 1e-6)

    def expected(self, rows: Integers, step: Integers) -> Floats:
        """(m,) means of the scores of curves ``rows``, (m,), after the steps ``step``, (m,)."""
        way, start = self._shapes.way[:, step - 1].T, self._shapes.start
        return np.asarray(np.einsum("ij,ij->i", self.weights[rows], start * (1 - way) + way * self.mean[rows]))

    def new_expected(self, k: Floats, step: Integers) -> Floats:
        """(m,) likewise, of new configurations with the kernel ``k``, (m, T)."""
        way, start = self._shapes.way[:, step - 1].T, self._shapes.start
        return np.asarray((start * (1 - way) + way * self.asymptotes(k)[0][:, None]) @ self.prior)

    def above(self, rows: Integers, step: Integers, threshold: float) -> Floats:
        """(m,) probabilities that the score of curve ``rows``, (m,), is above ``threshold`` after ``step``, (m,)."""
        return self._above(self.weights[rows], self.mean[rows], self.variance[rows], step, threshold)

    def new_above(self, k: Floats, step: int, threshold: float) -> Floats:
        """(m,) likewise, of new configurations with the kernel ``k``, (m, T), all after ``step``."""
        mean, variance = self.asymptotes(k)
        steps = np.full(len(k), step)
        return self._above(self.prior[None], mean[:, None], variance[:, None], steps, threshold)

    def _above(self, weights: Floats, mean: Floats, variance: Floats, step: Integers, threshold: float) -> Floats:
        way, start = self._shapes.way[:, step - 1].T, self._shapes.start
        std = np.sqrt(way**2 * variance + self._shapes.noise)
        return np.asarray((weights * ndtr((start * (1 - way) + way * mean - threshold) / std)).sum(axis=1))


def _sums(
    shapes: Shapes, n: int, trial: Integers, step: Integers, score: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Of each curve, (T,), the number of scores; with g the way and r the score less y0 (1 - g), (T, M) each: the sums
    of g g, of g r and of r r."""
    seen, y = np.zeros((n, shapes.way.shape[1])), np.zeros((n, shapes.way.shape[1]))
    seen[trial, step - 1], y[trial, step - 1] = 1.0, score
    g, h, start = shapes.way.T, 1 - shapes.way.T, shapes.start
    rr = (y * y).sum(axis=1)[:, None] - 2 * start * (y @ h) + start**2 * (seen @ (h * h))
    return seen.sum(axis=1), seen @ (g * g), y @ g - start * (seen @ (g * h)), np.maximum(rr, 0.0)


def _mixed(weights: Floats, mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Means and variances, (T,) each, of mixtures."""
    level = (weights * mean).sum(axis=1)
    return level, (weights * (variance + (mean - level[:, None]) ** 2)).sum(axis=1)
