from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from hptbench.results.drift import block_curves, complete, deployed, differences, drift_table, unit_scores
from hptbench.results.schema import JOBS, RUNS
from hptbench.stats.intervals import t_interval

Job = tuple[int, float | None, float]
"""(block, validation or None: failed, score on the next block)"""


def study(runs: dict[tuple[str, str, int], Sequence[Job]], blocks: int = 2, unit: str = "block") -> pd.DataFrame:
    """What is deployed in {(task, method, seed): jobs}; the unit of task ``u-x`` is ``u``."""
    job_rows, run_rows = [], []
    for (task, method, seed), jobs in runs.items():
        key = {"task": task, "method": method, "seed": seed, "run": f"id{seed}"}
        high = {"high": float(blocks), "fidelity_unit": unit}
        run_rows.append(key | {"unit": task.split("-")[0], "objective": "error"} | high)
        for block, value, test in jobs:
            status = "failed" if value is None else "ok"
            job_rows.append(key | {"stop": float(block), "status": status, "value": value, "test": test})
    assert set(job_rows[0]) <= {c.name for c in JOBS}
    assert set(run_rows[0]) <= {c.name for c in RUNS}
    return deployed(pd.DataFrame(job_rows).astype({"value": float}), pd.DataFrame(run_rows))


def even(value: float, seed: int = 0) -> list[Job]:
    return [(1, 0.1, value + seed), (2, 0.2, value + 2 * seed)]


def test_deployed_is_the_best_of_each_block_by_validation_and_the_first_among_equals() -> None:
    jobs = [(1, 0.5, 1.0), (1, 0.3, 2.0), (2, 0.1, 3.0), (1, 0.3, 4.0), (2, None, 0.0), (2, 0.2, 0.0)]
    rows = study({("t", "m", 0): jobs, ("s", "m", 7): jobs[::-1]})
    assert rows[["task", "seed", "block", "value", "test"]].to_numpy().tolist() == [
        ["s", 7, 1, 0.3, 4.0], ["s", 7, 2, 0.1, 3.0], ["t", 0, 1, 0.3, 2.0], ["t", 0, 2, 0.1, 3.0],
    ]  # fmt: skip


def test_blocks_without_a_score_are_kept_as_gaps_and_their_methods_are_not_complete() -> None:
    rows = study({
        ("t", "gap", 0): [(2, 0.1, 1.0)],
        ("t", "failed", 0): [(1, None, 1.0), (2, 0.1, 1.0)],
        ("t", "unscored", 0): [(1, 0.1, math.nan), (2, 0.1, 1.0)],
        ("t", "infinite", 0): [(1, 0.1, math.inf), (2, 0.1, 1.0)],
        ("t", "one of two", 0): even(1.0),
        ("t", "one of two", 1): [(1, 0.1, 1.0)],
        ("t", "whole", 0): even(1.0),
        ("t", "whole", 1): even(1.0),
    })  # fmt: skip
    assert len(rows) == 16
    assert set(complete(rows)["method"]) == {"whole"}


def test_tasks_without_blocks_are_left_out() -> None:
    assert len(study({("t", "m", 0): even(1.0)}, unit="epoch")) == 0
    assert len(complete(study({("t", "m", 0): even(1.0)}, unit="epoch"))) == 0


def test_the_measure_is_the_mean_over_blocks_with_its_interval_over_seeds() -> None:
    rows = study({("t", "m", seed): even(10.0, seed) for seed in range(4)})
    [row] = drift_table(rows).to_dict("records")
    mean, low, high = t_interval([10 + 1.5 * seed for seed in range(4)])
    assert (row["task"], row["method"], row["objective"], row["runs"]) == ("t", "m", "error", 4)
    assert [row["test"], row["test_low"], row["test_high"]] == pytest.approx([mean, low, high])
    assert row["validation"] == pytest.approx(0.15)
    curves = block_curves(rows)
    assert curves["block"].tolist() == [1, 2]
    assert curves["mean"].tolist() == pytest.approx([11.5, 13.0])
    expected = t_interval(np.array([[10.0 + s, 10.0 + 2 * s] for s in range(4)]))
    assert curves["low"].tolist() == pytest.approx(expected.low.tolist())
    assert curves["seeds"].tolist() == [4, 4]


def test_differences_are_paired_by_the_seeds_that_both_have() -> None:
    """The spread over seeds that both share is not in the interval."""
    rows = study({
        **{("t", "a", seed): even(100.0 * seed + seed % 2) for seed in range(5)},
        **{("t", "b", seed): even(100.0 * seed + 3) for seed in range(1, 6)},
    })  # fmt: skip
    [row] = differences(rows).to_dict("records")
    mean, low, high = t_interval([-2.0, -3.0, -2.0, -3.0])
    assert (row["first"], row["second"], row["seeds"]) == ("a", "b", 4)
    assert [row["minus"], row["minus_low"], row["minus_high"]] == pytest.approx([mean, low, high])
    assert differences(study({("t", "a", 0): even(1.0)})).empty


def test_scores_of_a_unit_are_in_terms_of_the_mean_of_the_methods() -> None:
    rows = study({
        ("u-1", "a", 0): even(1.0), ("u-1", "b", 0): even(3.0), ("u-1", "c", 0): even(1.0),
        ("u-2", "a", 0): even(10.0), ("u-2", "b", 0): even(10.0),
        ("v-1", "a", 0): even(30.0), ("v-1", "b", 0): even(10.0),
    })  # fmt: skip
    matrix = unit_scores(rows)
    assert list(matrix.columns) == ["a", "b"], "c is not on every task"
    assert matrix.to_numpy().tolist() == [[0.75, 1.25], [1.5, 0.5]]
