"""A search space that nobody states, inferred from the configurations that were tried."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from hptbench.errors import UserError
from hptbench.space import Config, Space
from hptbench.spacefile import space_from_yaml

_LOG = 100
"""Numbers above 0 whose largest is so many times the least are searched on a log scale."""
EXACT = 2**53
"""Whole numbers below it are exact as floating-point numbers; larger ones are searched as those."""


def inferred_space(configs: Sequence[Config]) -> Space:
    """The least space that holds ``configs``: numbers from the least to the largest that was tried, everything else as
    categories. The same configurations, in whatever order, give the same space.

    A parameter that some configurations lack is conditional where another one, categorical and there whenever it is,
    tells when: its values with and without the parameter are different. Of several such, the one whose name begins
    most alike. Where none tells, the parameter is always active, so that those configurations are not complete.
    UserError if there are no parameters."""
    names = sorted({name for config in configs for name in config})
    if not names:
        raise UserError("expected configurations with parameters, got none: there is nothing to tune")
    specs = {name: _spec([config[name] for config in configs if name in config]) for name in names}
    there = {name: frozenset(i for i, config in enumerate(configs) if name in config) for name in names}
    for name in names:
        if len(there[name]) == len(configs):
            continue
        found = []
        for parent in names:
            if specs[parent]["type"] != "categorical" or not there[name] < there[parent]:
                continue
            active = {configs[i][parent] for i in there[name]}
            if not active & {configs[i][parent] for i in there[parent] - there[name]}:
                alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(parent, name, strict=False)))
                found.append((-alike, parent, active))
        if found:
            _, parent, active = min(found, key=lambda one: one[:2])
            specs[name]["when"] = {parent: sorted(active, key=str)}
    return space_from_yaml(specs, where="inferred space")


def _spec(values: Sequence[Any]) -> dict[str, Any]:
    """As a space file says it."""
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return {"type": "categorical", "choices": sorted(set(values), key=str)}
    low, high = min(values), max(values)
    if low == high:
        return {"type": "constant", "value": low}
    whole = all(float(value).is_integer() and abs(value) < EXACT for value in values)
    kind = "integer" if whole else "float"
    return {"type": kind, "lower": low, "upper": high, "log": low > 0 and high >= _LOG * low}
