"""Bradley-Terry strengths, shown on Elo's scale: who beats whom how often, as one number per method.

A rating tells only what ranks do, not by how much scores differ, and depends on the pool of methods, as mean ranks do;
it is for pictures and overviews, not for tests."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hptbench.stats.intervals import Interval
from hptbench.stats.ranks import checked

Array = NDArray[np.float64]
_SCALE = 400 / math.log(10)
"""400 points: a method wins 10 of 11 games."""
_MIDDLE = 1000.0
_STEPS = 100


def win_matrix(scores: ArrayLike) -> Array:
    """(methods, methods) how many units each method (row) wins against each other, of ``scores`` (units, methods),
    lower is better; ties give both one half."""
    y = checked(scores)
    return np.asarray(_wins(y).sum(axis=0))


def bradley_terry(wins: ArrayLike, prior: float = 0.5) -> Array:
    """Log strengths (…, methods), of mean 0, of ``wins`` (…, methods, methods): the i-th beats the j-th with chance
    1 / (1 + exp(s_j - s_i)) (Biometrika 39, 1952).

    ``prior``: so many games won and as many lost against a method of strength 0, for each: the strengths are finite
    though a method should win all its games; 0 for the plain maximum of the likelihood. Newton's method, as the
    logarithm of the likelihood is concave. RuntimeError if there is no finite maximum, as without a prior where a group
    of methods never loses to the others."""
    w = np.asarray(wins, dtype=np.float64)
    if w.ndim < 2 or w.shape[-1] != w.shape[-2] or (w < 0).any() or not np.isfinite(w).all():
        raise ValueError(f"expected wins (methods, methods) >= 0, got shape {w.shape}")
    unit = np.eye(w.shape[-1])
    w = w * (1 - unit)
    games, s = w + np.swapaxes(w, -1, -2), np.zeros(w.shape[:-1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(s[..., None, :] - s[..., :, None]))
        of_prior = 1 / (1 + np.exp(-s))
        slope = (w - games * chance).sum(axis=-1) + prior * (1 - 2 * of_prior)
        bend = games * chance * (1 - chance)
        diagonal = bend.sum(axis=-1) + 2 * prior * of_prior * (1 - of_prior)
        bend = unit * diagonal[..., None] - bend + (1 if prior == 0 else 0)  # else their sum is not determined
        step = np.linalg.solve(bend, slope[..., None])[..., 0]
        s = s + step / np.maximum(np.abs(step).max(axis=-1, keepdims=True), 1)
        if np.abs(step).max() <= 1e-9:
            return np.asarray(s - s.mean(axis=-1, keepdims=True))
        if np.abs(s).max() > _STEPS / 4:
            break
    raise RuntimeError("Bradley-Terry strengths have no finite estimate: some methods always win; set prior above 0")


def elo(scores: ArrayLike, rng: np.random.Generator, *, draws: int = 10_000, level: float = 0.95) -> Interval:
    """Ratings (methods,) of ``scores`` (units, methods), of mean 1000, with percentile bounds of a bootstrap over the
    units; 400 points more: ten times the chance. NaN bounds with one unit."""
    y = checked(scores)
    single = _wins(y)
    estimate = _MIDDLE + _SCALE * bradley_terry(single.sum(axis=0))
    if len(y) == 1:
        return Interval(estimate, np.full_like(estimate, np.nan), np.full_like(estimate, np.nan))
    weights = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), size=draws).astype(float)
    drawn = _MIDDLE + _SCALE * bradley_terry(np.einsum("du,uij->dij", weights, single))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Interval(estimate, low, high)


def _wins(y: Array) -> Array:
    """(units, methods, methods)"""
    mine, other = y[:, :, None], y[:, None, :]
    return np.less(mine, other) + 0.5 * np.equal(mine, other)
