"""The trial table of a page: every job, small enough to be carried in the page."""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.report.data import Data

if TYPE_CHECKING:
    import pandas as pd

MOST = 1_900_000
"""Bytes of the table in a page."""
_COLUMNS = ["task", "method", "seed", "trial", "job", "stop", "value", "test", "cost", "status", "config"]
_DIGITS, _CONFIG = 5, 3
"""Significant digits of values, and of parameters."""


def packed(value: Any) -> str:
    """``value`` as JSON, compressed, in letters: what the page's script unpacks."""
    return _compressed(_json(value))


def trials(data: Data, most: int = MOST) -> tuple[str, int]:
    """The table, in the form of :func:`packed`, and the number of its rows: all jobs, or, if they need more than
    ``most`` bytes, as many as fit, evenly over each run."""
    share = 1.0
    while True:
        jobs = data.jobs if share == 1 else _thinned(data.jobs, share)
        text = _compressed(_table(data, jobs))
        if len(text) <= most or len(jobs) < 2:
            return text, len(jobs)
        share *= 0.95 * most / len(text)


def _thinned(jobs: pd.DataFrame, share: float) -> pd.DataFrame:
    n = np.arange(len(jobs))
    kept: pd.DataFrame = jobs[np.floor((n + 1) * share) > np.floor(n * share)]
    return kept


def _table(data: Data, jobs: pd.DataFrame) -> str:
    """As JSON: columns; those of parameters per task, as each has its own."""
    methods, blocks = sorted(data.runs["method"].unique()), []
    number = {method: i for i, method in enumerate(methods)}
    for task, rows in jobs[_COLUMNS].groupby("task", sort=True):
        configs = json.loads(f"[{','.join(rows['config'])}]")  # one text is read faster than many
        known = data.runs.loc[data.runs["task"] == task, "space"].notna().all()
        seen = sorted({name for config in configs for name in config})
        names = data.space(str(task)).names if known else tuple(seen)  # imported runs may lack their space
        block = {
            "task": _json(str(task)),
            "method": _json(rows["method"].map(number).tolist()),
            "seed": _json(rows["seed"].tolist()),
            "trial": _json(rows["trial"].tolist()),
            "job": _json(rows["job"].tolist()),
            "fidelity": _column(rows["stop"], _DIGITS),
            "validation": _column(rows["value"], _DIGITS),
            "test": _column(rows["test"], _DIGITS),
            "seconds": _column(rows["cost"], 3),
            "status": _json(rows["status"].tolist()),
            "names": _json(list(names)),
            "config": f"[{','.join(_parameters([config.get(name) for config in configs]) for name in names)}]",
        }
        blocks.append(f"{{{','.join(f'{_json(name)}:{text}' for name, text in block.items())}}}")
    return f'{{"methods":{_json(methods)},"blocks":[{",".join(blocks)}]}}'


def _column(column: pd.Series[Any], digits: int) -> str:
    return _numbers(column.to_numpy(float, na_value=np.nan).tolist(), digits)


def _parameters(values: list[Any]) -> str:
    if set(map(type, values)) <= {float, type(None)}:
        return _numbers([math.nan if value is None else value for value in values], _CONFIG)
    return _json([float(f"{value:.{_CONFIG}g}") if type(value) is float else value for value in values])


def _numbers(values: list[float], digits: int) -> str:
    """A list, null for what is not finite; all of them in one go, which takes a third of the time."""
    text = ",".join([f"%.{digits}g"] * len(values)) % tuple(values)
    return f"[{re.sub('-?(nan|inf)', 'null', text)}]"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _compressed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")
