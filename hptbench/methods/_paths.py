"""Configurations as features for a neural predictor: the paths of a cell, and one column per level of other categories.

The path encoding is that of C. White, W. Neiswanger and Y. Savani, AAAI 2021, arXiv:1910.11858, section 4: a feature
for each sequence of operations that may lead from a cell's input to its output, 1 if the cell has such a path. Paths
with the operation ``none`` do not exist, so that what lies on no path does not count.

A space declares a cell by its names: categories Op0, Op1, … with the same levels are the operations of the edges 0-1,
0-2, 1-2, 0-3, 1-3, 2-3, … of a graph whose nodes take from all earlier ones, the order of NAS-Bench-201.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hptbench.space import Floats, Kind, Space

_NONE = "none"


class Encoding:
    """Features of the configurations of a space."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._cell = cell(space)
        """Columns of the operations of a cell; none: the space has none."""
        self._paths = paths(len(self._cell))
        self._others = [j for j in range(len(space)) if j not in self._cell and space.sizes[j] != 1]

    def __call__(self, u: Floats) -> Floats:
        """(n, features) of encoded points (n, d): 0 or 1 for paths and levels; numbers in [0, 1], -1 where inactive."""
        codes = self._space.codes(u)
        columns = [self._of_paths(codes[:, self._cell].astype(int))] if self._cell else []
        for j in self._others:
            if self._space.kinds[j] is Kind.CATEGORICAL:
                columns.append(codes[:, j, None] == np.arange(self._space.sizes[j]))
            else:
                columns.append(np.where(np.isnan(u[:, j, None]), -1.0, u[:, j, None]))
        return np.concatenate(columns, axis=1, dtype=float)

    def _of_paths(self, operations: NDArray[np.intp]) -> Floats:
        """(n, sequences) of the operations (n, edges) of cells."""
        levels = list(self._space.levels(self._space.names[self._cell[0]]))
        real = [level for level in levels if level != _NONE]
        place = np.array([real.index(level) if level != _NONE else -1 for level in levels])[operations]
        lengths = np.cumsum([0, *(len(real) ** n for n in range(1, max(map(len, self._paths)) + 1))])
        out = np.zeros((len(place), lengths[-1]))
        for path in self._paths:
            on = place[:, path]
            there = np.flatnonzero((on >= 0).all(axis=1))
            out[there, lengths[len(path) - 1] + on[there] @ len(real) ** np.arange(len(path))] = 1.0
        return out


def cell(space: Space) -> list[int]:
    """Columns of the operations of the space's cell, edge by edge; empty if it declares none."""
    names = list(itertools.takewhile(lambda name: name in space.names, (f"Op{i}" for i in itertools.count())))
    nodes = next(n for n in itertools.count(2) if n * (n - 1) // 2 >= len(names))
    columns = [space.names.index(name) for name in names]
    alike = len({space.levels(name) for name in names}) == 1
    varied = all(
        space.kinds[j] is Kind.CATEGORICAL and not space.configspace.parent_conditions_of[space.names[j]]
        for j in columns
    )
    return columns if alike and varied and nodes * (nodes - 1) // 2 == len(names) else []


def paths(edges: int) -> list[list[int]]:
    """The edges of each way from the first to the last of the nodes that have so many edges."""
    if not edges:
        return []
    nodes = next(n for n in itertools.count(2) if n * (n - 1) // 2 == edges)
    number = {(a, b): i for i, (a, b) in enumerate((a, b) for b in range(1, nodes) for a in range(b))}

    def ways(node: int) -> Sequence[list[int]]:
        return [[]] if node == 0 else [[*way, number[a, node]] for a in range(node) for way in ways(a)]

    return sorted(ways(nodes - 1), key=lambda way: (len(way), way))
