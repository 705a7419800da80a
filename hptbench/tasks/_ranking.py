"""Measures of recommendations. All minimised.

For ratings: (n,) true and predicted ones. For rankings: (users, items) predictions, which items may be recommended, and
which of them the user did choose; each user chose at least one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from hptbench.space import Floats, Mask


def rmse(true: Floats, predicted: Floats) -> float:
    """Root of the mean squared error, in units of the ratings."""
    return float(np.sqrt(np.mean((true - predicted) ** 2)))


def mae(true: Floats, predicted: Floats) -> float:
    """Mean absolute error, in units of the ratings."""
    return float(np.mean(np.abs(true - predicted)))


def hits(predictions: Floats, allowed: Mask, chosen: Mask, cutoff: int) -> Floats:
    """(users, cutoff) whether each of the best items was chosen, the best first; equals in the order of items."""
    ranked = np.argsort(np.where(allowed, -predictions, np.inf), axis=1, kind="stable")[:, :cutoff]
    return np.take_along_axis(chosen, ranked, axis=1).astype(np.float64)


def ndcg_error(found: Floats, n_chosen: Floats) -> float:
    """1 - the mean normalised discounted cumulative gain (Jarvelin & Kekalainen, ACM TOIS 20, 2002), gains 0 and 1."""
    discount = 1 / np.log2(np.arange(found.shape[1]) + 2)
    ideal = np.concatenate([[0], np.cumsum(discount)])[np.minimum(n_chosen, found.shape[1]).astype(np.int64)]
    return float(1 - np.mean(found @ discount / ideal))


def recall_error(found: Floats, n_chosen: Floats) -> float:
    """1 - the mean share of the chosen items that is among the best, or of the cutoff if more were chosen
    (Liang et al., WWW 2018)."""
    return float(1 - np.mean(found.sum(axis=1) / np.minimum(n_chosen, found.shape[1])))


RATINGS: Mapping[str, Callable[[Floats, Floats], float]] = {"rmse": rmse, "mae": mae}
RANKINGS: Mapping[str, Callable[[Floats, Floats], float]] = {"ndcg_error": ndcg_error, "recall_error": recall_error}
