from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.journal import Journal, journaled
from hptbench.ledger import Ledger
from hptbench.methods.pbt import PBT
from hptbench.methods.start_from import StartFrom
from hptbench.protocol import (
    Budget,
    Clock,
    Fidelity,
    Job,
    Method,
    Outcome,
    Point,
    Problem,
    Proposal,
    Record,
    Report,
    Status,
    Traits,
)
from hptbench.run import Driver, Evaluator, Plan, _Timed, execute
from hptbench.simulate import simulate
from hptbench.spacefile import space_from_yaml
from hptbench.states import LIMIT, States
from hptbench.tasks.training import TrainingTask
from hptbench.testing.problems import Bowl
from hptbench.workers import Limits

MEMBERS, SEGMENTS = 8, 200
LONG = Bowl(over="sphere", fidelity=Fidelity(1, 1000, "epoch", continues=True), noise=0.1)


@dataclass(frozen=True)
class Population:
    """PBT in miniature: every member trains an epoch at a time; now and then a bad one copies a good one's state."""

    traits: ClassVar[Traits] = Traits(fidelity=True)

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Members:
        return _Members(problem, rng)


@dataclass
class _Members:
    problem: Problem
    rng: np.random.Generator
    at: dict[int, Report] = field(default_factory=dict)
    queue: list[int] = field(default_factory=lambda: list(range(MEMBERS)))

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        return [self._next(self.queue.pop(0)) for _ in range(min(n, len(self.queue)))]

    def _next(self, member: int) -> Proposal:
        [new] = self.problem.space.decode(self.problem.space.sample(self.rng, 1))
        if member not in self.at:
            return Proposal(new, 1.0, note={"member": member})
        own = self.at[member]
        ranked = sorted(self.at.values(), key=lambda r: (r.values[0], r.job))
        copies = own in ranked[-2:] and len(ranked) == MEMBERS
        source, config = (ranked[0], new) if copies else (own, own.proposal.config)
        return Proposal(config, source.fidelity + 1, source.job, {"member": member})

    def tell(self, reports: Sequence[Report]) -> None:
        for report in reports:
            member = int(report.proposal.note["member"])
            self.at[member] = report
            self.queue.append(member)


class Watched:
    """A task that counts the states that its jobs lack, and the states in the store at every batch."""

    def __init__(self, states: States, folder: Path | None = None) -> None:
        self.states, self.folder, self.lost, self.most, self.files = states, folder, 0, 0, 0

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        self.lost += sum(job.start > 0 and job.state is None for job in jobs)
        self.most = max(self.most, len(self.states))
        self.files = max(self.files, len(list(self.folder.iterdir())) if self.folder else 0)
        return LONG.evaluate(jobs)


def problem(workers: int) -> Problem:
    budget = Budget(max_jobs=SEGMENTS)
    return Problem(LONG.space, LONG.objectives, LONG.fidelity, budget, workers)


def drive(run: Any, task: Watched, batches: int | None = None) -> list[Record] | None:
    """All of the run; or so many batches of it, after which it is killed."""
    try:
        jobs = next(run)
        while batches is None or batches > 0:
            batches = batches and batches - 1
            jobs = run.send(task.evaluate(jobs))
    except StopIteration as stop:
        return list(stop.value)
    run.close()
    return None


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_a_population_keeps_as_many_states_as_it_has_members_and_loses_none(workers: int, tmp_path: Path) -> None:
    limit = 2 * MEMBERS
    runs = []
    for folder in (None, tmp_path / "states"):
        states = States(folder, limit=limit)
        task = Watched(states, folder)
        runs.append(drive(simulate(Population(), problem(workers), ("p", 0), states=states), task))
        assert task.most <= limit + workers
        assert task.files <= limit + workers
        assert task.lost == 0
    records = runs[0]
    assert records is not None
    assert records == runs[1]
    assert len(records) == SEGMENTS
    trials = {r.job.trial for r in records}
    assert len(trials) > MEMBERS + 20, "many were copied"
    with_few = Watched(States(limit=1))
    assert drive(simulate(Population(), problem(workers), ("p", 0), states=with_few.states), with_few) == records
    assert with_few.lost > 0, "a lost state is made again, and nothing is another"


@pytest.mark.parametrize(
    "method",
    [
        PBT(population=80, interval=1),
        StartFrom(inner="pbt", settings={"population": 80, "interval": 1}),
        _Timed(PBT(population=80, interval=1)),
    ],
    ids=["alone", "given a start", "in a run"],
)
@pytest.mark.parametrize("workers", [3, 80])
def test_a_population_of_any_size_is_given_room(method: Method, workers: int) -> None:
    task = TrainingTask("noisy_quadratic", steps=8)
    run = simulate(method, Problem(task.space, task.objectives, task.fidelity, Budget(max_jobs=600), workers), ("p", 0))
    went_on = 0
    try:
        jobs = next(run)
        while True:
            went_on += sum(job.start > 0 for job in jobs)
            assert all(job.state is not None for job in jobs if job.start > 0)
            jobs = run.send(task.evaluate(jobs))
    except StopIteration:
        assert went_on > 400


