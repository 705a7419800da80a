"""A search space: a compiled, vectorised view on ``ConfigSpace.ConfigurationSpace``.

Parameter types, conditions and forbidden clauses are ConfigSpace's own; here they are turned
once into array operations, so that ten thousand configurations cost a handful of NumPy calls.
"""

from __future__ import annotations

import enum
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import ConfigSpace as CS
import numpy as np
from ConfigSpace import forbidden as cs_forb
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown

Value: TypeAlias = bool | int | float | str
Config: TypeAlias = Mapping[str, Value]
"""A configuration: plain Python values of the *active* parameters only. Never changed in place."""
Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
_Columns: TypeAlias = list[Floats]
"""Per parameter n values (numbers) or positions (categories); NaN where inactive."""
_Test: TypeAlias = Callable[[_Columns], Mask]

_REDRAWS = 1000


class Kind(enum.StrEnum):
    """What a parameter is."""

    FLOAT = "float"
    INTEGER = "integer"
    CATEGORICAL = "categorical"
    ORDINAL = "ordinal"
    CONSTANT = "constant"


class _Parameter:
    """One column: between the unit interval and values (numbers) or positions (categories)."""

    def __init__(self, hp: Any) -> None:
        self.name: str = hp.name
        self.log = False
        self.values: tuple[Value, ...] = ()
        if isinstance(hp, CS.UniformFloatHyperparameter):
            self.kind, self.size, self.log = Kind.FLOAT, 0, hp.log
            self.low, self.high = float(hp.lower), float(hp.upper)
            self._edges = (np.log(self.low), np.log(self.high)) if hp.log else (self.low, self.high)
        elif isinstance(hp, CS.UniformIntegerHyperparameter):
            self.kind, self.size, self.log = Kind.INTEGER, int(hp.upper - hp.lower + 1), hp.log
            self.low, self.high = float(hp.lower), float(hp.upper)
            low, high = self.low - 0.5, self.high + 0.5
            self._edges = (np.log(low), np.log(high)) if hp.log else (low, high)
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
            self._cells = np.concatenate([[0.0], np.cumsum(p)])
            self._cells[-1] = 1.0
            self._index = {v: i for i, v in enumerate(self.values)}
        else:
            raise UserError(
                f"parameter {hp.name!r}: expected a uniform float or integer, a categorical, an ordinal "
                f"or a constant, got {type(hp).__name__}; beliefs about good values belong to methods that take priors"
            )
        default = hp.value if isinstance(hp, CS.Constant) else hp.default_value
        self.default: Value = default.item() if isinstance(default, np.generic) else default

    def from_unit(self, u: Floats) -> Floats:
        if self.values:
            return np.clip(np.searchsorted(self._cells, u, side="right") - 1, 0, self.size - 1).astype(float)
        low, high = self._edges
        x = low + u * (high - low)
        if self.log:
            x = np.exp(x)
        return np.clip(np.rint(x) if self.kind is Kind.INTEGER else x, self.low, self.high)

    def to_unit(self, x: Floats) -> Floats:
        """The middle of the cell for integers and categories."""
        if self.values:
            i = x.astype(int)
            return np.asarray((self._cells[i] + self._cells[i + 1]) / 2)
        low, high = self._edges
        return np.asarray(((np.log(x) if self.log else x) - low) / (high - low))

    def cells(self, x: Floats) -> tuple[Floats, Floats]:
        """Edges in the unit interval, below and above, of the cells of integers and categories."""
        if self.values:
            i = x.astype(int)
            return self._cells[i], self._cells[i + 1]
        low, high = self._edges
        below, above = (np.log(x + h) if self.log else x + h for h in (-0.5, 0.5))
        return np.asarray((below - low) / (high - low)), np.asarray((above - low) / (high - low))

    def plain(self, x: Floats) -> list[Value]:
        if self.values:
            return [self.values[int(i)] for i in x]
        return list(x.astype(np.int64).tolist() if self.kind is Kind.INTEGER else x.tolist())

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


