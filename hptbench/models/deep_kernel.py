"""A Gaussian process over features that a small network makes of a configuration, a budget and a learning curve.

The surrogate of M. Wistuba, A. Kadra and J. Grabocka, "Supervising the multi-fidelity race of hyperparameter
configurations" (DyHPO), NeurIPS 2022, arXiv:2202.09774, section 4.1 and appendix: kernel k(phi(x, Y, b), phi(x', Y',
b')) with a squared exponential k and, in the authors' code, phi of

    h = LeakyReLU(BatchNorm(W1 [x, b] + c1))                         64 units
    e = max over time of a convolution of the curve Y so far         4 channels, kernel size 3
    phi = LeakyReLU(W2 [h, e] + c2)                                  128 units,

trained together with the length scale, the signal and the noise variance and a constant mean by Adam on the marginal
likelihood. Gradients are written out, so that nothing but NumPy is needed. Weights begin as PyTorch's do, uniform
within 1 / sqrt(inputs); variances and the length scale are softplus(0) at the beginning (GPyTorch's).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from hptbench.models.gp import cholesky, inverse_of, squares
from hptbench.space import Floats

_SLOPE = 0.01
"""Of LeakyReLU below 0."""
_KEEP, _EPSILON = 0.9, 1e-5
"""Batch normalisation: how much of the running statistics a step keeps, and what is added to variances."""
_DECAY, _DECAY2, _ADAM = 0.9, 0.999, 1e-8
_NOISE = 1e-4
"""Least noise variance."""
WIDTH = 3
"""Of the convolution's kernel: the least length of a curve."""


@dataclass(frozen=True)
class Rows:
    """n observations, or candidates."""

    x: Floats
    """(n, d + 1) configurations and, in the last column, the budget in (0, 1]."""
    curve: Floats
    """(n, L) what was observed before it, L >= ``WIDTH``; 0 after its end."""

    def __getitem__(self, rows: NDArray[np.intp]) -> Rows:
        return Rows(self.x[rows], self.curve[rows])


class DeepKernel:
    """The network and the process, not trained yet."""

    def __init__(
        self, columns: int, rng: np.random.Generator, hidden: int = 64, features: int = 128, channels: int = 4
    ) -> None:
        """``columns``: of ``Rows.x``."""

        def uniform(inputs: int, *shape: int) -> Floats:
            return rng.uniform(-1, 1, shape) / math.sqrt(inputs)

        drawn = {
            "w1": uniform(columns, columns, hidden), "c1": uniform(columns, hidden),
            "gain": np.ones(hidden), "shift": np.zeros(hidden),
            "filter": uniform(WIDTH, WIDTH, channels), "bias": uniform(WIDTH, channels),
            "w2": uniform(hidden + channels, hidden + channels, features), "c2": uniform(hidden + channels, features),
            "length": np.zeros(1), "signal": np.zeros(1), "noise": np.zeros(1), "mean": np.zeros(1),
        }  # fmt: skip
        self._all = np.concatenate([value.ravel() for value in drawn.values()])
        ends = np.cumsum([value.size for value in drawn.values()])
        parts = np.split(self._all, ends[:-1])
        self.parameters = {name: part.reshape(drawn[name].shape) for name, part in zip(drawn, parts, strict=True)}
        """Views of one array. The last four: the length scale, both variances (through softplus) and the mean."""
        self._running = np.zeros(hidden), np.ones(hidden)

    def train(self, rows: Rows, y: Floats, steps: int, rate: float, batch: int, rng: np.random.Generator) -> None:
        """``steps`` of Adam on the log marginal likelihood per observation, of at most ``batch`` observations each,
        (n,) standardised targets; with less than two observations nothing is learnt, as of a batch of one."""
        if len(y) < 2:
            return
        first, second = np.zeros_like(self._all), np.zeros_like(self._all)
        for step in range(1, steps + 1):
            some = np.arange(len(y)) if len(y) <= batch else rng.choice(len(y), batch, replace=False)
            _, gradients = self.loss(rows[some], y[some])
            slope = np.concatenate([gradients[name].ravel() for name in self.parameters])
            first += (1 - _DECAY) * (slope - first)
            second += (1 - _DECAY2) * (slope * slope - second)
            size = np.sqrt(second / (1 - _DECAY2**step)) + _ADAM
            self._all -= rate / (1 - _DECAY**step) * first / size

    def loss(self, rows: Rows, y: Floats) -> tuple[float, dict[str, Floats]]:
        """Minus the log marginal likelihood per observation and its gradient; the batch normalises itself, and
        moves the running statistics."""
        p, n = self.parameters, len(y)
        made = _Pass(p, rows, None)
        mean, variance = self._running
        self._running = (
            _KEEP * mean + (1 - _KEEP) * made.mean,
            _KEEP * variance + (1 - _KEEP) * made.variance * n / (n - 1),
        )
        length, signal, noise = self._scales()
        z = made.features / length
        r2 = squares(z, z)
        bare = np.exp(-0.5 * r2)
        root = cholesky(signal * bare + noise * np.eye(n))
        inverse = inverse_of(root)
        alpha = inverse @ (y - p["mean"])
        value = (
            0.5 * float((y - p["mean"]) @ alpha) + float(np.log(np.diag(root)).sum()) + n / 2 * math.log(2 * math.pi)
        )
        by_k = 0.5 * (inverse - np.outer(alpha, alpha)) / n
        by_bare = signal * by_k * bare
        by_z = -2 * (by_bare.sum(axis=1)[:, None] * z - by_bare @ z)
        gradient = made.back(p, by_z / length)
        gradient["length"] = np.array([-float(np.sum(by_z * z)) / length]) * _sigmoid(p["length"])
        gradient["signal"] = float(np.sum(by_k * bare)) * _sigmoid(p["signal"])
        gradient["noise"] = float(np.trace(by_k)) * _sigmoid(p["noise"])
        gradient["mean"] = np.array([-float(alpha.sum()) / n])
        return value / n, gradient

    def predict(self, seen: Rows, y: Floats, rows: Rows) -> tuple[Floats, Floats]:
        """Means and variances (noise included), (m,) each, at ``rows`` given ``y``, (n,), at ``seen``."""
        length, signal, noise = self._scales()
        a, b = (_Pass(self.parameters, part, self._running).features / length for part in (seen, rows))
        root = cholesky(signal * np.exp(-0.5 * squares(a, a)) + noise * np.eye(len(a)))
        k = signal * np.exp(-0.5 * squares(b, a))
        v = solve_triangular(root, k.T, lower=True)
        mean = float(self.parameters["mean"][0])
        variance = signal + noise - np.einsum("ij,ij->j", v, v)
        return mean + k @ cho_solve((root, True), y - mean), np.maximum(variance, 1e-12)

    def _scales(self) -> tuple[float, float, float]:
        """The length scale, the signal variance and the noise variance."""
        length, signal, noise = (float(np.logaddexp(0, self.parameters[n][0])) for n in ("length", "signal", "noise"))
        return length, signal, noise + _NOISE


