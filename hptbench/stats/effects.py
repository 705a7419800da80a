"""Sizes of effects between independent samples, e.g. the seeds of two methods on one task. For pairs see
:mod:`hptbench.stats.pairwise`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
_CLIFF = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"))


def a12(first: ArrayLike, second: ArrayLike) -> Array:
    """Chance that a value of ``first`` (…, n) is lower (better) than one of ``second`` (…, m), ties counted half: A of
    Vargha & Delaney, J. Educ. Behav. Stat. 25(2), 2000; Mann and Whitney's U / (n m)."""
    x, y = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if x.shape[-1:] == (0,) or y.shape[-1:] == (0,) or np.isnan(x).any() or np.isnan(y).any():
        raise ValueError(f"expected values without NaN, got shapes {x.shape} and {y.shape}")
    pairs = x[..., :, None], y[..., None, :]
    lower = np.less(*pairs).astype(float) - np.greater(*pairs)
    return np.asarray((lower.mean(axis=(-2, -1)) + 1) / 2)


def cliffs_delta(first: ArrayLike, second: ArrayLike) -> Array:
    """Cliff's delta, -1 to 1, positive if ``first`` is lower (better): 2 A12 - 1 (Psychol. Bull. 114(3), 1993)."""
    return np.asarray(2 * a12(first, second) - 1)


def size_of(delta: float) -> str:
    """Cliff's delta in a word, by the thresholds of Romano et al., 2006: 0.147, 0.33, 0.474."""
    return next((word for bound, word in _CLIFF if abs(delta) < bound), "large")
