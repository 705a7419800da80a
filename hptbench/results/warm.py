"""Methods that knew something before their runs began: of other tasks, or which configurations are good.

What they knew cost something that is in no budget of this study, so that they are never shown as if they had begun
cold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_METHODS = "hptbench.methods."
TOLD: Mapping[str, str] = {
    f"{_METHODS}start_from.StartFrom": "configurations to begin with",
    f"{_METHODS}ablr.ABLR": "past tasks",
    f"{_METHODS}bounding_box.BoundingBox": "past tasks",
    f"{_METHODS}quantile_transfer.QuantileTransfer": "past tasks",
    f"{_METHODS}rgpe.RGPE": "past tasks",
}
"""Classes that never begin cold, and with what they begin."""
_GIVEN = {"prior": "a prior", "configs": "configurations"}
"""Hyperparameters by which a person tells a method what is good; ``configs`` is a number elsewhere (``design``)."""


def warm_started(runs: pd.DataFrame) -> dict[str, str]:
    """label -> with what its runs began, and what that cost as far as is recorded; methods that began with nothing but
    the problem are left out. ``runs``: columns of ``runs.parquet``."""
    known = runs[["method", "method_class", "hyperparameters", "advice"]].drop_duplicates()
    out = {}
    for label, rows in known.groupby("method", sort=True):
        told = list(dict.fromkeys(word for row in rows.to_dict("records") for word in _told(row)))
        costs = [json.loads(text)["trainings"] for text in rows["advice"].dropna()]
        if costs:
            told.append(f"advice learnt from {_range(costs)} trainings on other data sets")
        elif (default := TOLD.get(str(rows["method_class"].iloc[0]))) and not told:
            told.append(f"{default}, at a cost that is not recorded")
        if told:
            out[str(label)] = " and ".join(told)
    return out


def _told(row: Mapping[Any, Any]) -> Iterator[str]:
    """What a person gave the method."""
    fields = json.loads(row["hyperparameters"]) if isinstance(row["hyperparameters"], str) else None
    settings = fields.get("settings") if isinstance(fields, dict) else None
    for given in (fields, settings):  # its own, and those of a method within it
        for name, what in _GIVEN.items():
            if isinstance(given, dict) and isinstance(given.get(name), dict | list) and given[name]:
                yield f"{what} given by hand, at a cost that is not recorded"


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
