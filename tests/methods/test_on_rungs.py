from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods._brackets import hpbandster, levels, paper, plan
from hptbench.methods.asha import ASHA
from hptbench.methods.on_rungs import Drawer, OnRungs, share
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Fidelity, Point, Problem, Proposal, Report, Status
from hptbench.testing.methods import incumbent, problem_of, records_of
from hptbench.testing.problems import Bowl

TASK = Bowl(over="sphere", noise=0.0)  # three parameters: a rung counts with eight results
FIDELITIES = (1.0, 3.0, 9.0, 27.0)


class Spy:
    """Draws a = 0, 0.001, 0.002, ... and remembers what it is told; every search anew."""

    def __init__(self, most: int = 999) -> None:
        self.begun, self.asked, self.told, self.most = 0, list[list[Proposal]](), list[Report](), most
        self.problem: Problem | None = None

    def begin(self, problem: Problem, rng: np.random.Generator) -> Spy:
        self.begun, self.told, self.problem, self.number = self.begun + 1, [], problem, 0
        return self

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        self.asked.append(list(running))
        self.number += 1
        a = self.begun + self.number / 1000
        return [Proposal({"a": a, "b": 0.0, "c": 0.0}, note={"by": "spy"})] if self.number <= self.most else []

    def tell(self, reports: Sequence[Report]) -> None:
        self.told += reports


def drawer(spy: Spy) -> Drawer:
    return Drawer(spy, replace(problem_of(TASK), fidelity=None), FIDELITIES, np.random.default_rng(0))


def proposal(sampler: Drawer, fidelity: float = 1.0, running: Sequence[Proposal] = ()) -> Proposal:
    sampler.pending(running)
    drawn = sampler.draw()
    assert drawn is not None
    return Proposal(drawn[0], fidelity, note=drawn[1])


def report(job: int, told: Proposal, value: float, fidelity: float = 1.0) -> Report:
    status = Status.OK if math.isfinite(value) else Status.FAILED
    curve = (Point(fidelity - 0.5, (99.0,)), Point(fidelity, (value,)))
    return Report(job, job, told, fidelity, status, (value,), curve, 1.0)


def a_of(proposals: Sequence[Proposal]) -> list[float]:
    return [float(p.config["a"]) for p in proposals]


def test_results_of_the_lowest_rung_are_told_as_full_evaluations() -> None:
    spy = Spy()
    sampler = drawer(spy)
    first, second = proposal(sampler), proposal(sampler)
    assert spy.problem is not None
    assert spy.problem.fidelity is None
    sampler.learn([report(0, second, 5.0), report(1, first, math.inf)])
    assert [(r.proposal, r.values, r.fidelity) for r in spy.told] == [
        (Proposal(second.config, note={"by": "spy"}), (5.0,), 1.0),
        (Proposal(first.config, note={"by": "spy"}), (math.inf,), 1.0),
    ]
    assert spy.told[0].curve == (Point(1.0, (5.0,)),)


def test_higher_rungs_are_not_told_until_they_have_enough_and_then_alone() -> None:
    """Eight are enough: 2 (d + 1)."""
    spy = Spy()
    sampler = drawer(spy)
    drawn = [proposal(sampler) for _ in range(9)]
    sampler.learn([report(i, p, 1.0 + i) for i, p in enumerate(drawn)])
    assert len(spy.told) == 9
    sampler.learn([report(10 + i, p, 0.1 * i, 9.0) for i, p in enumerate(drawn[:7])])
    assert len(spy.told) == 9, "of the lowest rung still"
    assert spy.begun == 1
    sampler.learn([report(20, drawn[7], math.inf, 9.0)])
    assert (spy.begun, sampler.level) == (2, 9.0)
    assert [r.values[0] for r in spy.told] == [*(0.1 * i for i in range(7)), math.inf]
    assert all(r.proposal.note == {} for r in spy.told), "a new search drew none of them"
    sampler.learn([report(21 + i, p, 7.0, 3.0) for i, p in enumerate(drawn)])
    assert (spy.begun, len(spy.told)) == (2, 8), "a lower rung comes too late"


def test_what_counts_as_running() -> None:
    spy = Spy()
    sampler = drawer(spy)
    warm = [Proposal({"a": 0.5 + i / 100, "b": 0.5, "c": 0.5}, 3.0) for i in range(8)]
    old = proposal(sampler)
    sampler.learn([report(i, p, 1.0, 3.0) for i, p in enumerate(warm)])
    assert sampler.level == 3.0
    one, two = proposal(sampler, running=[old]), proposal(sampler, running=[old])
    assert a_of(spy.asked[-2]) == a_of([old])
    assert a_of(spy.asked[-1]) == a_of([one, old])
    sampler.learn([report(10, one, 4.0)])  # in the lowest rung: paused
    three = proposal(sampler, running=[old, two])
    assert a_of(spy.asked[-1]) == a_of([one, two, old])
    higher = replace(warm[0], fidelity=9.0)
    proposal(sampler, running=[old, two, three, higher])
    assert a_of(spy.asked[-1]) == a_of([one, two, three, old]), "that one has its result in the rung"
    sampler.learn([report(11, replace(one, fidelity=3.0), 2.0, 3.0)])
    assert spy.told[-1].proposal.note == {"by": "spy"}
    proposal(sampler, running=[two])
    assert a_of(spy.asked[-1])[:2] == a_of([two, three])


