from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from evolving import SMALL, SPHERE

from hptbench.errors import UserError
from hptbench.methods._differential import Differential
from hptbench.methods.dehb import DEHB
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Fidelity, Problem, Report, Status
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.testing.methods import incumbent, problem_of, records_of
from hptbench.testing.problems import Bowl

EPOCHS = Fidelity(1, 81, "epoch", continues=True)
TASK = Bowl(over="sphere", noise=0.0, fidelity=EPOCHS)
ROUND = "81@1 27@3 9@9 3@27 1@81  27@3 9@9 3@27 1@81  9@9 3@27 1@81  6@27 2@81  5@81"


def test_golden_sequence_of_two_rounds() -> None:
    golden = [float(r) for n, r in (rung.split("@") for rung in f"{ROUND} {ROUND}".split()) for _ in range(int(n))]
    records = records_of(DEHB(), TASK, budget=Budget(max_jobs=len(golden)))
    assert [r.job.stop for r in records] == golden
    targets = Counter((r.job.stop, r.job.proposal.note["member"]) for r in records[: len(golden) // 2])
    sizes = {1.0: 81, 3.0: 27, 9.0: 9, 27.0: 6, 81.0: 5}
    assert {level: len([t for t in targets if t[0] == level]) for level in sizes} == sizes


def test_the_first_bracket_is_successive_halving_and_continues() -> None:
    records = records_of(DEHB(), TASK, budget=Budget(max_jobs=121))
    rungs = [[r for r in records if r.job.stop == level] for level in (1, 3, 9, 27, 81)]
    for below, above in pairwise(rungs):
        best = sorted(below, key=lambda r: r.outcome.curve[-1].values[0])[: len(above)]
        assert [r.job.proposal.source for r in above] == [r.job.id for r in best]
        assert [r.job.proposal.config for r in above] == [r.job.proposal.config for r in best]
        assert all(r.job.start == below[0].job.stop for r in above)


def test_lowest_rungs_of_later_brackets_are_bred() -> None:
    records = records_of(DEHB(), TASK, budget=Budget(max_jobs=121 + 27))
    before = {tuple(r.job.proposal.config.values()) for r in records[:121]}
    trials = [tuple(r.job.proposal.config.values()) for r in records[121:]]
    assert not before & set(trials)
    members = [tuple(r.job.proposal.config.values()) for r in records[81:108]]  # at 3 epochs, in order of their places
    kept = [sum(a == b for a, b in zip(t, m, strict=True)) for t, m in zip(trials, members, strict=True)]
    assert 0.25 < np.mean(kept) / 3 < 0.75, "half of the genes are the target's"


class _Scripted:
    """A generator whose draws are given."""

    def __init__(self, choice: list[int], random: list[list[float]], integers: int = 0) -> None:
        self._choice, self._random, self._integers = choice, random, integers

    def choice(self, n: int, size: int, replace: bool) -> np.ndarray:
        return np.array(self._choice)

    def random(self, shape: Any) -> np.ndarray:
        return np.array(self._random.pop(0))

    def integers(self, n: int) -> int:
        return self._integers


def test_a_trial_by_hand() -> None:
    pool = np.array([[0.1, 0.2, 0.3], [0.9, 0.9, 0.5], [0.5, 0.1, 0.5], [0.4, 0.4, 0.4]])
    target = pool[3]  # is none of its own parents
    rng: Any = _Scripted([1, 0, 2], [[0.2, 0.4, 0.9], [0.11, 0.22, 0.33]])
    trial = Differential(SPHERE, 0.5, 0.5, rng).trial(target, pool, [pool])
    # a + 0.5 (b - c) = (0.9, 0.9, 0.5) + 0.5 (-0.4, 0.1, -0.2) = (0.7, 0.95, 0.4); the third gene stays the target's.
    np.testing.assert_allclose(trial, [0.7, 0.95, 0.4])
    outside: Any = _Scripted([1, 2, 0], [[0.2, 0.9, 0.9], [0.11, 0.22, 0.33]])
    trial = Differential(SPHERE, 0.5, 0.5, outside).trial(target, pool, [pool])
    np.testing.assert_allclose(trial, [0.11, 0.4, 0.4], err_msg="1.1 is outside and drawn anew")
    nothing: Any = _Scripted([1, 0, 2], [[0.9, 0.9, 0.9], [0.11, 0.22, 0.33]], 1)
    trial = Differential(SPHERE, 0.5, 0.5, nothing).trial(target, pool, [pool])
    np.testing.assert_allclose(trial, [0.4, 0.95, 0.4], err_msg="one gene crosses in any case")


def test_small_pools_are_filled_from_the_global_population() -> None:
    everyone = np.array([[0.5, 0.5, 0.5], [0.6, 0.5, 0.5], [0.5, 0.6, 0.5], [0.5, 0.5, 0.6]])
    breeder = Differential(SPHERE, 0.5, 1.0, np.random.default_rng(0))
    trials = np.array([breeder.trial(np.zeros(3), everyone[:1], [everyone[:2], everyone[2:]]) for _ in range(50)])
    assert np.abs(trials - 0.5).max() < 0.4, "all from near the members"
    lonely = np.array([breeder.trial(np.zeros(3), np.zeros((1, 3)), [np.zeros((1, 3))]) for _ in range(50)])
    assert lonely.std() > 0.1, "uniform draws where there are no others"


def test_the_better_takes_its_target_s_place_at_once() -> None:
    search: Any = DEHB(eta=3).begin(problem_of(replace(TASK, fidelity=Fidelity(1, 3))), np.random.default_rng(0))
    first = search.ask(3, [])
    assert [p.fidelity for p in first] == [1.0] * 3

    def told(proposal: Any, job: int, value: float) -> Report:
        status = Status.OK if math.isfinite(value) else Status.FAILED
        return Report(job, job, proposal, proposal.fidelity, status, (value,), (), 1.0)

    search.tell([told(p, i, v) for i, (p, v) in enumerate(zip(first, [2.0, math.inf, 1.0], strict=True))])
    [low, high] = search._populations
    assert low.losses.tolist() == [2.0, math.inf, 1.0]
    [promoted] = search.ask(1, [])
    assert (promoted.fidelity, promoted.source) == (3.0, 2)
    assert high.losses.tolist() == [math.inf] * 2
    search.tell([told(promoted, 3, 0.5)])
    assert high.losses.tolist() == [0.5, math.inf]
    assert low.losses.tolist() == [2.0, math.inf, 1.0]


def test_the_reports_of_others_take_the_worst_places() -> None:
    search: Any = DEHB().begin(problem_of(TASK), np.random.default_rng(0))
    records = records_of(RandomSearch(), TASK, budget=Budget(max_jobs=8))
    values = [r.outcome.curve[-1].values[0] for r in records]
    search.tell([Report(i, i, r.job.proposal, 81.0, Status.OK, (v,), (), 1.0)
                 for i, (r, v) in enumerate(zip(records, values, strict=True))])  # fmt: skip
    assert sorted(search._populations[-1].losses) == sorted(values)[:5]
    assert np.isinf(search._populations[0].losses).all()


def test_nothing_is_evaluated_twice_until_a_space_is_exhausted() -> None:
    """Twelve configurations: all are evaluated at the lowest level, then they come again."""
    problem = Problem(SMALL, ("loss",), Fidelity(1, 9), Budget(max_jobs=60))
    search: Any = DEHB().begin(problem, np.random.default_rng(0))
    asked = []
    for i in range(40):
        [proposal] = search.ask(1, [])
        search.tell([Report(i, i, proposal, proposal.fidelity, Status.OK, (float(proposal.config["n"]),), (), 1.0)])
        asked.append((proposal.fidelity, tuple(proposal.config.items())))
    for level in (1.0, 3.0, 9.0):
        at = [config for fidelity, config in asked if fidelity == level]
        assert len(set(at)) == min(len(at), 12)


@pytest.mark.parametrize("workers", [1, 8])
def test_better_than_random_search(workers: int) -> None:
    task = SyntheticTask("mf_hartmann6_good")
    budget = Budget(max_full_evals=30)
    ours, theirs = (
        [incumbent(records_of(m, task, s, budget, workers)) for s in range(5)] for m in (DEHB(), RandomSearch())
    )
    assert np.median(ours) < np.median(theirs)
    assert sum(a < b for a, b in zip(sorted(ours), sorted(theirs), strict=True)) >= 4


@pytest.mark.parametrize("wrong", [{"mutation_factor": 0.0}, {"crossover_prob": 1.5}])
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"dehb.{next(iter(wrong))}"):
        DEHB(**wrong)