class _Pass:
    """Forwards through the network, and back."""

    def __init__(self, p: dict[str, Floats], rows: Rows, running: tuple[Floats, Floats] | None) -> None:
        """``running``: statistics of the batch normalisation; None for those of the batch."""
        self._rows = rows
        linear = rows.x @ p["w1"] + p["c1"]
        self.mean: Floats = linear.mean(axis=0) if running is None else running[0]
        self.variance: Floats = linear.var(axis=0) if running is None else running[1]
        self._scale = 1 / np.sqrt(self.variance + _EPSILON)
        self._normal = (linear - self.mean) * self._scale
        self._first = self._normal * p["gain"] + p["shift"]
        self._windows = np.lib.stride_tricks.sliding_window_view(rows.curve, WIDTH, axis=1)
        over_time = self._windows @ p["filter"]
        self._when = over_time.argmax(axis=1)
        pooled = over_time.max(axis=1) + p["bias"]
        self._joined = np.concatenate([_leaky(self._first), pooled], axis=1)
        self._second = self._joined @ p["w2"] + p["c2"]
        self.features = _leaky(self._second)
        """(n, features)"""

    def back(self, p: dict[str, Floats], by_features: Floats) -> dict[str, Floats]:
        """Derivatives by the weights, of what has the derivatives ``by_features``; the batch normalised itself."""
        by_second = by_features * np.where(self._second > 0, 1.0, _SLOPE)
        by_joined = by_second @ p["w2"].T
        hidden = self._first.shape[1]
        by_first = by_joined[:, :hidden] * np.where(self._first > 0, 1.0, _SLOPE)
        by_pooled = by_joined[:, hidden:]
        by_normal = by_first * p["gain"]
        by_linear = self._scale * (
            by_normal - by_normal.mean(axis=0) - self._normal * (by_normal * self._normal).mean(axis=0)
        )
        chosen = self._windows[np.arange(len(by_features))[:, None], self._when]  # (n, channels, WIDTH)
        return {
            "w1": self._rows.x.T @ by_linear, "c1": by_linear.sum(axis=0),
            "gain": (by_first * self._normal).sum(axis=0), "shift": by_first.sum(axis=0),
            "filter": np.einsum("nc,ncw->wc", by_pooled, chosen), "bias": by_pooled.sum(axis=0),
            "w2": self._joined.T @ by_second, "c2": by_second.sum(axis=0),
        }  # fmt: skip


def _leaky(x: Floats) -> Floats:
    return np.where(x > 0, x, _SLOPE * x)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))
