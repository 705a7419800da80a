"""A data set as arrays, the one form in which tasks hand it to learners."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hptbench.space import Floats, Mask

TaskType: TypeAlias = Literal["classification", "regression"]
Rows: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Table:
    """Some rows of a data set."""

    X: Floats
    """(n, d) numbers; categories as 0, 1, ... (a category keeps its number in all rows of the data
    set); NaN where a value is missing."""
    y: NDArray[Any]
    """(n,) classes 0 .. n_classes-1, or the numbers to be predicted. Nothing is missing."""
    categorical: Mask
    """(d,) which columns hold categories."""
    n_classes: int
    """0 for regression."""

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Rows) -> Table:
        """The rows at the given positions."""
        return replace(self, X=self.X[rows], y=self.y[rows])
