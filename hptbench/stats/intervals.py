"""Intervals of a mean over repeats (seeds)."""

from __future__ import annotations

from collections.abc import Callable
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

    One repeat has no spread: its bounds are NaN. NaN in a column makes that column NaN.
    Raises ValueError without any repeat."""
    from scipy.stats import t

    values = _repeats(values)
    n = len(values)
    mean = values.mean(axis=0)
    if n == 1:
        return Interval(mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    half = t.ppf((1 + level) / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def bootstrap_interval(
    values: ArrayLike,
    rng: np.random.Generator,
    statistic: Callable[..., Array] = np.mean,
    reps: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval (Efron & Tibshirani, 1993, ch. 13) of ``statistic(values, axis=0)``
    over the first axis of ``values`` (repeats, …). It is too narrow for few repeats (below about 20).

    One repeat: NaN bounds. Raises ValueError without any repeat."""
    values = _repeats(values)
    n = len(values)
    estimate = np.asarray(statistic(values, axis=0))
    if n == 1:
        return Interval(estimate, np.full_like(estimate, np.nan), np.full_like(estimate, np.nan))
    drawn = values[rng.integers(n, size=(n, reps))]
    low, high = np.quantile(statistic(drawn, axis=0), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Interval(estimate, low, high)


def _repeats(values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or len(array) == 0:
        raise ValueError(f"expected an array (repeats, …) with at least one repeat, got shape {array.shape}")
    return array
