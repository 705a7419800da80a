from __future__ import annotations

import dataclasses
import heapq
import json
import math
import time
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods._asha import RULES, Asha
from hptbench.methods._brackets import Brackets
from hptbench.methods.asha import ASHA
from hptbench.methods.asha_stopping import ASHAStopping
from hptbench.methods.bohb import BOHB
from hptbench.protocol import Budget, Fidelity, Proposal, Report, Status
from hptbench.testing.methods import problem_of, records_of
from hptbench.testing.problems import Bowl

Loss = Callable[[int, float], float]
THREE = (1.0, 3.0, 9.0)


class Counting:
    """Draws x = 0, 1, 2, ... up to a number, and remembers what it is told."""

    def __init__(self, most: float = math.inf) -> None:
        self.drawn, self.most, self.told = 0, most, list[Report]()

    def draw(self) -> tuple[dict[str, int], dict[str, str]] | None:
        if self.drawn >= self.most:
            return None
        self.drawn += 1
        return {"x": self.drawn - 1}, {"from": "counting"}

    def learn(self, reports: Sequence[Report]) -> None:
        self.told += reports


def report(job: int, proposal: Proposal, loss: float) -> Report:
    status = Status.OK if math.isfinite(loss) else Status.FAILED
    return Report(job, job, proposal, proposal.fidelity or 0.0, status, (loss,), (), 1.0)


def drive(search: Asha, loss: Loss, jobs: int, workers: int = 1) -> list[Report]:
    """Simulated workers; a job lasts as long as its fidelity, a little more for some configurations."""
    done: list[Report] = []
    running: list[tuple[float, int, Proposal]] = []
    now, begun = 0.0, 0
    while begun < jobs:
        asked = search.ask(workers - len(running), [p for _, _, p in running])
        assert len(asked) == workers - len(running), "a worker idles"
        for proposal in asked:
            length = (proposal.fidelity or 0.0) * (1 + 0.3 * (int(proposal.config["x"]) % 4))
            heapq.heappush(running, (now + length, begun, proposal))
            begun += 1
        now, job, proposal = heapq.heappop(running)
        done.append(report(job, proposal, loss(int(proposal.config["x"]), proposal.fidelity or 0.0)))
        search.tell(done[-1:])
    return done


def trace(done: Sequence[Report]) -> list[tuple[int, float, int | None]]:
    return [(int(r.proposal.config["x"]), r.proposal.fidelity or 0.0, r.proposal.source) for r in done]


LOSSES = [5, 3, 8, 1, 9, 2, 7, 4, 6, 0]


def test_golden_trace_of_promotion() -> None:
    """Algorithm 2 by hand, eta = 3, losses 5 3 8 1 9 2 7 4 6 0 whatever the fidelity."""
    done = drive(Asha(THREE, 3, Counting()), lambda x, _: LOSSES[x], 16)
    assert trace(done) == [
        (0, 1, None), (1, 1, None), (2, 1, None),  # 5 3 8: the best of three is 1
        (1, 3, 1),
        (3, 1, None),  # four: the best is 3
        (3, 3, 4),
        (4, 1, None), (5, 1, None),  # six: the best two are 3, promoted already, and 5
        (5, 3, 7),  # three in rung 1: the best is 3
        (3, 9, 5),
        (6, 1, None), (7, 1, None), (8, 1, None),  # nine: the best three are 3, 5 and 1, all promoted
        (9, 1, None),  # the best of ten
        (9, 3, 13),  # and of the four in rung 1
        (9, 9, 14),
    ]  # fmt: skip
    assert [r.proposal.note["rung"] for r in done[:6]] == [0, 0, 0, 1, 0, 1]
    assert [r.proposal.note["trial"] for r in done[:6]] == [0, 1, 2, 1, 3, 3]
    assert {r.proposal.note["from"] for r in done} == {"counting"}, "promotions keep their origin"


def test_golden_trace_of_stopping() -> None:
    """At most a third of the rung is better, oneself included in the rung; the first in each rung goes on."""
    done = drive(Asha(THREE, 3, Counting(), "stopping"), lambda x, _: LOSSES[x], 16)
    assert trace(done) == [
        (0, 1, None), (0, 3, 0), (0, 9, 1),  # the first
        (1, 1, None), (1, 3, 3), (1, 9, 4),  # better than it
        (2, 1, None),  # two of three are better
        (3, 1, None), (3, 3, 7), (3, 9, 8),
        (4, 1, None),
        (5, 1, None), (5, 3, 11), (5, 9, 12),  # one of six is better, then one of four: 1/4 of the rung
        (6, 1, None),
        (7, 1, None),  # three of eight are better than 4
    ]  # fmt: skip


