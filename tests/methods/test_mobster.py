"""MOBSTER's sampler, and what it brings."""

from __future__ import annotations

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods.asha import ASHA
from hptbench.methods.mobster import MOBSTER, highest
from hptbench.protocol import Budget
from hptbench.testing.methods import incumbent, records_of
from hptbench.testing.problems import Bowl


def test_the_model_sees_the_highest_rungs_and_the_latest_in_each() -> None:
    level = np.array([0, 2, 0, 1, 0, 1])
    assert highest(level, 9).tolist() == [0, 1, 2, 3, 4, 5]
    assert highest(level, 4).tolist() == [1, 3, 4, 5]


def test_the_first_configurations_are_a_sobol_sequence_whatever_is_told() -> None:
    task = Bowl(over="sphere")
    runs = [
        records_of(MOBSTER(), t, seed=1, budget=Budget(max_jobs=30)) for t in (task, Bowl(over="sphere", flat=True))
    ]
    fresh = [[r.job.proposal.config for r in run if r.job.proposal.source is None] for run in runs]
    assert fresh[0][:6] == fresh[1][:6]
    assert fresh[0][6] != fresh[1][6]


def test_parallel_workers_do_not_propose_the_same() -> None:
    task = Bowl(over="sphere")
    records = records_of(MOBSTER(), task, seed=2, budget=Budget(max_jobs=40), workers=8)
    u = task.space.encode([r.job.proposal.config for r in records if r.job.proposal.source is None])
    apart = np.linalg.norm(u[:, None] - u, axis=2) + 9 * np.eye(len(u))
    assert apart.min() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["stopping", "promotion"])
def test_finds_more_than_asha(rule: str) -> None:
    task, budget = Bowl(over="sphere", noise=0.001), Budget(max_full_evals=10)
    own = [incumbent(records_of(MOBSTER(rule=rule), task, seed=s, budget=budget)) for s in range(3)]
    asha = [incumbent(records_of(ASHA(eta=3), task, seed=s, budget=budget)) for s in range(10)]
    assert np.median(own) < np.median(asha)


def test_refuses_settings_out_of_range() -> None:
    with pytest.raises(UserError, match="threshold"):
        MOBSTER(threshold=0)
