"""The categorical distributions of CatCMA and their update.

R. Hamano, S. Saito, M. Nomura, K. Uchida and S. Shirakawa, "CatCMA: stochastic optimization for mixed-category
problems", GECCO 2024, arXiv:2405.09962, without its normal distribution (:mod:`hptbench.methods._cma`); the
adaptation of the step is ASNG, Y. Akimoto et al., "Adaptive stochastic natural gradient method for one-shot neural
architecture search", ICML 2019, arXiv:1905.08537.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hptbench.space import Floats

_ALPHA = 1.5
_TINY = 1e-30


class Categories:
    """Independent categorical distributions, ``sizes`` levels each."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.q = [np.full(size, 1 / size) for size in sizes]
        """Per category (levels,) probabilities."""
        self._least = [(1 - 0.73 ** (1 / len(sizes))) / (size - 1) for size in sizes]  # the margin
        self._delta = 1.0  # Delta
        self._step = 1.0
        """Length of the next step, in the metric of the Fisher information: 1 / Delta, as it was one update ago (so in
        the authors' code)."""
        self._s, self._gamma = np.zeros(sum(sizes) - len(sizes)), 0.0

    def sample(self, count: int, rng: np.random.Generator) -> Floats:
        """(count, categories) positions of levels."""
        u = rng.random((count, len(self.q)))
        columns = [np.searchsorted(q.cumsum()[:-1], x, side="right") for q, x in zip(self.q, u.T, strict=True)]
        return np.stack(columns, axis=1).astype(float)

    def update(self, positions: NDArray[np.intp], weights: Floats) -> None:
        """Learn from (mu, categories) positions, the best first, with (mu,) positive weights that sum to 1."""
        gradient = [np.bincount(column, weights, len(q)) - q for column, q in zip(positions.T, self.q, strict=True)]
        root = np.concatenate([_root(g, q) for g, q in zip(gradient, self.q, strict=True)])
        norm = math.sqrt((root**2).sum()) + _TINY
        for q, g, least in zip(self.q, gradient, self._least, strict=True):
            q += self._step * g / norm
            _lift(q, least)
        self._step = 1 / self._delta
        beta = self._step / math.sqrt(len(root))
        self._s = (1 - beta) * self._s + math.sqrt(beta * (2 - beta)) * root / norm
        self._gamma = (1 - beta) ** 2 * self._gamma + beta * (2 - beta)
        self._delta *= math.exp(beta * (self._gamma - (self._s**2).sum() / _ALPHA))


def _root(gradient: Floats, q: Floats) -> Floats:
    """The gradient of all levels but the last times a square root of the Fisher information (ASNG, appendix B)."""
    g, p, last = gradient[:-1], q[:-1], q[-1]
    return np.asarray(g / np.sqrt(p) + np.sqrt(p) * g.sum() / (last + math.sqrt(last)))


def _lift(q: Floats, least: float) -> None:
    """In place: no probability below ``least``, and all of them 1."""
    np.maximum(q, least, out=q)
    q -= (q.sum() - 1) * (q - least) / (q - least).sum()
    q /= q.sum()
