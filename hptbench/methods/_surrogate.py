"""A Gaussian process of what a search has been told: how targets are made, which points are used, when it is fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hptbench.models.embedding import Embedding
from hptbench.models.gp import GP, Priors, fit, modes
from hptbench.space import Floats

_ANEW = 1.3
"""Fits begin from the last hyperparameters; from the priors' modes, too, whenever the data have grown by this
factor."""

_EXPONENTS = (-2.0, 4.0)


@dataclass(frozen=True)
class Fitted:
    """A process and what it was fitted to."""

    gp: GP
    u: Floats
    """(n, d) the points."""
    targets: Floats
    """(n,)"""

    @property
    def best_first(self) -> Floats:
        """The points in the order of their targets."""
        return self.u[np.argsort(self.targets, kind="stable")]

    def given(self, embed: Embedding, pending: Floats, fantasies: int, rng: np.random.Generator) -> tuple[GP, Floats]:
        """The process with that many draws of what the points ``pending``, (p, d), will return, a column each, and
        the lowest mean of each column, (S,), at the points that are known or pending; one column if p is 0."""
        best = self.gp.predict(embed(self.u))[0].min(axis=0)
        if not len(pending):
            return self.gp, best
        x = embed(pending)
        gp = self.gp.given(x, self.gp.draw(x, fantasies, rng))
        return gp, np.minimum(best, gp.predict(x)[0].min(axis=0))


class Surrogate:
    """Fits one Gaussian process after the other to growing data.

    Fitting takes time cubic in the number of points, so beyond ``max_points`` only the better half of that number and
    the latest of the others are used: an approximation, as the process is not told of the rest."""

    def __init__(self, embedding: Embedding, priors: Priors, max_points: int) -> None:
        self._embed, self._priors, self._max = embedding, priors, max_points
        self._last: GP | None = None
        self._anew = 0.0

    def fit(self, u: Floats, targets: Floats, losses: Floats | None = None) -> Fitted:
        """The process for points (n, d) and standardised targets (n,). ``losses`` (n,): by which points are used, if
        not by the targets."""
        n = len(u)
        keep = kept(targets if losses is None else losses, self._max)
        u, targets = u[keep], targets[keep]
        inputs = self._embed.inputs
        starts = [] if self._last is None else [self._last.theta]
        if n >= self._anew:
            starts.append(modes(inputs, self._priors))
            self._anew = _ANEW * n
        self._last = fit(self._embed(u), targets, inputs, self._priors, starts)
        return Fitted(self._last, u, targets)


def kept(losses: Floats, most: int) -> NDArray[np.intp]:
    """Positions of at most ``most`` of ``losses``, (n,), in their order: the better half of that number and the latest
    of the others."""
    if len(losses) <= most:
        return np.arange(len(losses))
    order = np.argsort(losses, kind="stable")
    half = most // 2
    return np.sort(np.concatenate([order[:half], np.sort(order[half:])[half - most :]]))


def transformed(values: Floats) -> Floats:
    """(n,) ``values``, at least one of them finite, as targets of mean 0 and variance 1, in the same order.

    Failures, +inf, count as the worst value seen. The transformation of I. Yeo and R. Johnson (Biometrika 87, 2000,
    doi:10.1093/biomet/87.4.954), with the most likely exponent in [-2, 4], brings skewed values nearer to a normal
    distribution, as in HEBO (arXiv:2012.03826). It bends where sizes are about 1: before it the unit is the
    interquartile range about the median, so that one huge value does not press the others together."""
    from scipy.optimize import minimize_scalar

    y = without_failures(values)
    y = y / (np.abs(y).max() or 1.0)  # or differences of large numbers overflow
    low, middle, high = np.quantile(y, [0.25, 0.5, 0.75])
    y = (y - middle) / (high - low) if high - low > 1e-12 else standardised(y)
    if len(np.unique(y)) <= 2:
        return standardised(y)
    logs = (np.sign(y) * np.log1p(np.abs(y))).sum()

    def unlikely(exponent: float) -> float:
        """(3.1) there: minus the log likelihood of the exponent."""
        return float(0.5 * len(y) * np.log(_yeo_johnson(y, exponent).var()) - (exponent - 1) * logs)

    best = minimize_scalar(unlikely, bounds=_EXPONENTS, method="bounded", options={"xatol": 1e-3})
    return standardised(_yeo_johnson(y, best.x))


def _yeo_johnson(y: Floats, exponent: float) -> Floats:
    """(2.1) of Yeo and Johnson; scipy's spends forty times as long on looking at its arguments."""

    def power(size: Floats, exponent: float) -> Floats:
        logs = np.log1p(size)
        return logs if abs(exponent) < 1e-12 else np.expm1(exponent * logs) / exponent

    return np.where(y >= 0, power(np.maximum(y, 0.0), exponent), -power(np.maximum(-y, 0.0), 2 - exponent))


def without_failures(values: Floats) -> Floats:
    """``values``, at least one of them finite, with the worst of them in place of +inf."""
    finite = np.isfinite(values)
    return np.where(finite, values, values[finite].max())


def standardised(y: Floats) -> Floats:
    """``y`` with mean 0 and variance 1; all 0 if it is constant, as far as rounding lets one tell."""
    y = y / (np.abs(y).max() or 1.0)  # or squares of large numbers overflow
    std = y.std()
    return np.zeros_like(y) if std <= 1e-12 else np.asarray((y - y.mean()) / std)
