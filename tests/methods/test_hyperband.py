from __future__ import annotations

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods.hyperband import Hyperband
from hptbench.protocol import Budget, Fidelity
from hptbench.testing.methods import problem_of, records_of
from hptbench.testing.problems import Bowl

TASK = Bowl(over="sphere", noise=0.0, fidelity=Fidelity(1, 81, "epoch", continues=True))


@pytest.mark.parametrize(
    ("table", "rungs"),
    [
        (
            "paper",
            "81@1 27@3 9@9 3@27 1@81  34@3 11@9 3@27 1@81  15@9 5@27 1@81  8@27 2@81  5@81  81@1 27@3",
        ),
        (
            "hpbandster",
            "81@1 27@3 9@9 3@27 1@81  27@3 9@9 3@27 1@81  9@9 3@27 1@81  6@27 2@81  5@81  81@1 27@3",
        ),
    ],
)
def test_golden_sequence_with_one_worker(table: str, rungs: str) -> None:
    golden = [float(r) for n, r in (rung.split("@") for rung in rungs.split()) for _ in range(int(n))]
    records = records_of(Hyperband(table=table), TASK, budget=Budget(max_jobs=len(golden)))
    assert [r.job.stop for r in records] == golden
    for record in records:
        source = record.job.proposal.source
        assert (source is None) == (record.job.proposal.note["rung"] == 0)
        if source is not None:
            assert records[source].job.stop * 3 == record.job.stop
            assert records[source].job.proposal.config == record.job.proposal.config


def test_a_bracket_s_training_is_about_equal() -> None:
    """Every bracket of R = 81 spends at most (s_max + 1) R = 405 epochs from zero (Li et al., Section 3)."""
    records = records_of(Hyperband(), TASK, budget=Budget(max_jobs=206))
    spent = np.zeros(5)
    for record in records:
        spent[record.job.proposal.note["bracket"]] += record.job.stop
    assert spent.tolist() == [405, 363, 351, 378, 405]


def test_unknown_tables_and_missing_fidelities_are_refused() -> None:
    with pytest.raises(UserError, match="Known: hpbandster, paper"):
        Hyperband(table="ray").begin(problem_of(TASK), np.random.default_rng(0))
    with pytest.raises(UserError, match="with a fidelity"):
        Hyperband().begin(problem_of(Bowl(fidelity=None)), np.random.default_rng(0))
