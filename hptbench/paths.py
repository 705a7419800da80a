"""Where the files that ship with the package lie: beside it in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(folder: str) -> Path:
    inside = _PACKAGE / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


def conf_dir() -> Path:
    """The folder of the Hydra configuration."""
    return _shipped("conf")


def surrogates_dir() -> Path:
    """The folder of the surrogate benchmarks."""
    return _shipped("surrogates")
