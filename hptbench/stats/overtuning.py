"""Overtuning: what the choice by validation costs in test.

Schneider, Bischl & Feurer, AutoML 2025 (PMLR 293:17, arXiv 2506.19540)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
SEVERE = 1.0
"""Relative overtuning from here on: all that was gained in test is lost again, or more."""


@dataclass(frozen=True, slots=True)
class Overtuning:
    """Of the runs of a method."""

    runs: int
    any: float
    """Share of runs whose last incumbent is worse in test than an earlier one."""
    severe: float
    """Share with relative overtuning above 1: worse in test than the first configuration."""
    than_default: float
    """Share worse in test than the default configuration; NaN if none of its scores is known."""
    with_default: int
    """Runs for which that is known."""
    relative: float
    """Median of the relative overtuning of all runs."""


def overtuning(tests: ArrayLike) -> float:
    """Test loss of the last incumbent less the least of all incumbents of the run: ``tests`` (incumbents,), in their
    order; at least 0 (definition 1)."""
    t = _checked(tests)
    return float(t[-1] - t.min())


def relative_overtuning(tests: ArrayLike) -> float:
    """Overtuning divided by the largest gain in test over the first incumbent (definition 2): 0 none, 1 nothing is left
    of the gain, above 1 worse than at the start. Where no incumbent was better in test than the first: 0 if the last is
    as good, else infinite."""
    t = _checked(tests)
    lost, gained = float(t[-1] - t.min()), float(t[0] - t.min())
    if lost == 0:
        return 0.0
    return lost / gained if gained > 0 else float("inf")


def summary(tests: list[Array], default: ArrayLike) -> Overtuning:
    """Of the runs of a method: ``tests``, for each run those of its incumbents, and ``default`` (runs,), the test loss
    of the default configuration with the same seed, NaN where it is not known. ValueError without any run."""
    if not tests:
        raise ValueError("expected at least one run")
    default = np.asarray(default, dtype=np.float64)
    relative = np.array([relative_overtuning(t) for t in tests])
    last = np.array([t[-1] for t in tests])
    known = np.isfinite(default)
    worse = float((last[known] > default[known]).mean()) if known.any() else float("nan")
    return Overtuning(
        len(tests), float((relative > 0).mean()), float((relative > SEVERE).mean()), worse, int(known.sum()),
        float(np.median(relative)),
    )  # fmt: skip


def _checked(tests: ArrayLike) -> Array:
    t = np.asarray(tests, dtype=np.float64)
    if t.ndim != 1 or len(t) == 0 or not np.isfinite(t).all():
        raise ValueError(f"expected finite test losses of incumbents, got shape {t.shape}")
    return t
