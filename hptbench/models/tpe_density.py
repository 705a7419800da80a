"""Mixture densities of the tree-structured Parzen estimator (TPE), over the unit cube of a search space.

J. Bergstra, R. Bardenet, Y. Bengio and B. Kegl, "Algorithms for hyper-parameter optimization", NeurIPS 2011, section 4;
the pieces and their names as in S. Watanabe, "Tree-structured Parzen estimator: understanding its algorithm components
and their roles for better empirical performance", 2023, arXiv:2304.11127, section 3. The density is

    p(x) = sum_k w_k prod_j k_j(x_j; x_kj)     multivariate: a product within each kernel
    p(x) = prod_j sum_k w_kj k_j(x_j; x_kj)    univariate: parameters independent of each other

over one kernel per observation and one for the prior. Numbers have Gaussian kernels truncated to [0, 1]; for integers
and ordinals they are integrated over the cell of a value. A category has the kernel of Aitchison and Aitken (Biometrika
63, 1976, doi:10.1093/biomet/63.3.413), kept with probability kappa and otherwise drawn anew. The prior is a Gaussian of
deviation 1 around the centre, truncated; for categories the weights of the space.

Where an observation's parameter is inactive its kernel is that of the prior; in the univariate form it is left out.
A point's inactive parameters are integrated out, so that the density over a space with conditions sums to one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from hptbench.space import Floats, Kind, Mask, Space

_TABLE = 48
"""Up to so many values an integer's or ordinal's kernels are tabulated, which costs the number of values; above, they
are integrated over the cells of the points asked for."""
_TINY = 1e-300
"""Keeps the logarithm of a mass finite that has underflowed."""
_LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Rules:
    """How kernels are made of observations."""

    multivariate: bool = True
    bandwidth: str = "hyperopt"
    """``hyperopt`` (the larger distance to a neighbour), ``scott`` (Scott's rule) or ``optuna`` (0.2 n^(-1/(d+4)))."""
    min_bandwidth: float = 0.03
    """Least bandwidth of a number, in the unit interval."""
    magic_exponent: float = 2.0
    """Bandwidths are at least (1 + kernels)^-exponent, too (magic clipping); inf: no such bound."""
    whole_cells: bool = False
    """Bandwidths of integers and ordinals are at least one cell of a linear scale, 1 / values."""
    categorical_bandwidth: float | None = None
    """Probability of all other categories together, at most 1/2; None: that of Optuna, each of C categories has the
    weight 1 / kernels, and the observed one 1 more."""


class Axes:
    """What the columns of a space are to the densities. Columns with a single value are left out."""

    def __init__(self, space: Space) -> None:
        free = [j for j in range(len(space)) if space.sizes[j] != 1]
        cells = {j: space.cells(j) for j in free}
        categories = [j for j in free if space.kinds[j] is Kind.CATEGORICAL]
        whole = [j for j in free if space.sizes[j] and j not in categories]
        tables = [j for j in whole if space.sizes[j] <= _TABLE]
        wide = [j for j in whole if space.sizes[j] > _TABLE]
        smooth = [j for j in free if not space.sizes[j]]
        self.width = len(space)
        self.numbers = np.array(smooth + wide + tables, dtype=np.intp)
        """Columns of numbers: continuous ones, then integers of many values, then of few."""
        self.categories = np.array(categories, dtype=np.intp)
        self.smooth, self.wide = len(smooth), [cells[j] for j in wide]
        self.columns = np.concatenate([self.numbers, self.categories])
        self.least = np.array([1 / space.sizes[j] if j in whole else 0.0 for j in self.numbers.tolist()])[:, None]
        """(numbers, 1) a cell of a linear scale; 0 for continuous ones."""
        # Edges at which the kernels' distributions are needed: 0 and 1, and between the cells of tables.
        edges = [np.array([0.0, 1.0])] * (len(smooth) + len(wide)) + [cells[j] for j in tables]
        self.edges, self.edge_of = _stacked(edges)
        ends = np.cumsum([len(e) for e in edges], dtype=np.intp)
        self.first, self.last = ends - np.array([len(e) for e in edges], dtype=np.intp), ends - 1
        # Rows of the table of masses: a row per value of the finite columns, categories last.
        inner = np.flatnonzero(self.edge_of >= len(smooth) + len(wide))
        self.upper = inner[~np.isin(inner, self.first)]
        self.row_of = self.edge_of[self.upper]
        self.low, self.level_of = _stacked([cells[j][:-1] for j in categories])
        self.high = np.concatenate([*(np.append(cells[j][1:-1], np.inf) for j in categories), []])[:, None]
        self.share, _ = _stacked([np.diff(cells[j]) for j in categories])
        """(levels, 1) probability of each category in the space."""
        self.levels = np.array([[space.sizes[j]] for j in categories], dtype=float).reshape(-1, 1)
        self.listed = np.array(tables + categories, dtype=np.intp)
        sizes = [int(space.sizes[j]) for j in self.listed.tolist()]
        self.rows = np.cumsum([0, *sizes])
        """Where the rows of each finite column begin, and their number."""
        self._inner = np.full((len(sizes), max(sizes, default=1) - 1), np.inf)
        for i, j in enumerate(self.listed.tolist()):
            self._inner[i, : sizes[i] - 1] = cells[j][1:-1]

    def rows_of(self, x: Floats) -> NDArray[np.intp]:
        """(m, finite columns) rows of the table for points (m, d); the row after the last for inactive parameters."""
        listed = x[:, self.listed]
        rows = self.rows[:-1] + (listed[:, :, None] >= self._inner).sum(axis=2)
        return np.asarray(np.where(np.isnan(listed), self.rows[-1], rows))


class Density:
    """The mixture over observations ``u``, (n, d), NaN where inactive, of ``weights``, (n,), and the prior.

    ``prior_weight`` is in the unit of ``weights``; at 0 there is no prior, unless there is no observation."""

    def __init__(self, axes: Axes, rules: Rules, u: Floats, weights: Floats, prior_weight: float) -> None:
        self._axes, self._multivariate = axes, rules.multivariate
        self._prior = prior_weight > 0 or not len(u)
        if self._prior:
            weights = np.append(weights, prior_weight or 1.0)
        x = np.full((len(axes.columns), len(weights)), 0.5)
        """(columns, kernels); the prior is the last kernel."""
        x[:, : len(u)] = u.T[axes.columns]
        gaps = np.isnan(x)
        self._gaps = gaps if gaps.any() else None
        counts = x.shape[1] - gaps.sum(axis=1, keepdims=True)
        k = len(axes.numbers)
        self._smooth_numbers(rules, x[:k], gaps[:k], counts[:k])
        self._smooth_categories(rules, x[k:], gaps[k:], counts[k:])
        if not self._multivariate:
            weights = np.where(gaps & (counts > 0), 0.0, weights)
        self._weights: Floats = weights / weights.sum(axis=-1, keepdims=True)
        """(kernels,) or, in the univariate form, (columns, kernels)."""
        with np.errstate(divide="ignore"):
            self._log_weights = np.log(self._weights)

    def _smooth_numbers(self, rules: Rules, x: Floats, gaps: Mask, counts: NDArray[np.int64]) -> None:
        axes = self._axes
        sigma = _bandwidths(rules, x, gaps, counts, self._prior, len(axes.columns))
        if rules.whole_cells:
            sigma = np.maximum(sigma, axes.least)
        mu = x
        if self._gaps is not None:
            sigma[gaps] = 1.0
            mu = np.where(gaps, 0.5, x)
        inverse = 1 / sigma
        cdf = ndtr((axes.edges - mu[axes.edge_of]) * inverse[axes.edge_of])
        self._below, self._inside = cdf[axes.first], cdf[axes.last] - cdf[axes.first]
        self._log_inside = np.log(self._inside)
        self._mu, self._sigma, self._inverse = mu, sigma, inverse
        # The logarithm of a truncated Gaussian is a polynomial in x: one matrix product serves all points and kernels.
        m, s = mu[: axes.smooth], inverse[: axes.smooth]
        square = s * s
        constant = np.log(s) - _LOG_ROOT_TWO_PI - self._log_inside[: axes.smooth] - 0.5 * square * m * m
        self._polynomial = np.stack([constant, square * m, -0.5 * square])
        masses = cdf[axes.upper] - cdf[axes.upper - 1]
        self._table = np.log(masses + _TINY) - self._log_inside[axes.row_of]
        """(rows + 1, kernels) logarithms of masses, a row per value; the last row is 0, for inactive parameters."""

    def _smooth_categories(self, rules: Rules, x: Floats, gaps: Mask, counts: NDArray[np.int64]) -> None:
        axes, b = self._axes, rules.categorical_bandwidth
        kept = counts / (counts + axes.levels) if b is None else 1 - b * axes.levels / (axes.levels - 1)
        self._level, self._kept = x, np.repeat(kept, x.shape[1], axis=1)
        """(categories, kernels) places of the observed categories, and probabilities that a draw keeps them."""
        level, kept = x[axes.level_of], kept[axes.level_of]
        anew = (1 - kept) * axes.share
        table = np.where((level >= axes.low) & (level < axes.high), np.log(kept + anew), np.log(anew))
        if self._prior:
            table[:, -1:], self._kept[:, -1] = np.log(axes.share), 0.0
        if self._gaps is not None:
            table = np.where(gaps[axes.level_of], np.log(axes.share), table)
            self._kept[gaps] = 0.0
        self._table = np.concatenate([self._table, table, np.zeros((1, x.shape[1]))])

    def logpdf(self, x: Floats) -> Floats:
        """(m,) log densities at points (m, d), NaN where inactive: with respect to length for continuous parameters,
        to the number of values for others."""
        if not self._multivariate:
            return np.asarray(self.logpdfs(x).sum(axis=1))
        axes = self._axes
        rows = axes.rows_of(x)
        kernels = self._table[rows].sum(axis=1) + self._log_weights
        if axes.smooth:
            powers = _powers(x[:, axes.numbers[: axes.smooth]])
            kernels += np.concatenate(powers, axis=1) @ self._polynomial.reshape(3 * axes.smooth, -1)
        for column in self._wide(x):
            kernels += column
        return _log_sum(kernels)

    def logpdfs(self, x: Floats) -> Floats:
        """(m, columns) log densities of each of the axes' columns by itself, where the density is univariate; 0 where
        it is inactive."""
        columns = [*self._smooth(x), *self._wide(x), *(self._table[r] for r in self._axes.rows_of(x).T)]
        logs = [_log_sum(c + w) for c, w in zip(columns, self._log_weights, strict=True)]
        return np.stack(logs, axis=1) if logs else np.zeros((len(x), 0))

    def _smooth(self, x: Floats) -> Iterator[Floats]:
        """(m, kernels) log kernels of each continuous parameter; 0 where it is inactive."""
        for i in range(self._axes.smooth):
            powers = np.concatenate(_powers(x[:, [self._axes.numbers[i]]]), axis=1)
            yield powers @ self._polynomial[:, i]

    def _wide(self, x: Floats) -> Iterator[Floats]:
        """(m, kernels) log kernels of each integer of many values; 0 where it is inactive."""
        for i, cells in enumerate(self._axes.wide, self._axes.smooth):
            y = x[:, self._axes.numbers[i]]
            at = cells[1:-1].searchsorted(y, "right")
            edges = ndtr((cells[[at, at + 1], None] - self._mu[i]) * self._inverse[i])
            logs = np.log(edges[1] - edges[0] + _TINY) - self._log_inside[i]
            yield np.where(np.isnan(y)[:, None], 0.0, logs)

    def sample(self, rng: np.random.Generator, m: int) -> Floats:
        """(m, d) draws, a value for every parameter, also where it is inactive; any value of an integer's, an ordinal's
        or a category's cell stands for it."""
        axes = self._axes
        k, d = len(axes.numbers), len(axes.columns)
        cumulated = self._weights.cumsum(axis=-1)
        draws = rng.random((m, d))
        if self._multivariate:
            which = np.repeat(cumulated[:-1].searchsorted(rng.random((m, 1)), "right"), d, axis=1)
        else:
            which = (rng.random((m, d, 1)) >= cumulated[:, :-1]).sum(axis=2)
        out = np.full((m, axes.width), 0.5)
        of, column = which[:, :k], np.arange(k)
        z = ndtri(self._below[column, of] + draws[:, :k] * self._inside[column, of])
        out[:, axes.numbers] = self._mu[column, of] + self._sigma[column, of] * z
        of, column = which[:, k:], np.arange(d - k)
        kept, anew = self._kept[column, of], draws[:, k:]
        out[:, axes.categories] = np.where(anew < kept, self._level[column, of], (anew - kept) / (1 - kept))
        return np.asarray(np.minimum(np.maximum(out, 0.0), 1.0))


def _bandwidths(rules: Rules, x: Floats, gaps: Mask, counts: NDArray[np.int64], prior: bool, parameters: int) -> Floats:
    """(numbers, kernels) for places ``x`` of the same shape, NaN at ``gaps`` elsewhere in ``counts``, (numbers, 1)."""
    if rules.bandwidth == "optuna":
        d = parameters if rules.multivariate else 1
        sigma = np.repeat(0.2 * np.maximum(counts - prior, 1) ** (-1 / (d + 4)), x.shape[1], axis=1)
    elif rules.bandwidth == "scott":
        sigma = np.repeat(_scott(np.sort(x, axis=1), counts), x.shape[1], axis=1)
    else:
        sigma = _distances(np.where(gaps, 1.0, x))
    least = np.maximum(rules.min_bandwidth, (1.0 + counts) ** -rules.magic_exponent)
    sigma = np.minimum(np.maximum(sigma, least), 1.0)
    if prior:
        sigma[:, -1] = 1.0
    return np.asarray(sigma)


def _distances(x: Floats) -> Floats:
    """The larger distance to a neighbour or an end of [0, 1], row by row."""
    order = x.argsort(axis=1, kind="stable")
    rows = np.arange(len(x))[:, None]
    ends = np.empty((len(x), x.shape[1] + 2))
    ends[:, 0], ends[:, 1:-1], ends[:, -1] = 0.0, x[rows, order], 1.0
    distances = ends[:, 1:] - ends[:, :-1]
    out = np.empty_like(x)
    out[rows, order] = np.maximum(distances[:, :-1], distances[:, 1:])
    return out


def _scott(x: Floats, counts: NDArray[np.int64]) -> Floats:
    """(rows, 1) 1.059 min(IQR / 1.34, standard deviation) n^(-1/5) of sorted rows that end in NaN after ``counts``."""
    n = np.maximum(counts, 1)
    mean = np.nansum(x, axis=1, keepdims=True) / n
    deviation = np.sqrt(np.nansum((x - mean) ** 2, axis=1, keepdims=True) / np.maximum(n - 1, 1))
    places = (n - 1) * np.array([0.25, 0.75])
    below = places.astype(np.intp)
    rows = np.arange(len(x))[:, None]
    quartiles = x[rows, below] + (places - below) * (x[rows, np.minimum(below + 1, n - 1)] - x[rows, below])
    spread = np.nan_to_num(quartiles[:, 1:] - quartiles[:, :1]) / 1.34
    return np.asarray(1.059 * np.minimum(spread, deviation) * n**-0.2)


def _powers(y: Floats) -> list[Floats]:
    """1, y and y squared; all 0 where y is NaN."""
    there = ~np.isnan(y)
    y = np.where(there, y, 0.0)
    return [there.astype(float), y, y * y]


def _log_sum(logs: Floats) -> Floats:
    """(m,) logarithm of the sums of exponentials over the second axis."""
    top = logs.max(axis=1)
    return np.asarray(top + np.log(np.exp(logs - top[:, None]).sum(axis=1)))


def _stacked(parts: Sequence[Floats]) -> tuple[Floats, NDArray[np.intp]]:
    """All parts below each other, (sum, 1), and the part that each row is of."""
    which = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    return np.concatenate([*parts, []])[:, None], which
