"""One run in real time on real worker processes.

The order in which jobs end is whatever happened; the journal writes it down, and resuming
replays it. Jobs that were running when the process died are begun again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from hptbench.journal import Journal
from hptbench.ledger import Ledger
from hptbench.protocol import Clock, Job, Method, Outcome, Problem, Record
from hptbench.rng import entropy, stream
from hptbench.states import States
from hptbench.workers import Pool


def live(
    method: Method,
    problem: Problem,
    key: tuple[str | int, ...],
    journal: Journal,
    pool: Pool,
    tick: Callable[[int, float], None],
    states: States | None = None,
) -> list[Record]:
    """Run ``method`` with the ``problem.workers`` processes of ``pool``; returns the records in order of end.

    Times are real seconds since the run began, breaks between sessions not counted. At
    ``budget.max_time`` jobs still running are killed and not counted. Each end of a job is told
    alone, and free workers ask at once. ``tick`` is told how many jobs have ended and how
    many full evaluations have begun; ``states`` are kept in memory unless given."""
    states = States() if states is None else states
    ledger = Ledger(problem, key, Clock.COST, states)
    search = method.begin(problem, stream(entropy(*key, "search")))
    states.hold(search)
    limit = problem.budget.max_time
    history = deque(journal.history)
    finished: deque[tuple[Job, Outcome, float]] = deque()
    free = list(range(problem.workers))
    running: dict[int, tuple[Job, int, float]] = {}
    """Job id -> (job, worker, begin)."""
    unsent: list[int] = []
    """Jobs that run by the book, but are not on a worker yet, because history is being replayed."""
    records: list[Record] = []
    now = 0.0
    origin: float | None = None
    while True:
        if room := ledger.room(now, len(free)):
            proposals = search.ask(room, [job.proposal for job, _, _ in running.values()])
            if len(proposals) > room:
                raise ValueError(f"expected at most {room} proposals, got {len(proposals)}")
            for proposal in proposals:
                if ledger.room(now, 1):
                    job = ledger.open(proposal)
                    running[job.id] = (job, free.pop(0), now)
                    unsent.append(job.id)
        if not running:
            return records
        if history:
            done, began, now = history.popleft()
            if done not in running:
                raise journal.stray([done])
            job, worker, _ = running.pop(done)
            outcome = journal.take(job)
            assert outcome is not None, "the history names logged jobs only"
            if done in unsent:
                unsent.remove(done)
        else:
            if origin is None:
                origin = time.perf_counter() - now
            for i in unsent:
                job, worker, _ = running[i]
                running[i] = (job, worker, time.perf_counter() - origin)
                pool.submit([job], worker)
            unsent.clear()
            if not finished:
                left = None if limit is None else max(limit - (time.perf_counter() - origin), 0.0)
                ended = pool.wait(left)
                finished += [(job, outcome, time.perf_counter() - origin) for _, [job], [outcome] in ended]
            if not finished or (limit is not None and finished[0][2] > limit):
                return records
            done_job, outcome, now = finished.popleft()
            job, worker, began = running.pop(done_job.id)
            journal.append([job], [outcome], [(began, now)])
            journal.sync()
        free = sorted([*free, worker])
        bare, kept, report = ledger.close(job, outcome)
        records.append(Record(bare, kept, began, now, worker))
        search.tell([report])
        tick(len(records), ledger.full_evals)
