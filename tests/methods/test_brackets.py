from __future__ import annotations

import dataclasses
import heapq
import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods._brackets import TABLES, Brackets, fidelity_of, hpbandster, levels, paper, plan
from hptbench.protocol import Budget, Fidelity, Problem, Proposal, Report, Status
from hptbench.testing.problems import Bowl

Rungs = list[tuple[int, float]]
Case = tuple[float, float, int]

# Per (low, high, eta) the brackets s_max .. 0 with (n_i, r_i) for each rung, worked out by hand.
PAPER: dict[Case, list[Rungs]] = {
    (1, 81, 3): [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ],
    (1, 27, 3): [[(27, 1), (9, 3), (3, 9), (1, 27)], [(12, 3), (4, 9), (1, 27)], [(6, 9), (2, 27)], [(4, 27)]],
    (1, 64, 4): [[(64, 1), (16, 4), (4, 16), (1, 64)], [(22, 4), (5, 16), (1, 64)], [(8, 16), (2, 64)], [(4, 64)]],
    (1, 243, 3): [
        [(243, 1), (81, 3), (27, 9), (9, 27), (3, 81), (1, 243)],
        [(98, 3), (32, 9), (10, 27), (3, 81), (1, 243)],
        [(41, 9), (13, 27), (4, 81), (1, 243)],
        [(18, 27), (6, 81), (2, 243)],
        [(9, 81), (3, 243)],
        [(6, 243)],
    ],
    (1, 100, 3): [
        [(81, 1), (27, 4), (9, 11), (3, 33), (1, 100)],
        [(34, 4), (11, 11), (3, 33), (1, 100)],
        [(15, 11), (5, 33), (1, 100)],
        [(8, 33), (2, 100)],
        [(5, 100)],
    ],
}
HPBANDSTER: dict[Case, list[Rungs]] = {
    (1, 81, 3): [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(27, 3), (9, 9), (3, 27), (1, 81)],
        [(9, 9), (3, 27), (1, 81)],
        [(6, 27), (2, 81)],
        [(5, 81)],
    ],
    (1, 27, 3): [[(27, 1), (9, 3), (3, 9), (1, 27)], [(9, 3), (3, 9), (1, 27)], [(6, 9), (2, 27)], [(4, 27)]],
    (1, 64, 4): [[(64, 1), (16, 4), (4, 16), (1, 64)], [(16, 4), (4, 16), (1, 64)], [(8, 16), (2, 64)], [(4, 64)]],
    (1, 243, 3): [
        [(243, 1), (81, 3), (27, 9), (9, 27), (3, 81), (1, 243)],
        [(81, 3), (27, 9), (9, 27), (3, 81), (1, 243)],
        [(27, 9), (9, 27), (3, 81), (1, 243)],
        [(18, 27), (6, 81), (2, 243)],
        [(9, 81), (3, 243)],
        [(6, 243)],
    ],
    (1, 100, 3): [
        [(81, 1), (27, 4), (9, 11), (3, 33), (1, 100)],
        [(27, 4), (9, 11), (3, 33), (1, 100)],
        [(9, 11), (3, 33), (1, 100)],
        [(6, 33), (2, 100)],
        [(5, 100)],
    ],
}


@pytest.mark.parametrize(("table", "golden"), [("paper", PAPER), ("hpbandster", HPBANDSTER)])
@pytest.mark.parametrize("case", PAPER)
def test_bracket_tables(table: str, golden: Mapping[Case, list[Rungs]], case: Case) -> None:
    low, high, eta = case
    fidelities = levels(Fidelity(low, high), eta)
    brackets = plan(table, len(fidelities) - 1, eta)
    rungs = [list(zip(sizes, fidelities[-len(sizes) :], strict=True)) for sizes in brackets]
    assert rungs == golden[case]


