"""The search space of a task: the packaged one of its model, or what a suite or the command line gives instead."""

from __future__ import annotations

from typing import Any

from hptbench.errors import unknown
from hptbench.space import Space
from hptbench.spacefile import packaged_space, space_from_yaml


def resolved(given: Any, name: str, model: str) -> Space:
    """``given`` (a space, or parameters as in YAML, or None) as a space of parameters that the packaged space
    ``name`` has; UserError for others. It may lack some, which then keep the model's defaults."""
    packaged = packaged_space(name)
    if given is None:
        return packaged
    space = given if isinstance(given, Space) else space_from_yaml(given, where=f"space.{name}")
    for parameter in space.names:
        if parameter not in packaged.names:
            raise unknown(f"parameter of {model}", parameter, packaged.names)
    return space
