"""Parzen windows: a kernel density of several numbers and categories, and imputation to go with it.

Product kernel of Q. Li and J. Racine, "Nonparametric estimation of distributions with categorical and continuous data",
J. Multivariate Anal. 86(2), 2003, doi:10.1016/S0047-259X(02)00025-8: Gaussian for numbers, J. Aitchison and
C. G. G. Aitken (Biometrika 63, 1976, doi:10.1093/biomet/63.3.413) for categories. Equal to
``statsmodels.nonparametric.KDEMultivariate``, for many points at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from hptbench.space import Floats


class Parzen:
    """Density of ``data``, (n, d) without NaN, with one bandwidth per column.

    ``sizes`` (d,) is the number of levels of a column of categories (positions 0 .. size-1) and 0 for one of
    numbers. Bandwidths follow the normal reference rule, 1.06 std n^(-1 / (4 + d)), also for categories (std of
    their positions), and are at least ``min_bandwidth``, which keeps them above 0 where all values agree.

    As in statsmodels a category's kernel is 1 - h where it agrees and h / (c - 1) elsewhere, with c the number of
    levels *seen* in ``data``, and h is not kept below 1. So where a column holds a single level, every other one
    has the density inf (or NaN, where another kernel underflows), and densities may be negative. Users must
    say what they make of both."""

    def __init__(self, data: Floats, sizes: NDArray[np.int64], min_bandwidth: float) -> None:
        self.data, self._sizes = data, sizes
        n, d = data.shape
        self.bandwidths: Floats = np.maximum(1.06 * np.std(data, axis=0) * n ** (-1 / (4 + d)), min_bandwidth)
        """(d,)"""

    def pdf(self, x: Floats) -> Floats:
        """(m,) densities at the points ``x``, (m, d)."""
        numbers = self._sizes == 0
        h = self.bandwidths[numbers]
        z = (x[:, None, numbers] - self.data[:, numbers]) / h
        kernel = np.exp(-0.5 * np.sum(z * z, axis=2)) / np.prod(np.sqrt(2 * np.pi) * h)
        with np.errstate(divide="ignore", invalid="ignore"):
            for j in np.flatnonzero(~numbers):
                elsewhere = self.bandwidths[j] / np.float64(len(np.unique(self.data[:, j])) - 1)
                kernel *= np.where(x[:, None, j] == self.data[:, j], 1 - self.bandwidths[j], elsewhere)
            return np.asarray(kernel.mean(axis=1))

    def near(self, n: int, factor: float, rng: np.random.Generator) -> Floats:
        """(n, d) draws, each around a random row of the data: numbers from a normal truncated to [0, 1] whose
        bandwidth is widened by ``factor``; categories keep their level with probability 1 - h, else any."""
        centre = self.data[rng.integers(len(self.data), size=n)]
        u = rng.random(centre.shape)
        h = factor * self.bandwidths
        low = ndtr(-centre / h)
        numbers = np.clip(centre + h * ndtri(low + u * (ndtr((1 - centre) / h) - low)), 0.0, 1.0)
        anew = np.floor(rng.random(centre.shape) * self._sizes)
        categories = np.where(u < 1 - self.bandwidths, centre, anew)
        return np.where(self._sizes == 0, numbers, categories)


def impute(x: Floats, sizes: NDArray[np.int64], u: Floats) -> Floats:
    """``x``, (n, d), with its NaN filled from other rows, so that values that occur together stay together.

    Column by column, a row that lacks a value takes a random row that has it, and from it all that it lacks; if
    no row has it, a random value. ``u``, (n, d) uniform numbers, makes the choices; ``sizes`` as for Parzen."""
    out = x.copy()
    for j in range(x.shape[1]):
        missing = np.flatnonzero(np.isnan(out[:, j]))
        there = np.flatnonzero(~np.isnan(x[:, j]))
        if not len(missing):
            continue
        if len(there):
            donors = x[there[(u[missing, j] * len(there)).astype(int)]]
            out[missing] = np.where(np.isnan(out[missing]), donors, out[missing])
        else:
            out[missing, j] = np.floor(u[missing, j] * sizes[j]) if sizes[j] else u[missing, j]
    return out