def test_bracket_tables_of_eleven_brackets() -> None:
    fidelities = levels(Fidelity(1, 1024), 2)
    assert fidelities == (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
    first = {table: [sizes[0] for sizes in plan(table, 10, 2)] for table in TABLES}
    assert first["paper"] == [1024, 564, 313, 176, 101, 59, 36, 22, 15, 11, 11]
    assert first["hpbandster"] == [1024, 512, 256, 128, 64, 32, 32, 16, 12, 10, 11]
    assert paper(10, 9, 2) == (564, 282, 141, 70, 35, 17, 8, 4, 2, 1)
    assert hpbandster(10, 2, 2) == (12, 6, 3)


@pytest.mark.parametrize(("eta", "s_max"), [(2, 10), (3, 3), (3, 4), (4, 3), (4, 4)])
def test_hpbandster_sizes_are_those_of_its_own_formula(eta: int, s_max: int) -> None:
    for s in range(s_max + 1):
        n0 = np.ceil(np.floor((s_max + 1) / (s + 1)) * eta**s)
        assert hpbandster(s_max, s, eta) == tuple(max(int(n0 * eta ** (-i)), 1) for i in range(s + 1))


@pytest.mark.parametrize("eta", [2, 3, 4, 5, 10])
def test_no_rung_is_lost_to_rounding(eta: int) -> None:
    for k in range(9):
        assert len(levels(Fidelity(1, eta**k), eta)) == k + 1
        assert len(levels(Fidelity(1 / eta**k, 1, "share", integer=False), eta)) == k + 1
        assert levels(Fidelity(7, 7 * eta**k), eta) == tuple(float(7 * eta**i) for i in range(k + 1))


def test_levels_that_do_not_divide() -> None:
    assert levels(Fidelity(0.1, 1, "share", integer=False), 10) == (0.1, 1)
    assert levels(Fidelity(2, 55), 3) == (2, 6, 18, 55)
    assert levels(Fidelity(2, 53), 3) == (6, 18, 53)
    assert levels(Fidelity(30, 80), 3) == (80,)
    assert levels(Fidelity(9, 9), 3) == (9,)
    assert levels(Fidelity(0.3, 1.2), 2) == (0.3, 1.0)  # 0.6 and 1.2 are both one whole epoch


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(UserError, match="eta >= 2, got 1"):
        levels(Fidelity(1, 9), 1)
    with pytest.raises(UserError, match=r"eta >= 2, got 2\.5"):
        levels(Fidelity(1, 9), 2.5)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="Did you mean 'paper'"):
        plan("papier", 3, 3)
    with pytest.raises(UserError, match="expected a task with a fidelity"):
        fidelity_of(Problem(Bowl().space, ("loss",), None, Budget(max_jobs=1)))


# the search


class Counting:
    """Draws x = 0, 1, 2, ... and remembers what it is told."""

    def __init__(self) -> None:
        self.drawn, self.told = 0, list[Report]()

    def draw(self) -> tuple[dict[str, int], dict[str, str]]:
        self.drawn += 1
        return {"x": self.drawn - 1}, {"from": "counting"}

    def learn(self, reports: Sequence[Report]) -> None:
        self.told += reports


Loss = Callable[[int, float], float]


def report(job: int, proposal: Proposal, loss: float) -> Report:
    status = Status.OK if math.isfinite(loss) else Status.FAILED
    return Report(job, job, proposal, proposal.fidelity or 0.0, status, (loss,), (), 1.0)


def drive(search: Brackets, loss: Loss, jobs: int, workers: int = 1) -> list[Report]:
    """Simulated workers; a job lasts as long as its fidelity, a little more for some configurations."""
    done: list[Report] = []
    running: list[tuple[float, int, Proposal]] = []
    now, begun = 0.0, 0
    while begun < jobs:
        asked = search.ask(workers - len(running), [p for _, _, p in sorted(running, key=lambda r: r[1])])
        assert len(asked) == workers - len(running), "a worker idles"
        for proposal in asked:
            length = (proposal.fidelity or 0.0) * (1 + 0.3 * (int(proposal.config["x"]) % 4))
            heapq.heappush(running, (now + length, begun, proposal))
            begun += 1
        now, job, proposal = heapq.heappop(running)
        done.append(report(job, proposal, loss(int(proposal.config["x"]), proposal.fidelity or 0.0)))
        search.tell(done[-1:])
    return done


def nine(sampler: Counting | None = None) -> Brackets:
    return Brackets(plan("paper", 2, 3), levels(Fidelity(1, 9), 3), sampler or Counting())


LOSSES = [5, 3, 8, 1, 9, 2, 7, 4, 6, 3, 1, 2, 5, 4, 2, 1, 3] + [0] * 99


def test_golden_trace_with_one_worker() -> None:
    """R = 9, eta = 3; at fidelity 3 configuration 5 overtakes 3."""
    done = drive(nine(), lambda x, fidelity: -1 if (x, fidelity) == (5, 3) else LOSSES[x], 24)
    trace = [(r.proposal.config["x"], r.proposal.fidelity, r.proposal.source) for r in done]
    assert trace == [
        *[(x, 1, None) for x in range(9)],
        (3, 3, 3), (5, 3, 5), (1, 3, 1),
        (5, 9, 10),
        *[(x, 3, None) for x in range(9, 14)],
        (10, 9, 14),
        *[(x, 9, None) for x in range(14, 17)],
        (17, 1, None), (18, 1, None),
    ]  # fmt: skip
    places = [(r.proposal.note["bracket"], r.proposal.note["rung"], r.proposal.note["slot"]) for r in done]
    assert places == [
        *[(0, 0, i) for i in range(9)], (0, 1, 0), (0, 1, 1), (0, 1, 2), (0, 2, 0),
        *[(1, 0, i) for i in range(5)], (1, 1, 0),
        *[(2, 0, i) for i in range(3)],
        (3, 0, 0), (3, 0, 1),
    ]  # fmt: skip
    assert {r.proposal.note["from"] for r in done} == {"counting"}, "promotions keep their origin"


