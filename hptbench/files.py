"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """``write`` a file so that ``path`` is never seen half-written, whenever the process dies."""
    # Machines may share the folder, and their processes have the same numbers.
    part = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}")
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
