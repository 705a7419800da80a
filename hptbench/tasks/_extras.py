"""Libraries that only some families of tasks need."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from hptbench.errors import UserError


def folder_of(module: str, package: str, extra: str) -> Path:
    """Where an optional library is installed, without importing it; UserError if it is not."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise UserError(f'this task needs {package}, which is not installed; pip install "hptbench[{extra}]"')
    return Path(spec.origin).parent
