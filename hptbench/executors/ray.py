"""Runs as tasks of a Ray cluster, or the workers of one live run as its actors.

A node does a run in a folder of its own, as any machine would (:func:`hptbench.run.coroutine`), and sends what its
journal grows by. The driver appends that to the run's journal, so a node that dies takes along only what was under way:
the run is begun again elsewhere, from the journal. https://docs.ray.io
"""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hptbench.errors import UserError
from hptbench.executors import Broken, Watcher, check_whole
from hptbench.executors._actors import RayEvaluator
from hptbench.executors._cluster import TRIES, Home, OnRay
from hptbench.files import write_whole
from hptbench.journal import Log
from hptbench.results.registered import FILE
from hptbench.run import Driver, Evaluator, Plan, coroutine, execute

_REST_S = 20.0
"""After a death: Ray learns of a dead node late, and a task sent there meanwhile was seen to wait for ever."""
_WAKE_S = 1.0
"""How often it is looked whether a run may be begun again."""
_NEWS_S = 0.2
"""Finished jobs are sent to the driver at most so often: a node's death costs no more than that."""


@dataclass(frozen=True)
class Ray(OnRay):
    """Each run is a task of Ray, with simulated workers."""

    runs: int = 256
    """Runs in the cluster at a time; each holds its journal open here."""
    scratch: str | None = None
    """Folder that nodes work in. One that they share keeps the states of trainings when a node dies; without (None:
    each node's own temporary folder) they are made again, with the same result."""
    live: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("executor.runs", self.runs)

    def run(self, plans: Sequence[Plan], watcher: Watcher) -> list[Broken]:
        """Do all runs, the first ones first."""
        todo = deque(_Flight(plan) for plan in plans)
        aloft: dict[Any, _Flight] = {}
        broken: list[Broken] = []
        home = Home()
        with ExitStack() as stack:
            ray = stack.enter_context(self.connected())
            for task in dict.fromkeys(plan.task for plan in plans):
                self.check_room(ray, task)
            serve = ray.remote(num_returns="streaming", max_retries=0)(_serve)
            try:
                while todo or aloft:
                    while todo and len(aloft) < self.runs and todo[0].ready:
                        flight = todo.popleft()
                        if flight.plan.finished:  # by somebody else, meanwhile
                            watcher.ended(flight.plan)
                            continue
                        order = flight.order(home, self.scratch)
                        resources = self.resources(flight.plan.task)
                        aloft[serve.options(**resources).remote(order)] = flight
                    if not aloft:
                        time.sleep(_WAKE_S)
                        continue
                    for landed in ray.wait(list(aloft), num_returns=1, timeout=_WAKE_S if todo else None)[0]:
                        flight = aloft[landed]
                        try:
                            kind, news = ray.get(next(landed))
                        except ray.exceptions.RayError as error:
                            kind, news = "dead", error
                        if kind == "grown":
                            flight.grow(news[0])
                            watcher.begun(flight.plan, *news[1:])
                            continue
                        del aloft[landed]
                        if kind == "done":
                            flight.finish(news)
                        flight.close()
                        if kind == "user error":
                            raise UserError(news)
                        if kind == "dead" and flight.deaths < TRIES:
                            flight.again = time.monotonic() + _REST_S
                            todo.append(flight)
                            continue
                        if kind != "done":
                            why = f"its task died {TRIES} times in a row ({_line(news)})" if kind == "dead" else news
                            broken.append(Broken(flight.plan, why))
                        watcher.ended(flight.plan)
            finally:
                for flight in aloft.values():
                    flight.close()
        return broken


@dataclass(frozen=True)
class RayLive(OnRay):
    """One run after another in real time, each on ``workers`` actors of Ray."""

    live: ClassVar[bool] = True

    def run(self, plans: Sequence[Plan], watcher: Watcher) -> list[Broken]:
        """Do all runs in order."""
        broken = []
        with self.connected() as ray:
            for task in dict.fromkeys(plan.task for plan in plans):
                self.check_room(ray, task)
            for plan in plans:
                with RayEvaluator(ray, self.resources(plan.task)) as evaluator:
                    try:
                        execute(plan, Driver(evaluator, partial(watcher.begun, plan)))
                    except UserError:
                        raise
                    except Exception:
                        broken.append(Broken(plan, traceback.format_exc()))
                watcher.ended(plan)
        return broken


