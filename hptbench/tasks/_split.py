"""Which rows test, which validate, which train: fixed by the data set and the number of the split alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hptbench import rng
from hptbench.errors import UserError
from hptbench.learners import Rows, Table

_KEPT = 2
"""Rows of each class that a part of the rows keeps at least (all, where there are fewer)."""


def holdout(table: Table, share: float, key: tuple[str | int, ...], others: int = 1) -> tuple[Rows, Rows]:
    """(the other rows, about ``share`` of them), stratified; of each class at least ``others`` rows and one.
    Every class must have so many."""
    held = [rows[: min(max(round(share * len(rows)), 1), len(rows) - others)] for rows in _shuffled_classes(table, key)]
    mask = np.zeros(len(table), bool)
    mask[np.concatenate(held)] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def folds(table: Table, k: int, key: tuple[str | int, ...]) -> list[tuple[Rows, Rows]]:
    """k times (the other rows, one fold), stratified. A class with two rows or more is in each "other"."""
    if len(table) < 2 * k:
        raise UserError(f"expected at least {2 * k} rows for {k} folds, got {len(table)}; set folds lower")
    fold = np.empty(len(table), np.int64)
    dealt = 0
    for rows in _shuffled_classes(table, key):
        fold[rows] = (dealt + np.arange(len(rows))) % k
        dealt += len(rows)
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def part(table: Table, share: float, key: tuple[str | int, ...], kept: int = _KEPT) -> Rows:
    """About ``share`` of the rows, stratified, at least ``kept`` of each class. Nested: a larger share holds
    all rows of a smaller one."""
    if share >= 1:
        return np.arange(len(table))
    taken = [rows[: max(int(share * len(rows)), kept)] for rows in _shuffled_classes(table, key)]
    return np.sort(np.concatenate(taken))


def _shuffled_classes(table: Table, key: tuple[str | int, ...]) -> Iterator[NDArray[np.intp]]:
    """The rows of each class in random order; for regression all rows."""
    for label in range(max(table.n_classes, 1)):
        rows = np.flatnonzero(table.y == label) if table.n_classes else np.arange(len(table))
        if len(rows):
            yield rng.stream(rng.entropy(*key, label)).permutation(rows)
