"""Methods on one data set with several outer splits, which are not independent: their test rows are each other's
training rows. What is concluded holds for this data set alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.results.table import DEFAULT, Scores
from hptbench.stats.bayes import Posterior
from hptbench.stats.pairwise import holm
from hptbench.stats.resampled import Corrected, corrected_t, correlated_t

if TYPE_CHECKING:
    import pandas as pd

_OF_SPLIT = ("split", "repeat", "fold", "outer_sha256")
"""What of a task's identity says which split it has."""


@dataclass(frozen=True)
class Resampled:
    """A pair of methods, over the splits of one data set."""

    a: str
    b: str
    splits: int
    rho: float
    """Share of the rows that a split tests on."""
    test: Corrected
    """Of the difference a minus b; negative: a is better."""
    p_holm: float
    """Over all pairs."""
    posterior: Posterior | None
    """With a ROPE."""


def resampled(found: Scores, runs: pd.DataFrame, methods: Sequence[str], rope: float | None) -> tuple[Resampled, ...]:
    """Each pair by the corrected resampled t test, if ``found`` is of one data set with several outer splits, the same
    in all else; else nothing. Seeds are averaged first."""
    if len(found.matrix) != 1 or len(found.tasks) < 2:
        return ()
    rho = _share(runs[(runs["method"] != DEFAULT) & runs["task"].isin(found.tasks.index.get_level_values("task"))])
    if rho is None:
        return ()
    pairs = [(a, b) for i, a in enumerate(methods) for b in methods[i + 1 :]]
    differences = [(found.tasks[a] - found.tasks[b]).to_numpy(float) for a, b in pairs]
    tests = [corrected_t(d, rho) for d in differences]
    return tuple(
        Resampled(a, b, len(d), rho, test, float(p), None if rope is None else correlated_t(d, rope, rho))
        for (a, b), d, test, p in zip(pairs, differences, tests, holm([test.p for test in tests]), strict=True)
    )


def _share(runs: pd.DataFrame) -> float | None:
    """The share of the rows that each split tests on; None where tasks differ in more than the split, or do not tell.

    OpenML's tasks tell the number of the fold alone: 1 / the number of folds seen, which is the share or more."""
    if "task_identity" not in runs:
        return None
    known: list[dict[str, Any]] = [json.loads(text) for text in runs["task_identity"].unique() if isinstance(text, str)]
    rest = {json.dumps({k: v for k, v in one.items() if k not in _OF_SPLIT}, sort_keys=True) for one in known}
    if len(rest) != 1 or len(known) != runs["task"].nunique():
        return None
    if "test_share" in known[0]:
        return float(known[0]["test_share"])
    folds = np.unique([one.get("fold", 0) for one in known])
    return 1 / len(folds) if len(folds) > 1 else None
