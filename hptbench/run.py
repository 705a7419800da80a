"""One run of a study, from its plan to its files; every executor drives these.

results/<study>/runs/<task>/<method>/<seed>-<id>/
    journal.jsonl   finished jobs, as they end       (journal.py)
    states/         what real trainings go on from, until the run is finished  (states.py)
    jobs.parquet    a row per job, once finished     (results/schema.py)
    run.json        the run's row; there = finished
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hptbench import machine, provenance
from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.identity import as_json, class_of, digest, encoded
from hptbench.journal import Journal, journaled
from hptbench.live import live
from hptbench.protocol import (
    Advice,
    Budget,
    Clock,
    GoesOn,
    HasFront,
    Job,
    Method,
    Outcome,
    Problem,
    Proposal,
    Record,
    Report,
    Search,
    Status,
    Task,
    Traits,
)
from hptbench.results.registered import registered
from hptbench.results.rows import advice_row, job_row
from hptbench.results.schema import JOBS, RUNS, table
from hptbench.simulate import PLAIN, Run, Simulation, simulate
from hptbench.states import States
from hptbench.workers import Limits, Pool, evaluate_here

Evaluate = Callable[[Sequence[Job]], Sequence[Outcome]]
Tick = Callable[[int, float], None]
"""Told how many jobs and how many full evaluations have begun."""


@dataclass(frozen=True)
class Plan:
    """A run to be done: all that can change its result, and where it is kept."""

    task: Task
    label: str
    """The method's name in tables: unique in a study."""
    method: Method
    seed: int
    budget: Budget
    workers: int
    clock: Clock
    limits: Limits
    study: Path
    live: bool = False
    simulation: Simulation = PLAIN
    advice: Advice = field(default_factory=Advice)
    """From meta-learning, for the method."""
    learnt_from: int = 0
    """Trainings on other tasks that the advice was learnt from."""
    budget_reason: str | None = None
    """Why the budget is as large as it is, in the author's words."""
    stated: Mapping[str, Any] = field(default_factory=dict)
    """How the method's hyperparameters were chosen: :func:`hptbench.provenance.stated`."""

    @property
    def problem(self) -> Problem:
        """What the method sees."""
        of = self.task
        return Problem(of.space, of.objectives, of.fidelity, self.budget, self.workers, self.advice, of.constraints)

    @property
    def key(self) -> tuple[str | int, ...]:
        """The name of the run's random streams: the same for all methods."""
        return (self.task.name, self.seed)

    @cached_property
    def protocol(self) -> Mapping[str, Any]:
        """What has to be equal for runs to be comparable: all but the method and the seed."""
        task = self.task
        return {
            "task": task.name,
            "class": class_of(task),
            "version": task.version,
            "identity": encoded(task.identity(), f"the identity of {task.name}"),
            "space": task.space.to_json(),
            "objectives": list(task.objectives),
            "constraints": list(task.constraints),
            "fidelity": task.fidelity and dataclasses.asdict(task.fidelity),
            "budget": self.budget.to_json(),
            "workers": self.workers,
            "clock": "live" if self.live else self.clock,
            "limits": dataclasses.asdict(self.limits) if self.isolated else None,
        } | ({} if self.simulation == PLAIN else {"simulation": dataclasses.asdict(self.simulation)})

    @cached_property
    def hyperparameters(self) -> dict[str, Any]:
        """The method's own hyperparameters; methods and such within them with their class."""
        fields = encoded(self.method, f"method {self.label}")
        return {name: value for name, value in fields.items() if name != "class"}

    @cached_property
    def id(self) -> str:
        """Hash of all that can change the result, and of nothing else."""
        what = {"protocol": self.protocol, "method": encoded(self.method, self.label), "seed": self.seed}
        return digest(what if self.advice == Advice() else what | {"advice": encoded(self.advice, "advice")})

    @property
    def folder(self) -> Path:
        """Where the run is kept."""
        return self.study / "runs" / self.task.name / self.label / f"{self.seed}-{self.id}"

    @property
    def isolated(self) -> bool:
        """Jobs are evaluated in worker processes with limits."""
        return self.live or (self.task.measured and bool(self.limits))

    @property
    def keeps_states(self) -> bool:
        """Training states are kept on the disk: they are costly to make again, and can be sent between processes."""
        return self.isolated and self.task.fidelity is not None and self.task.fidelity.continues

    @property
    def key_in_tables(self) -> tuple[str, str, int, str]:
        """Its task, method, seed and run: what names it in the tables of a study."""
        return (self.task.name, self.label, self.seed, self.id)

    @property
    def finished(self) -> bool:
        """All of the run's files are there."""
        return (self.folder / "run.json").is_file()


