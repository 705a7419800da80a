"""What users give a tuner, in any of the forms that it may have. UserError for what it may not be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from hptbench import registry
from hptbench.errors import UserError, unknown
from hptbench.identity import encoded
from hptbench.methods.start_from import StartFrom
from hptbench.protocol import Budget, Method
from hptbench.space import Config


def chosen_method(
    method: str | Method, settings: Mapping[str, Any] | None, start: Sequence[Config]
) -> tuple[Method, dict[str, Any]]:
    """The method, and what it is as JSON. UserError for unknown names and settings."""
    if not isinstance(method, str):
        if settings:
            raise UserError(f"expected settings with a method's name, got them with an object: {method!r}")
        if start:
            raise UserError("expected start with a method's name, got it with an object; see method start_from")
        names = {cls: name for name, cls in registry.methods().items()}
        fields: dict[str, Any] = encoded(method, "method")
        name = names.get(type(method)) or fields["class"]
        return method, {"method": name, "settings": {k: v for k, v in fields.items() if k != "class"}, "start": []}
    cls: Any = registry.find("method", method)
    known = [f.name for f in dataclasses.fields(cls)]
    for name in settings or {}:
        if name not in known:
            raise unknown(f"setting of {method}", name, known)
    given = dict(settings or {})
    about = {
        "method": method,
        "settings": encoded(given, f"settings of {method}"),
        "start": encoded(list(start), "start"),
    }
    return (StartFrom(inner=method, settings=given, configs=about["start"]) if start else cls(**given)), about


def budget_of(given: float | Budget | Mapping[str, Any]) -> Budget:
    """Of a number of full evaluations, or of a budget's fields."""
    if isinstance(given, Mapping):
        given = made(Budget, given, "budget")
    if not isinstance(given, Budget):
        given = Budget(max_full_evals=numbers(given, 1, "budget to be a number of full evaluations")[0])
    for name in ("max_time", "cpu_hours", "gpu_hours", "energy_kwh"):
        if getattr(given, name) is not None:
            raise UserError(
                f"expected a budget in full evaluations or jobs, got {name}: that is measured of a study's jobs alone; "
                "stop asking when the time is up"
            )
    return given


def made(cls: Any, given: Mapping[str, Any], where: str) -> Any:
    """``cls`` with the fields given. UserError for what it does not take."""
    known = [f.name for f in dataclasses.fields(cls)]
    for name in given:
        if name not in known:
            raise unknown(f"field of {where}", name, known)
    try:
        return cls(**given)
    except TypeError as error:
        raise UserError(
            f"expected {where} to have the fields {', '.join(known)}, got {dict(given)}: {error}"
        ) from error


def whole(name: str, number: Any, least: int) -> int:
    """``number`` if it is a whole one and at least ``least``."""
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise UserError(f"expected {name} to be a whole number >= {least}, got {number!r}")
    return number


def pair(point: Any) -> tuple[float, Any]:
    """A point of a curve: fidelity and values."""
    if not isinstance(point, Sequence) or isinstance(point, str) or len(point) != 2:
        raise UserError(f"expected points of a curve to be pairs of fidelity and value, got {point!r}")
    return numbers(point[0], 1, "a fidelity")[0], point[1]


def names(name: str, given: Any) -> list[str]:
    """A list of texts."""
    if not isinstance(given, Sequence) or isinstance(given, str) or not all(isinstance(one, str) for one in given):
        raise UserError(f"expected {name} to be a list of names, got {given!r}")
    return list(given)


def numbers(given: Any, n: int, what: str) -> tuple[float, ...]:
    """``n`` numbers, of which one needs no sequence."""
    values = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    numeric = [isinstance(v, Real) and not isinstance(v, bool) for v in values]
    try:
        if len(values) == n and all(numeric):
            return tuple(map(float, values))
        got = repr(given)
    except OverflowError:
        got = "a whole number that no float can hold"
    raise UserError(f"expected {what}{f' ({n} numbers)' if n != 1 else ''}, got {got}")