class Space:
    """What can be searched: ``d`` parameters, some of them active only under conditions.

    Arrays of configurations have the shape (n, d), one column per parameter in the order of
    ``names`` (parents before children), values in the unit cube, NaN where a parameter is inactive.
    """

    def __init__(self, configspace: CS.ConfigurationSpace) -> None:
        if len(configspace) == 0:
            raise UserError("expected a search space with at least one parameter, got an empty one")
        self.configspace = configspace
        self._parameters = [_Parameter(hp) for hp in configspace.values()]
        self.names = tuple(p.name for p in self._parameters)
        self.kinds = tuple(p.kind for p in self._parameters)
        self.sizes = np.array([p.size for p in self._parameters])
        """(d,) number of values of each parameter; 0 for continuous ones."""
        self._column = {name: j for j, name in enumerate(self.names)}
        self._active_if = [self._conditions(name) for name in self.names]
        self._forbidden = [self._clause(c) for c in configspace.forbidden_clauses]
        self.conditional = any(self._active_if)

    def __len__(self) -> int:
        return len(self.names)

    def __reduce__(self) -> tuple[Callable[[str], Space], tuple[str]]:
        return _from_json, (json.dumps(self.to_json()),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.names)

    # conversions

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        """(n, d) independent draws, uniform in the unit cube (log scales and the weights of
        categories apply), none of them forbidden."""
        u = rng.random((n, len(self)))
        if self._forbidden:
            for _ in range(_REDRAWS):
                bad = ~self.legal(u)
                if not bad.any():
                    break
                u[bad] = rng.random((int(bad.sum()), len(self)))
            else:
                raise UserError(
                    f"the forbidden clauses exclude nearly all of the space: no legal draw in {_REDRAWS} redraws"
                )
        return self.deactivate(u)

    def decode(self, u: Floats) -> list[dict[str, Value]]:
        """The configurations of (n, d) points of the unit cube; values of inactive columns are
        ignored. ValueError where an active parameter is NaN. Forbidden points are decoded as
        they are: ask :meth:`legal`."""
        x = self._columns(np.clip(u, 0.0, 1.0))
        active = np.stack([~np.isnan(c) for c in x], axis=1)
        out: list[dict[str, Value]] = [{}] * len(u)
        for rows, pattern in _patterns(active):
            names = [n for n, a in zip(self.names, pattern, strict=True) if a]
            columns = [p.plain(c[rows]) for p, c, a in zip(self._parameters, x, pattern, strict=True) if a]
            for i, row in zip(rows.tolist(), zip(*columns, strict=True), strict=True):
                out[i] = dict(zip(names, row, strict=True))
        return out

    def encode(self, configs: Sequence[Config]) -> Floats:
        """(n, d) points of the unit cube, NaN where inactive or absent; UserError for a value
        that is not allowed."""
        u = np.full((len(configs), len(self)), np.nan)
        for j, p in enumerate(self._parameters):
            x = np.array([p.number(c[p.name]) if p.name in c else np.nan for c in configs])
            there = ~np.isnan(x)
            u[there, j] = p.to_unit(x[there])
        return self.deactivate(u) if self.conditional else u

    def codes(self, u: Floats) -> Floats:
        """``u`` with categories and ordinals as positions 0 .. size-1 instead of unit values."""
        return self._mapped(u, _Parameter.from_unit)

    def from_codes(self, x: Floats) -> Floats:
        """The inverse of :meth:`codes`."""
        return self._mapped(x, _Parameter.to_unit)

    def snap(self, u: Floats) -> Floats:
        """``u`` with integers, ordinals and categories in the middle of their cells, NaN left alone: two points that
        stand for the same configuration become equal. Up to rounding :meth:`encode` of :meth:`decode`, but faster."""
        out = np.clip(u, 0.0, 1.0)
        for j, p in enumerate(self._parameters):
            if p.size:
                there = ~np.isnan(u[:, j])
                out[there, j] = p.to_unit(p.from_unit(out[there, j]))
        return out

    def cells(self, u: Floats) -> tuple[Floats, Floats]:
        """(n, d) each the lower and the upper edge of the cell of the unit interval that stands for the same value as
        the coordinate of ``u``; NaN for floats and where ``u`` is NaN."""
        low, high = np.full(u.shape, np.nan), np.full(u.shape, np.nan)
        for j, p in enumerate(self._parameters):
            if p.size:
                there = ~np.isnan(u[:, j])
                low[there, j], high[there, j] = p.cells(p.from_unit(u[there, j]))
        return low, high

    def _mapped(self, a: Floats, f: Callable[[_Parameter, Floats], Floats]) -> Floats:
        out = a.copy()
        for j, p in enumerate(self._parameters):
            if p.values:
                there = ~np.isnan(a[:, j])
                out[there, j] = f(p, a[there, j])
        return out

    # conditions and clauses

    def deactivate(self, u: Floats) -> Floats:
        """``u`` with NaN in every inactive column."""
        if not self.conditional:
            return u
        inactive = np.stack([np.isnan(c) for c in self._columns(u, strict=False)], axis=1)
        return np.where(inactive, np.nan, u)

    def legal(self, u: Floats) -> Mask:
        """(n,) whether no forbidden clause holds."""
        ok = np.ones(len(u), bool)
        if self._forbidden:
            x = self._columns(u)
            for clause in self._forbidden:
                ok &= ~clause(x)
        return ok

    def _columns(self, u: Floats, strict: bool = True) -> _Columns:
        x: _Columns = []
        for j, (p, tests) in enumerate(zip(self._parameters, self._active_if, strict=True)):
            missing = np.isnan(u[:, j])
            column = p.from_unit(np.where(missing, 0.0, u[:, j]))
            column[missing] = np.nan
            for test in tests:
                column[~test(x)] = np.nan
                missing &= test(x)
            if strict and missing.any():
                raise ValueError(f"parameter {p.name!r} is active in row {int(missing.argmax())}, but its value is NaN")
            x.append(column)
        return x

    def _conditions(self, name: str) -> list[_Test]:
        return [self._condition(c) for c in self.configspace.parent_conditions_of[name]]

    def _condition(self, c: Any) -> _Test:
        if isinstance(c, CS.AndConjunction | CS.OrConjunction):
            parts = [self._condition(part) for part in c.components]
            join = np.logical_and if isinstance(c, CS.AndConjunction) else np.logical_or
            return lambda x: join.reduce([part(x) for part in parts])
        parent = self._parameters[self._column[c.parent.name]]
        j = self._column[parent.name]
        if isinstance(c, CS.InCondition):
            among = np.array([parent.number(v) for v in c.values])
            return lambda x: np.isin(x[j], among)
        compare = {
            CS.EqualsCondition: operator.eq, CS.NotEqualsCondition: operator.ne,
            CS.LessThanCondition: operator.lt, CS.GreaterThanCondition: operator.gt,
        }.get(type(c))  # fmt: skip
        if compare is None:
            raise UserError(f"expected a condition known to ConfigSpace 1.x, got {type(c).__name__}")
        bound = parent.number(c.value)
        return lambda x: compare(x[j], bound)  # NaN: only 'not equal' holds, as in ConfigSpace

    def _clause(self, c: Any) -> _Test:
        if isinstance(c, cs_forb.ForbiddenAndConjunction | cs_forb.ForbiddenOrConjunction):
            parts = [self._clause(part) for part in c.components]
            join = np.logical_and if isinstance(c, cs_forb.ForbiddenAndConjunction) else np.logical_or
            return lambda x: join.reduce([part(x) for part in parts])
        compare = next((f for word, f in _COMPARE if type(c).__name__.startswith(f"Forbidden{word}")), None)
        if isinstance(c, cs_forb.ForbiddenRelation) and compare is not None:
            left, right = (self._comparable(h.name) for h in (c.left, c.right))
            return lambda x: compare(left(x), right(x))
        p = self._parameters[self._column[c.hyperparameter.name]]
        j = self._column[p.name]
        if isinstance(c, cs_forb.ForbiddenInClause):
            among = np.array([p.number(v) for v in c.values])
            return lambda x: np.isin(x[j], among)
        if compare is None:
            raise UserError(f"expected a forbidden clause known to ConfigSpace 1.x, got {type(c).__name__}")
        bound = p.number(c.value)
        return lambda x: compare(x[j], bound)

    def _comparable(self, name: str) -> Callable[[_Columns], Floats]:
        """A parameter's column as numbers that can be compared with another parameter's."""
        p, j = self._parameters[self._column[name]], self._column[name]
        if not p.values:
            return lambda x: x[j]
        if not all(isinstance(v, int | float) for v in p.values):
            raise UserError(f"parameter {name!r}: expected numbers in a forbidden relation, got {list(p.values)}")
        numbers = np.array([*map(float, p.values), np.nan])
        return lambda x: numbers[np.where(np.isnan(x[j]), -1, x[j]).astype(int)]

    # single configurations

    def default(self) -> Config:
        """The default configuration, active parameters only."""
        return self.canonical({p.name: p.default for p in self._parameters})

    def canonical(self, config: Config) -> dict[str, Value]:
        """``config`` without inactive parameters, in the order of ``names``."""
        active = ~np.isnan(self.encode([config])[0])
        return {n: config[n] for n, a in zip(self.names, active, strict=True) if a}

    def key(self, config: Config) -> str:
        """The same text for the same configuration, whatever inactive values it carries."""
        return json.dumps(self.canonical(config))

    def check(self, config: Config) -> None:
        """UserError unless ``config`` lies in the space: known names, allowed values, all active
        parameters and no inactive one, nothing forbidden."""
        for name in config:
            if name not in self._column:
                raise unknown("parameter", name, self.names)
        u = self.encode([config])
        active = ~np.isnan(self.deactivate(np.where(np.isnan(u), 0.5, u))[0])
        wanted = {name for name, a in zip(self.names, active, strict=True) if a}
        if missing := wanted - config.keys():
            raise UserError(
                f"expected a value for every active parameter, got none for {sorted(missing)} in {dict(config)}"
            )
        if extra := config.keys() - wanted:
            raise UserError(f"expected active parameters only, got inactive {sorted(extra)} in {dict(config)}")
        if not self.legal(u)[0]:
            raise UserError(f"a forbidden clause excludes {dict(config)}")

    def to_json(self) -> dict[str, Any]:
        """ConfigSpace's own serialised form, without version numbers."""
        whole = self.configspace.to_serialized_dict()
        return {k: whole[k] for k in ("hyperparameters", "conditions", "forbiddens")}


_COMPARE: tuple[tuple[str, Callable[[Any, Any], Any]], ...] = (
    ("LessThanEquals", operator.le), ("LessThan", operator.lt), ("GreaterThanEquals", operator.ge),
    ("GreaterThan", operator.gt), ("Equals", operator.eq),
)  # fmt: skip


def _from_json(text: str) -> Space:
    return Space(CS.ConfigurationSpace.from_serialized_dict({"name": None, "format_version": 0.4, **json.loads(text)}))


def _patterns(active: Mask) -> list[tuple[NDArray[np.intp], Mask]]:
    """The rows of each pattern of active columns."""
    if active.all():
        return [(np.arange(len(active)), active[0])] if len(active) else []
    patterns, which = np.unique(active, axis=0, return_inverse=True)
    order = np.argsort(which, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(which, minlength=len(patterns)))[:-1])
    return list(zip(rows, patterns, strict=True))