def test_the_latest_200_paused_ones_count() -> None:
    spy = Spy()
    sampler = drawer(spy)
    sampler.learn([report(i, Proposal({"a": -i, "b": 0, "c": 0}), 1.0, 3.0) for i in range(8)])
    for job in range(230):
        sampler.learn([report(100 + job, proposal(sampler), 1.0)])
    proposal(sampler)
    assert a_of(spy.asked[-1]) == pytest.approx([2 + i / 1000 for i in range(31, 231)])


def test_known_configurations_are_drawn_again() -> None:
    class Stubborn(Spy):
        def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
            self.asked.append(list(running))
            return [Proposal({"a": 0.0 if len(self.asked) % 4 else 1.0, "b": 0.0, "c": 0.0})]

    spy = Stubborn()
    sampler = drawer(spy)
    assert [proposal(sampler).config["a"] for _ in range(2)] == [0.0, 1.0]
    assert len(spy.asked) == 4
    assert len(spy.asked[-1]) == 3, "and each is told what it drew before"
    proposal(sampler)
    assert len(spy.asked) == 14, "after ten draws it is taken"
    proposal(sampler)
    assert len(spy.asked) == 15, "and there seems to be no other"


def test_an_inner_method_may_end() -> None:
    sampler = drawer(Spy(most=1))
    proposal(sampler)
    sampler.pending([])
    assert sampler.draw() is None
    records = records_of(OnRungs(inner="default"), TASK, budget=Budget(max_jobs=50))
    assert len(records) <= 4


@pytest.mark.parametrize("workers", [1, 7])
@pytest.mark.parametrize("scheduler", ["asha", "asha_stopping", "hyperband"])
def test_with_random_draws_the_rungs_are_those_of_the_scheduler(scheduler: str, workers: int) -> None:
    records = records_of(OnRungs("random", scheduler), TASK, budget=Budget(max_jobs=200), workers=workers)
    reached = [sum(r.job.stop == fidelity for r in records) for fidelity in FIDELITIES]
    if scheduler == "hyperband":
        starts = {r.job.stop for r in records if r.job.proposal.source is None}
        assert starts == set(FIDELITIES)
    else:
        assert reached[0] > 2 * reached[1] > 4 * reached[2] > 0
    if workers == 1 and scheduler == "asha":
        asha = records_of(ASHA(eta=3), TASK, budget=Budget(max_jobs=40))
        head = [(r.job.stop, r.job.proposal.source) for r in records[:3]]
        assert head == [(r.job.stop, r.job.proposal.source) for r in asha[:3]]


def test_share_of_the_budget() -> None:
    """One bracket 27@1 9@3 3@9 1@27: 40 jobs; continued 27 + 9 * 2 + 3 * 6 + 18 = 81 epochs, anew 27 * 4 = 108."""
    fidelities = levels(Fidelity(1, 27), 3)
    brackets = [paper(3, 3, 3)]
    assert share(Budget(max_jobs=400), brackets, fidelities, True) == Budget(max_jobs=270)
    assert share(Budget(max_full_evals=30), brackets, fidelities, True) == Budget(max_jobs=270)
    assert share(Budget(max_full_evals=40), brackets, fidelities, False) == Budget(max_jobs=270)
    assert share(Budget(max_full_evals=30, max_jobs=40), brackets, fidelities, True) == Budget(max_jobs=27)
    assert share(Budget(max_time=5.0), brackets, fidelities, True) == Budget(max_time=5.0)
    whole = plan("paper", 3, 3)
    assert share(Budget(max_jobs=sum(map(sum, whole))), whole, fidelities, True) == Budget(max_jobs=27 + 12 + 6 + 4)
    assert hpbandster(3, 3, 3) == paper(3, 3, 3)


def test_a_model_on_rungs_beats_random_draws_on_them_and_random_search() -> None:
    """TPE, nine full evaluations, 12 seeds."""
    from scipy.stats import mannwhitneyu

    def finals(method: Any) -> list[float]:
        return [incumbent(records_of(method, TASK, seed, Budget(max_full_evals=9))) for seed in range(12)]

    tpe = finals(OnRungs())
    for other in (ASHA(eta=3), RandomSearch()):
        assert mannwhitneyu(tpe, finals(other), alternative="less").pvalue < 0.05, other


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (OnRungs(inner="bohb"), "needs a fidelity"),
        (OnRungs(inner="nsga2"), "needs several objectives"),
        (OnRungs(inner="tpee"), "Did you mean 'tpe'"),
        (OnRungs(scheduler="sha"), "Known: asha, asha_stopping, hyperband"),
        (OnRungs(eta=1), "eta >= 2"),
    ],
)
def test_impossible_settings_are_refused(method: OnRungs, message: str) -> None:
    with pytest.raises(UserError, match=message):
        method.begin(problem_of(TASK), np.random.default_rng(0))
