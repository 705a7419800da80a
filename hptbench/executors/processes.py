"""Runs side by side in processes; one that is killed is begun again from its journal."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, ClassVar

from hptbench import machine
from hptbench.errors import UserError
from hptbench.executors import Broken, Watcher, check_whole
from hptbench.run import Driver, Evaluator, Plan, Tick, execute
from hptbench.workers import Child

_TRIES = 3
"""A run whose process was killed is tried so often."""
_TICK_S = 0.2
"""News of a run's progress at most so often."""


@dataclass(frozen=True)
class Processes:
    """Runs side by side, as many as there are cores."""

    processes: int | None = None
    """Runs at a time; null: one per core."""
    live: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.processes is not None:
            check_whole("executor.processes", self.processes)

    def run(self, plans: Sequence[Plan], watcher: Watcher) -> list[Broken]:
        """Do all runs, the first ones first."""
        todo = deque(_Task(plan) for plan in plans)
        children: dict[Connection, tuple[Child, _Task | None]] = {}
        broken: list[Broken] = []
        try:
            for _ in range(min(self.processes or machine.cores(), len(plans))):
                child = Child(_serve_plans)
                children[child.connection] = (child, _hand(child, todo))
            while any(task for _, task in children.values()):
                for connection in wait([c for c, (_, task) in children.items() if task]):
                    assert isinstance(connection, Connection)
                    child, task = children[connection]
                    assert task is not None
                    try:
                        kind, news = connection.recv()
                    except (EOFError, ConnectionResetError):
                        del children[connection]
                        child.kill()
                        task.tries += 1
                        if task.tries < _TRIES:
                            todo.appendleft(task)
                        else:
                            broken.append(Broken(task.plan, f"its process was killed {_TRIES} times"))
                            watcher.ended(task.plan)
                        if todo:
                            child = Child(_serve_plans)
                            children[child.connection] = (child, _hand(child, todo))
                        continue
                    if kind == "begun":
                        watcher.begun(task.plan, *news)
                        continue
                    if kind == "user error":
                        raise news
                    if kind == "broken":
                        broken.append(Broken(task.plan, news))
                    watcher.ended(task.plan)
                    children[connection] = (child, _hand(child, todo))
        finally:
            for child, _ in children.values():
                child.kill()
        return broken


@dataclass
class _Task:
    plan: Plan
    tries: int = field(default=0)


def _hand(child: Child, todo: deque[_Task]) -> _Task | None:
    """Give the next run to an idle process. If the process is dead, that is noticed like any death at work."""
    if not todo:
        return None
    task = todo.popleft()
    with suppress(BrokenPipeError, ConnectionResetError):
        child.connection.send(task.plan)
    return task


def _serve_plans(connection: Connection) -> None:
    with Evaluator() as evaluator:
        while True:
            plan: Plan = connection.recv()
            connection.send(_done(plan, Driver(evaluator, _news(connection))))


def _done(plan: Plan, driver: Driver) -> tuple[str, Any]:
    try:
        execute(plan, driver)
    except UserError as error:
        return "user error", error
    except Exception:
        return "broken", traceback.format_exc()
    return "done", None


def _news(connection: Connection) -> Tick:
    """Tells the parent of a run's progress, not too often."""
    last = 0.0

    def tick(jobs: int, full_evals: float) -> None:
        nonlocal last
        if time.monotonic() - last > _TICK_S:
            last = time.monotonic()
            connection.send(("begun", (jobs, full_evals)))

    return tick
