"""The methods of a study as configured, and with ``ablation`` each of its settings changed by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ValidationError

from hptbench.errors import UserError, unknown
from hptbench.provenance import FIELD


def configured(cfg: DictConfig) -> dict[str, DictConfig]:
    """Label -> node of the chosen methods and of their variants: of ``ablation={bohb: {eta: [2, 4]}}`` bohb_eta_2 and
    bohb_eta_4. UserError for an unknown method or hyperparameter, or nothing to change."""
    nodes = {str(label): node for label, node in (cfg.get("method") or {}).items()}
    asked = cfg.get("ablation") or {}
    if not isinstance(asked, DictConfig) and asked != {}:
        raise UserError(f"expected ablation to be like {{bohb: {{eta: [2, 4]}}}}, got {asked!r}")
    out = dict(nodes)
    for label, switches in asked.items():
        if label not in nodes:
            raise unknown("method of ablation", label, nodes)
        if not isinstance(switches, DictConfig) or not switches:
            raise UserError(f"expected ablation.{label} to map hyperparameters to lists of values, got {switches!r}")
        for name, values in switches.items():
            found = _variants(str(label), nodes[str(label)], str(name), values)
            if double := sorted(found.keys() & out.keys()):
                raise UserError(
                    f"{', '.join(double)} of ablation is a method of its own already; give that another label"
                )
            out |= found
    return out


def _variants(label: str, node: DictConfig, name: str, values: Any) -> Mapping[str, DictConfig]:
    known = [str(key) for key in node if key not in ("_target_", FIELD)]
    if name not in known:
        raise unknown(f"hyperparameter of {label}", name, known)
    if not isinstance(values, ListConfig) or not values:
        raise UserError(f"expected ablation.{label}.{name} to be a list of values, got {values!r}")
    found = {}
    for value in OmegaConf.to_container(values, resolve=True):  # type: ignore[union-attr]
        if value == node[name]:
            raise UserError(f"expected ablation.{label}.{name} to be other values than {label} has, got {value!r}")
        variant = f"{label}_{name}_{re.sub(r'[^A-Za-z0-9.]+', '_', str(value)).strip('_')}"
        try:
            merged = OmegaConf.merge(node, {name: value, FIELD: {"ablation": label}})
        except ValidationError as error:
            raise UserError(f"ablation.{label}.{name}: {str(error).splitlines()[0]}") from error
        assert isinstance(merged, DictConfig)
        if variant in found:
            raise UserError(f"ablation.{label}.{name} has two values that are both named {variant}; give one of them "
                            "as a method of its own")  # fmt: skip
        found[variant] = merged
    return found
