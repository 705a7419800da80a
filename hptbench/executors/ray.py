"""Runs as tasks of a Ray cluster, or the workers of one live run as its actors.

A node does a run in a folder of its own, as any machine would (:func:`hptbench.run.coroutine`), and sends what its
journal grows by. The driver appends that to the run's journal, so a node that dies takes along only what was under way:
the run is begun again elsewhere, from the journal. https://docs.ray.io
"""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
import traceback
import uuid
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from hptbench.errors import CannotWrite, UserError
from hptbench.executors import Broken, Watcher, check_whole
from hptbench.executors._actors import RayEvaluator
from hptbench.executors._cluster import LATE_S, TRIES, Home, OnRay, line
from hptbench.executors.serial import attempt
from hptbench.files import write_whole
from hptbench.identity import digest
from hptbench.journal import Log
from hptbench.results.registered import FILE
from hptbench.run import Driver, Evaluator, Plan, coroutine

_WAKE_S = 1.0
"""How often it is looked whether tasks are late."""
_GET_S = 60.0
"""News that are there, but do not come by then, were lost with their node."""
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

        def over(flight: _Flight, why: str | None = None) -> None:
            flight.close()
            if why is not None:
                broken.append(Broken(flight.plan, why))
            watcher.ended(flight.plan)

        with self.connected() as ray, _closing(aloft):
            self._check_all(ray, [flight.plan for flight in todo])
            serve = ray.remote(num_returns="streaming", max_retries=0)(_serve)
            heard, patience = time.monotonic(), LATE_S
            while todo or aloft:
                while todo and len(aloft) < self.runs:
                    flight = todo.popleft()
                    order = flight.order(home, self.scratch)
                    if order is None:  # finished by somebody else, meanwhile
                        over(flight)
                        continue
                    try:
                        task = serve.options(**self.resources(flight.plan.task), **flight.queue).remote(order)
                    except Exception:  # it cannot be sent
                        over(flight, traceback.format_exc())
                    else:
                        aloft[task] = flight
                if not aloft:
                    continue
                landed = ray.wait(list(aloft), num_returns=1, timeout=_WAKE_S)[0]
                now = time.monotonic()
                if landed or any(flight.here for flight in aloft.values()):
                    heard, patience = now, LATE_S
                elif now - heard > patience:
                    # Ray may wait for a dead node for ever (docs/adr/0006): to another of its queues with all
                    self._check_all(ray, [flight.plan for flight in aloft.values()])
                    for task, flight in aloft.items():
                        ray.cancel(task, force=True)
                        flight.close()
                    todo.extendleft(reversed(aloft.values()))
                    aloft.clear()
                    heard, patience = now, 2 * patience  # or slow nodes would never get to begin
                for task in landed:
                    flight = aloft[task]
                    kind, news = _news(ray, task)
                    if kind == "here":
                        flight.here = True
                    elif kind == "grown":
                        flight.grow(news[0])
                        watcher.begun(flight.plan, *news[1:])
                    else:
                        del aloft[task]
                        flight.deaths += kind == "dead"
                        if kind == "user error":
                            flight.close()
                            raise UserError(news)
                        if kind == "done":
                            flight.finish(news)
                            over(flight)
                        elif kind == "broken":
                            over(flight, news)
                        elif flight.deaths < TRIES:
                            flight.close()
                            todo.append(flight)
                        else:
                            over(flight, f"its task died {TRIES} times in a row ({news})")
        return broken

    def _check_all(self, ray: Any, plans: Sequence[Plan]) -> None:
        for task in dict.fromkeys(plan.task for plan in plans):
            self.check_room(ray, task)


@dataclass(frozen=True)
class RayLive(OnRay):
    """One run after another in real time, each on ``workers`` actors of Ray."""

    live: ClassVar[bool] = True

    def run(self, plans: Sequence[Plan], watcher: Watcher) -> list[Broken]:
        """Do all runs in order."""
        broken: list[Broken] = []
        with self.connected() as ray:
            for task, workers in dict.fromkeys((plan.task, plan.workers) for plan in plans):
                self.check_room(ray, task, workers)
            for plan in plans:
                with RayEvaluator(ray, self) as evaluator:
                    broken += attempt(plan, evaluator, watcher)
        return broken


