"""One run as a coroutine: it yields jobs to evaluate and is sent their outcomes.

The coroutine does no I/O and reads no clock; time is virtual and moves to the end of the next
job. Who drives it decides where and in what batches jobs are evaluated (DESIGN, idea 3).
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Sequence
from typing import TypeAlias

from hptbench.ledger import Ledger
from hptbench.protocol import Clock, Job, Method, Outcome, Problem, Record, Report
from hptbench.rng import entropy, stream

_TIE = 1e-12
"""Ends that differ by rounding only (ten times 0.1, and 1) are equal."""
Run: TypeAlias = Generator[Sequence[Job], Sequence[Outcome], list[Record]]


def simulate(method: Method, problem: Problem, key: tuple[str | int, ...], clock: Clock = Clock.UNITS) -> Run:
    """Run ``method`` on ``problem`` with ``problem.workers`` simulated workers.

    ``key`` names the run's random streams: (task name, seed). Returns the records in order of
    their end; jobs that end together are told together, ordered by id. A job that would end
    after ``budget.max_time`` is not counted."""
    ledger = Ledger(problem, key, clock)
    search = method.begin(problem, stream(entropy(*key, "search")))
    limit = problem.budget.max_time
    free = list(range(problem.workers))
    running: list[tuple[float, int, int, float, Job, Outcome]] = []
    """(end, job id, worker, begin, job, outcome): a heap, first in first out among equal ends."""
    records: list[Record] = []
    now = 0.0
    while True:
        if room := ledger.room(now, len(free)):
            waiting = [entry[4].proposal for entry in sorted(running, key=lambda entry: entry[1])]
            proposals = search.ask(room, waiting)
            if len(proposals) > room:
                raise ValueError(f"expected at most {room} proposals, got {len(proposals)}")
            jobs: list[Job] = []
            for proposal in proposals:
                if not ledger.room(now, 1):
                    break
                jobs.append(ledger.open(proposal))
            if jobs:
                for job, outcome in zip(jobs, (yield jobs), strict=True):
                    end = now + ledger.duration(job, outcome)
                    heapq.heappush(running, (end, job.id, free.pop(0), now, job, outcome))
        if not running or (limit is not None and running[0][0] > limit):
            return records
        now = running[0][0]
        reports: list[Report] = []
        while running and running[0][0] <= now * (1 + _TIE):
            _, _, worker, began, job, outcome = heapq.heappop(running)
            free.append(worker)
            bare, kept, report = ledger.close(job, outcome)
            records.append(Record(bare, kept, began, now, worker))
            reports.append(report)
        reports.sort(key=lambda report: report.job)
        free.sort()
        search.tell(reports)
