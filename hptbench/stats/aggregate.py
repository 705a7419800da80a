"""All units and seeds in one number, with intervals by a stratified bootstrap over the seeds.

Agarwal, Schwarzer, Castro, Courville & Bellemare, NeurIPS 2021 (arXiv 2108.13264), and their library rliable, for
scores of which lower is better, arrays (units, repeats) of one method or (units, methods, repeats) of all. The scores
need a scale that the units share: normalise them first, and say by what.

The bootstrap draws seeds within each unit and each method, with replacement; the units stay. So an interval says how
certain the number is for these units, not for others: for those there are the tests over units. Two deviations: the
generator that is passed is used (rliable's ``random_state`` is not), and deviations from the estimate are multiplied by
sqrt(n / (n - 1)), as a resample of n seeds varies by less than n new ones would (Davison & Hinkley, Bootstrap Methods,
1997, sec. 2.5), and by Student's quantile over the Gaussian one, with units * (n - 1) degrees of freedom. Without both
the intervals of 5 seeds cover 0.90 instead of 0.95."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hptbench.stats.effects import a12
from hptbench.stats.intervals import Interval

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""(…, units, repeats) -> (…): one number of one method."""
DRAWS = 50_000
"""Resamples behind an interval of a number, here and in every output: as in rliable."""
PROFILE_DRAWS = 2_000
"""Resamples behind the band of a performance profile: as in rliable."""
_CHUNK = 1_000_000
"""Numbers in memory at a time."""


def iqm(scores: Array) -> Array:
    """Interquartile mean of ``scores`` (…, units, repeats): of all values, without the lowest and the highest quarter
    (each rounded down to whole values, as scipy.stats.trim_mean does)."""
    flat = scores.reshape(*scores.shape[:-2], -1)
    n = flat.shape[-1]
    cut = n // 4
    middle = np.partition(flat, (cut, n - cut - 1), axis=-1)[..., cut : n - cut]
    return np.asarray(middle.mean(axis=-1))


def mean(scores: Array) -> Array:
    """Mean of ``scores`` (…, units, repeats)."""
    return np.asarray(scores.mean(axis=(-2, -1)))


def median(scores: Array) -> Array:
    """Median over the units of their means over repeats, of ``scores`` (…, units, repeats)."""
    return np.asarray(np.median(scores.mean(axis=-1), axis=-1))


def optimality_gap(scores: Array, target: float = 0.0) -> Array:
    """By how much ``scores`` (…, units, repeats) miss ``target`` on average; what is better counts as no gap, so that
    great successes on one unit do not make up for failures on another."""
    return np.asarray(np.maximum(scores - target, 0).mean(axis=(-2, -1)))


AGGREGATES: dict[str, Statistic] = {"iqm": iqm, "mean": mean, "median": median}
"""By the names that the command line knows."""


def bootstrap(
    scores: ArrayLike, statistic: Statistic, rng: np.random.Generator, *, draws: int = DRAWS, level: float = 0.95
) -> Interval:
    """``statistic`` of each method of ``scores`` (units, methods, repeats): (methods,), with percentile bounds.

    One repeat has no spread: NaN bounds. ValueError unless the scores are finite."""
    y = _checked(scores)
    units, methods, repeats = y.shape
    by_method = np.moveaxis(y, 1, 0)
    estimate = statistic(by_method)
    if repeats == 1:
        return _no_bounds(estimate)
    low, high = np.empty(methods), np.empty(methods)
    for i in range(methods):
        parts = [statistic(drawn) for drawn in _resampled(by_method[i], rng, draws)]
        low[i], high[i] = _bounds(np.concatenate(parts), estimate[i], units, repeats, level)
    return Interval(estimate, low, high)


