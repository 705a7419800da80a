"""A search space: a compiled, vectorised view on ``ConfigSpace.ConfigurationSpace``.

Parameter types, conditions and forbidden clauses are ConfigSpace's own; here they are turned
once into array operations, so that ten thousand configurations cost a handful of NumPy calls.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import ConfigSpace as CS
import numpy as np
from ConfigSpace import forbidden as cs_forb
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown
from hptbench.parameters import Columns, Config, Floats, Kind, Mask, Parameter, Scale, Value

__all__ = ["Config", "Floats", "Kind", "Mask", "Space", "Value"]

_Test: TypeAlias = Callable[[Columns], Mask]

_REDRAWS = 1000


class Space:
    """What can be searched: ``d`` parameters, some of them active only under conditions.

    Arrays of configurations have the shape (n, d), one column per parameter in the order of
    ``names`` (parents before children), values in the unit cube, NaN where a parameter is inactive.
    """

    def __init__(self, configspace: CS.ConfigurationSpace) -> None:
        if len(configspace) == 0:
            raise UserError("expected a search space with at least one parameter, got an empty one")
        self.configspace = configspace
        self._parameters = [Parameter(hp) for hp in configspace.values()]
        self.names = tuple(p.name for p in self._parameters)
        self.kinds = tuple(p.kind for p in self._parameters)
        self.categorical = np.array([kind is Kind.CATEGORICAL for kind in self.kinds])
        """(d,) whether each parameter is a category without an order."""
        self.sizes = np.array([p.size for p in self._parameters])
        """(d,) number of values of each parameter; 0 for continuous ones."""
        self._column = {name: j for j, name in enumerate(self.names)}
        self._active_if = [self._conditions(name) for name in self.names]
        self._scale = Scale(self._parameters)
        self._forbidden = [self._clause(c) for c in configspace.forbidden_clauses]
        self.conditional = any(self._active_if)

    def __len__(self) -> int:
        return len(self.names)

    def __reduce__(self) -> tuple[Callable[[str], Space], tuple[str]]:
        return from_json, (json.dumps(self.to_json()),)

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
        x = self._columns(np.minimum(np.maximum(u, 0.0), 1.0))  # faster than clip on few rows
        out: list[dict[str, Value]] = [{}] * len(u)
        for rows, pattern in _patterns(~np.isnan(x).T):
            names = [n for n, a in zip(self.names, pattern, strict=True) if a]
            numbers = x[:, rows].tolist()
            columns = [p.plain(c) for p, c, a in zip(self._parameters, numbers, pattern, strict=True) if a]
            for i, row in zip(rows.tolist(), zip(*columns, strict=True), strict=True):
                out[i] = dict(zip(names, row, strict=True))
        return out

    def encode(self, configs: Sequence[Config]) -> Floats:
        """(n, d) points of the unit cube, NaN where inactive or absent; UserError for a value
        that is not allowed."""
        x = [[p.number(c[p.name]) if p.name in c else np.nan for c in configs] for p in self._parameters]
        u = self._scale.to_unit(np.array(x))
        return self.deactivate(u) if self.conditional else u

    def codes(self, u: Floats) -> Floats:
        """``u`` with categories and ordinals as positions 0 .. size-1 instead of unit values."""
        return np.where(self._scale.named, self._scale.from_unit(u).T, u)

    def from_codes(self, x: Floats) -> Floats:
        """The inverse of :meth:`codes`."""
        scale = self._scale
        return np.where(scale.named, scale.to_unit(np.where(scale.named, x, scale.lows.T).T), x)

    def snap(self, u: Floats) -> Floats:
        """``u`` with integers, ordinals and categories in the middle of their cells, NaN left alone: two points that
        stand for the same configuration become equal. Up to rounding :meth:`encode` of :meth:`decode`, but faster."""
        clipped = np.clip(u, 0.0, 1.0)
        return np.where(self.sizes > 0, self._scale.to_unit(self._scale.from_unit(clipped)), clipped)

    def cells(self, j: int) -> Floats:
        """(size + 1,) unit values where the cells of parameter ``j`` begin and end; 0 and 1 for a continuous one."""
        p = self._parameters[j]
        if not p.size:
            return np.array([0.0, 1.0])
        return p.cells if p.values else np.append(p.cell(p.low + np.arange(p.size, dtype=float))[0], 1.0)

    def cells_of(self, u: Floats) -> tuple[Floats, Floats]:
        """(n, d) each the lower and the upper edge of the cell of the unit interval that stands for the same value as
        the coordinate of ``u``; NaN for floats and where ``u`` is NaN."""
        x = self._scale.from_unit(np.clip(u, 0.0, 1.0))
        low, high = np.full(u.shape, np.nan), np.full(u.shape, np.nan)
        for j in np.flatnonzero(self.sizes).tolist():
            there = ~np.isnan(x[j])
            low[there, j], high[there, j] = self._parameters[j].cell(x[j, there])
        return low, high

    # conditions and clauses

    def deactivate(self, u: Floats) -> Floats:
        """``u`` with NaN in every inactive column."""
        if not self.conditional:
            return u
        return np.where(np.isnan(self._columns(u, strict=False)).T, np.nan, u)

    def legal(self, u: Floats) -> Mask:
        """(n,) whether no forbidden clause holds."""
        ok = np.ones(len(u), bool)
        if self._forbidden:
            x = self._columns(u)
            for clause in self._forbidden:
                ok &= ~clause(x)
        return ok

    def _columns(self, u: Floats, strict: bool = True) -> Columns:
        x = self._scale.from_unit(u)
        missing = np.isnan(x)
        for j, tests in enumerate(self._active_if):
            for test in tests:
                holds = test(x)
                x[j, ~holds] = np.nan
                missing[j] &= holds
        if strict and missing.any():
            j, i = np.argwhere(missing)[0]
            raise ValueError(f"parameter {self.names[j]!r} is active in row {i}, but its value is NaN")
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

    def _comparable(self, name: str) -> Callable[[Columns], Floats]:
        """A parameter's column as numbers that can be compared with another parameter's."""
        p, j = self._parameters[self._column[name]], self._column[name]
        if not p.values:
            return lambda x: x[j]
        if not all(isinstance(v, int | float) for v in p.values):
            raise UserError(f"parameter {name!r}: expected numbers in a forbidden relation, got {list(p.values)}")
        numbers = np.array([*map(float, p.values), np.nan])
        return lambda x: numbers[np.where(np.isnan(x[j]), -1, x[j]).astype(int)]

    # single parameters and configurations

    def place(self, name: str, value: Value | None = None) -> float:
        """Where ``value`` lies in the unit interval of a parameter, or its default value, for None; UserError if it is
        not allowed."""
        p, j = self._parameters[self._column[name]], self._column[name]
        x = self._scale.lows.copy()
        x[j] = p.number(p.default if value is None else value)
        return float(self._scale.to_unit(x)[0, j])

    def levels(self, name: str) -> tuple[Value, ...]:
        """The values of a category, an ordinal or a constant, in order; none of a number."""
        return self._parameters[self._column[name]].values

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


def from_json(text: str) -> Space:
    """The space whose :meth:`Space.to_json` is ``text``."""
    return Space(CS.ConfigurationSpace.from_serialized_dict({"name": None, "format_version": 0.4, **json.loads(text)}))


def _patterns(active: Mask) -> list[tuple[NDArray[np.intp], Mask]]:
    """The rows of each pattern of active columns."""
    if len(active) <= 1 or active.all():
        return [(np.arange(len(active)), active[0])] if len(active) else []
    patterns, which = np.unique(active, axis=0, return_inverse=True)
    order = np.argsort(which, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(which, minlength=len(patterns)))[:-1])
    return list(zip(rows, patterns, strict=True))
