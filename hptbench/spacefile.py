"""Search spaces as YAML: a mapping from parameter names, so that a bound has an address.

    cost:   {type: float, lower: 1e-4, upper: 1e4, log: true, default: 1.0}
    kernel: {type: categorical, choices: [linear, rbf], default: rbf}
    gamma:  {type: float, lower: 1e-4, upper: 1e4, log: true, when: {kernel: rbf}}

Equal bounds make a constant. ``when`` maps a parent to the value, the list of values or the bound ({below: x},
{above: x}) that makes the parameter active; several parents must all agree. Another packaged space can be a part of
this one, so that its bounds are written once:

    svm:    {type: space, space: svm, when: {learner: svm}}

adds svm:cost, svm:kernel and the others, all active under their own conditions and this one; nothing if the learner has
no such choice. Whatever this cannot say,
a ``ConfigSpace.ConfigurationSpace`` given to :class:`hptbench.space.Space` can.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import ConfigSpace as CS

from hptbench.errors import UserError, unknown
from hptbench.space import Space

_FIELDS = {
    "float": {"lower", "upper", "log", "default"},
    "integer": {"lower", "upper", "log", "default"},
    "categorical": {"choices", "default"},
    "ordinal": {"choices", "default"},
    "constant": {"value"},
    "space": {"space"},
}
_OPTIONAL = {"log", "default"}


def space_from_yaml(
    parameters: Mapping[str, Mapping[str, Any]],
    where: str = "space",
    others: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> Space:
    """Build the space; UserError names the parameter and what is wrong with it. ``others``: spaces that may be a part
    of it, instead of the packaged ones."""
    configspace = CS.ConfigurationSpace()
    if not isinstance(parameters, Mapping):
        raise UserError(f"{where}: expected a mapping from parameter names, got {parameters!r}")
    parameters = _whole(parameters, where, others or {})
    for name, spec in parameters.items():
        configspace.add(_parameter(f"{where}.{name}", name, spec))
    for name, spec in parameters.items():
        conditions = [
            _condition(f"{where}.{name}.when", configspace, name, parent, value)
            for parent, value in (spec.get("when") or {}).items()
        ]
        if conditions:
            configspace.add(conditions[0] if len(conditions) == 1 else CS.AndConjunction(*conditions))
    return Space(configspace)


def space_of(given: Any) -> Space:
    """The space that ``given`` says, in whatever form: a Space, a ``ConfigSpace.ConfigurationSpace``, a mapping as
    above or as ConfigSpace serialises it, the path of a YAML or JSON file of either, the name of a packaged space.
    UserError for anything else, and for a mapping that is wrong."""
    if isinstance(given, Space):
        return given
    if isinstance(given, CS.ConfigurationSpace):
        return Space(given)
    if isinstance(given, Mapping):
        return _serialized(given) if "hyperparameters" in given else space_from_yaml(given)
    if isinstance(given, str) and "/" not in given and not given.endswith((".yaml", ".yml", ".json")):
        return packaged_space(given)
    if isinstance(given, str | Path):
        return space_of(_loaded(Path(given)))
    raise UserError(
        "expected a search space as a mapping from parameter names, a ConfigSpace.ConfigurationSpace, the path of a "
        f"YAML or JSON file, or the name of a packaged space, got {type(given).__name__}"
    )


def _serialized(given: Mapping[str, Any]) -> Space:
    """Of ConfigSpace's own form."""
    whole = {"name": None, "format_version": 0.4, "conditions": [], "forbiddens": [], **given}
    try:
        return Space(CS.ConfigurationSpace.from_serialized_dict(whole))
    except UserError:
        raise
    except Exception as error:  # whatever ConfigSpace makes of it
        raise UserError(
            f"expected a space as ConfigSpace serialises it, got one that it cannot read: {error!r}"
        ) from error


def _loaded(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"expected a search space in {path}, which cannot be read: {error}") from error
    if not isinstance(found, Mapping):
        raise UserError(f"expected a mapping from parameter names in {path}, got {type(found).__name__}")
    return found


def _whole(
    parameters: Mapping[str, Mapping[str, Any]],
    where: str,
    others: Mapping[str, Mapping[str, Mapping[str, Any]]],
    inside: tuple[str, ...] = (),
) -> dict[str, Mapping[str, Any]]:
    """The parameters with those of included spaces in place; ``inside``: the spaces that include this one."""
    out: dict[str, Mapping[str, Any]] = {}
    for name, spec in parameters.items():
        _check(f"{where}.{name}", spec)
        if spec["type"] != "space":
            out[name] = spec
            continue
        other = spec["space"]
        if not isinstance(other, str):
            raise UserError(f"{where}.{name}.space: expected the name of a space, got {other!r}")
        if other in inside:
            raise UserError(
                f"{where}.{name}: the spaces {' > '.join((*inside, other))} include each other; take one out"
            )
        if not _possible(parameters, spec.get("when") or {}):
            continue
        own = others[other] if other in others else _packaged(other)
        for inner, inner_spec in _whole(own, f"space.{other}", others, (*inside, other)).items():
            when = {f"{name}:{parent}": value for parent, value in (inner_spec.get("when") or {}).items()}
            out[f"{name}:{inner}"] = {**inner_spec, "when": when | dict(spec.get("when") or {})}
    return out