def probability_of_improvement(
    scores: ArrayLike, rng: np.random.Generator, *, draws: int = DRAWS, level: float = 0.95
) -> Interval:
    """Chance that a run of one method of ``scores`` (units, methods, repeats) is better than one of another on the same
    unit: (methods, methods), of the row's method against the column's; the mean over units of A12, ties counted half
    (Agarwal et al., section 4.3). All pairs share the resamples of a method. NaN bounds with one repeat."""
    y = _checked(scores)
    units, methods, repeats = y.shape
    runs = np.moveaxis(y, 1, 0)  # (methods, units, repeats)
    estimate = np.array([a12(one, runs).mean(axis=-1) for one in runs])
    if repeats == 1:
        return _no_bounds(estimate)
    wins = np.empty((methods, methods, draws), dtype=np.float32)  # sums of whole and half numbers: exact
    done = 0
    for size in _sizes(draws, y.size):
        counts = _counts((size, units, methods, repeats), rng).transpose(1, 2, 3, 0).copy()  # draws last: twice as fast
        for i in range(methods - 1):
            mine, others = runs[i][:, None, None, :], y[:, i + 1 :, :, None]
            better = np.less(mine, others) + np.float32(0.5) * np.equal(mine, others)
            met = better.reshape(units, -1, repeats) @ counts[:, i]  # (units, others * repeats, size)
            wins[i, i + 1 :, done : done + size] = np.einsum(
                "umrd,umrd->md", met.reshape(units, -1, repeats, size), counts[:, i + 1 :]
            )
        done += size
    low, high = np.full_like(estimate, 0.5), np.full_like(estimate, 0.5)  # of a method against itself
    for i, j in itertools.combinations(range(methods), 2):
        drawn = wins[i, j].astype(np.float64) / (units * repeats**2)
        low[i, j], high[i, j] = np.clip(_bounds(drawn, estimate[i, j], units, repeats, level), 0, 1)
        low[j, i], high[j, i] = 1 - high[i, j], 1 - low[i, j]
    return Interval(estimate, low, high)


def performance_profile(
    scores: ArrayLike, at: ArrayLike, rng: np.random.Generator, *, draws: int = PROFILE_DRAWS, level: float = 0.95
) -> Interval:
    """Share of the runs of each method of ``scores`` (units, methods, repeats) that score at most each of ``at`` (m,):
    (methods, m), with pointwise bounds. One method's above another's everywhere: it is stochastically better. NaN
    bounds with one repeat."""
    y, at = _checked(scores), np.asarray(at, dtype=np.float64)
    units, _, repeats = y.shape
    reached = np.moveaxis(y, 1, 0).reshape(y.shape[1], -1, 1) <= at  # (methods, units * repeats, m)
    estimate = reached.mean(axis=1)
    if repeats == 1:
        return _no_bounds(estimate)
    bounds = []
    for one, line in zip(reached, estimate, strict=True):
        parts = [
            _counts((size, units, repeats), rng).reshape(size, -1) @ one.astype(np.float32)
            for size in _sizes(draws, len(one))
        ]
        drawn = np.concatenate(parts).astype(np.float64) / len(one)
        bounds.append(np.clip(_bounds(drawn, line, units, repeats, level), 0, 1))
    low, high = np.moveaxis(np.array(bounds), 1, 0)
    return Interval(estimate, low, high)


def _resampled(scores: Array, rng: np.random.Generator, draws: int) -> Iterator[Array]:
    """``draws`` resamples of ``scores`` (units, repeats), in parts (n, units, repeats)."""
    rows = np.arange(len(scores))[:, None]
    for size in _sizes(draws, scores.size):
        yield scores[rows, _chosen((size, *scores.shape), rng)]


def _counts(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """How often each repeat is drawn, of ``shape`` (…, repeats): whole numbers that sum to repeats."""
    first = np.arange(0, math.prod(shape), shape[-1]).reshape(*shape[:-1], 1)
    counts = np.bincount((first + _chosen(shape, rng)).ravel(), minlength=math.prod(shape))
    return counts.reshape(shape).astype(np.float32)


def _chosen(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.integer[Any]]:
    """Numbers of repeats, of ``shape`` (…, repeats), in the smallest type: most of the time goes into drawing them."""
    return rng.integers(shape[-1], size=shape, dtype=np.min_scalar_type(shape[-1] - 1))


def _sizes(draws: int, numbers: int) -> list[int]:
    """Draws in parts of which each fits into memory, with so many numbers per draw."""
    most = max(1, _CHUNK // numbers)
    return [min(most, draws - start) for start in range(0, draws, most)]


def _bounds(drawn: Array, estimate: Array | float, units: int, repeats: int, level: float) -> tuple[Array, Array]:
    """Percentile bounds over the first axis, widened for few repeats."""
    from scipy.special import ndtri, stdtrit

    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    wide = math.sqrt(repeats / (repeats - 1)) * stdtrit(units * (repeats - 1), (1 + level) / 2) / ndtri((1 + level) / 2)
    return estimate + wide * (low - estimate), estimate + wide * (high - estimate)


def _no_bounds(estimate: Array) -> Interval:
    none = np.full_like(estimate, np.nan)
    return Interval(np.asarray(estimate), none, none)


def _checked(scores: ArrayLike) -> Array:
    y = np.asarray(scores, dtype=np.float64)
    if y.ndim != 3 or y.size == 0 or not np.isfinite(y).all():
        raise ValueError(f"expected finite scores (units, methods, repeats), got shape {y.shape}")
    return y
