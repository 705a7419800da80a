"""What every method must do. Each check takes a method and raises AssertionError if it does not."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, fields, replace
from functools import cache
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from hptbench.errors import UserError
from hptbench.journal import Journal, journaled
from hptbench.protocol import (
    Advice,
    Budget,
    Clock,
    Job,
    Method,
    Outcome,
    PastTask,
    Problem,
    Record,
    Report,
    Search,
    Status,
    Task,
    Traits,
)  # fmt: skip
from hptbench.rng import entropy, stream
from hptbench.simulate import Run, simulate
from hptbench.space import Space
from hptbench.testing.problems import Bowl
from hptbench.testing.purity import no_clock_no_global_random

BUDGET = Budget(max_full_evals=12)


class Evaluates(Protocol):
    """As much of a task as it takes to drive a run."""

    def evaluate(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        """One outcome per job."""
        ...


def drive(run: Run, task: Evaluates) -> list[Record]:
    """Drive a coroutine to its end on ``task``."""
    try:
        jobs = next(run)
        while True:
            jobs = run.send(task.evaluate(jobs))
    except StopIteration as stop:
        return list(stop.value)


def problem_of(task: Task, budget: Budget = BUDGET, workers: int = 1) -> Problem:
    """What a method sees of ``task``."""
    return Problem(task.space, task.objectives, task.fidelity, budget, workers, constraints=task.constraints)


def records_of(method: Method, task: Task, seed: int = 0, budget: Budget = BUDGET, workers: int = 1) -> list[Record]:
    """The records of one simulated run, with the task's own costs as time."""
    problem = _told(method, problem_of(task, budget, workers))
    return drive(simulate(method, problem, (task.name, seed), Clock.COST), task)


def past_bowls(space: Space, tasks: int = 3, configs: int = 25) -> tuple[PastTask, ...]:
    """Past tasks for methods that learn from them: bowls (:class:`Bowl`) with their bottoms at other places."""
    found = []
    for t in range(tasks):
        u = space.sample(stream(entropy("past", t)), configs)
        losses = np.nansum((u - (0.2 + 0.1 * t)) ** 2, axis=1)
        found.append(PastTask(f"past-{t}", 1 / tasks, tuple(space.decode(u)), tuple(losses.tolist())))
    return tuple(found)


def _told(method: Method, problem: Problem) -> Problem:
    """``problem`` with past tasks, if the method needs them."""
    needed = type(method).traits.past or (isinstance(method, _WarmStarted) and method.needs_past)
    return replace(problem, advice=Advice(past=past_bowls(problem.space))) if needed else problem


def fitting(method: Method, task: Bowl) -> Bowl:
    """``task`` with as many objectives as the method needs, and a constraint if it looks at any."""
    traits = type(method).traits
    if traits.min_objectives > 1:
        task = replace(task, objectives=tuple(f"loss{i}" for i in range(traits.min_objectives)))
    return replace(task, constraints=("distance",)) if traits.constraints else task


def enough(method: Method, jobs: int) -> int:
    """Of ``jobs``, as many as tell a method something: full evaluations tell more than lower ones."""
    traits = type(method).traits
    return jobs // 10 if traits.costly else jobs if traits.fidelity else jobs // 5


def budget_of(method: Method, full_evals: float = 12) -> Budget:
    """So many full evaluations; fewer where they would be too many jobs for the method."""
    return Budget(max_full_evals=full_evals, max_jobs=enough(method, 30 * math.ceil(full_evals)))


def incumbent(records: Sequence[Record]) -> float:
    """Value of the best configuration at the highest fidelity that was reached."""
    done = [(r.job.stop, r.outcome.curve[-1].values[0]) for r in records if r.outcome.status is Status.OK]
    top = max(stop for stop, _ in done)
    return min(value for stop, value in done if stop == top)


