"""The normal distribution of CMA-ES and its update, with the margin for integers.

Equation numbers are those of N. Hansen, "The CMA evolution strategy: a tutorial", 2016, arXiv:1604.00772. The margin
is that of R. Hamano et al., "CMA-ES with margin", GECCO 2022, arXiv:2205.13482 (A, alpha), the injection of points
that were not drawn from the distribution that of N. Hansen, "Injecting external solutions into CMA-ES", 2011,
arXiv:1110.4181 (c_y, the bound on the growth of sigma).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from scipy.special import ndtr, ndtri

from hptbench.space import Floats, Mask

Cells: TypeAlias = Callable[[Floats], tuple[Floats, Floats]]
"""(k,) coordinates of integers -> edges below and above of the cells that they are in, -inf and +inf at the ends."""

_RESAMPLINGS = 100
_TINY = 1e-10
_EIGENVALUE = 1e-30
"""Least eigenvalue of the covariance matrix sigma^2 C that is reached (as in CatCMA, arXiv:2405.09962)."""


def population_size(d: int) -> int:
    """lambda for ``d`` parameters, (48)."""
    return 4 + math.floor(3 * math.log(max(d, 1)))


def recombination_weights(size: int) -> Floats:
    """(lambda,) the weights before they are scaled, the best individual's first, (49)."""
    return np.asarray(math.log((size + 1) / 2) - np.log(np.arange(1, size + 1)))


