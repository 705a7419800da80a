"""An ensemble of small perceptrons for regression, trained together: they differ in where they begin and in the order
of their batches.

The networks and their training are those of C. White, W. Neiswanger and Y. Savani, "BANANAS: Bayesian optimization
with neural architectures for neural architecture search", AAAI 2021, arXiv:1910.11858, and its released code: layers of
rectified linear units, the mean absolute error, Adam (Kingma & Ba, ICLR 2015) with the second moment's decay 0.99,
first weights as Keras draws them (Glorot & Bengio, AISTATS 2010).
"""

from __future__ import annotations

import itertools

import numpy as np

from hptbench.space import Floats

_BETAS = 0.9, 0.99
_EPSILON = 1e-7
_BATCH = 32


class Perceptrons:
    """``networks`` perceptrons fitted to ``x``, (n, d) finite, and ``y``, (n,) finite, about standardised."""

    def __init__(
        self, x: Floats, y: Floats, rng: np.random.Generator, networks: int = 5, layers: int = 10, width: int = 20,
        epochs: int = 150, rate: float = 0.01,
    ) -> None:  # fmt: skip
        sizes = [x.shape[1], *[width] * layers, 1]
        shapes = [shape for a, b in itertools.pairwise(sizes) for shape in ((a, b), (1, b))]
        starts = np.cumsum([0, *(a * b for a, b in shapes)])
        self._p, self._g = (np.zeros((networks, starts[-1])) for _ in range(2))
        self._tensors, slopes = (
            [
                rows[:, a:b].reshape(networks, *shape)
                for (a, b), shape in zip(itertools.pairwise(starts), shapes, strict=True)
            ]
            for rows in (self._p, self._g)
        )
        for weights in self._tensors[::2]:
            bound = np.sqrt(6 / sum(weights.shape[1:]))
            weights[...] = rng.uniform(-bound, bound, weights.shape)
        self._fit(x, y, rng, epochs, rate, slopes)

    def predict(self, x: Floats) -> Floats:
        """(networks, m) what each says of the points ``x``, (m, d)."""
        return self._forward(np.broadcast_to(x, (len(self._p), *x.shape)))[-1][..., 0]

    def _fit(
        self, x: Floats, y: Floats, rng: np.random.Generator, epochs: int, rate: float, slopes: list[Floats]
    ) -> None:
        first, second, steps = np.zeros_like(self._p), np.zeros_like(self._p), 0
        one, two = _BETAS
        for _ in range(epochs):
            order = rng.permuted(np.tile(np.arange(len(x)), (len(self._p), 1)), axis=1)
            for at in range(0, len(x), _BATCH):
                rows = order[:, at : at + _BATCH]
                self._back(x[rows], y[rows], slopes)
                steps += 1
                first += (1 - one) * (self._g - first)
                second += (1 - two) * (self._g * self._g - second)
                step = rate * np.sqrt(1 - two**steps) / (1 - one**steps)
                self._p -= step * first / (np.sqrt(second) + _EPSILON)

    def _forward(self, x: Floats) -> list[Floats]:
        """(networks, m, width) what each layer takes, and what the last one gives."""
        values = [x]
        for i in range(0, len(self._tensors), 2):
            x = x @ self._tensors[i] + self._tensors[i + 1]
            if i < len(self._tensors) - 2:
                x = np.maximum(x, 0, out=x)
            values.append(x)
        return values

    def _back(self, x: Floats, y: Floats, slopes: list[Floats]) -> None:
        """Write the derivatives of the mean absolute error into ``slopes``."""
        values = self._forward(x)
        above = np.sign(values[-1] - y[..., None]) / y.shape[1]
        for i in range(len(self._tensors) - 2, -1, -2):
            below = values[i // 2]
            np.matmul(below.transpose(0, 2, 1), above, out=slopes[i])
            np.sum(above, axis=1, keepdims=True, out=slopes[i + 1])
            if i:
                above = (above @ self._tensors[i].transpose(0, 2, 1)) * (below > 0)