def test_equal_values_are_promoted_in_order_of_jobs() -> None:
    done = drive(nine(), lambda x, fidelity: 0.0, 13)
    assert [r.proposal.source for r in done[9:]] == [0, 1, 2, 9]


@pytest.mark.parametrize("workers", [2, 4, 16, 50])
def test_brackets_keep_their_tables_with_parallel_workers(workers: int) -> None:
    loss: Loss = lambda x, fidelity: math.sin(7.0 * x + fidelity)  # noqa: E731
    done = drive(nine(), loss, 400, workers)
    by_job = {r.job: r for r in done}
    rungs: dict[tuple[int, int], list[Report]] = defaultdict(list)
    for r in done:
        rungs[r.proposal.note["bracket"], r.proposal.note["rung"]].append(r)
    sizes = [(9, 3, 1), (5, 1), (3,)]
    whole = 0
    for (bracket, rung), told in rungs.items():
        table = sizes[bracket % 3]
        assert len(told) <= table[rung]
        if rung == 0 or len(told) < table[rung]:
            continue
        whole += 1
        below = rungs[bracket, rung - 1]
        best = sorted(below, key=lambda r: (r.values[0], r.job))[: table[rung]]
        assert {r.proposal.source for r in told} == {r.job for r in best}
        for r in told:
            source = by_job[r.proposal.source or 0]
            assert source.proposal.config == r.proposal.config
            assert done.index(source) < done.index(r)
    assert whole > 20


def test_the_next_bracket_begins_only_where_a_worker_would_idle() -> None:
    search = nine()
    first = search.ask(9, [])
    assert {p.note["bracket"] for p in first} == {0}
    assert [p.note["bracket"] for p in search.ask(2, first)] == [1, 1]
    search.tell([report(i, p, float(i)) for i, p in enumerate(first)])
    assert [(p.note["bracket"], p.note["rung"]) for p in search.ask(5, [])] == [(0, 1)] * 3 + [(1, 0)] * 2


def test_failures_are_never_promoted() -> None:
    done = drive(nine(), lambda x, fidelity: math.inf if x not in (2, 7) else float(x), 12)
    assert [(r.proposal.config["x"], r.proposal.fidelity) for r in done[9:]] == [(2, 3), (7, 3), (2, 9)]


def test_where_all_fail_the_next_bracket_begins() -> None:
    done = drive(nine(), lambda x, fidelity: math.inf, 26)
    assert [r.proposal.note["bracket"] for r in done] == [0] * 9 + [1] * 5 + [2] * 3 + [3] * 9
    assert all(r.proposal.source is None for r in done)


def test_reports_of_others_go_to_the_sampler_only() -> None:
    def run(disturbed: bool) -> list[tuple[Proposal, ...]]:
        sampler, asked = Counting(), []
        search = nine(sampler)
        for job in range(40):
            [proposal] = search.ask(1, [])
            asked.append((proposal,))
            own = report(job, proposal, LOSSES[int(proposal.config["x"])])
            others = [
                report(900 + job, Proposal({"x": 77}, note=proposal.note), -9.0),  # another run's note
                report(910 + job, Proposal({"x": 78}, 1.0, note={"slot": [], "bracket": None}), -9.0),
                dataclasses.replace(own, job=920 + job, values=(-9.0,)),  # its own, told twice
            ]
            if disturbed:
                search.tell([others[0]])
                search.tell([own, *others[1:]])
                assert len(sampler.told) == 4 * (job + 1)
            else:
                search.tell([own])
        return asked

    assert run(True) == run(False)


def test_proposals_are_recognised_after_a_journal() -> None:
    """Configurations and notes that went through JSON are equal, not the same objects."""
    search, again = nine(), nine()
    for job in range(30):
        [proposal], [other] = search.ask(1, []), again.ask(1, [])
        assert proposal == other
        copy = Proposal(*json.loads(json.dumps(dataclasses.astuple(proposal))))
        loss = float(LOSSES[int(proposal.config["x"])])
        search.tell([report(job, proposal, loss)])
        again.tell([report(job, copy, loss)])
    assert proposal.note["bracket"] == 3
