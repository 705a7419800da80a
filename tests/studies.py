"""Small studies for tests, importable in worker processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hptbench import registry
from hptbench.executors import Broken, Executor
from hptbench.methods.default import Default
from hptbench.methods.random import RandomSearch
from hptbench.methods.sobol import Sobol
from hptbench.protocol import Budget, Clock, Task
from hptbench.results.collect import collect
from hptbench.results.schema import JOBS, RUNS
from hptbench.run import Driver, Evaluator, Plan, execute
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.testing.problems import Bowl
from hptbench.workers import Limits


class Silent:
    """A watcher that counts."""

    def __init__(self) -> None:
        self.over = 0

    def begun(self, plan: Plan, jobs: int, full_evals: float) -> None:
        pass

    def ended(self, plan: Plan) -> None:
        self.over += 1


def small(folder: Path) -> Path:
    """Random search, Sobol points and the default configuration on two functions, three seeds, done."""
    todo = [
        Plan(SyntheticTask(name), label, method, seed, Budget(max_jobs=jobs), 1, Clock.COST, Limits(None, None), folder)
        for name in ("branin", "hartmann3")
        for label, method, jobs in (("random", RandomSearch(), 8), ("sobol", Sobol(), 8), ("default", Default(), 1))
        for seed in range(3)
    ]
    for plan in todo:
        execute(plan, Driver(Evaluator(), lambda *_: None))
    return folder


def plans(
    study: Path,
    methods: Sequence[str] = ("random",),
    tasks: Sequence[Task] = (Bowl(fail=0.1), Bowl(over="sphere", name="sphere")),
    seeds: Sequence[int] = (0, 1),
    budget: Budget = Budget(max_full_evals=6),  # noqa: B008
    workers: int = 3,
    limits: Limits = Limits(),  # noqa: B008
    live: bool = False,
) -> list[Plan]:
    return [
        Plan(task, name, registry.find("method", name)(), seed, budget, workers, Clock.UNITS, limits, study, live)
        for task in tasks
        for name in methods
        for seed in seeds
    ]


def do(executor: Executor, todo: Sequence[Plan]) -> list[Broken]:
    return executor.run([plan for plan in todo if not plan.finished], Silent())


def repeatable(study: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The study's tables without what is measured."""
    found = collect(study)
    keep = [[c.name for c in columns if c.repeatable] for columns in (JOBS, RUNS)]
    return found.jobs[keep[0]], found.runs[keep[1]]


def same(a: Path, b: Path) -> None:
    """Two studies have the same results."""
    for left, right in zip(repeatable(a), repeatable(b), strict=True):
        pd.testing.assert_frame_equal(left, right, check_exact=True)


def run_all(executor: Executor, todo: Sequence[Plan]) -> None:
    """Entry point of a process that is to be killed; one that is not ends with code 0 if no run broke."""
    broken = do(executor, [dataclasses.replace(plan) for plan in todo])
    assert broken == [], broken