class Plain:
    """Algorithm 2 as it is printed, by sorting."""

    def __init__(self, rungs: int, eta: int) -> None:
        self.eta, self.rungs = eta, [dict[int, float]() for _ in range(rungs)]
        self.promoted = [set[int]() for _ in range(rungs)]

    def get_job(self) -> tuple[int | None, int]:
        """(x to promote or None, rung)."""
        for k in range(len(self.rungs) - 2, -1, -1):
            best = sorted(self.rungs[k], key=lambda x: self.rungs[k][x])[: len(self.rungs[k]) // self.eta]
            promotable = [x for x in best if x not in self.promoted[k] and math.isfinite(self.rungs[k][x])]
            if promotable:
                self.promoted[k].add(promotable[0])
                return promotable[0], k + 1
        return None, 0


@pytest.mark.parametrize("seed", range(5))
def test_one_worker_is_the_printed_algorithm(seed: int) -> None:
    """Noisy losses, a fifth of the jobs failing, eta = 2, 3, 4."""
    eta = 2 + seed % 3
    noise = np.random.default_rng(seed).random((1000, 4))
    noise[np.random.default_rng(seed + 50).random(noise.shape) < 0.2] = math.inf
    fidelities = tuple(float(eta**k) for k in range(4))
    search, plain = Asha(fidelities, eta, Counting()), Plain(4, eta)
    drawn = 0
    for job in range(400):
        x, rung = plain.get_job()
        if x is None:
            x, drawn = drawn, drawn + 1
        [proposal] = search.ask(1, [])
        assert (proposal.config, proposal.fidelity) == ({"x": x}, fidelities[rung])
        plain.rungs[rung][x] = float(noise[x, rung])
        search.tell([report(job, proposal, float(noise[x, rung]))])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("workers", [3, 40])
def test_parallel_workers_never_idle_and_keep_the_rules(rule: str, workers: int) -> None:
    def loss(x: int, fidelity: float) -> float:
        return math.inf if x % 7 == 3 else math.sin(7.0 * x) + 1 / fidelity

    done = drive(Asha(THREE, 3, Counting(), rule), loss, 500, workers)
    by_job = {r.job: r for r in done}
    places = [(r.proposal.note["trial"], r.proposal.note["rung"]) for r in done]
    assert len(set(places)) == len(places)
    for r in done:
        if r.proposal.source is None:
            assert r.proposal.note["rung"] == 0
            continue
        source = by_job[r.proposal.source]
        assert math.isfinite(source.values[0]), "failures never go on"
        assert source.proposal.config == r.proposal.config
        assert done.index(source) < done.index(r)
    reached = [sum(rung == k for _, rung in places) for k in range(3)]
    assert reached[0] > 2 * reached[1] > 4 * reached[2] > 20


def test_equal_values_go_in_order_of_jobs() -> None:
    done = drive(Asha(THREE, 3, Counting()), lambda x, _: 0.0, 9)
    assert [r.proposal.source for r in done] == [None, None, None, 0, None, None, None, 1, None]


def test_all_failed_is_random_search_at_the_lowest_rung() -> None:
    for rule in RULES:
        done = drive(Asha(THREE, 3, Counting(), rule), lambda x, _: math.inf, 30)
        assert trace(done) == [(x, 1, None) for x in range(30)]
        done = drive(Asha(THREE, 3, Counting(), rule), lambda x, _: math.nan, 30)
        assert trace(done) == [(x, 1, None) for x in range(30)]


def test_brackets_get_equal_shares_and_rungs_of_their_own() -> None:
    done = drive(Asha(THREE, 3, Counting(), brackets=None), lambda x, f: math.sin(7.0 * x), 600, 5)
    spent = [sum(r.fidelity for r in done if r.proposal.note["bracket"] == s) for s in range(3)]
    assert max(spent) - min(spent) <= 5 * 9
    for s in range(3):
        there = [r for r in done if r.proposal.note["bracket"] == s]
        assert {r.fidelity for r in there} == set(THREE[s:])
        for r in there:
            assert r.fidelity == THREE[s + r.proposal.note["rung"]]


def test_reports_of_others_go_to_the_sampler_only() -> None:
    def run(disturbed: bool) -> list[Proposal]:
        sampler, asked = Counting(), list[Proposal]()
        search = Asha(THREE, 3, sampler)
        for job in range(60):
            [proposal] = search.ask(1, [])
            asked.append(proposal)
            own = report(job, proposal, LOSSES[int(proposal.config["x"]) % 10])
            others = [
                report(900 + job, Proposal({"x": 77}, note=proposal.note), -9.0),  # another run's note
                report(910 + job, Proposal({"x": 78}, 1.0, note={"trial": [], "rung": None}), -9.0),
                dataclasses.replace(own, job=920 + job, values=(-9.0,)),  # its own, told twice
            ]
            search.tell([others[0], own, *others[1:]] if disturbed else [own])
            assert len(sampler.told) == (job + 1) * (4 if disturbed else 1)
        return asked

    assert run(True) == run(False)


def test_proposals_are_recognised_after_a_journal() -> None:
    search, again = Asha(THREE, 3, Counting()), Asha(THREE, 3, Counting())
    for job in range(40):
        [proposal], [other] = search.ask(1, []), again.ask(1, [])
        assert proposal == other
        copy = Proposal(*json.loads(json.dumps(dataclasses.astuple(proposal))))
        loss = float(LOSSES[int(proposal.config["x"]) % 10])
        search.tell([report(job, proposal, loss)])
        again.tell([report(job, copy, loss)])


def test_where_nothing_can_be_drawn_workers_wait() -> None:
    search = Asha(THREE, 3, Counting(3))
    first = search.ask(5, [])
    assert [p.config["x"] for p in first] == [0, 1, 2]
    assert search.ask(2, first) == []
    search.tell([report(i, p, float(i)) for i, p in enumerate(first)])
    [proposal] = search.ask(5, [])
    assert (proposal.config, proposal.fidelity, proposal.source) == ({"x": 0}, 3, 0)
    search.tell([report(3, proposal, 0.0)])
    assert search.ask(5, []) == [], "over: one of one is no third"


def test_where_nothing_can_be_drawn_every_bracket_may_promote() -> None:
    """Bracket 0 has least training, and nothing to promote or to draw."""
    search = Asha(THREE, 2, Counting(6), brackets=2)
    first = search.ask(6, [])
    assert [p.note["bracket"] for p in first] == [0, 1, 0, 0, 0, 1]
    search.tell([report(i, p, 1.0 if p.note["bracket"] else math.inf) for i, p in enumerate(first)])
    asked = search.ask(3, [])
    assert [(p.note["bracket"], p.source) for p in asked] == [(1, 1)]


def test_attentive_samplers_are_told_what_is_running() -> None:
    class Attentive(Counting):
        seen: ClassVar[list[int]] = []

        def pending(self, running: Sequence[Proposal]) -> None:
            self.seen.append(len(running))

    for search in (Asha(THREE, 3, Attentive()), Brackets([(9, 3, 1)], THREE, Attentive())):
        Attentive.seen = []
        foreign = Proposal({"x": -1})
        first = search.ask(3, [foreign])
        search.ask(2, [foreign, *first])
        assert Attentive.seen == [1, 2, 3, 4, 5]


def test_a_synchronous_bracket_goes_on_with_what_it_has() -> None:
    search = Brackets([(9, 3, 1)], THREE, Counting(5))
    first = search.ask(9, [])
    assert len(first) == 5
    assert search.ask(4, first) == []
    search.tell([report(i, p, float(i)) for i, p in enumerate(first)])
    second = search.ask(9, [])
    assert [p.source for p in second] == [0, 1, 2]
    search.tell([report(5 + i, p, float(i)) for i, p in enumerate(second)])
    third = search.ask(9, [])
    assert [(p.source, p.fidelity) for p in third] == [(5, 9)]
    search.tell([report(8, third[0], 0.0)])
    assert search.ask(9, []) == []
    assert search.ask(9, []) == []


@pytest.mark.parametrize("rule", RULES)
def test_ten_thousand_trials_with_512_workers(rule: str) -> None:
    """In a few seconds of processor time."""
    began = time.process_time()
    done = drive(Asha((1.0, 4.0, 16.0), 4, Counting(), rule), lambda x, f: math.sin(7.0 * x) + 1 / f, 13_000, 512)
    assert len({r.proposal.note["trial"] for r in done}) > 9_000
    assert time.process_time() - began < 10


# the methods


def test_defaults_and_refusals() -> None:
    task = Bowl(over="sphere", fidelity=Fidelity(1, 64, "epoch", continues=True))
    assert sorted({r.job.stop for r in records_of(ASHA(), task, budget=Budget(max_jobs=200))}) == [1, 4, 16, 64]
    for method in (ASHA(brackets=5), ASHAStopping(brackets=0)):
        with pytest.raises(UserError, match="expected 1 to 4 brackets"):
            method.begin(problem_of(task), np.random.default_rng(0))
    with pytest.raises(UserError, match="eta >= 2"):
        ASHA(eta=1).begin(problem_of(task), np.random.default_rng(0))
    with pytest.raises(UserError, match="Known: promotion, stopping"):
        Asha(THREE, 3, Counting(), "halving")


def test_a_stopped_trial_never_goes_on_and_a_paused_one_may() -> None:
    """By stopping, a trial's jobs follow each other at once; by promotion, others run in between."""
    task = Bowl(over="sphere", noise=0.0)
    stopping = records_of(ASHAStopping(), task, budget=Budget(max_jobs=150))
    assert all(r.job.proposal.source in (None, r.job.id - 1) for r in stopping)
    promotion = records_of(ASHA(eta=3), task, budget=Budget(max_jobs=150))
    assert any(r.job.proposal.source not in (None, r.job.id - 1) for r in promotion)


def test_bohb_on_the_rungs_of_asha() -> None:
    """Not slower than random draws on them: more of the draws after the start are near the optimum."""
    task = Bowl(over="sphere", noise=0.0)
    draws = {}
    for name, method in (("model", BOHB(scheduler="asha")), ("random", ASHA(eta=3))):
        records = records_of(method, task, budget=Budget(max_jobs=500))
        configs = [r.job.proposal.config for r in records[250:] if r.job.proposal.note["rung"] == 0]
        draws[name] = np.mean(np.linalg.norm(task.space.encode(configs) - 0.3, axis=1) < 0.25)
    assert draws["model"] > draws["random"] + 0.2
    with pytest.raises(UserError, match="Known: asha, hyperband"):
        BOHB(scheduler="sync")