class Evaluator:
    """Evaluates the jobs of plans: in worker processes those that are to be limited, others here.

    The workers stay for the next plan if it has the same task and limits."""

    def __init__(self, processes: int = 1) -> None:
        self._processes = processes
        self._pool: Pool | None = None

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def of(self, plan: Plan) -> Evaluate:
        """How the jobs of ``plan`` are evaluated, until another plan's are."""
        if not plan.isolated:
            return lambda jobs: evaluate_here(plan.task, jobs)
        return self.pool(plan, self._processes).evaluate

    def pool(self, plan: Plan, processes: int) -> Pool:
        """Workers for the jobs of ``plan``: those at hand, if they fit."""
        pool = self._pool
        if pool is None or (pool.task, pool.limits, pool.n) != (plan.task, plan.limits, processes):
            self.__exit__()
            self._pool = pool = Pool(plan.task, processes, plan.limits)
        return pool

    def peak_memory_mb(self) -> float:
        """Highest resident memory of this process or a worker, 10^6 bytes."""
        return max(machine.peak_memory_mb(), self._pool.peak_memory_mb if self._pool else 0.0)


@dataclass(frozen=True)
class Driver:
    """What a run needs of who drives it."""

    evaluator: Evaluator
    tick: Tick
    sync: Callable[[Journal], None] = Journal.sync
    """As in :func:`hptbench.journal.journaled`."""


def coroutine(plan: Plan, driver: Driver) -> Generator[Sequence[Job], Sequence[Outcome], None]:
    """A simulated run with its files: yields the jobs to evaluate, is sent their outcomes."""

    def sync(journal: Journal) -> None:
        if plan.task.measured or journal.due:
            driver.sync(journal)

    with _opened(plan, driver) as opened:
        if plan.finished:  # by somebody else, who had the journal until now
            return
        simulated = simulate(
            opened.timed, plan.problem, plan.key, plan.clock, plan.simulation, opened.thought, opened.states
        )
        run = _watched(simulated, plan.problem, driver.tick)
        opened.finish((yield from journaled(run, opened.journal, sync)))


def execute(plan: Plan, driver: Driver) -> None:
    """Do the run, from where its journal ends."""
    if plan.finished:  # by somebody else meanwhile
        return
    if plan.live:
        # jobs may be running at the end that no longer count
        with _opened(plan, driver) as opened, closing(driver.evaluator.pool(plan, plan.workers)) as pool:
            if not plan.finished:
                done = live(opened.timed, plan.problem, plan.key, opened.journal, pool, driver.tick, opened.states)
                opened.finish(done)
        return
    evaluate = driver.evaluator.of(plan)
    run = coroutine(plan, driver)
    try:
        jobs = next(run)
        while True:
            jobs = run.send(evaluate(jobs))
    except StopIteration:
        return
    finally:
        run.close()


@dataclass(frozen=True)
class _Opened:
    """What a session works on a run with."""

    journal: Journal
    states: States
    timed: _Timed
    finish: Callable[[list[Record]], None]

    def thought(self) -> float:
        """Seconds of the ask just done and of what was told before it: as they are, or were when it was first done."""
        return self.journal.thought(self.timed.since_last())


@contextmanager
def _opened(plan: Plan, driver: Driver) -> Generator[_Opened, None, None]:
    """The run's journal and states, its method with a watch on it, and how to finish."""
    began = time.perf_counter()
    plan.folder.mkdir(parents=True, exist_ok=True)
    hypotheses = registered(plan.study)
    timed = _Timed(plan.method)
    with Journal(plan.folder / "journal.jsonl", plan.id) as journal:
        states = States(*((plan.folder / "states", journal.logged) if plan.keeps_states and not plan.finished else ()))

        def finish(records: list[Record]) -> None:
            journal.sync()
            states.clear()
            wall, sha = time.perf_counter() - began, hypotheses.sha if hypotheses else None
            _finish(plan, records, timed, wall, driver, sha, states.peak_mb)

        yield _Opened(journal, states, timed, finish)


