"""The half of a sweep of alternating least squares: all users given the items, or the other way round."""

from __future__ import annotations

from typing import Any

import numpy as np

from hptbench.recommenders._base import Ids
from hptbench.space import Floats

_BLOCK = 256
"""Rows solved at once, which bounds the memory."""


def sparse(rows: Ids, columns: Ids, values: Floats, shape: tuple[int, int]) -> Any:
    """(rows, columns) matrix, zero where there is no pair."""
    from scipy.sparse import csr_matrix

    return csr_matrix((values, (rows, columns)), shape=shape)


def solve(weights: Any, targets: Any, others: Floats, ridge: Floats, gram: Floats | None = None) -> Floats:
    """(n, k): for each row x minimises ``sum_c weights[c] (others[c] x)^2 - 2 targets[c] others[c] x + ridge |x|^2``,
    plus ``x gram x`` if it is given.

    ``weights`` and ``targets`` are sparse (n, m), ``others`` is (m, k), ``ridge`` (n,), > 0."""
    k = others.shape[1]
    squares = (others[:, :, None] * others[:, None, :]).reshape(len(others), k * k)
    right = targets @ others
    out = np.empty((weights.shape[0], k))
    for at in range(0, len(out), _BLOCK):
        rows = slice(at, at + _BLOCK)
        left = (weights[rows] @ squares).reshape(-1, k, k) + ridge[rows, None, None] * np.eye(k)
        if gram is not None:
            left += gram
        out[rows] = np.linalg.solve(left, right[rows, :, None])[:, :, 0]
    return out