class Gaussian:
    """m + sigma A N(0, C) over n > 0 numbers; of those that are not ``whole``, [0, 1] is the box."""

    def __init__(self, mean: Floats, sigma: float, size: int, whole: Mask, cells: Cells) -> None:
        n = len(mean)
        self._n, self._size, self._whole, self._cells = n, size, whole, cells
        self.mean, self.sigma = mean.astype(float), sigma
        self._c, self._stretch = np.eye(n), np.ones(n)
        """C, and the diagonal of A: 1 but for integers."""
        self._basis, self._roots = np.eye(n), np.ones(n)
        """Eigenvectors of C, in columns, and the square roots of its eigenvalues."""
        self._path_sigma, self._path_c, self._generation = np.zeros(n), np.zeros(n), 0
        self._margin = 1 / (n * size)  # alpha
        self._best: deque[float] = deque(maxlen=10 + math.ceil(30 * n / size))

        w = recombination_weights(size)
        mu = size // 2
        self._mu_eff = w[:mu].sum() ** 2 / (w[:mu] ** 2).sum()
        negative = w[mu:].sum() ** 2 / (w[mu:] ** 2).sum()
        self._c1 = 2 / ((n + 1.3) ** 2 + self._mu_eff)  # (57)
        self._c_mu = min(
            1 - self._c1, 2 * (self._mu_eff - 2 + 1 / self._mu_eff) / ((n + 2) ** 2 + self._mu_eff)
        )  # (58)
        scale = min(
            1 + self._c1 / self._c_mu,  # (50)
            1 + 2 * negative / (self._mu_eff + 2),  # (51)
            (1 - self._c1 - self._c_mu) / (n * self._c_mu),  # (52)
        )
        self._weights = np.where(w >= 0, w / w[w > 0].sum(), w * scale / -w[w < 0].sum())  # (53)
        self._c_sigma = (self._mu_eff + 2) / (n + self._mu_eff + 5)  # (55)
        self._d_sigma = 1 + 2 * max(0, math.sqrt((self._mu_eff - 1) / (n + 1)) - 1) + self._c_sigma
        self._c_c = (4 + self._mu_eff / n) / (n + 4 + 2 * self._mu_eff / n)  # (56)
        self._chi = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))

    def sample(self, count: int, rng: np.random.Generator) -> Floats:
        """(count, n) points, (38) to (40). Drawn again, up to a hundred times, where they leave the box, then moved
        to its edge."""
        x = self._draws(count, rng)
        for _ in range(_RESAMPLINGS):
            outside = (~self._whole & ((x < 0) | (x > 1))).any(axis=1)
            if not outside.any():
                return x
            x[outside] = self._draws(int(outside.sum()), rng)
        return np.where(self._whole, x, np.clip(x, 0.0, 1.0))

    def _draws(self, count: int, rng: np.random.Generator) -> Floats:
        y = (rng.standard_normal((count, self._n)) * self._roots) @ self._basis.T
        return np.asarray(self.mean + self.sigma * self._stretch * y)

    def update(self, x: Floats, best: float, own: Mask) -> None:
        """Learn from (lambda, n) points, the best first, whose loss is ``best``; (lambda,) ``own`` says which were
        drawn from the distribution as it is. The steps to others are shortened to the length that its own have."""
        n, w = self._n, self._weights
        y = (x - self.mean) / (self.sigma * self._stretch)
        white = (y @ self._basis) / self._roots
        length = np.sqrt((white**2).sum(axis=1))
        longest = math.sqrt(n) + 2 * n / (n + 2)  # c_y
        short = np.where(own | (length <= longest), 1.0, longest / np.maximum(length, _TINY))
        y, length = y * short[:, None], length * short

        step = np.maximum(w, 0) @ y  # (41)
        self.mean = self.mean + self.sigma * step  # (42), without A
        whitened = ((step @ self._basis) / self._roots) @ self._basis.T
        self._generation += 1
        self._path_sigma = (1 - self._c_sigma) * self._path_sigma + (
            math.sqrt(self._c_sigma * (2 - self._c_sigma) * self._mu_eff) * whitened
        )  # (43)
        norm = math.sqrt((self._path_sigma**2).sum())
        self.sigma *= math.exp(min(1.0, self._c_sigma / self._d_sigma * (norm / self._chi - 1)))  # (44)
        steady = norm / math.sqrt(1 - (1 - self._c_sigma) ** (2 * (self._generation + 1)))
        h = float(steady < (1.4 + 2 / (n + 1)) * self._chi)
        self._path_c = (1 - self._c_c) * self._path_c + (
            h * math.sqrt(self._c_c * (2 - self._c_c) * self._mu_eff) * step
        )  # (45)
        balanced = w * np.where(w >= 0, 1.0, n / (length**2 + 1e-8))  # (46)
        keep = 1 + self._c1 * (1 - h) * self._c_c * (2 - self._c_c) - self._c1 - self._c_mu * w.sum()
        self._c = (
            keep * self._c + self._c1 * np.outer(self._path_c, self._path_c) + self._c_mu * (balanced * y.T) @ y
        )  # (47)
        values, self._basis = np.linalg.eigh((self._c + self._c.T) / 2)
        self._roots = np.sqrt(np.maximum(values, _TINY**2))
        self.sigma = max(self.sigma, math.sqrt(_EIGENVALUE) / self._roots.min())
        self._best.append(best)
        if self._whole.any():
            self._correct()

    def _correct(self) -> None:
        """Change m and A so that every integer keeps a probability of leaving its cell."""
        j, alpha = np.flatnonzero(self._whole), self._margin
        m, spread = self.mean[j], self.sigma * np.sqrt(np.diag(self._c)[j])
        below, above = self._cells(m)
        # In an end cell: m no farther from the cell's only edge than at probability alpha.
        end = np.isinf(below) | np.isinf(above)
        edge = np.where(np.isinf(below), above, below)
        farthest = -ndtri(alpha) * spread * self._stretch[j]
        at_end = edge + np.sign(m - edge) * np.minimum(np.abs(m - edge), farthest)
        # Else: at least alpha / 2 on either side, what is inside giving way in proportion.
        a, b = np.where(end, -1.0, below), np.where(end, 1.0, above)
        centre, scale = np.where(end, 0.0, m), np.where(end, 1.0, spread * self._stretch[j])
        low, high = ndtr((a - centre) / scale), ndtr((centre - b) / scale)
        inside = 1 - low - high
        low, high = np.maximum(low, alpha / 2), np.maximum(high, alpha / 2)
        share = (1 - low - high - inside) / (low + high + inside - 1.5 * alpha)
        low, high = (np.clip(p + share * (p - alpha / 2), _TINY, 0.5 - _TINY) for p in (low, high))
        low, high = -ndtri(low), -ndtri(high)
        self._stretch[j] = np.where(end, self._stretch[j], (b - a) / ((low + high) * spread))
        self.mean[j] = np.where(end, at_end, (a * high + b * low) / (low + high))

    @property
    def converged(self) -> bool:
        """Whether nothing more is to be gained: the best losses of the last 10 + 30 n / lambda generations are equal or
        differ by 1e-12, the numbers that are not integers scatter by less than 3e-13, or C has a condition number
        above 1e14."""
        flat = len(self._best) == self._best.maxlen and _range(self._best) <= 1e-12
        scatter = self.sigma * np.maximum(np.sqrt(np.diag(self._c)), np.abs(self._path_c))[~self._whole]
        return bool(flat or (len(scatter) and scatter.max() < 3e-13) or self._roots.max() > 1e7 * self._roots.min())


def _range(losses: deque[float]) -> float:
    low, high = min(losses), max(losses)
    return 0.0 if low == high else high - low
