"""What meta-features are computed from: a data set's rows, at most so many, and columns that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from hptbench.learners import Table
from hptbench.rng import entropy, stream
from hptbench.space import Floats

Found: TypeAlias = Iterator[tuple[str, float | str]]
"""Meta-features by name: a number, or in words why there is none."""
Group: TypeAlias = Callable[["View"], Found]

ROWS, COLUMNS = 5000, 200
"""Rows and columns that are looked at; of larger data sets, as many drawn by a fixed seed."""


@dataclass(frozen=True, eq=False)
class View:
    """A data set as groups of meta-features see it."""

    table: Table
    """At most ROWS rows and COLUMNS columns; infinite values are missing ones."""
    shape: tuple[int, int]
    """Rows and columns of the whole data set."""
    n_categorical: int
    """Categorical columns of the whole data set."""

    @cached_property
    def numeric(self) -> Floats:
        """(n, p) the columns of numbers, NaN where missing."""
        return self.table.X[:, ~self.table.categorical]

    @cached_property
    def spread(self) -> Floats:
        """(n, q) those columns of numbers with at least two different values, the median where one is missing."""
        filled = [_filled(column) for column in self.numeric.T]
        kept = [column for column in filled if column is not None]
        return np.stack(kept, axis=1) if kept else np.empty((len(self.table), 0))

    @cached_property
    def categories(self) -> list[Floats]:
        """(n,) codes of each categorical column, -1 where missing."""
        columns = self.table.X[:, self.table.categorical].T
        return [np.where(np.isnan(column), -1.0, column) for column in columns]

    @cached_property
    def targets(self) -> Floats:
        """(n, k) indicators of the k classes, or (n, 1) the standardised target."""
        y = self.table.y
        if self.table.n_classes:
            return np.asarray(y[:, None] == np.unique(y)[None, :], float)
        scale = float(y.std())
        return np.asarray(((y - y.mean()) / (scale or 1.0))[:, None])

    @property
    def constant(self) -> bool:
        """Whether there is nothing to predict: one class, or equal numbers."""
        return bool((self.table.y == self.table.y[0]).all())


def view(table: Table) -> View:
    """The view of a data set with at least one row and one column."""
    shape = table.X.shape
    X, y = np.where(np.isinf(table.X), np.nan, table.X), table.y
    rng = stream(entropy("meta-features", *map(int, shape)))
    rows = np.sort(rng.permutation(shape[0])[:ROWS])
    columns = np.sort(rng.permutation(shape[1])[:COLUMNS])
    part = Table(X[np.ix_(rows, columns)], y[rows], table.categorical[columns], table.n_classes)
    return View(part, shape, int(table.categorical.sum()))


def _filled(column: Floats) -> Floats | None:
    there = column[~np.isnan(column)]
    if len(there) == 0 or there.min() == there.max():
        return None
    return np.where(np.isnan(column), np.median(there), column)


def summary(name: str, values: Floats, why: str) -> Found:
    """Mean, standard deviation (n - 1) and largest of the finite ``values`` (m,), or ``why`` there are none."""
    finite = values[np.isfinite(values)]
    yield f"{name}_mean", float(finite.mean()) if len(finite) else why
    yield f"{name}_sd", float(finite.std(ddof=1)) if len(finite) > 1 else "fewer than two values"
    yield f"{name}_max", float(finite.max()) if len(finite) else why