def is_a_frozen_recipe(method: Method) -> None:
    """A frozen dataclass whose docstring begins with one sentence and whose module names its source."""
    module = __import__(type(method).__module__, fromlist=["_"])
    text = (module.__doc__ or "") + (type(method).__doc__ or "")
    assert type(method).__doc__, "a method has a docstring: its first sentence is shown by `list`"
    assert re.search(r"\b(19|20)\d\d\b|[Rr]eference", text), "the docstring names the paper and its year"
    for f in fields(method):  # type: ignore[arg-type]
        try:
            setattr(method, f.name, getattr(method, f.name))
        except FrozenInstanceError:
            continue
        raise AssertionError("a method is a frozen dataclass: its state belongs to the search")


def proposes_plain_values_in_the_space(method: Method) -> None:
    """Every configuration lies in the space and is made of plain Python values."""
    task = fitting(method, Bowl())
    for record in records_of(method, task, workers=3, budget=budget_of(method)):
        config = record.job.proposal.config
        task.space.check(config)
        assert all(type(value) in (bool, int, float, str) for value in config.values()), config
        assert json.loads(json.dumps(dict(config))) == dict(config)
        json.dumps(dict(record.job.proposal.note))


def repeats_itself(method: Method) -> None:
    """Equal seed, equal records; another seed, other configurations (unless the design is a fixed one)."""
    task = fitting(method, Bowl(noise=0.0))
    first, again, other = (
        records_of(method, task, seed=seed, workers=4, budget=budget_of(method)) for seed in (1, 1, 2)
    )
    assert first == again
    if not type(method).traits.finite:
        configs = [[dict(r.job.proposal.config) for r in records] for records in (first, other)]
        assert configs[0] != configs[1], "the seed is not used"


def is_pure(method: Method) -> None:
    """Neither clock nor global random state is used: a run is repeated where reading them raises."""
    task = fitting(method, Bowl())
    first = records_of(method, task, budget=budget_of(method))  # imports may read clocks
    with no_clock_no_global_random():
        again = records_of(method, task, budget=budget_of(method))
    assert first == again


def keeps_within_the_budget(method: Method) -> None:
    """With 1 worker and with many: no job begins after the limit, and the search goes on until then."""
    task = fitting(method, Bowl())
    most, time = enough(method, 200), 1.0 if type(method).traits.costly else 3.0
    for workers in (1, 64):
        records = records_of(method, task, workers=workers, budget=Budget(max_jobs=most))
        assert len(records) <= most
        assert len({r.job.id for r in records}) == len(records)
        if not _ends_early(method):
            assert len(records) == most, f"stopped after {len(records)} of {most} jobs with {workers} workers"
    for workers in (1, 8):
        timed = records_of(method, task, workers=workers, budget=Budget(max_time=time, max_jobs=enough(method, 1500)))
        assert all(r.began < time and r.ended <= time for r in timed)
        for at in (r.began for r in timed):
            assert sum(r.began <= at < r.ended for r in timed) <= workers


def survives(method: Method) -> None:
    """Failures, NaN, all failed, a constant objective, a one-point space: the search goes on (in a one-point space it
    may end). With one worker and with several, in turn."""
    for task, workers in (
        (Bowl(fail=0.3), 5), (Bowl(nan=0.3), 1), (Bowl(fail=1.0), 1), (Bowl(nan=1.0), 5),
        (Bowl(flat=True, noise=0.0), 1), (Bowl(over="point"), 5), (Bowl(over="point", fail=0.5, nan=0.3), 1),
    ):  # fmt: skip
        budget = Budget(max_jobs=enough(method, 150))
        records = records_of(method, fitting(method, task), budget=budget, workers=workers)
        assert records, f"nothing was evaluated on {task}"
        if not _ends_early(method) and task.over != "point":
            assert len(records) == budget.max_jobs, f"stopped after {len(records)} jobs on {task}"