@dataclass(frozen=True)
class _Order:
    """What a node needs to do a run."""

    plan: Plan
    journal: bytes
    """As far as it has come."""
    hypotheses: bytes | None
    scratch: str | None
    home: Home


@dataclass
class _Flight:
    """A run, seen by the driver."""

    plan: Plan
    deaths: int = 0
    """In a row, without a job in between."""
    again: float = 0.0
    """Not to be begun before."""
    log: Log | None = field(default=None)

    @property
    def ready(self) -> bool:
        """It may be begun."""
        return time.monotonic() >= self.again

    def order(self, home: Home, scratch: str | None) -> _Order:
        """Lock the journal; what is to be sent."""
        self.deaths += 1  # until it has shown that it lives
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        path, hypotheses = self.plan.folder / "journal.jsonl", self.plan.study / FILE
        self.log = Log(path, self.plan.id)
        registered = hypotheses.read_bytes() if hypotheses.is_file() else None
        return _Order(self.plan, path.read_bytes(), registered, scratch, home)

    def grow(self, lines: bytes) -> None:
        """Keep finished jobs."""
        assert self.log is not None, "it was ordered"
        self.log.extend(lines)
        self.log.sync()
        if lines:
            self.deaths = 0

    def finish(self, files: dict[str, bytes]) -> None:
        """Keep the files of the finished run; ``run.json`` comes last."""
        for name, content in files.items():
            write_whole(self.plan.folder / name, lambda part, content=content: part.write_bytes(content))  # type: ignore[misc]
        shutil.rmtree(self.plan.folder / "states", ignore_errors=True)  # of a session without Ray

    def close(self) -> None:
        """Let go of the journal."""
        if self.log is not None:
            self.log.close()
            self.log = None


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _serve(order: _Order) -> Iterator[tuple[str, Any]]:
    """Do a run on a node. Yields ("grown", (lines, jobs, full evaluations)) as it goes on, at the end ("done", its
    files), ("user error", text) or ("broken", where)."""
    try:
        order.home.enter()
        with ExitStack() as stack:
            root = order.scratch or stack.enter_context(tempfile.TemporaryDirectory(prefix="hptbench-"))
            study = Path(root) / f"{order.plan.label}-{order.plan.id}"
            yield from _work(replace(order.plan, study=study), order)
            shutil.rmtree(study, ignore_errors=True)
    except UserError as error:
        yield "user error", str(error)
    except Exception:
        yield "broken", traceback.format_exc()


def _work(plan: Plan, order: _Order) -> Iterator[tuple[str, Any]]:
    plan.folder.mkdir(parents=True, exist_ok=True)
    if order.hypotheses is not None:
        (plan.study / FILE).write_bytes(order.hypotheses)
    path = plan.folder / "journal.jsonl"
    path.write_bytes(order.journal)
    sent, at = len(order.journal), time.monotonic()
    begun = (0, 0.0)

    def tick(*news: Any) -> None:
        nonlocal begun
        begun = news

    with Evaluator() as evaluator, path.open("rb") as journal:
        # Nothing to sync here: what counts is the driver's journal.
        run = coroutine(plan, Driver(evaluator, tick, lambda _: None))
        evaluate = evaluator.of(plan)
        try:
            jobs = next(run)
            while True:
                jobs = run.send(evaluate(jobs))
                if time.monotonic() - at > _NEWS_S:
                    journal.seek(sent)
                    lines = journal.read()
                    yield "grown", (lines, *begun)
                    sent, at = sent + len(lines), time.monotonic()
        except StopIteration:
            pass
        finally:
            run.close()
        journal.seek(sent)
        yield "grown", (journal.read(), *begun)
    yield "done", {name: (plan.folder / name).read_bytes() for name in ("jobs.parquet", "run.json")}