@dataclass(frozen=True)
class _Order:
    """What a node needs to do a run."""

    plan: Plan
    journal: bytes
    """As far as it has come."""
    hypotheses: bytes | None
    scratch: str | None
    prefix: str
    """What the folders of all attempts at the run begin with."""
    attempt: str
    home: Home


@dataclass
class _Flight:
    """A run, seen by the driver."""

    plan: Plan
    sent: int = 0
    """So often."""
    deaths: int = 0
    """In a row, without a job in between."""
    here: bool = False
    """It has begun on a node."""
    log: Log | None = field(default=None)

    @property
    def queue(self) -> dict[str, int]:
        """Options that have no other effect than that Ray puts what is sent again into another queue: bytes."""
        return {"memory": self.sent} if self.sent > 1 else {}

    def order(self, home: Home, scratch: str | None) -> _Order | None:
        """Lock the journal; what is to be sent. None if the run is finished."""
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        path, hypotheses = self.plan.folder / "journal.jsonl", self.plan.study / FILE
        self.log = Log(path, self.plan.id)
        if self.plan.finished:
            return None
        self.sent, self.here = self.sent + 1, False
        registered = hypotheses.read_bytes() if hypotheses.is_file() else None
        whose = digest([platform.node(), str(self.plan.study.resolve())])
        prefix = f"{self.plan.label}-{self.plan.id}-{whose}-"
        return _Order(self.plan, path.read_bytes(), registered, scratch, prefix, uuid.uuid4().hex, home)

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


@contextmanager
def _closing(aloft: Mapping[Any, _Flight]) -> Generator[None, None, None]:
    """Let go of all journals in the end."""
    try:
        yield
    finally:
        for flight in aloft.values():
            flight.close()


def _news(ray: Any, task: Any) -> tuple[str, Any]:
    """What a task that Ray calls ready has to say: as it yields it, or ("dead", how)."""
    try:
        kind, news = ray.get(next(task), timeout=_GET_S)
    except ray.exceptions.RayTaskError as error:  # it lives, but could not even begin
        return "broken", str(error)
    except ray.exceptions.RayError as error:
        ray.cancel(task, force=True)  # perhaps it is only the answer that was lost
        return "dead", line(error)
    return kind, news


def _serve(order: _Order) -> Generator[tuple[str, Any], None, None]:
    """Do a run on a node. Yields ("here", None), then ("grown", (lines, jobs, full evaluations)) as it goes on, at the
    end ("done", its files), ("user error", text) or ("broken", where)."""
    try:
        order.home.enter()
        yield "here", None
        with ExitStack() as stack:
            root = order.scratch or stack.enter_context(tempfile.TemporaryDirectory(prefix="hptbench-"))
            # An attempt has a folder of its own: an earlier one may not be as dead as the driver believes.
            study = Path(root) / (order.prefix + order.attempt)
            plan = replace(order.plan, study=study)
            plan.folder.mkdir(parents=True, exist_ok=True)
            _take_over(plan, order.prefix)
            yield from _work(plan, order)
            shutil.rmtree(study, ignore_errors=True)
    except CannotWrite as error:  # here; other nodes may have room
        yield "broken", str(error)
    except UserError as error:
        yield "user error", str(error)
    except Exception:
        yield "broken", traceback.format_exc()


def _take_over(plan: Plan, prefix: str) -> None:
    """Take the states of an earlier attempt, and delete what else it left."""
    mine = plan.folder / "states"
    for earlier in plan.study.parent.iterdir():
        if earlier.name.startswith(prefix) and earlier != plan.study:
            states = earlier / mine.relative_to(plan.study)
            if states.is_dir() and not mine.exists():
                states.rename(mine)
            shutil.rmtree(earlier, ignore_errors=True)


def _work(plan: Plan, order: _Order) -> Iterator[tuple[str, Any]]:
    if order.hypotheses is not None:
        (plan.study / FILE).write_bytes(order.hypotheses)
    path = plan.folder / "journal.jsonl"
    path.write_bytes(order.journal)
    sent, at = len(order.journal), time.monotonic()
    begun = (0, 0.0)
    failure: Exception | None = None

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
        except Exception as error:  # raised once the jobs before it are sent
            failure = error
        finally:
            run.close()
        journal.seek(sent)
        yield "grown", (journal.read(), *begun)
    if failure is not None:
        raise failure
    yield "done", {name: (plan.folder / name).read_bytes() for name in ("jobs.parquet", "run.json")}