def _possible(parameters: Mapping[str, Mapping[str, Any]], when: Mapping[str, Any]) -> bool:
    """Whether the parents still have the choices that make a part active: they may have been taken out."""
    for parent, value in when.items():
        choices = parameters.get(parent, {}).get("choices")
        if choices is not None and not isinstance(value, list | tuple | Mapping) and value not in choices:
            return False
    return True


def _check(where: str, spec: Mapping[str, Any]) -> None:
    if not isinstance(spec, Mapping) or "type" not in spec:
        raise UserError(f"{where}: expected a mapping with a type ({', '.join(_FIELDS)}), got {spec!r}")
    kind = spec["type"]
    if kind not in _FIELDS:
        raise unknown(f"{where}: parameter type", kind, _FIELDS)
    got = set(spec) - {"type", "when"}
    for field in got - _FIELDS[kind]:
        raise unknown(f"{where}: field", field, _FIELDS[kind])
    if missing := _FIELDS[kind] - _OPTIONAL - got:
        raise UserError(f"{where}: expected {sorted(_FIELDS[kind])}, got no {sorted(missing)}")


def _parameter(where: str, name: str, spec: Mapping[str, Any]) -> Any:
    kind = spec["type"]
    try:
        if kind in ("float", "integer"):
            return _number(where, name, spec, kind)
        if kind == "constant":
            return CS.Constant(name, spec["value"])
        choices = list(spec["choices"])
        default = choices[0] if spec.get("default") is None else spec["default"]
        if kind == "ordinal":
            return CS.OrdinalHyperparameter(name, choices, default_value=default)
        return CS.CategoricalHyperparameter(name, choices, default_value=default)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where}: {error}; got {dict(spec)}") from error


def _number(where: str, name: str, spec: Mapping[str, Any], kind: str) -> Any:
    make: type[float] | type[int] = float if kind == "float" else int
    given = {field: float(spec[field]) for field in ("lower", "upper", "default") if spec.get(field) is not None}
    for field, value in given.items():
        if not math.isfinite(value):
            raise UserError(f"{where}.{field}: expected a finite number, got {spec[field]}")
        if kind == "integer" and not value.is_integer():
            raise UserError(f"{where}.{field}: expected a whole number, got {spec[field]}")
    low, high, log = make(given["lower"]), make(given["upper"]), spec.get("log", False)
    if not isinstance(log, bool):
        raise UserError(f"{where}.log: expected true or false, got {log!r}")
    if low > high:
        raise UserError(f"{where}: expected lower <= upper, got {low} > {high}")
    default = make(given["default"]) if "default" in given else None
    if default is not None and not low <= default <= high:
        raise UserError(f"{where}: expected a default in [{low}, {high}], got {default}; set {where}.default, too")
    if low == high:
        return CS.Constant(name, low)
    if kind == "float":
        return CS.Float(name, (low, high), log=log, default=default)
    return CS.Integer(name, (int(low), int(high)), log=log, default=None if default is None else int(default))


def _condition(where: str, configspace: CS.ConfigurationSpace, name: str, parent: str, value: Any) -> Any:
    if parent not in configspace:
        raise unknown(f"{where}: parameter", parent, list(configspace))
    child, above = configspace[name], configspace[parent]
    try:
        if isinstance(value, list | tuple):
            return CS.InCondition(child, above, list(value))
        if isinstance(value, Mapping):
            if set(value) == {"below"}:
                return CS.LessThanCondition(child, above, value["below"])
            if set(value) == {"above"}:
                return CS.GreaterThanCondition(child, above, value["above"])
            raise UserError(f"{where}.{parent}: expected {{below: x}} or {{above: x}}, got {dict(value)}")
        return CS.EqualsCondition(child, above, value)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}.{parent}: {error}") from error


@cache
def packaged_space(name: str) -> Space:
    """The space in ``conf/space/<name>.yaml`` as shipped."""
    return space_from_yaml(_packaged(name), where=f"space.{name}")


def packaged_parameters() -> dict[str, Mapping[str, Mapping[str, Any]]]:
    """All packaged spaces as they are written."""
    from hptbench.paths import conf_dir

    return {file.stem: _packaged(file.stem) for file in sorted((conf_dir() / "space").glob("*.yaml"))}


@cache
def _packaged(name: str) -> Mapping[str, Mapping[str, Any]]:
    import yaml

    from hptbench.paths import conf_dir

    files = {file.stem: file for file in (conf_dir() / "space").glob("*.yaml")}
    if name not in files:  # whatever else it may be the path of
        raise unknown("space", name, files)
    parameters: Mapping[str, Mapping[str, Any]] = yaml.safe_load(files[name].read_text(encoding="utf-8"))
    return parameters
