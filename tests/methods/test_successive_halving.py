from __future__ import annotations

from hptbench.methods.successive_halving import SuccessiveHalving
from hptbench.protocol import Budget, Fidelity
from hptbench.testing.methods import records_of
from hptbench.testing.problems import Bowl

TASK = Bowl(over="sphere", noise=0.0, fidelity=Fidelity(1, 27, "epoch", continues=True))


def test_golden_trace_the_bracket_with_most_configurations_again_and_again() -> None:
    records = records_of(SuccessiveHalving(), TASK, budget=Budget(max_jobs=80))
    assert [r.job.stop for r in records] == ([1] * 27 + [3] * 9 + [9] * 3 + [27]) * 2
    losses = {r.job.id: r.outcome.curve[-1].values[0] for r in records}
    for begin in (0, 40):
        jobs = list(range(begin, begin + 27))
        for size, first in ((9, 27), (3, 36), (1, 39)):
            best = sorted(jobs, key=lambda job: losses[job])[:size]
            jobs = list(range(begin + first, begin + first + size))
            assert [records[job].job.proposal.source for job in jobs] == best
    assert len({r.job.trial for r in records}) == 54, "promotions go on with their trial"
    assert [r.job.start for r in records[27:40]] == [1] * 9 + [3] * 3 + [9]


def test_another_eta() -> None:
    records = records_of(SuccessiveHalving(eta=2), TASK, budget=Budget(max_jobs=31))
    assert [r.job.stop for r in records] == [2] * 16 + [3] * 8 + [7] * 4 + [14] * 2 + [27]
