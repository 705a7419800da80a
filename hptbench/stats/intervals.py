"""Intervals of a mean or a median over repeats (seeds)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Interval(NamedTuple):
    """An estimate with its bounds, each of the same shape; NaN bounds: too few repeats for any."""

    estimate: Array
    low: Array
    high: Array


def t_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's t interval of the mean over the first axis of ``values`` (repeats, …).

    One repeat has no spread: its bounds are NaN. A value that is not finite makes its column NaN.
    Raises ValueError without any repeat."""
    from scipy.stats import t

    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(f"expected an array (repeats, …) with at least one repeat, got shape {values.shape}")
    values = np.where(np.isfinite(values), values, np.nan)
    n = len(values)
    mean = values.mean(axis=0)
    if n == 1:
        return Interval(mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    half = t.ppf((1 + level) / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def median_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """The median over the first axis of ``values`` (repeats, …) and its interval of at least ``level`` between two of
    the repeats, whatever the distribution (Conover, Practical Nonparametric Statistics, 1999, sec. 3.2).

    Too few repeats for the level (fewer than 6 for 95 %): NaN bounds. Infinite values are values, NaN make their
    column NaN. Raises ValueError without any repeat."""
    from scipy.stats import binom

    values = np.sort(np.asarray(values, dtype=np.float64), axis=0)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(f"expected an array (repeats, …) with at least one repeat, got shape {values.shape}")
    n = len(values)
    cut = int((binom.cdf(np.arange(n), n, 0.5) <= (1 - level) / 2 + 1e-12).sum())
    lower, upper = values[(n - 1) // 2], values[n // 2]
    spoilt = np.isnan(values).any(axis=0)
    middle = np.where(lower == upper, lower, (lower + upper) / 2)
    none = np.full_like(middle, np.nan)
    bounds = (values[cut - 1], values[-cut]) if cut else (none, none)
    estimate, low, high = (np.where(spoilt, np.nan, one) for one in (middle, *bounds))
    return Interval(estimate, low, high)
