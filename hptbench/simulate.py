"""One run as a coroutine: it yields jobs to evaluate and is sent their outcomes.

The coroutine does no I/O and reads no clock; time is virtual and moves to the end of the next
job. Who drives it decides where and in what batches jobs are evaluated (DESIGN, idea 3).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from hptbench.errors import UserError
from hptbench.ledger import Ledger
from hptbench.protocol import Clock, Job, Method, Outcome, Problem, Proposal, Record, Report
from hptbench.rng import entropy, stream
from hptbench.states import States

_TIE = 1e-12
"""Ends that differ by rounding only (ten times 0.1, and 1) are equal."""
MEASURED = "measured"
Run: TypeAlias = Generator[Sequence[Job], Sequence[Outcome], list[Record]]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What simulated workers are like. Anything but the defaults needs a clock in seconds."""

    overhead: float | str = 0.0
    """Seconds that a method thinks about each proposal; ``measured``: as long as it did. Meanwhile running jobs go
    on, but it learns of their ends only when it is done, and the worker that it proposes for waits."""
    spread: float = 0.0
    """Standard deviation of the logarithm of the workers' slowness, which all costs on a worker are multiplied by;
    0: all are alike. The median worker is as slow as the task says."""

    def __post_init__(self) -> None:
        for name, words in (("overhead", (MEASURED,)), ("spread", ())):
            value = getattr(self, name)
            if value in words:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                also = "".join(f" or {word}" for word in words)
                raise UserError(f"expected simulation.{name} to be a number >= 0{also}, got {value!r}")
            object.__setattr__(self, name, float(value))

    def check_clock(self, clock: Clock) -> None:
        """UserError for seconds under a clock that knows none."""
        if clock is Clock.UNITS and self != PLAIN:
            raise UserError(
                "simulation.overhead and simulation.spread are in seconds, but the clock counts full evaluations; "
                "set clock=cost, or leave them at 0"
            )


PLAIN = Simulation()
"""Methods think in no time, and all workers are alike."""


def simulate(
    method: Method,
    problem: Problem,
    key: tuple[str | int, ...],
    clock: Clock = Clock.UNITS,
    simulation: Simulation = PLAIN,
    thought: Callable[[], float] | None = None,
    states: States | None = None,
) -> Run:
    """Run ``method`` on ``problem`` with ``problem.workers`` simulated workers.

    ``key`` names the run's random streams: (task name, seed). Returns the records in order of
    their end; jobs that end together are told together, ordered by id. A job that would end
    after ``budget.max_time`` is not counted. ``thought`` is called after every ask if the overhead is ``measured``:
    the seconds that the method has thought since the last call. ``states``: where training states are kept, a store
    in memory unless given."""
    simulation.check_clock(clock)
    states = States() if states is None else states
    ledger = Ledger(problem, key, clock, states)
    search = method.begin(problem, stream(entropy(*key, "search")))
    states.hold(search)
    limit = problem.budget.max_time
    free = list(range(problem.workers))
    """A heap: the lowest number works first."""
    slowness = _slowness(problem.workers, key, simulation.spread)
    thinking = simulation.overhead != 0
    running: list[tuple[float, int, int, float, Job, Outcome]] = []
    """(end, job id, worker, begin, job, outcome): a heap, first in first out among equal ends."""
    pending: dict[int, Proposal] = {}
    """What runs, by job id: in the order in which the jobs began."""
    records: list[Record] = []
    now = 0.0
    while True:
        begun = False
        if room := ledger.room(now, len(free)):
            room = 1 if thinking else room  # the next free worker has to wait for its turn
            proposals = search.ask(room, list(pending.values()))
            if len(proposals) > room:
                raise ValueError(f"expected at most {room} proposals, got {len(proposals)}")
            if thinking:
                now += _overhead(simulation, len(proposals), thought)
            jobs: list[Job] = []
            for proposal in proposals:
                if not ledger.room(now, 1):
                    break
                jobs.append(ledger.open(proposal))
            if jobs:
                begun = True
                for job, outcome in zip(jobs, (yield jobs), strict=True):
                    worker = heapq.heappop(free)
                    if slowness:
                        outcome = replace(outcome, cost=outcome.cost * slowness[worker])
                    end = now + ledger.duration(job, outcome)
                    heapq.heappush(running, (end, job.id, worker, now, job, outcome))
                    pending[job.id] = job.proposal
        if not (thinking and begun and ledger.room(now, len(free))):  # else another worker's turn comes first
            if not running or (limit is not None and running[0][0] > limit):
                return records
            now = max(now, running[0][0])
        reports: list[Report] = []
        while running and running[0][0] <= now * (1 + _TIE):
            end, _, worker, began, job, outcome = heapq.heappop(running)
            heapq.heappush(free, worker)
            del pending[job.id]
            bare, kept, report = ledger.close(job, outcome)
            records.append(Record(bare, kept, began, min(end, now), worker))
            reports.append(report)
        if reports:
            reports.sort(key=lambda report: report.job)
            search.tell(reports)


def _overhead(simulation: Simulation, proposals: int, thought: Callable[[], float] | None) -> float:
    """Seconds that an ask took."""
    if isinstance(simulation.overhead, float):
        return simulation.overhead * proposals
    if thought is None:
        raise ValueError("expected thought, the seconds of each ask, for an overhead that is measured, got None")
    return thought()


def _slowness(workers: int, key: tuple[str | int, ...], spread: float) -> list[float]:
    """By worker; empty if all are alike. Another number of workers has the same first ones."""
    if not spread:
        return []
    return [math.exp(spread * float(stream(entropy(*key, "worker", i)).standard_normal())) for i in range(workers)]
