"""What the gradient boosting libraries share: the names of what they predict, made alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from hptbench.space import Floats


def objective(n_classes: int, regression: str, binary: str, several: str) -> str:
    """The library's own word for the loss."""
    return several if n_classes > 2 else binary if n_classes else regression


def probabilities(p: Any) -> Floats:
    """(n, k) from (n,) of the second of two classes, or from (n, k) in single precision, whose sums are not quite 1."""
    out = np.asarray(p, dtype=float)
    if out.ndim == 1:
        return np.column_stack([1 - out, out])
    return np.asarray(out / out.sum(axis=1, keepdims=True))
