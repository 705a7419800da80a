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

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hptbench.stats.effects import a12
from hptbench.stats.intervals import Interval

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""(…, units, repeats) -> (…): one number of one method."""
DRAWS = 50_000
"""Resamples for intervals of numbers, as in rliable."""
PROFILE_DRAWS = 2_000
"""For each point of a profile, as in rliable."""
_CHUNK = 4_000_000
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
    first: ArrayLike, second: ArrayLike, rng: np.random.Generator, *, draws: int = DRAWS, level: float = 0.95
) -> Interval:
    """Chance that a run of the first method is better than one of the second on the same unit, of ``first`` and
    ``second`` (units, repeats): the mean over units of A12, ties counted half (Agarwal et al., section 4.3)."""
    x, y = (_checked(np.asarray(side, dtype=np.float64)[:, None])[:, 0] for side in (first, second))
    estimate = a12(x, y).mean()
    if min(x.shape[1], y.shape[1]) == 1:
        return _no_bounds(estimate)
    repeats = min(x.shape[1], y.shape[1])
    better = np.less(x[:, :, None], y[:, None, :]) + 0.5 * np.equal(x[:, :, None], y[:, None, :])  # (units, n, m)
    parts = []
    for size in _sizes(draws, x.size + y.size):
        of_x, of_y = (
            rng.multinomial(side.shape[1], np.full(side.shape[1], 1 / side.shape[1]), size=(size, len(side)))
            / side.shape[1]
            for side in (x, y)
        )
        parts.append(np.einsum("dun,unm,dum->d", of_x, better, of_y, optimize=True) / len(x))
    low, high = _bounds(np.concatenate(parts), float(estimate), len(x), repeats, level)
    return Interval(estimate, np.asarray(max(low, 0.0)), np.asarray(min(high, 1.0)))


def performance_profile(
    scores: ArrayLike, at: ArrayLike, rng: np.random.Generator, *, draws: int = PROFILE_DRAWS, level: float = 0.95
) -> Interval:
    """Share of the runs of each method of ``scores`` (units, methods, repeats) that score at most each of ``at`` (m,):
    (methods, m), with pointwise bounds. One method's above another's everywhere: it is stochastically better. NaN
    bounds with one repeat."""
    y, at = _checked(scores), np.asarray(at, dtype=np.float64)
    by_method, repeats = np.moveaxis(y, 1, 0), y.shape[2]

    def share(one: Array) -> Array:
        return np.asarray((one[..., None] <= at).mean(axis=(-3, -2)))

    estimate = share(by_method)
    if repeats == 1:
        return _no_bounds(estimate)
    bounds = []
    for one, line in zip(by_method, estimate, strict=True):
        drawn = np.concatenate([share(part) for part in _resampled(one, rng, draws, len(at))])
        bounds.append(np.clip(_bounds(drawn, line, len(y), repeats, level), 0, 1))
    low, high = np.moveaxis(np.array(bounds), 1, 0)
    return Interval(estimate, low, high)


def _resampled(scores: Array, rng: np.random.Generator, draws: int, width: int = 1) -> Iterator[Array]:
    """``draws`` resamples of ``scores`` (units, repeats), in parts (n, units, repeats)."""
    units, repeats = scores.shape
    rows = np.arange(units)[:, None]
    for size in _sizes(draws, scores.size * width):
        yield scores[rows, rng.integers(repeats, size=(size, units, repeats))]


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
