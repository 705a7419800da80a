"""What a method or a task is, as JSON and as a hash: all that can change a result, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np


def encoded(thing: Any, where: str) -> Any:
    """``thing`` as JSON that says all that it is: dataclasses as their class and fields.

    TypeError for what has no such form: an address or the order of a set would be in the run's id."""
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        fields = {f.name: encoded(getattr(thing, f.name), f"{where}.{f.name}") for f in dataclasses.fields(thing)}
        return {"class": class_of(thing)} | fields
    if isinstance(thing, Mapping):
        return {str(key): encoded(value, f"{where}.{key}") for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [encoded(value, f"{where}[{i}]") for i, value in enumerate(thing)]
    if isinstance(thing, Enum):
        return encoded(thing.value, where)
    if isinstance(thing, np.generic):
        return thing.item()
    if thing is None or isinstance(thing, str | bool | int | float):
        return thing
    raise TypeError(f"{where}: expected numbers, text, lists, mappings or dataclasses, got {type(thing).__name__}")


def class_of(thing: object) -> str:
    """The full name of its class."""
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def as_json(thing: Any) -> str:
    """Equal things give equal text."""
    return json.dumps(thing, sort_keys=True)


def digest(thing: Any) -> str:
    """Twelve hexadecimal digits of what has a form in JSON."""
    return hashlib.blake2b(as_json(thing).encode(), digest_size=6).hexdigest()
