from __future__ import annotations

from hptbench.methods.default import Default
from hptbench.protocol import Budget
from hptbench.testing.methods import records_of
from hptbench.testing.problems import Bowl


def test_the_default_is_trained_to_the_end_once() -> None:
    task = Bowl()
    [record] = records_of(Default(), task, workers=4, budget=Budget(max_jobs=50))
    assert record.job.proposal.config == task.space.default()
    assert (record.job.start, record.job.stop) == (0, 27)
