"""From columns with categories and missing values to what a learner can take.

Everything is learnt from the training rows alone. A column without any value there carries nothing and
becomes 0; a category that does not occur there is no category at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hptbench.learners._table import Table
from hptbench.space import Floats, Mask

_LEVELS = 254
"""Categories kept of a column, the most frequent; all others are one more (255 is what histogram gradient
boosting can hold)."""


class Encoder(Protocol):
    """Made from the training rows, applied to any rows."""

    @classmethod
    def fit(cls, rows: Table) -> Encoder: ...

    def __call__(self, X: Floats) -> Floats:
        """(n, d) as in :class:`Table` -> (n, e)."""
        ...


@dataclass(frozen=True, eq=False)
class Ordinal:
    """Numbers with the median in place of missing values, categories as numbers, missing and unseen ones as -1.

    For forests, which can cut such numbers into any groups."""

    fill: Floats
    """(d,) what stands for a missing number."""
    empty: Mask
    """(d,) columns without any value."""
    seen: dict[int, Floats]
    """Column -> its categories."""

    @classmethod
    def fit(cls, rows: Table) -> Ordinal:
        empty = _empty(rows.X)
        seen = {int(j): np.unique(rows.X[:, j]) for j in np.flatnonzero(rows.categorical)}
        return cls(_medians(rows.X, empty), empty, seen)

    def __call__(self, X: Floats) -> Floats:
        out = np.where(np.isnan(X), self.fill, X)
        for j, seen in self.seen.items():
            out[~np.isin(X[:, j], seen), j] = -1.0  # NaN is in nothing
        return np.where(self.empty, 0.0, out)


@dataclass(frozen=True, eq=False)
class Native:
    """Missing numbers stay missing, categories are numbered 0, 1, ... by their frequency; rare and unseen
    ones are missing. For learners that can deal with both."""

    empty: Mask
    levels: dict[int, Floats]
    """Column -> its categories by falling frequency."""

    @classmethod
    def fit(cls, rows: Table) -> Native:
        levels = {int(j): _levels(rows.X[:, j]) for j in np.flatnonzero(rows.categorical)}
        return cls(_empty(rows.X), levels)

    def __call__(self, X: Floats) -> Floats:
        out = np.where(self.empty, 0.0, X)
        for j, levels in self.levels.items():
            if not self.empty[j]:
                place = _place(levels, X[:, j])
                out[:, j] = np.where(place < len(levels), place, np.nan)
        return out


@dataclass(frozen=True, eq=False)
class Dense:
    """Median imputation and standardisation of numbers, one column per category ("missing" is one too; all
    rare ones share one). For learners that measure distances or sum weighted columns."""

    numeric: Mask
    fill: Floats
    mean: Floats
    scale: Floats
    levels: dict[int, Floats]
    shared: dict[int, bool]
    """Column -> whether there are rare or missing categories, which get a column."""

    @classmethod
    def fit(cls, rows: Table) -> Dense:
        numeric = ~rows.categorical
        X = rows.X[:, numeric]
        fill = _medians(X, _empty(X))
        X = np.where(np.isnan(X), fill, X)
        scale = X.std(axis=0)
        levels = {int(j): _levels(rows.X[:, j]) for j in np.flatnonzero(rows.categorical)}
        shared = {j: bool((_place(kept, rows.X[:, j]) == len(kept)).any()) for j, kept in levels.items()}
        constant = X.max(axis=0) == X.min(axis=0) if len(X) else np.ones(X.shape[1], bool)
        return cls(numeric, fill, X.mean(axis=0), np.where(constant, np.inf, scale), levels, shared)

    def __call__(self, X: Floats) -> Floats:
        numbers = X[:, self.numeric]
        blocks = [(np.where(np.isnan(numbers), self.fill, numbers) - self.mean) / self.scale]
        for j, levels in self.levels.items():
            width = len(levels) + self.shared[j]
            blocks.append((_place(levels, X[:, j])[:, None] == np.arange(width)).astype(float))
        out = np.concatenate(blocks, axis=1)
        return out if out.shape[1] else np.zeros((len(X), 1))


def _empty(X: Floats) -> Mask:
    """(d,) which columns have no value at all."""
    return np.asarray(np.isnan(X).all(axis=0))


def _medians(X: Floats, empty: Mask) -> Floats:
    """(d,) medians of what is there, 0 for empty columns."""
    out = np.zeros(X.shape[1])
    out[~empty] = np.nanmedian(X[:, ~empty], axis=0) if len(X) else 0.0
    return out


def _levels(column: Floats) -> Floats:
    """The most frequent categories, ties by number."""
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    return values[np.argsort(-counts, kind="stable")][:_LEVELS]


def _place(levels: Floats, column: Floats) -> Floats:
    """(n,) position in ``levels``; their number where missing, rare or unseen."""
    out = np.full(len(column), float(len(levels)))
    if len(levels):
        order = np.argsort(levels)
        at = np.minimum(np.searchsorted(levels, column, sorter=order), len(levels) - 1)
        found = levels[order[at]] == column
        out[found] = order[at[found]]
    return out
