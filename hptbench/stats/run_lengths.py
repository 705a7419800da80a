"""Time until a target is reached, of runs that may never reach it. Arrays: ``time`` until then, or until the run's end,
and ``reached``, whether it did."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def ert(time: Array, reached: Array) -> Array:
    """Expected running time over the last axis (…, runs), of a method that is begun anew whenever a run ends without;
    inf where none reached the target (Hansen et al., 2021, arXiv 1603.08785, section 5)."""
    with np.errstate(divide="ignore"):
        return np.asarray(time.sum(axis=-1) / reached.sum(axis=-1))


def restricted_mean(time: Array, reached: Array) -> tuple[float, float]:
    """(mean time to the target up to a horizon, the horizon): the area under Kaplan and Meier's curve of the times
    (runs,) up to the earliest end of a run that did not reach it, or the latest time if all did."""
    ended = time[~reached.astype(bool)]
    horizon = float(ended.min() if len(ended) else time.max())
    area, alive, at = 0.0, 1.0, 0.0
    for moment in np.unique(time[reached.astype(bool) & (time <= horizon)]):
        area += alive * (moment - at)
        at = float(moment)
        alive *= 1 - ((time == moment) & reached.astype(bool)).sum() / (time >= moment).sum()
    return area + alive * (horizon - at), horizon


def ecdf(time: ArrayLike, reached: ArrayLike, at: ArrayLike) -> Array:
    """(m,) share of all pairs of a run and a target, ``time`` and ``reached`` (…), that were reached by each of ``at``
    (m,): the run-length distribution of COCO (Hansen et al., 2021, section 6). Without runs: ValueError."""
    t, hit = np.asarray(time, dtype=np.float64).ravel(), np.asarray(reached, dtype=bool).ravel()
    if t.shape != hit.shape or t.size == 0:
        raise ValueError(f"expected times of runs, and whether each reached its target, got {t.size} and {hit.size}")
    return np.asarray(np.searchsorted(np.sort(t[hit]), np.asarray(at, dtype=np.float64), "right") / t.size)
