"""What recommenders share: the protocol, and how weights on past data sets become an order of configurations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hptbench.meta.past import Past
from hptbench.space import Floats, Mask

Order = NDArray[np.intp]
COMPLEMENTS = 4
"""Recommendations that are to complement each other. After so many, the next most promising ones gain more: with
many different ones the best by validation is often not the best."""


class Recommender(Protocol):
    """How configurations are recommended for a data set. A frozen dataclass; deterministic."""

    def order(self, past: Past, x: Floats, n: int) -> Order:
        """(n,) positions of different configurations of ``past``, the first to try first, fewer if it has fewer;
        ``x`` (f,) are the meta-features of the data set, NaN where not defined."""
        ...


class Weigher(ABC):
    """A recommender that weighs the past data sets: it expects of a configuration the weighted mean of its losses."""

    @abstractmethod
    def weights(self, past: Past, x: Floats) -> Floats:
        """(n,) weights of the past data sets for the data set with meta-features ``x`` (f,). They sum to 1; some may be
        negative."""

    @abstractmethod
    def crossed(self, past: Past) -> Floats:
        """(n, n) row i: the weights for past data set i, of what was learnt without its family, which weighs 0."""

    def order(self, past: Past, x: Floats, n: int) -> Order:
        """See :class:`Recommender`."""
        return ordered(past.losses, self.weights(past, x), n)


def ordered(losses: Floats, weights: Floats, n: int, worth: Mask | None = None, tried: Order | None = None) -> Order:
    """(n,) configurations for weights (m,) on the past data sets with ``losses`` (m, c): the one with the least
    expected loss, then complements of it, then by expected loss. ``worth`` (c,): which of them may be complements; the
    others come last. ``tried`` (k,): these come first, as they are, and are complemented."""
    expected = weights @ losses
    positive = np.maximum(weights, 0.0)
    begun = np.argmin(expected, keepdims=True) if tried is None or not len(tried) else tried
    first = greedy(losses, positive, min(n, max(COMPLEMENTS, len(begun))), begun, worth)
    last = np.zeros(len(expected), bool) if worth is None else ~worth
    rest = np.lexsort((expected, last))
    return np.concatenate([first, rest[~np.isin(rest, first)]])[:n]


def greedy(losses: Floats, weights: Floats, n: int, first: Order | None = None, among: Mask | None = None) -> Order:
    """(n,) configurations of a portfolio, one after the other the one that most reduces the weighted mean of the
    least loss so far: ``losses`` (m, c) on past data sets with ``weights`` (m,). Ties: the better one alone.

    Portfolio building of auto-sklearn 2 (Feurer et al., JMLR 23(261), 2022, Algorithm 1). ``first``: begins with these.
    ``among`` (c,): only of these; fewer than n if they are fewer.
    """
    chosen: list[int] = [] if first is None else first.tolist()
    alone = weights @ losses
    least = losses[:, chosen].min(axis=1) if chosen else np.full(len(losses), np.inf)
    left = np.ones(losses.shape[1], bool) if among is None else among.copy()
    left[chosen] = False
    while len(chosen) < n and left.any():
        after = np.where(left, weights @ np.minimum(least[:, None], losses), np.inf)
        ties = np.flatnonzero(after <= after.min() + 1e-12)
        best = int(ties[alone[ties].argmin()])
        chosen.append(best)
        left[best] = False
        least = np.minimum(least, losses[:, best])
    return np.array(chosen[:n], dtype=np.intp)


def places(past: Floats, x: Floats) -> tuple[Floats, Floats]:
    """(n, g) and (g,): meta-features as their place among those of the past, -1/2 to 1/2, equal ones sharing one. So
    neither scale nor outliers count."""
    order = np.sort(past, axis=0)

    def place(rows: Floats) -> Floats:
        columns = [
            np.searchsorted(o, column, "left") + np.searchsorted(o, column, "right")
            for o, column in zip(order.T, rows.T, strict=True)
        ]
        return np.stack(columns, axis=1) / (2 * len(past)) - 0.5

    return place(past), place(x[None])[0]
