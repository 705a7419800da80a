"""The trial table of a page: every job, small enough to be carried in the page."""

from __future__ import annotations

import base64
import gzip
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.report.data import Data

if TYPE_CHECKING:
    import pandas as pd

MOST = 1_900_000
"""Bytes of the table in a page."""
_DIGITS, _CONFIG = 5, 3
"""Significant digits of values, and of parameters."""


def packed(value: Any) -> str:
    """``value`` as JSON, compressed, in letters: what the page's script unpacks."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")


def trials(data: Data, most: int = MOST) -> tuple[str, int]:
    """The table :func:`packed`, and the number of its rows: all jobs, or, if they need more than ``most`` bytes, as
    many as fit, evenly over each run."""
    share = 1.0
    while True:
        jobs = data.jobs if share == 1 else _thinned(data.jobs, share)
        text = packed(_table(data, jobs))
        if len(text) <= most or len(jobs) < 2:
            return text, len(jobs)
        share *= 0.95 * most / len(text)


def _thinned(jobs: pd.DataFrame, share: float) -> pd.DataFrame:
    n = np.arange(len(jobs))
    kept: pd.DataFrame = jobs[np.floor((n + 1) * share) > np.floor(n * share)]
    return kept


def _table(data: Data, jobs: pd.DataFrame) -> dict[str, Any]:
    """Columns; those of parameters per task, as each has its own."""
    blocks = []
    for task, rows in jobs.groupby("task", sort=True):
        configs = json.loads(f"[{','.join(rows['config'])}]")  # one text is read faster than many
        known = data.runs.loc[data.runs["task"] == task, "space"].notna().all()
        seen = sorted({name for config in configs for name in config})
        names = data.space(str(task)).names if known else tuple(seen)  # imported runs may lack their space
        blocks.append(
            {
                "task": str(task),
                "method": rows["method"].map({m: i for i, m in enumerate(_methods(data))}).tolist(),
                "seed": rows["seed"].tolist(),
                "trial": rows["trial"].tolist(),
                "job": rows["job"].tolist(),
                "fidelity": _numbers(rows["stop"], _DIGITS),
                "validation": _numbers(rows["value"], _DIGITS),
                "test": _numbers(rows["test"], _DIGITS),
                "seconds": _numbers(rows["cost"], 3),
                "status": rows["status"].tolist(),
                "names": list(names),
                "config": [_parameters([config.get(name) for config in configs]) for name in names],
            }
        )
    return {"methods": _methods(data), "blocks": blocks}


def _methods(data: Data) -> list[str]:
    return sorted(data.runs["method"].unique())


def _numbers(column: pd.Series[Any], digits: int) -> list[float | None]:
    values = column.to_numpy(float, na_value=np.nan).tolist()
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values]


def _parameters(values: list[Any]) -> list[Any]:
    return [float(f"{value:.{_CONFIG}g}") if type(value) is float else value for value in values]
