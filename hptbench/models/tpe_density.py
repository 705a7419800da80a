"""Mixture densities of the tree-structured Parzen estimator (TPE), over the unit cube of a search space.

J. Bergstra, R. Bardenet, Y. Bengio and B. Kegl, "Algorithms for hyper-parameter optimization", NeurIPS 2011, section 4;
the pieces and their names as in S. Watanabe, "Tree-structured Parzen estimator: understanding its algorithm components
and their roles for better empirical performance", 2023, arXiv:2304.11127, section 3. A density is

    p(x) = sum_k w_k prod_j k_j(x_j; x_kj)     multivariate: a product within each kernel
    p(x) = prod_j sum_k w_kj k_j(x_j; x_kj)    univariate: parameters independent of each other

over one kernel per observation and one for the prior. Numbers have Gaussian kernels truncated to [0, 1], for integers
and ordinals integrated over the cell of a value (where the cell is narrower than half the least bandwidth: the
density in its middle times its width; with more than 65,536 values: as of a continuous one). A category has the
kernel of J. Aitchison and C. G. G. Aitken (Biometrika 63, 1976, doi:10.1093/biomet/63.3.413): kept with probability
kappa, else drawn from the prior. The prior is a Gaussian of deviation 1 around the centre, truncated; for categories
the weights of the space.

Where an observation's parameter is inactive its kernel is that of the prior; in the univariate form it is left out.
A point's inactive parameters are integrated out, so that the density over a space with conditions sums to one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from hptbench.space import Floats, Kind, Mask, Space

Places = NDArray[np.intp]
_TINY = 1e-300
"""Keeps the logarithm of a mass finite that has underflowed."""
_MOST_CELLS = 1 << 16
"""Values of an integer from which on its cells, whose widths cancel in ratios of densities, are not tabled."""
_INTERVAL = np.array([0.0, 1.0])
_LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Rules:
    """How kernels are made of observations."""

    multivariate: bool = True
    bandwidth: str = "hyperopt"
    """``hyperopt`` (the larger distance to a neighbour or an end of [0, 1], as Watanabe describes it), ``neighbours``
    (without the ends, as in hyperopt's code), ``scott`` (Scott's rule) or ``optuna`` (0.2 n^(-1/(d+4)))."""
    min_bandwidth: float = 0.03
    """Least bandwidth of a number, in the unit interval."""
    magic_exponent: float = 2.0
    """Bandwidths are at least (1 + kernels)^-exponent, too (magic clipping); inf: no such bound."""
    whole_cells: bool = False
    """Bandwidths of integers and ordinals are at least one cell of a linear scale, 1 / values."""
    categorical_bandwidth: float | None = None
    """Probability of all other categories together, at most 1/2; None: that of Optuna, each of C categories has the
    weight 1 / kernels, and the observed one 1 more."""


class _Axes:
    """What the columns of a space are to the densities. Columns with a single value are left out.

    Cells of integers, ordinals and categories have a row each in a table of masses, but for narrow cells."""

    def __init__(self, space: Space, narrow: float) -> None:
        free = [j for j in range(len(space)) if space.sizes[j] != 1]
        categories = [j for j in free if space.kinds[j] is Kind.CATEGORICAL]
        whole = [j for j in free if 0 < space.sizes[j] <= _MOST_CELLS and j not in categories]
        smooth = [j for j in free if j not in whole and j not in categories]
        cells = {j: space.cells(j) for j in whole + categories}
        mixed = [j for j in whole if np.diff(cells[j]).min() <= narrow]
        tabled = [j for j in whole if j not in mixed]
        self.width = len(space)
        self.numbers = np.array(smooth + mixed + tabled, dtype=np.intp)
        """Columns of numbers: continuous ones, integers with narrow cells, then the others."""
        self.categories = np.array(categories, dtype=np.intp)
        self.columns = np.concatenate([self.numbers, self.categories])
        self.smooth, self.dense = len(smooth), len(smooth) + len(mixed)
        """The first so many numbers are continuous; the first so many have a density at some of their values."""
        self.least = np.array([1 / space.sizes[j] if j in whole else 0.0 for j in self.numbers.tolist()])[:, None]
        """(numbers, 1) a cell of a linear scale; 0 for continuous ones."""
        in_table = [np.diff(cells[j]) > narrow if j in whole else np.zeros(1, bool) for j in self.numbers.tolist()]
        ends = [np.flatnonzero(np.append(t, True) | np.append(True, t)) for t in in_table]  # of cells in the table
        ends = [np.union1d(e, [0, len(t)]) for e, t in zip(ends, in_table, strict=True)]
        edges = [cells.get(j, _INTERVAL)[e] for j, e in zip(self.numbers.tolist(), ends, strict=True)]
        self.edges, self.edge_of = _stacked(edges)
        """(edges, 1) where the kernels' distributions are needed, 0 and 1 among them, and the number of each."""
        stops = np.cumsum([len(e) for e in edges], dtype=np.intp)
        self.first, self.last = stops - np.array([len(e) for e in edges], dtype=np.intp), stops - 1
        self.low, self.level_of = _stacked([cells[j][:-1] for j in categories])
        self.high = np.concatenate([*(np.append(cells[j][1:-1], np.inf) for j in categories), []])[:, None]
        self.share, _ = _stacked([np.diff(cells[j]) for j in categories])
        """(levels, 1) probability of each category in the space."""
        self.levels = np.array([space.sizes[j] for j in categories], dtype=float)[:, None]
        # The table: rows of numbers, of categories, and one of zeros.
        uppers = [
            first + np.searchsorted(e, np.flatnonzero(t) + 1)
            for first, e, t in zip(self.first, ends, in_table, strict=True)
        ]
        self.upper = np.concatenate([*uppers, []]).astype(np.intp)
        """(rows of numbers,) the edge above each cell; the edge below is the one before."""
        self.row_of = self.edge_of[self.upper]
        self.zero = len(self.upper) + len(self.low)
        begins = np.cumsum([0, *(len(r) for r in uppers), *(space.sizes[j] for j in categories)])[self.smooth : -1]
        self._mixed = [
            _Cells(cells[j], in_table[self.smooth + i], int(begins[i]), self.zero) for i, j in enumerate(mixed)
        ]
        self._listed, self._begins = np.array(tabled + categories, dtype=np.intp), begins[len(mixed) :]
        sizes = space.sizes[self._listed]
        self._inner = np.full((len(sizes), max(sizes.tolist(), default=1) - 1), np.inf)
        for i, j in enumerate(self._listed.tolist()):
            self._inner[i, : sizes[i] - 1] = cells[j][1:-1]

    def located(self, x: Floats) -> tuple[NDArray[np.intp], Floats, Floats, Floats]:
        """Points (m, d) as the kernels take them: (m, columns - smooth) rows of the table, ``zero`` where inactive or
        narrow; (m, dense) places of the others, and whether there is one, 0 or 1; (m, dense) log widths of cells."""
        listed = x[:, self._listed]
        rows = self._begins + (listed[:, :, None] >= self._inner).sum(axis=2)
        rows = np.where(np.isnan(listed), self.zero, rows)
        y = x[:, self.numbers[: self.dense]]
        there = ~np.isnan(y)
        y = np.where(there, y, 0.0)
        widths = np.zeros_like(y)
        if self._mixed:
            of_mixed = np.empty((len(x), len(self._mixed)), dtype=np.intp)
            for i, mixed in enumerate(self._mixed):
                at, j = mixed.inner.searchsorted(y[:, self.smooth + i], "right"), self.smooth + i
                of_mixed[:, i] = np.where(there[:, j], mixed.row[at], self.zero)
                there[:, j] &= mixed.narrow[at]
                y[:, j], widths[:, j] = mixed.middle[at], np.where(there[:, j], mixed.log_width[at], 0.0)
            rows = np.concatenate([of_mixed, rows], axis=1)
        return rows, y, there.astype(float), widths


