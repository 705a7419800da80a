"""The parameters of a search space as columns: between the unit interval and values."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import ConfigSpace as CS
import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError

Value: TypeAlias = bool | int | float | str
Config: TypeAlias = Mapping[str, Value]
"""A configuration: plain Python values of the *active* parameters only. Never changed in place."""
Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Columns: TypeAlias = Floats
"""(d, n), a row per parameter: values (numbers) or positions (categories); NaN where inactive."""


class Kind(enum.StrEnum):
    """What a parameter is."""

    FLOAT = "float"
    INTEGER = "integer"
    CATEGORICAL = "categorical"
    ORDINAL = "ordinal"
    CONSTANT = "constant"


class Parameter:
    """One column: between the unit interval and values (numbers) or positions (categories)."""

    def __init__(self, hp: Any) -> None:
        self.name: str = hp.name
        self.log = False
        self.values: tuple[Value, ...] = ()
        if isinstance(hp, CS.UniformFloatHyperparameter):
            self.kind, self.size, self.log = Kind.FLOAT, 0, hp.log
            self.low, self.high = float(hp.lower), float(hp.upper)
            self.edges = (math.log(self.low), math.log(self.high)) if hp.log else (self.low, self.high)
        elif isinstance(hp, CS.UniformIntegerHyperparameter):
            self.kind, self.size, self.log = Kind.INTEGER, int(hp.upper - hp.lower + 1), hp.log
            self.low, self.high = float(hp.lower), float(hp.upper)
            low, high = self.low - 0.5, self.high + 0.5
            self.edges = (math.log(low), math.log(high)) if hp.log else (low, high)
        elif isinstance(hp, CS.CategoricalHyperparameter | CS.OrdinalHyperparameter | CS.Constant):
            if isinstance(hp, CS.CategoricalHyperparameter):
                self.kind, values, p = Kind.CATEGORICAL, hp.choices, np.asarray(hp.probabilities)
            elif isinstance(hp, CS.OrdinalHyperparameter):
                self.kind, values = Kind.ORDINAL, hp.sequence
                p = np.full(len(values), 1 / len(values))
            else:
                self.kind, values, p = Kind.CONSTANT, (hp.value,), np.ones(1)
            self.values = tuple(v.item() if isinstance(v, np.generic) else v for v in values)
            self.size, self.low, self.high = len(self.values), 0.0, float(len(self.values) - 1)
            self.cells = np.concatenate([[0.0], np.cumsum(p)])
            """Where the cells of the values begin and end in the unit interval."""
            self.cells[-1] = 1.0
            self._index = {v: i for i, v in enumerate(self.values)}
        else:
            raise UserError(
                f"parameter {hp.name!r}: expected a uniform float or integer, a categorical, an ordinal "
                f"or a constant, got {type(hp).__name__}; beliefs about good values belong to methods that take priors"
            )
        default = hp.value if isinstance(hp, CS.Constant) else hp.default_value
        self.default: Value = default.item() if isinstance(default, np.generic) else default

    def cell(self, x: Floats) -> tuple[Floats, Floats]:
        """Where the cells of integers or positions begin and end in the unit interval."""
        if self.values:
            return self.cells[x.astype(int)], self.cells[x.astype(int) + 1]
        ends = np.stack([x - 0.5, x + 0.5])
        return tuple(((_each(math.log, ends) if self.log else ends) - self.edges[0]) / (self.edges[1] - self.edges[0]))

    def plain(self, x: list[float]) -> list[Value]:
        """The values that numbers or positions stand for."""
        if self.values:
            return [self.values[int(i)] for i in x]
        return [int(v) for v in x] if self.kind is Kind.INTEGER else list(x)

    def number(self, value: Value) -> float:
        """The number or position that stands for ``value``; UserError if it is not allowed."""
        if self.values:
            if value not in self._index:
                raise UserError(f"parameter {self.name!r}: expected one of {list(self.values)}, got {value!r}")
            return float(self._index[value])
        whole = self.kind is not Kind.INTEGER or (isinstance(value, int | float) and float(value).is_integer())
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not whole
            or not self.low <= value <= self.high
        ):
            raise UserError(
                f"parameter {self.name!r}: expected {self.kind} in [{self.low:g}, {self.high:g}], got {value!r}"
            )
        return float(value)


class Scale:
    """All columns at once, between the unit cube and values (numbers) or positions (categories); NaN stays NaN."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.named = np.array([bool(p.values) for p in parameters])
        """(d,) whether values are a list: categories, ordinals, constants."""
        self.lows = np.array([[p.low] for p in parameters])
        self._numbers = np.flatnonzero(~self.named)
        numbers = [p for p in parameters if not p.values]
        edges = np.array([p.edges for p in numbers]).reshape(-1, 2)
        self._begin, self._width = edges[:, :1], edges[:, 1:] - edges[:, :1]
        self._low, self._high = self.lows[self._numbers], np.array([p.high for p in numbers])[:, None]
        self._logs = np.flatnonzero([p.log for p in numbers])
        self._wholes = np.flatnonzero([p.kind is Kind.INTEGER for p in numbers])
        lists = ((j, p.cells) for j, p in enumerate(parameters) if p.values)
        self._lists = [(j, cells[1:-1], (cells[:-1] + cells[1:]) / 2) for j, cells in lists]
        """(column, where one cell ends and the next begins, middles) of each list."""

    def from_unit(self, u: Floats) -> Columns:
        """(d, n) of (n, d)."""
        x = np.array(u.T)
        missing = np.isnan(x)
        y = self._begin + x[self._numbers] * self._width
        y[self._logs] = _each(math.exp, y[self._logs])
        y[self._wholes] = np.rint(y[self._wholes])
        x[self._numbers] = np.minimum(np.maximum(y, self._low), self._high)
        for j, inner, _ in self._lists:
            x[j] = inner.searchsorted(x[j], "right")
        x[missing] = np.nan
        return x

    def to_unit(self, x: Columns) -> Floats:
        """(n, d) of (d, n): the middle of the cell for integers and categories."""
        missing = np.isnan(x)
        u = np.where(missing, self.lows, x)
        y = u[self._numbers]
        y[self._logs] = _each(math.log, y[self._logs])
        u[self._numbers] = (y - self._begin) / self._width
        for j, _, middles in self._lists:
            u[j] = middles[u[j].astype(int)]
        u[missing] = np.nan
        return u.T.copy()


def _each(function: Callable[[float], float], x: Floats) -> Floats:
    """``function`` of each number by the C library: numpy's depend, in the last digit, on the processor (AVX-512 or
    not), and a configuration must not."""
    return np.fromiter(map(function, x.ravel().tolist()), float, x.size).reshape(x.shape)
