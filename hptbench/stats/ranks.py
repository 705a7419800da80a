"""Ranks of methods over data sets, and whether they differ at all.

Scores are arrays (units, methods) of finite numbers, lower is better; a unit is a data set with its
repeats averaged: seeds are never counted as independent data sets (Demšar, JMLR 7, 2006)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
_DIGITS = 12
"""Scores that agree to so many significant digits tie: sums in another order differ in the last bits."""


@dataclass(frozen=True, slots=True)
class Friedman:
    """The Friedman test with the correction of Iman and Davenport. NaN where ``note`` says why."""

    units: int
    methods: int
    chi2: float
    """Friedman's statistic, corrected for ties; ``methods - 1`` degrees of freedom."""
    f: float
    """Iman and Davenport's statistic; inf if all units agree on one ranking."""
    df1: int
    df2: int
    p: float
    """Of ``f``: the one to report."""
    p_chi2: float
    """Of ``chi2``: known to be too conservative."""
    note: str = ""
    """What was special about the data."""


def rounded(values: ArrayLike, scale: ArrayLike) -> Array:
    """``values`` to 12 significant digits of numbers as large as ``scale`` (same shape, or broadcast)."""

    def one(value: float, size: float) -> float:
        return round(value, _DIGITS - 1 - math.floor(math.log10(size))) if size > 0 else value

    out: Array = np.vectorize(one, otypes=[np.float64])(values, scale)
    return out


def checked(scores: ArrayLike) -> Array:
    """``scores`` as an array (units, methods), rounded so that ties are ties.

    Raises ValueError unless all are finite and there is at least one unit and one method."""
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"expected scores (units, methods), got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"expected finite scores, got {int((~np.isfinite(array)).sum())} NaN or infinite")
    return rounded(array, np.abs(array).max(axis=1, keepdims=True))


def unit_ranks(scores: ArrayLike) -> Array:
    """Ranks (units, methods) within each unit of ``scores`` (units, methods): 1 = best, ties averaged."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(checked(scores), axis=1), dtype=np.float64)


def mean_ranks(scores: ArrayLike) -> Array:
    """Mean rank (methods,) over the units of ``scores`` (units, methods)."""
    return np.asarray(unit_ranks(scores).mean(axis=0))


def friedman(scores: ArrayLike) -> Friedman:
    """Do the methods of ``scores`` (units, methods) differ? Friedman test, both statistics with ties
    (Conover, Practical Nonparametric Statistics, 1999, sec. 5.8; Iman & Davenport, Commun. Stat. A9, 1980).

    Fewer than 3 methods or 2 units: NaN. All tied: p = 1. All units agree on one ranking: the F
    statistic is infinite, and p is the exact chance of that, as Conover advises."""
    from scipy.stats import chi2 as chi2_distribution
    from scipy.stats import f as f_distribution

    ranks = unit_ranks(scores)
    n, k = ranks.shape
    df1, df2 = k - 1, (k - 1) * (n - 1)
    if k < 3 or n < 2:
        note = f"the Friedman test needs 3 methods and 2 data sets, got {k} and {n}"
        return Friedman(n, k, math.nan, math.nan, df1, df2, math.nan, math.nan, note)
    middle = (k + 1) / 2
    spread = float(((ranks - middle) ** 2).sum())
    if spread == 0:
        return Friedman(n, k, 0.0, 0.0, df1, df2, 1.0, 1.0, "all methods tie on every data set")
    chi2 = df1 * float(((ranks.sum(axis=0) - n * middle) ** 2).sum()) / spread
    p_chi2 = float(chi2_distribution.sf(chi2, df1))
    if (ranks == ranks[0]).all():
        _, tied = np.unique(ranks[0], return_counts=True)
        orders = math.factorial(k) // math.prod(math.factorial(int(t)) for t in tied)
        note = "all data sets agree on one ranking: p is the exact chance of that"
        return Friedman(n, k, chi2, math.inf, df1, df2, float(orders) ** (1 - n), p_chi2, note)
    f = (n - 1) * chi2 / (n * df1 - chi2)
    return Friedman(n, k, chi2, f, df1, df2, float(f_distribution.sf(f, df1, df2)), p_chi2)


def critical_difference(methods: int, units: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks (Demšar, 2006, section 3.2.2), for pictures only: whether two methods
    differ by it depends on which others are in the pool. For tests see :mod:`hptbench.stats.pairwise`."""
    from scipy.stats import studentized_range

    if methods < 2 or units < 1:
        raise ValueError(f"expected at least 2 methods and 1 data set, got {methods} and {units}")
    quantile = float(studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * units))
