from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods.pasha import PASHA, Race, crosses_and_returns, same_ranking
from hptbench.protocol import Budget, Fidelity, Point, Report, Status
from hptbench.testing.methods import records_of
from hptbench.testing.problems import Bowl

LEVELS = (1.0, 3.0, 9.0, 27.0)
Curve = Callable[[int, int], float]


class Counting:
    def __init__(self, most: float = math.inf) -> None:
        self.drawn, self.most = 0, most

    def draw(self) -> tuple[dict[str, int], Mapping[str, Any]] | None:
        if self.drawn >= self.most:
            return None
        self.drawn += 1
        return {"x": self.drawn - 1}, {}

    def learn(self, reports: Sequence[Report]) -> None:
        """Nothing."""


def drive(race: Race, curve: Curve, jobs: int) -> list[tuple[int, float]]:
    """One worker; (x, fidelity) of each job. ``curve``: the value of x after an epoch."""
    done = []
    for job in range(jobs):
        asked = race.ask(1, [])
        if not asked:
            break
        [proposal] = asked
        x, stop = int(proposal.config["x"]), int(proposal.fidelity or 0)
        points = tuple(Point(float(e), (curve(x, e),)) for e in range(1, stop + 1))
        failed = not math.isfinite(points[-1].values[0])
        status = Status.FAILED if failed else Status.OK
        race.tell([Report(job, x, proposal, float(stop), status, points[-1].values, () if failed else points, 1.0)])
        done.append((x, float(stop)))
    return done


def test_a_stable_ranking_never_raises_the_top() -> None:
    race = Race(LEVELS, 3, Counting())
    done = drive(race, lambda x, epoch: math.sin(7.0 * x) + 1 / epoch, 200)
    assert race.top == 1
    assert max(fidelity for _, fidelity in done) == 3


