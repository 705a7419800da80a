from __future__ import annotations

import math

import numpy as np
import pytest

from hptbench.methods.moasha import MOASHA, FrontRung, epsilon_net
from hptbench.protocol import Budget, Proposal, Report, Status
from hptbench.space import Floats
from hptbench.testing.methods import problem_of, records_of
from hptbench.testing.problems import Bowl

TASK = Bowl(over="sphere", noise=0.0, objectives=("loss0", "loss1"))


def report(job: int, *values: float) -> Report:
    status = Status.OK if math.isfinite(values[0]) else Status.FAILED
    return Report(job, job, Proposal({"x": job}), 1.0, status, values, (), 1.0)


def plain_order(points: Floats) -> list[int]:
    """The whole order: Pareto fronts peeled off one by one, each by its epsilon-net; failed rows come last."""
    left, order = [i for i in range(len(points)) if np.isfinite(points[i]).all()], list[int]()
    while left:
        front = [
            i for i in left if not any((points[j] <= points[i]).all() and (points[j] < points[i]).any() for j in left)
        ]  # fmt: skip
        low, high = points[front].min(axis=0), points[front].max(axis=0)
        scaled = {i: (points[i] - low) / np.where(high > low, high - low, 1) for i in front}
        net = [min(front, key=lambda i: (scaled[i][0], i))]
        while len(net) < len(front):
            rest = [i for i in front if i not in net]
            net.append(max(rest, key=lambda i: (min(np.sum((scaled[i] - scaled[j]) ** 2) for j in net), -i)))
        order += net
        left = [i for i in left if i not in front]
    return order


def test_epsilon_net_by_hand() -> None:
    """On a line of four: the least in the first objective, the other end, then the middle ones by their distance."""
    points = np.array([[2.0, 1.0], [0.0, 40.0], [1.0, 10.0], [4.0, 0.0]])
    assert epsilon_net(points).tolist() == [1, 3, 2, 0]  # scaled (.5, .025), (0, 1), (.25, .25), (1, 0)
    assert epsilon_net(np.zeros((3, 2))).tolist() == [0, 1, 2]
    assert epsilon_net(np.array([[1.0, 1.0]])).tolist() == [0]


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_a_rung_promotes_in_the_plain_order(seed: int, objectives: int) -> None:
    """One promotion at most per arrival, ties and failures included."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 9, (45, objectives)).astype(float)
    points[rng.random(45) < 0.1] = math.inf
    rung, promoted = FrontRung(objectives), set[int]()
    for n in range(1, 46):
        rung.add(report(n - 1, *points[n - 1]))
        order = plain_order(points[:n])
        expected = next((i for i in order[: n // 3] if i not in promoted), None)
        found = rung.promotable(3)
        assert (found.job if found else None) == expected
        if found:
            promoted.add(found.job)
            rung.promote(found)


@pytest.mark.parametrize("seed", range(3))
def test_a_rung_lets_go_on_by_the_plain_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 9, (45, 2)).astype(float)
    points[rng.random(45) < 0.1] = math.inf
    rung, went_on = FrontRung(2), 0
    for n in range(1, 46):
        told = report(n - 1, *points[n - 1])
        rung.add(told)
        order = plain_order(points[:n])
        expected = n - 1 in order and order.index(n - 1) * 3 <= n
        assert rung.continues(told, 3) == expected
        went_on += expected
    assert 10 < went_on < 25


@pytest.mark.parametrize("rule", ["promotion", "stopping"])
def test_nothing_dominated_is_trained_to_the_end_before_what_dominates_it(rule: str) -> None:
    """Both objectives of this task are equal, so that the order is that of one."""
    records = records_of(MOASHA(rule=rule), TASK, budget=Budget(max_jobs=200), workers=5)
    counts = [sum(r.job.stop == stop for r in records) for stop in (1, 3, 9)]
    assert counts[0] > 2 * counts[1] > 3 * counts[2] > 0
    distances = {
        s: np.mean([
            np.sum((TASK.space.encode([r.job.proposal.config])[0] - 0.3) ** 2) for r in records if r.job.stop == s
        ])
        for s in (1, 3, 9)
    }  # fmt: skip
    assert distances[1] > distances[3] > distances[9]


def test_speed() -> None:
    """2,000 arrivals and promotions of two objectives."""
    import time

    began = time.process_time()
    rung = FrontRung(2)
    for job, point in enumerate(np.random.default_rng(0).random((2000, 2))):
        rung.add(report(job, *point))
        if (found := rung.promotable(3)) is not None:
            rung.promote(found)
    assert time.process_time() - began < 8


def test_is_for_several_objectives() -> None:
    assert MOASHA.traits.min_objectives == 2
    search = MOASHA().begin(problem_of(TASK), np.random.default_rng(0))
    assert len(search.ask(9, [])) == 9
