from __future__ import annotations

import math

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods.median_stopping import MedianStopping, median, steps
from hptbench.protocol import Budget, Fidelity, Point, Proposal, Report, Status
from hptbench.testing.methods import problem_of, records_of
from hptbench.testing.problems import Bowl

FOUR = Bowl(over="sphere", noise=0.0, fidelity=Fidelity(1, 4, "epoch", continues=True))
# Curves of one trial after the other, over epochs 1 to 4.
CURVES = [
    [4, 4, 4, 4],
    [8, 2, 2, 4],  # averages 8, 5, 4, 4
    [5, 3, 1, 1],  # best 5 > none yet: a population of 2 from here on
    [7, 9, 0, 0],
    [1, 9, 9, 9],
]  # fmt: skip


def run(method: MedianStopping, curves: list[list[float]], jobs: int) -> list[tuple[int, float]]:
    """With one worker: (trial, fidelity) of each job."""
    search = method.begin(problem_of(FOUR), np.random.default_rng(0))
    done = []
    for job in range(jobs):
        [proposal] = search.ask(1, [])
        trial, stop = int(proposal.note["trial"]), float(proposal.fidelity or 0)
        value = curves[trial][int(stop) - 1]
        failed = not math.isfinite(value)
        status, curve = (Status.FAILED, ()) if failed else (Status.OK, (Point(stop, (value,)),))
        search.tell([Report(job, trial, proposal, stop, status, (value,), curve, 1.0)])
        done.append((trial, stop))
    return done


def test_golden_trace() -> None:
    """Population 2. Trial 2: 5 <= median(4, 8) = 6, then best 3 <= median(4, 5) = 4.5, to the end (averages 5, 4, 3,
    2.5). Trial 3: 7 > median(4, 5, 8) = 5 at step 1: stops, which makes averages 4, 5, 7, 8 there. Trial 4: best 1 is
    never worse than any median."""
    done = run(MedianStopping(grace_population=2), CURVES, 17)
    assert done == [
        *[(0, e) for e in (1, 2, 3, 4)], *[(1, e) for e in (1, 2, 3, 4)], *[(2, e) for e in (1, 2, 3, 4)],
        (3, 1),
        *[(4, e) for e in (1, 2, 3, 4)],
    ]  # fmt: skip


def test_only_a_strictly_worse_best_stops() -> None:
    equal = [[4.0] * 4] * 9
    assert run(MedianStopping(grace_population=1), equal, 36) == [(t, e) for t in range(9) for e in (1, 2, 3, 4)]


def test_grace() -> None:
    """The second trial is much worse: it stops at once, after the grace time, or never for lack of others."""
    curves = [[1.0] * 4, [9.0] * 4, [9.0] * 4]
    assert run(MedianStopping(grace_population=1), curves, 6) == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (2, 1)]
    late = run(MedianStopping(grace_population=1, grace_time=3), curves, 9)
    assert late[4:] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]
    never = run(MedianStopping(), curves, 12)
    assert never == [(t, e) for t in range(3) for e in (1, 2, 3, 4)]


def test_failures_end_a_trial_and_count_as_infinite() -> None:
    """Trial 1 fails at step 2: then the median there, of 4 and inf, stops nobody, and nor is a sum of inf told on."""
    curves = [[4.0] * 4, [4, math.inf, 0, 0], [4, 99, 99, 99]]
    done = run(MedianStopping(grace_population=2), curves, 8)
    assert done == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (1, 2), (2, 1), (2, 2)]
    assert run(MedianStopping(grace_population=2), [[math.inf] * 4] * 5, 5) == [(t, 1) for t in range(5)]


@pytest.mark.parametrize(
    ("fidelity", "step", "expected"),
    [
        (Fidelity(1, 4, continues=True), None, (1, 2, 3, 4)),
        (Fidelity(3, 10, continues=True), None, (3, 6, 9, 10)),
        (Fidelity(3, 81), None, (3, 9, 27, 81)),
        (Fidelity(0.25, 1, "share", integer=False), None, (1 / 3, 1)),
        (Fidelity(1, 10), 4.0, (1, 5, 9, 10)),
        (Fidelity(1, 9), 4.0, (1, 5, 9)),
        (Fidelity(0.25, 1, "share", integer=False, continues=True), None, (0.25, 0.5, 0.75, 1)),
        (Fidelity(1, 4), 0.4, (1, 2, 3, 4)),
        (Fidelity(5, 5), None, (5,)),
        (Fidelity(1, 4), 99.0, (1, 4)),
    ],
)
def test_steps(fidelity: Fidelity, step: float | None, expected: tuple[float, ...]) -> None:
    assert steps(fidelity, step) == expected


def test_median() -> None:
    for n in range(1, 9):
        values = sorted(np.random.default_rng(n).normal(size=n).tolist())
        assert median(values) == pytest.approx(np.median(values))
    assert median([1.0, math.inf]) == math.inf


def test_saves_training_with_parallel_workers() -> None:
    task = Bowl(over="sphere", noise=0.0)
    records = records_of(MedianStopping(step=3), task, budget=Budget(max_full_evals=30), workers=4)
    trials = {r.job.trial for r in records}
    ended = {r.job.trial for r in records if r.job.stop == 27}
    assert len(trials) > 45
    assert 5 <= len(ended) < 0.6 * len(trials)
    assert {r.job.stop for r in records} == {1, 4, 7, 10, 13, 16, 19, 22, 25, 27}


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(UserError, match=r"median_stopping\.step > 0"):
        MedianStopping(step=0.0)
    with pytest.raises(UserError, match="grace_population >= 1"):
        MedianStopping(grace_population=0)


def test_foreign_reports_are_no_trials() -> None:
    search = MedianStopping(grace_population=1).begin(problem_of(FOUR), np.random.default_rng(0))
    for job in range(9):
        search.tell([Report(job, job, Proposal({"a": 0.1}), 1.0, Status.OK, (-9.0,), (), 1.0)])
    [proposal] = search.ask(1, [])
    search.tell([Report(9, 9, proposal, 1.0, Status.OK, (5.0,), (), 1.0)])
    assert search.ask(1, [])[0].source == 9


def test_points_count_once_where_trainings_begin_anew_and_only_finite_ones() -> None:
    """Each of five trials reports all points up to its stop, at every stop: their averages are 9, 5, 4, 3."""
    search = MedianStopping(grace_population=5).begin(problem_of(FOUR), np.random.default_rng(0))
    epochs = [(1.0, 9.0), (1.5, math.nan), (1.7, math.inf), (2.0, 1.0), (3.0, 2.0), (4.0, 0.0)]
    for job in range(20):
        [proposal] = search.ask(1, [])
        stop = float(proposal.fidelity or 0)
        curve = tuple(Point(e, (v,)) for e, v in epochs if e <= stop)
        search.tell([Report(job, job // 4, proposal, stop, Status.OK, curve[-1].values, curve, 1.0)])
    assert search._completed == [[9.0] * 5, [5.0] * 5, [4.0] * 5, [3.0] * 5]