def test_the_default_store_is_bounded_however_long_the_run_is() -> None:
    states = States()
    for job in range(10_000):
        states.keep(job, "state", 1.0, float(job))
        if job:
            states.lend(job - 1)
            states.give_back(job - 1, over=job > 1 and job % 3 > 0)
        assert len(states) <= LIMIT
    assert states.lend(0) == "state", "the best outlives all"


def test_killed_and_resumed_equals_never_stopped_and_finds_its_states_again(tmp_path: Path) -> None:
    def begun(name: str) -> tuple[Journal, Any, Watched]:
        journal = Journal(tmp_path / f"{name}.jsonl", name)
        folder = tmp_path / name
        states = States(folder, journal.logged, limit=2 * MEMBERS)
        run = simulate(Population(), problem(3), ("p", 0), states=states)
        return journal, journaled(run, journal, lambda _: None), Watched(states, folder)

    journal, run, task = begun("whole")
    with journal:
        whole = drive(run, task)
    for batches in (1, 15, 20):  # killed three times
        journal, run, task = begun("killed")
        with journal:
            assert drive(run, task, batches) is None
    (tmp_path / "killed" / "999.pickle").write_bytes(b"of a job that the journal lacks")
    (tmp_path / "killed" / ".5.pickle.77").write_bytes(b"half")
    journal, run, task = begun("killed")
    assert not {"999.pickle", ".5.pickle.77"} & {path.name for path in (tmp_path / "killed").iterdir()}
    with journal:
        assert drive(run, task) == whole
    assert task.lost <= 3, "only what ran when it was killed"
    task.states.clear()
    assert not (tmp_path / "killed").exists()


def test_what_a_job_goes_on_from_is_not_dropped_while_it_runs() -> None:
    states = States(limit=2)
    states.keep(0, "a", 1.0, 5.0)
    assert states.lend(0) == "a"
    assert states.lend(0) == "a"  # by two
    for job in range(1, 9):
        states.keep(job, "b", 1.0, 1.0)
    assert len(states) == 3
    states.give_back(0, over=True)
    assert states.lend(0) == "a"
    states.give_back(0, over=False)
    states.give_back(0, over=False)
    assert states.lend(0) is None, "its trial has gone on, so it is dropped first"
    states.give_back(0, over=True)
    assert len(states) == 2


def test_the_ledger_gives_back_what_failed_jobs_went_on_from() -> None:
    space = space_from_yaml({"x": {"type": "float", "lower": 0, "upper": 1}})
    states = States(limit=4)
    book = Ledger(
        Problem(space, ("loss",), Fidelity(1, 9, continues=True), Budget(max_jobs=50)), ("t", 0), Clock.UNITS, states
    )
    ok = Outcome(Status.OK, (Point(1.0, (1.0,)),), 1.0, state="s")
    first = book.open(Proposal({"x": 0.5}, 1.0))
    book.close(first, ok)
    for _ in range(20):
        job = book.open(Proposal({"x": 0.5}, 9.0, first.id))
        assert job.state == "s"
        book.close(job, Outcome(Status.FAILED, (), 1.0))
    assert len(states) == 1
    job = book.open(Proposal({"x": 0.25}, 9.0, first.id))
    book.close(job, replace(ok, curve=(Point(9.0, (0.5,)),)))
    assert len(states) == 1, "a training that has reached the end leaves nothing"


def test_what_states_take_on_the_disk_is_known(tmp_path: Path) -> None:
    states = States(tmp_path / "states", limit=2)
    assert states.peak_mb is None
    sizes = []
    for job in range(5):
        states.keep(job, b"x" * 1000 * (job + 1), 1.0, float(job))
        sizes.append((tmp_path / "states" / f"{job}.pickle").stat().st_size)
    # a third is written before the one that is missed least is deleted; the first is the best
    assert states.peak_mb == pytest.approx((sizes[0] + sizes[3] + sizes[4]) / 1e6)
    assert States().peak_mb is None


def test_a_state_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    states = States(tmp_path / "states")
    states.keep(0, {"weights": [1.0]}, 1.0, 0.5)
    assert states.lend(0) == {"weights": [1.0]}
    (tmp_path / "states" / "0.pickle").write_bytes(b"no pickle")
    with pytest.raises(UserError, match=r"0\.pickle cannot be read .* Delete .*states"):
        states.lend(0)


@dataclass(frozen=True)
class Real(Bowl):
    """Bowl, said to be measured: so its jobs run in worker processes, and its states are kept on the disk."""

    measured: bool = True


def test_a_run_of_real_trainings_keeps_its_states_beside_its_journal_until_it_is_finished(tmp_path: Path) -> None:
    task = Real(over="sphere", fidelity=LONG.fidelity)
    seconds = Limits(seconds=60)
    plan = Plan(task, "population", Population(), 0, Budget(max_jobs=20), 2, Clock.UNITS, seconds, tmp_path)
    seen: list[set[str]] = []

    def tick(jobs: int, _: float) -> None:
        seen.append({path.name for path in (plan.folder / "states").iterdir()})

    with Evaluator() as evaluator:
        execute(plan, Driver(evaluator, tick))
    assert plan.finished
    assert 0 < json.loads((plan.folder / "run.json").read_text())["states"] < 1
    assert {"0.pickle", "1.pickle"} <= set.union(*seen)
    assert not (plan.folder / "states").exists()
    assert not replace(plan, limits=Limits()).keeps_states
    assert not replace(plan, task=LONG).keeps_states