class _Cells:
    """The cells of an integer of which some are narrow, and the rows of the others."""

    def __init__(self, cells: Floats, in_table: Mask, begin: int, zero: int) -> None:
        self.inner, self.middle = cells[1:-1], (cells[:-1] + cells[1:]) / 2
        self.narrow, self.log_width = ~in_table, np.log(np.diff(cells))
        self.row = np.where(in_table, begin + np.cumsum(in_table) - 1, zero)


class Densities:
    """The densities of good observations and of the others, each a mixture of its kernels and the prior.

    Kernel 0 is the prior, kernel 1 + i that of observation i. What is expensive about a kernel is kept from one
    :meth:`fit` to the next as long as its place and its bandwidths stay."""

    def __init__(self, space: Space, rules: Rules) -> None:
        self._rules, self._axes = rules, _Axes(space, rules.min_bandwidth / 2)
        axes = self._axes
        numbers, room = len(axes.numbers), 64
        self._place = np.full((len(axes.columns), room), np.nan)
        """(columns, kernels) centre of each kernel; 0.5 for numbers and -1 for categories where it is the prior's."""
        self._sigma = np.full((numbers, room), np.nan)
        self._below, self._inside = np.empty((numbers, room)), np.empty((numbers, room))
        """(numbers, kernels) masses of the Gaussians below 0 and within [0, 1]."""
        self._polynomial = np.empty((3, axes.dense, room))
        self._own = np.empty((len(axes.low), room), dtype=bool)
        """(levels, kernels) whether it is the observed one."""
        self._table = np.zeros((axes.zero + 1, room))
        """(rows, kernels) logarithms of masses."""

    @property
    def columns(self) -> Places:
        """The columns of the space that the densities are over, numbers first: all but those of a single value."""
        return self._axes.columns

    def fit(self, u: Floats, good: Mask, weights: Floats, priors: tuple[float, float]) -> None:
        """Take observations (n, d), NaN where inactive, of which ``good``, (n,), go into the first density, with
        ``weights``, (n,) > 0, and ``priors``, the priors' weights in either density in the same unit: at 0 there is no
        prior, unless there is no observation."""
        axes, k = self._axes, len(self._axes.numbers)
        place = np.empty((len(axes.columns), 1 + len(u)))
        place[:k, 0], place[k:, 0] = 0.5, -1.0
        place[:, 1:] = u.T[axes.columns]
        gaps = np.isnan(place)
        gapped = bool(gaps.any())
        sigma = np.ones((k, len(u) + 1))
        self._group: list[_Group] = []
        for members, prior in zip((np.flatnonzero(good) + 1, np.flatnonzero(~good) + 1), priors, strict=True):
            has_prior = prior > 0 or not len(members)
            kernels = np.concatenate([[0], members]) if has_prior else members
            w = np.concatenate([[prior or 1.0], weights[members - 1]]) if has_prior else weights[members - 1]
            counts = np.full((len(place), 1), len(kernels))
            if gapped:
                counts -= gaps[:, kernels].sum(axis=1, keepdims=True)
            if not self._rules.multivariate:
                w = np.where(gaps[:, kernels] & (counts > 0), 0.0, w)
            sigma[:, kernels] = self._bandwidths(place[:k].take(kernels, axis=1), counts[:k], has_prior)
            self._group.append(_Group(kernels, w / w.sum(axis=-1, keepdims=True), self._kept(counts[k:])))
        sigma[:, 0] = 1.0
        if gapped:
            sigma[gaps[:k]] = 1.0
            place = np.where(gaps, place[:, :1], place)
        self._refresh(place, sigma)
        if len(axes.categories):
            self._categorise(place[k:], good)

    def _bandwidths(self, x: Floats, counts: Places, prior: bool) -> Floats:
        """(numbers, kernels) for places of that shape, the prior's first if there is one, NaN but for ``counts``."""
        rules, axes = self._rules, self._axes
        if rules.bandwidth == "optuna":
            d = len(axes.columns) if rules.multivariate else 1
            sigma = np.repeat(0.2 * np.maximum(counts - prior, 1) ** (-1 / (d + 4)), x.shape[1], axis=1)
        elif rules.bandwidth == "scott":
            sigma = np.repeat(_scott(np.sort(x, axis=1), counts), x.shape[1], axis=1)
        else:
            sigma = _distances(x, ends=rules.bandwidth == "hyperopt")
        least = np.maximum(rules.min_bandwidth, (1.0 + counts) ** -rules.magic_exponent)
        sigma = np.minimum(np.maximum(sigma, least), 1.0)
        return np.asarray(np.maximum(sigma, axes.least) if rules.whole_cells else sigma)

    def _kept(self, counts: Places) -> Floats:
        """(categories, 1) probability that a draw from a kernel keeps the observed category."""
        levels, b = self._axes.levels, self._rules.categorical_bandwidth
        return np.asarray(counts / (counts + levels) if b is None else 1 - b * levels / (levels - 1) + 0.0 * counts)

    def _refresh(self, place: Floats, sigma: Floats) -> None:
        """Make anew the kernels whose place or bandwidths have changed."""
        axes, n, k = self._axes, place.shape[1], len(sigma)
        self._n = n
        while n > self._place.shape[1]:
            for name in ("_place", "_sigma", "_below", "_inside", "_polynomial", "_own", "_table"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros_like(array)], axis=-1))
            self._place[:, self._place.shape[1] // 2 :] = np.nan
        changed = (self._place[:, :n] != place).any(axis=0) | (self._sigma[:, :n] != sigma).any(axis=0)
        at = np.flatnonzero(changed)
        mu, sigma, level = place[:k, at], sigma[:, at], place[k:, at]
        self._place[:, at], self._sigma[:, at] = place[:, at], sigma
        inverse = 1 / sigma
        cdf = ndtr((axes.edges - mu[axes.edge_of]) * inverse[axes.edge_of])
        inside = cdf[axes.last] - cdf[axes.first]
        log_inside = np.log(inside)
        self._below[:, at], self._inside[:, at] = cdf[axes.first], inside
        # The logarithm of a truncated Gaussian is a polynomial in x: one matrix product serves all points and kernels.
        m, s = mu[: axes.dense], inverse[: axes.dense]
        square = s * s
        self._polynomial[0, :, at] = (np.log(s) - _LOG_ROOT_TWO_PI - log_inside[: axes.dense] - 0.5 * square * m * m).T
        self._polynomial[1, :, at] = (square * m).T
        self._polynomial[2, :, at] = (-0.5 * square).T
        masses = cdf[axes.upper] - cdf[axes.upper - 1]
        self._table[: len(masses), at] = np.log(masses + _TINY) - log_inside[axes.row_of]
        level = level[axes.level_of]
        self._own[:, at] = (level >= axes.low) & (level < axes.high)

    def _categorise(self, level: Floats, good: Mask) -> None:
        """Fill in the categories' rows of the table, which change with the number of kernels."""
        axes, n = self._axes, level.shape[1]
        kept = np.concatenate([group.kept for group in self._group], axis=1)[axes.level_of]
        logs = np.stack([np.log((1 - kept) * axes.share), np.log(kept + (1 - kept) * axes.share)])
        logs = logs[:, :, np.concatenate([[0], ~good]).astype(np.intp)]
        rows = np.where(self._own[:, :n], logs[1], logs[0])
        self._table[-1 - len(axes.low) : -1, :n] = np.where((level < 0)[axes.level_of], np.log(axes.share), rows)

    def logpdf(self, x: Floats) -> tuple[Floats, Floats]:
        """(m,) each, log densities of the good and of the others at points (m, d), NaN where inactive: with respect to
        length for continuous parameters, to the number of values for others."""
        if not self._rules.multivariate:
            good, other = self.logpdfs(x)
            return good.sum(axis=1), other.sum(axis=1)
        axes, n = self._axes, self._n
        rows, y, there, widths = axes.located(x)
        kernels = self._table[rows, :n].sum(axis=1)
        if axes.dense:
            powers = np.concatenate([there, there * y, there * y * y], axis=1)
            kernels += powers @ self._polynomial[:, :, :n].reshape(3 * axes.dense, n)
        good, other = (_log_sum(kernels.take(g.kernels, axis=1) + g.log_weights) for g in self._group)
        width = widths.sum(axis=1)
        return good + width, other + width

    def logpdfs(self, x: Floats) -> tuple[Floats, Floats]:
        """(m, columns) each, for each of ``columns`` by itself: what :meth:`logpdf` sums up if univariate. 0 where it
        is inactive."""
        axes, n = self._axes, self._n
        rows, y, there, widths = axes.located(x)
        out = np.zeros((2, len(x), len(axes.columns)))
        for j in range(len(axes.columns)):
            kernels = np.zeros((len(x), n))
            if j < axes.dense:
                t, v = there[:, j : j + 1], y[:, j : j + 1]
                kernels += np.concatenate([t, t * v, t * v * v], axis=1) @ self._polynomial[:, j, :n]
                kernels += widths[:, j : j + 1]
            if j >= axes.smooth:
                kernels += self._table[rows[:, j - axes.smooth], :n]
            for i, g in enumerate(self._group):
                out[i, :, j] = _log_sum(kernels[:, g.kernels] + g.log_weights[j])
        return out[0], out[1]

    def sample(self, rng: np.random.Generator, m: int) -> Floats:
        """(m, d) draws from the density of the good, a value for every parameter, also where it is inactive; any value
        of an integer's, an ordinal's or a category's cell stands for it."""
        axes, group = self._axes, self._group[0]
        k, d = len(axes.numbers), len(axes.columns)
        cumulated = group.weights.cumsum(axis=-1)
        draws = rng.random((m, d))
        if self._rules.multivariate:
            which = cumulated[:-1].searchsorted(rng.random((m, 1)), "right").repeat(d, axis=1)
        else:
            which = (rng.random((m, d, 1)) >= cumulated[..., :-1]).sum(axis=2)
        of = group.kernels[which]
        out = np.full((m, axes.width), 0.5)
        at = np.arange(k), of[:, :k]
        z = ndtri(self._below[at] + draws[:, :k] * self._inside[at])
        out[:, axes.numbers] = self._place[at] + self._sigma[at] * z
        level = self._place[np.arange(k, d), of[:, k:]]
        kept = np.where(level < 0, 0.0, group.kept.T)
        anew = draws[:, k:]
        out[:, axes.categories] = np.where(anew < kept, level, (anew - kept) / (1 - kept))
        return np.asarray(np.minimum(np.maximum(out, 0.0), 1.0))


class _Group:
    """The kernels of one of the densities."""

    def __init__(self, kernels: Places, weights: Floats, kept: Floats) -> None:
        self.kernels, self.weights, self.kept = kernels, weights, kept
        """Which; (kernels,) or, if univariate, (columns, kernels); see ``_kept``."""
        with np.errstate(divide="ignore"):
            self.log_weights = np.log(weights)


def _distances(x: Floats, ends: bool) -> Floats:
    """The larger distance to a neighbour, row by row; with ``ends`` those of [0, 1] are neighbours, too. Any number
    where x is NaN."""
    n = x.shape[1]
    # Of equal values the first goes first, whichever way NumPy sorts on this machine; NaN go last.
    order = (x + np.arange(n) * 2.0**-50).argsort(axis=1)
    order += np.arange(len(x))[:, None] * n
    places = np.empty((len(x), n + 2))
    places[:, 1:-1] = x.ravel().take(order)
    places[:, 0] = 0.0 if ends else places[:, 1]
    places[:, -1] = np.nan
    beyond = 1.0 if ends else np.fmax.reduce(places, axis=1, keepdims=True)
    places = np.where(np.isnan(places), beyond, places)
    distances = places[:, 1:] - places[:, :-1]
    out = np.empty(x.size)
    out[order] = np.maximum(distances[:, :-1], distances[:, 1:])
    return out.reshape(x.shape)


def _scott(x: Floats, counts: Places) -> Floats:
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


def _log_sum(logs: Floats) -> Floats:
    """(m,) logarithm of the sums of exponentials over the second axis."""
    top = logs.max(axis=1)
    return np.asarray(top + np.log(np.exp(logs - top[:, None]).sum(axis=1)))


def _stacked(parts: Sequence[Floats]) -> tuple[Floats, Places]:
    """All parts below each other, (sum, 1), and the part that each row is of."""
    which = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    return np.concatenate([*parts, []])[:, None], which
