"""Where the hyperparameters of a method come from: its own defaults, a paper, or a tuning on something, at a cost.

The program sees what was changed; how it was chosen only its author knows, who says so in the method's configuration:

method.bohb.provenance=default
method.bohb.provenance='{paper: "Falkner et al., ICML 2018, appendix"}'
method.bohb.provenance='{tuned: {on: [digits, wine], cost: "12 h of processors"}}'

Nothing of it can change a result, so that no run's id depends on it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hptbench.errors import UserError
from hptbench.identity import as_json, encoded
from hptbench.protocol import Method

if TYPE_CHECKING:
    import pandas as pd

DEFAULT = "default"
FIELD = "provenance"
"""Of a method's configuration, beside its hyperparameters."""
_LONGEST = 60


def stated(label: str, method: Method, given: Any) -> Mapping[str, Any]:
    """What the author says of ``method``, checked: nothing, ``paper``, or ``tuned`` with ``on`` and ``cost``;
    ``ablation`` of a variant that ``ablation=`` made.

    UserError for anything else, and for "default" where hyperparameters differ from the defaults."""
    where = f"method.{label}.{FIELD}"
    if given is None:
        return {}
    if given == DEFAULT:
        if changed := _changed(method):
            raise UserError(f"{where} is {DEFAULT}, but {', '.join(changed)} differ from the defaults; say "
                            "{paper: …} or {tuned: {on: …, cost: …}}")  # fmt: skip
        return {}
    if isinstance(given, Mapping) and set(given) == {"paper"} and _is_text(given["paper"]):
        return {"paper": " ".join(given["paper"].split())}
    if isinstance(given, Mapping) and set(given) == {"ablation"} and _is_text(given["ablation"]):
        return dict(given)
    tuned = given.get("tuned") if isinstance(given, Mapping) and set(given) == {"tuned"} else None
    if isinstance(tuned, Mapping) and set(tuned) == {"on", "cost"}:
        on = [tuned["on"]] if isinstance(tuned["on"], str) else tuned["on"]
        if isinstance(on, list) and on and all(map(_is_text, on)) and _is_text(tuned["cost"]):
            return {"tuned": {"on": [name.strip() for name in on], "cost": " ".join(tuned["cost"].split())}}
    raise UserError(
        f"expected {where} to be {DEFAULT}, {{paper: WHICH}} or {{tuned: {{on: [DATA SETS], cost: 'HOW MUCH'}}}}, "
        f"in words, got {given!r}"
    )


def column(method: Method, said: Mapping[str, Any]) -> str:
    """'default', or JSON: what was ``changed``, and what was :func:`stated` about it."""
    changed = _changed(method)
    whole = ({"changed": changed} if changed else {}) | dict(said)
    return as_json(whole) if whole else DEFAULT


def by_method(runs: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Method -> values of the column in its ``runs``, mostly one."""
    return {str(m): tuple(sorted(set(of[FIELD]))) for m, of in runs.groupby("method")}


def words(text: str) -> str:
    """A value of the column for readers; empty for the defaults."""
    if text == DEFAULT:
        return ""
    known = json.loads(text)
    if "imported" in known:
        return "made elsewhere, not known"
    changed = ", ".join(f"{name}={_short(value)}" for name, value in known.get("changed", {}).items())
    parts = [changed or "the defaults"]
    if "paper" in known:
        parts.append(f"from {known['paper']}")
    if "ablation" in known:
        parts.append(f"one change of {known['ablation']}")
    if "tuned" in known:
        parts.append(f"tuned on {', '.join(known['tuned']['on'])} at a cost of {known['tuned']['cost']}")
    return ", ".join(parts) if is_said(text) else f"{changed}, how chosen is not said"


def is_said(text: str) -> bool:
    """The value of the column tells where changed hyperparameters come from."""
    return text == DEFAULT or not {"paper", "tuned", "ablation", "imported"}.isdisjoint(json.loads(text))


def tuned_on(text: str) -> list[str]:
    """Data sets that the hyperparameters were tuned on."""
    return [] if text == DEFAULT else list(json.loads(text).get("tuned", {}).get("on", []))


def _changed(method: Method) -> dict[str, Any]:
    """The hyperparameters that differ from the class's own."""
    out = {}
    for f in dataclasses.fields(method):  # type: ignore[arg-type]
        default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
        if getattr(method, f.name) != default:
            out[f.name] = encoded(getattr(method, f.name), f.name)
    return out


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else as_json(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
