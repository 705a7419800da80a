"""A parquet file that a task's field ``path`` names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hptbench.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def read_parquet(file: Path, what: str) -> pd.DataFrame:
    """A file of the user's. UserError if it is not there or cannot be read."""
    import pandas as pd
    import pyarrow

    if not file.is_file():
        raise UserError(f"expected the parquet file of a {what}, found no {file}; correct path")
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise UserError(f"{file}: expected a parquet file, got: {error}; write it anew") from error
