"""Meta-features: a data set as numbers that can be compared with those of others.

Their definitions have a version; whoever stores them stores it, too. They are the same for the same rows, whatever
the machine, up to rounding, and need no more than a few seconds on any data set: large ones are sampled
(:mod:`hptbench.meta._view`). Nothing about a data set makes them fail: what is not defined on it is NaN, with a reason.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hptbench.errors import UserError
from hptbench.learners import Table
from hptbench.meta import _information, _landmarks, _simple
from hptbench.meta._view import Group, view

VERSION = 1
"""Of the definitions: raised whenever a number would come out otherwise."""
GROUPS: Mapping[str, Group] = {
    "size": _simple.size,
    "missing": _simple.missing,
    "categories": _simple.categories,
    "target": _simple.target,
    "columns": _simple.columns,
    "information": _information.information,
    "dependence": _information.dependence,
    "components": _landmarks.components,
    "landmarks": _landmarks.landmarks,
}


@dataclass(frozen=True)
class Features:
    """The meta-features of one data set."""

    values: Mapping[str, float]
    """Name -> number; NaN where there is none. The same names, in the same order, for every data set."""
    reasons: Mapping[str, str]
    """Of those that are NaN: why."""
    groups: Mapping[str, str]
    """Name -> the group it belongs to."""
    seconds: Mapping[str, float]
    """Group -> how long it took."""
    version: int = VERSION


def features(table: Table) -> Features:
    """The meta-features of a data set. UserError unless it has rows and columns."""
    if 0 in table.X.shape:
        raise UserError(f"expected a data set with rows and columns, got {table.X.shape[0]} x {table.X.shape[1]}")
    seen = view(table)
    values, reasons, groups, seconds = dict[str, float](), dict[str, str](), dict[str, str](), dict[str, float]()
    for group, compute in GROUPS.items():
        began = time.perf_counter()
        with np.errstate(all="ignore"):
            for name, value in compute(seen):
                if isinstance(value, float) and not math.isfinite(value):
                    value = "its values are too large or too close to compute with"
                values[name] = value if isinstance(value, float) else math.nan
                groups[name] = group
                if isinstance(value, str):
                    reasons[name] = value
        seconds[group] = time.perf_counter() - began
    return Features(values, reasons, groups, seconds)