def resumes_from_any_cut(method: Method) -> None:
    """Cut anywhere, the journal is continued to the same records, and no logged job is evaluated again."""
    task = fitting(method, Bowl(fail=0.1))
    problem, key = _told(method, problem_of(task, budget_of(method), workers=3)), (task.name, 7)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"

        def run() -> tuple[list[Record], int]:
            counted = _Counted(task)
            with Journal(path, "conformance") as journal:
                return drive(journaled(simulate(method, problem, key, Clock.COST), journal), counted), counted.jobs

        whole, jobs = run()
        data = path.read_bytes()
        ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
        for kept in sorted({1, jobs // 2, jobs}):
            path.write_bytes(data[: ends[kept] + 7])  # a whole number of lines and a torn one
            resumed, evaluated = run()
            assert resumed == whole
            assert evaluated == jobs - kept
            assert path.read_bytes() == data


def takes_in_foreign_reports(method: Method) -> None:
    """Reports of jobs that it did not propose are no error and bring nothing out of step: not even such as look like
    its own, from another run of it."""
    task = fitting(method, Bowl())
    for donor in (_random(), method):
        told = records_of(donor, task, seed=5, budget=budget_of(method))
        foreign = [_renumbered(_report(record)) for record in told]
        budget = Budget(max_jobs=enough(method, 100))
        records = records_of(_WarmStarted(method, foreign), task, budget=budget, workers=3)
        assert records
        if not _ends_early(method):
            assert len(records) == budget.max_jobs, f"stopped after {len(records)} jobs"


def is_not_worse_than_random(method: Method) -> None:
    """On a sphere with informative fidelities, over several seeds, at equal training."""
    from scipy.stats import mannwhitneyu

    task = fitting(method, Bowl(over="sphere", noise=0.0))
    budget = budget_of(method, 27)
    own = [records_of(method, task, seed=s, budget=budget) for s in range(8)]
    spent = max(sum(r.job.stop - r.job.start for r in run) / 27 for run in own)
    random = _incumbents_of_random(task, Budget(max_full_evals=min(spent, 27.0)))
    p = mannwhitneyu([incumbent(r) for r in own], random, alternative="greater").pvalue
    assert p > 0.01, f"worse than random search with p = {p:.4f}"


def refuses_what_it_cannot_do(method: Method) -> None:
    """A method that needs a fidelity or past tasks says so."""
    if type(method).traits.past:
        try:
            method.begin(problem_of(Bowl()), stream(entropy("none")))
        except UserError:
            return
        raise AssertionError("a method that needs past tasks raises UserError where there are none")
    if type(method).traits.fidelity:
        try:
            method.begin(problem_of(fitting(method, Bowl(fidelity=None))), stream(entropy("none")))
        except UserError:
            return
        raise AssertionError("a method that needs a fidelity raises UserError where there is none")


METHOD_CHECKS: tuple[Callable[[Method], None], ...] = (
    is_a_frozen_recipe,
    proposes_plain_values_in_the_space,
    repeats_itself,
    is_pure,
    keeps_within_the_budget,
    survives,
    resumes_from_any_cut,
    takes_in_foreign_reports,
    is_not_worse_than_random,
    refuses_what_it_cannot_do,
)


def _ends_early(method: Method) -> bool:
    """A finite design (a grid, the default configuration) may end before the budget."""
    return type(method).traits.finite


def _random() -> Method:
    from hptbench.registry import find

    return find("method", "random")()  # type: ignore[no-any-return]


@cache
def _incumbents_of_random(task: Bowl, budget: Budget) -> list[float]:
    return [incumbent(records_of(_random(), task, seed=seed, budget=budget)) for seed in range(100, 120)]


def _report(record: Record) -> Report:
    job, outcome = record.job, record.outcome
    last = outcome.curve[-1]
    return Report(
        job.id, job.trial, job.proposal, job.stop, outcome.status, last.values, outcome.curve, outcome.cost,
        last.constraints,
    )  # fmt: skip


def _renumbered(report: Report) -> Report:
    return replace(report, job=report.job + 1000, trial=report.trial + 1000)


class _WarmStarted:
    """A method that is told of foreign jobs before it is first asked."""

    def __init__(self, method: Method, foreign: Sequence[Report]) -> None:
        self._method, self._foreign = method, foreign
        self.needs_past = type(method).traits.past

    traits: ClassVar[Traits] = Traits()

    def begin(self, problem: Problem, rng: np.random.Generator) -> Search:
        search = self._method.begin(problem, rng)
        search.tell(self._foreign)
        return search


class _Counted(Evaluates):
    """A task that counts the jobs it is asked for."""

    def __init__(self, task: Task) -> None:
        self._task, self.jobs = task, 0

    def evaluate(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        self.jobs += len(jobs)
        return self._task.evaluate(jobs)
