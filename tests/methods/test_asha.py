from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence

from hptbench.methods._asha import Asha
from hptbench.protocol import Proposal, Report, Status

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
