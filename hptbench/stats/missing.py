"""Scores that are missing: nothing is dropped without being named, and what they could change is computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def worst_case(scores: ArrayLike) -> tuple[Array, NDArray[np.bool_]]:
    """``scores`` (units, methods, …) with NaN replaced by the worst (highest) that anyone has on the unit, and where
    that was: a method that fails must not gain by it. ValueError where nobody has a score."""
    y, missing, _, high = _ranges(scores)
    return np.where(missing, high, y), missing


def extremes(scores: ArrayLike, method: int) -> tuple[Array, Array]:
    """``scores`` (units, methods, …) twice, with NaN replaced so that it is best, and worst, for ``method``: a
    conclusion that holds for both does not depend on what is missing (Manski's bounds, within the range seen on the
    unit)."""
    y, missing, low, high = _ranges(scores)
    own = np.zeros(y.shape, dtype=bool)
    own[:, method] = True
    return np.where(missing, np.where(own, low, high), y), np.where(missing, np.where(own, high, low), y)


def _ranges(scores: ArrayLike) -> tuple[Array, NDArray[np.bool_], Array, Array]:
    y = np.asarray(scores, dtype=np.float64)
    missing = np.isnan(y)
    axes = tuple(range(1, y.ndim))
    if y.ndim < 2 or missing.all(axis=axes).any():
        raise ValueError("expected scores (units, methods, …) with at least one on every unit")
    low, high = (np.broadcast_to(f(y, axis=axes, keepdims=True), y.shape) for f in (np.nanmin, np.nanmax))
    return y, missing, low, high