def test_golden_trace_of_a_ranking_that_turns() -> None:
    """eta = 3, curves that cross once: no noise, epsilon = 0. x = 0 1 2 have 2 1 3 at epoch 1; 1 is promoted. Then 3
    comes with 0.5, is promoted, and is worse than 1 at epoch 3: the top is raised, and the best of two is not yet a
    third. 4 and 5 have 5; of six the second best, 1, has been promoted. 6 7 8 have 5, too: 0 is promoted, third of
    nine and third of three in rung 1, whose best, 1, goes on to 9."""
    early, late = [2, 1, 3, 0.5, 5, 5, 5, 5, 5, 5], [4, 1, 9, 2, 9, 9, 9, 9, 9, 9]
    race = Race(LEVELS, 3, Counting())
    done = drive(race, lambda x, epoch: float((early if epoch < 3 else late)[x]), 6)
    assert done == [(0, 1), (1, 1), (2, 1), (1, 3), (3, 1), (3, 3)]
    assert (race.top, race.epsilon) == (2, 0.0)
    done = drive_on(race, lambda x, epoch: float((early if epoch < 3 else late)[x]), 7, first=6)
    assert done == [(4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (0, 3), (1, 9)]


def drive_on(race: Race, curve: Curve, jobs: int, first: int) -> list[tuple[int, float]]:
    done = []
    for job in range(first, first + jobs):
        [proposal] = race.ask(1, [])
        x, stop = int(proposal.config["x"]), float(proposal.fidelity or 0)
        points = tuple(Point(float(e), (curve(x, e),)) for e in range(1, int(stop) + 1))
        race.tell([Report(job, x, proposal, stop, Status.OK, points[-1].values, points, 1.0)])
        done.append((x, stop))
    return done


def plain_epsilon(curves: Mapping[int, Sequence[float]]) -> float:
    """As the paper defines it, pair by pair, for curves of equal length."""
    distances = []
    for a, b in itertools.combinations(curves, 2):
        n = len(curves[a])
        noisy = any(
            (d := [np.sign(curves[a][e] - curves[b][e]) for e in (i, j, n - 1)])[0] == d[2] != 0 and d[1] == -d[2]
            for i, j in itertools.combinations(range(n - 1), 2)
        )
        if noisy:
            distances.append(abs(curves[a][-1] - curves[b][-1]))
    return float(np.percentile(distances, 90)) if distances else 0.0


def test_epsilon_is_that_of_a_plain_version() -> None:
    """Curves with noise, a top rung that stays: epsilon after every job, for three epochs."""
    noise = np.random.default_rng(0).normal(0, 0.1, (400, 28))
    curve: Curve = lambda x, epoch: math.sin(7.0 * x) + float(noise[x, epoch])  # noqa: E731
    race = Race(LEVELS[:2], 3, Counting())  # there is no higher rung
    done = drive(race, curve, 150)
    members = [x for x, fidelity in done if fidelity == 3]
    assert len(members) > 20
    expected = plain_epsilon({x: [curve(x, e) for e in (1, 2, 3)] for x in members})
    assert race.epsilon == pytest.approx(expected) != 0


@pytest.mark.parametrize(
    ("curve", "other", "noisy"),
    [
        ([1, 2, 3], [2, 1, 4], True),
        ([1, 2, 3], [2, 1, 2], False),  # crosses once
        ([1, 2, 3], [2, 2, 4], False),  # touches
        ([1, 2, 3, 4], [0, 3, 2, 3], True),
        ([1, 2, 3, 4], [0, 1, 4, 3], True),
        ([1, 2, 3, 4], [0, 3, 4, 4], False),  # equal at last
        ([1, 2, 3, 4], [2, math.nan, 2, 5], True),
        ([1, 2, 3, 4], [math.nan, 1, 4, 5], False),
        ([math.inf, 1, 2, 3], [math.inf, 2, 1, 4], True),  # no difference of two infinite values
        ([1], [2], False),
    ],
)
def test_crossing_and_returning(curve: list[float], other: list[float], noisy: bool) -> None:
    for a, b in ((curve, other), (other, curve)):
        assert crosses_and_returns(np.array(a, dtype=float), np.array([b], dtype=float)).tolist() == [noisy]


def test_soft_ranking() -> None:
    below, top = np.array([1.0, 2.0, 3.0]), np.array([5.0, 4.0, 6.0])
    assert not same_ranking(below, top, 0.0)
    assert not same_ranking(below, top, 0.9)
    assert same_ranking(below, top, 1.0), "the places that are exchanged differ by 1"
    assert same_ranking(below, np.array([4.0, 5.0, 6.0]), 0.0)
    assert same_ranking(np.array([1.0]), np.array([9.0]), 0.0)
    assert same_ranking(np.array([1.0, 1.0]), np.array([9.0, 3.0]), 0.0), "equal below"


def test_failures_are_in_no_ranking() -> None:
    race = Race(LEVELS, 3, Counting())
    drive(race, lambda x, epoch: math.inf if epoch == 3 and x % 2 else math.sin(7.0 * x) + 1 / epoch, 200)
    assert race.top == 1
    assert drive(Race(LEVELS, 3, Counting(20)), lambda x, epoch: math.inf, 99) == [(x, 1) for x in range(20)]


def test_the_best_is_trained_to_the_end_once_all_are_drawn() -> None:
    race = Race(LEVELS, 3, Counting(9))
    done = drive(race, lambda x, epoch: [5, 3, 8, 1, 9, 2, 7, 4, 6][x] + 1 / epoch, 99)
    assert done[-1] == (3, 27)
    assert race.over
    assert sum(fidelity == 27 for _, fidelity in done) == 1


def test_less_training_than_asha_for_as_many_configurations() -> None:
    """The claim of the paper, in kind: 256 configurations whose ranking is stable after three epochs of 81."""
    task = Bowl(over="sphere", noise=0.0, fidelity=Fidelity(1, 81, "epoch", continues=True))
    records = records_of(PASHA(), task, budget=Budget(max_full_evals=8))
    race = [r for r in records if r.job.proposal.note["race"] == 0]
    assert len({r.job.trial for r in race}) == 256
    trained = sum(r.job.stop - r.job.start for r in race)
    assert 256 + 85 * 2 + 78 <= trained < 0.6 * 256 * (1 + 4 * 2 / 3), "ASHA in five rungs trains about 3.7 epochs each"
    final = race[-1]
    assert final.job.stop == 81
    assert final.job.proposal.note["final"]
    best = min((r for r in race if r.job.stop == 3), key=lambda r: r.outcome.curve[-1].values)
    assert final.job.proposal.source == best.job.id
    assert {r.job.proposal.note["race"] for r in records} >= {0, 1}, "another race begins"


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(UserError, match=r"pasha\.configurations >= 1"):
        PASHA(configurations=0)