def _watched(run: Run, problem: Problem, tick: Tick) -> Run:
    """``run``, telling ``tick`` what has been begun. ValueError if a configuration does not lie in the space."""
    high = problem.fidelity.high if problem.fidelity else 1.0
    count, spent = 0, 0.0
    try:
        jobs = next(run)
        while True:
            count += len(jobs)
            spent += sum((job.stop - job.start) / high for job in jobs)
            tick(count, spent)
            for job in jobs:
                if job.proposal.source is None:
                    _check(problem, job)
            jobs = run.send((yield jobs))
    except StopIteration as stop:
        return list(stop.value)


def _check(problem: Problem, job: Job) -> None:
    try:
        problem.space.check(job.proposal.config)
    except UserError as error:
        raise ValueError(f"the method proposed what is not in the search space: {error}") from error


class _Timed:
    """A method whose ask and tell are timed from outside, by processor time; the method itself reads no clock."""

    traits: ClassVar[Traits] = Traits()  # never asked: the method's own were checked before

    def __init__(self, method: Method) -> None:
        self.method = method
        self.ask_seconds = self.tell_seconds = 0.0
        self._seen = 0.0

    def since_last(self) -> float:
        """Seconds of ask and tell since the last call."""
        before, self._seen = self._seen, self.ask_seconds + self.tell_seconds
        return self._seen - before

    def begin(self, problem: Problem, rng: np.random.Generator) -> _TimedSearch:
        return _TimedSearch(self, self.method.begin(problem, rng))


class _TimedSearch:
    def __init__(self, watch: _Timed, search: Search) -> None:
        self._watch, self._search = watch, search

    def ask(self, n: int, running: Sequence[Proposal]) -> Sequence[Proposal]:
        began = time.process_time()
        proposals = self._search.ask(n, running)
        self._watch.ask_seconds += time.process_time() - began
        return proposals

    @property
    def in_training(self) -> int:
        return self._search.in_training if isinstance(self._search, GoesOn) else 0

    def tell(self, reports: Sequence[Report]) -> None:
        began = time.process_time()
        self._search.tell(reports)
        self._watch.tell_seconds += time.process_time() - began


def _finish(
    plan: Plan,
    records: list[Record],
    timed: _Timed,
    wall: float,
    driver: Driver,
    hypotheses: str | None,
    states_mb: float | None,
) -> None:
    import pyarrow.parquet as pq

    key: dict[str, Any] = {"task": plan.task.name, "method": plan.label, "seed": plan.seed, "run": plan.id}
    high = plan.task.fidelity.high if plan.task.fidelity else 1.0
    rows = [key | job_row(record, high) for record in records]
    write_whole(plan.folder / "jobs.parquet", lambda path: pq.write_table(table(JOBS, rows), path, compression="zstd"))
    front = plan.task.front if isinstance(plan.task, HasFront) else None
    row: dict[str, Any] = key | {
        "unit": plan.task.unit,
        "licence": getattr(plan.task, "licence", None),
        "version": plan.task.version,
        "objective": plan.task.objectives[0],
        "objectives": list(plan.task.objectives),
        "constraints": list(plan.task.constraints),
        "front": as_json(dataclasses.asdict(front)) if front else None,
        "optimum": getattr(plan.task, "optimum", None),
        "high": high,
        "fidelity_unit": plan.task.fidelity.unit if plan.task.fidelity else None,
        "protocol": digest(plan.protocol),
        "method_class": class_of(plan.method),
        "hyperparameters": as_json(plan.hyperparameters),
        "provenance": provenance.column(plan.method, plan.stated),
        "advice": advice_row(plan.advice, plan.learnt_from),
        "budget": as_json(plan.protocol["budget"]),
        "budget_reason": plan.budget_reason,
        "workers": plan.workers,
        "clock": str(plan.protocol["clock"]),
        "limits": as_json(plan.protocol["limits"]),
        "simulation": as_json(dataclasses.asdict(plan.simulation)),
        "task_identity": as_json(plan.protocol["identity"]),
        "space": as_json(plan.protocol["space"]),
        "hypotheses": hypotheses,
        "jobs": len(rows),
        "failed": len([r for r in records if r.outcome.status is not Status.OK]),
        "full_evals": sum(row["units"] for row in rows),
        "wall": wall,
        "ask": timed.ask_seconds,
        "tell": timed.tell_seconds,
        "peak_memory": driver.evaluator.peak_memory_mb(),
        "states": states_mb,
        "load": machine.load(),
        "device": machine.device(),
        "versions": as_json(machine.versions()),
        "commit": machine.commit(),
    }
    table(RUNS, [row])  # or the study could never be collected again
    write_whole(plan.folder / "run.json", lambda path: path.write_text(as_json(row) + "\n", encoding="utf-8"))
