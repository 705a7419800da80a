"""How unlike data sets are by their meta-features: landmarkers and all others count half each."""

from __future__ import annotations

import numpy as np

from hptbench.meta._recommender import places
from hptbench.meta.past import Past
from hptbench.space import Floats

NEAR = 0.15
"""Data sets closer than this are near-duplicates."""
LANDMARKS = ("landmark_", "gain_of_")


def unlikeness(past: Past, x: Floats) -> tuple[Floats, Floats]:
    """(n, n) and (n,): mean squared difference between past data sets, and of ``x`` (f,) from them, of the places of
    their meta-features; in units of the median between past data sets."""
    rows, own = places(*past.comparable(x))
    landmarks = np.array([name.startswith(LANDMARKS) for name in past.compared])
    share = np.where(landmarks, 1 / max(landmarks.sum(), 1), 1 / max((~landmarks).sum(), 1))
    share /= share.sum()
    rows, own = rows * np.sqrt(share), own * np.sqrt(share)
    square = (rows**2).sum(axis=1)
    between = np.maximum(square[:, None] + square[None, :] - 2 * rows @ rows.T, 0.0)
    scale = float(np.median(between[np.triu_indices(len(rows), 1)])) or 1.0
    return between / scale, ((rows - own) ** 2).sum(axis=1) / scale
