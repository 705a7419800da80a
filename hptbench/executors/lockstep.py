"""All runs of a task advance together: each round of theirs is evaluated as one batch."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hptbench.errors import UserError
from hptbench.executors import Broken, Watcher, check_whole
from hptbench.journal import SYNCS, Journal, sync_all
from hptbench.protocol import Job, Outcome
from hptbench.run import Driver, Evaluator, Plan, coroutine

_Run = Generator[Sequence[Job], Sequence[Outcome], None]


@dataclass(frozen=True)
class Lockstep:
    """Batches over seeds and methods, for tasks that evaluate many jobs at once."""

    width: int = 256
    """Runs that advance together at the most (each holds its journal open)."""
    processes: int = 1
    """Worker processes a batch is spread over, if its jobs have limits."""
    live: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_whole("executor.width", self.width)
        check_whole("executor.processes", self.processes)

    def run(self, plans: Sequence[Plan], watcher: Watcher) -> list[Broken]:
        """Do all runs, task by task."""
        broken: list[Broken] = []
        with Evaluator(self.processes) as evaluator, ThreadPoolExecutor(SYNCS) as disk:
            for _, group in itertools.groupby(plans, key=lambda plan: plan.task):
                same_task = list(group)
                for i in range(0, len(same_task), self.width):
                    broken += _together(same_task[i : i + self.width], evaluator, disk, watcher)
        return broken


def _together(plans: Sequence[Plan], evaluator: Evaluator, disk: ThreadPoolExecutor, watcher: Watcher) -> list[Broken]:
    broken: list[Broken] = []
    wanted: dict[int, Sequence[Job]] = {}
    grown: list[Journal] = []
    evaluate = evaluator.of(plans[0])
    drivers = [Driver(evaluator, partial(watcher.begun, plan), grown.append) for plan in plans]
    runs: list[_Run] = [coroutine(plan, driver) for plan, driver in zip(plans, drivers, strict=True)]

    def give_up(i: int) -> None:
        broken.append(Broken(plans[i], traceback.format_exc()))
        watcher.ended(plans[i])

    def advance(i: int, outcomes: Sequence[Outcome] | None) -> None:
        try:
            wanted[i] = next(runs[i]) if outcomes is None else runs[i].send(outcomes)
        except StopIteration:
            watcher.ended(plans[i])
        except UserError:
            raise
        except Exception:
            give_up(i)

    try:
        for i in range(len(runs)):
            advance(i, None)
        while wanted:
            sync_all(grown, disk)
            grown.clear()
            asked = list(wanted.items())
            wanted.clear()
            try:
                outcomes = iter(evaluate([job for _, jobs in asked for job in jobs]))
            except UserError:
                raise
            except Exception:  # of the task itself: none of its runs can go on
                for i, _ in asked:
                    give_up(i)
                break
            for i, jobs in asked:
                advance(i, list(itertools.islice(outcomes, len(jobs))))
    finally:
        for run in runs:
            run.close()
    return broken
