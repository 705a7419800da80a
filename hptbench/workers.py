"""Processes that can be killed for good: for single jobs (with limits) and for whole runs.

A child leads a process group of its own, so that killing it takes along whatever it started. It
holds one end of a lifeline: when the parent dies, however it dies, the child ends itself.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from hptbench import machine
from hptbench.errors import UserError
from hptbench.protocol import Job, Outcome, Status, Task

_PRELOAD = [
    "hptbench.tasks.dataset",
    "hptbench.workers",
    "hptbench.executors.processes",
    "sklearn.ensemble",
    "sklearn.svm",
    "sklearn.neural_network",
]
_POLL_S = 0.05
"""How often memory and time are looked at."""
_UNKNOWN_COST_S = 1.0
"""Charged to a job of a recorded-cost task that raises: a measured cost would not be repeatable."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may take. None: no limit."""

    seconds: float | None = None
    memory_mb: float | None = None
    """Resident memory of the job's process group, libraries and data included, in 10^6 bytes."""

    def __post_init__(self) -> None:
        for name in ("seconds", "memory_mb"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise UserError(f"expected limits.{name} > 0 or null, got {limit}")

    def __bool__(self) -> bool:
        return self.seconds is not None or self.memory_mb is not None


class Child:
    """A process that runs ``serve(connection)`` in a group of its own."""

    def __init__(self, serve: Callable[..., None], *args: Any) -> None:
        context = mp.get_context("forkserver")
        context.set_forkserver_preload(_PRELOAD)
        self.connection, theirs = context.Pipe()
        lifeline, self._lifeline = context.Pipe(duplex=False)
        self.process = context.Process(target=_child, args=(theirs, lifeline, serve, args), daemon=False)
        self.process.start()
        theirs.close()
        lifeline.close()

    def kill(self) -> None:
        """End it and all that it started, now."""
        if self.process.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        self.connection.close()
        self._lifeline.close()

    def memory_mb(self) -> float:
        """Resident memory of the process and its descendants."""
        total = 0
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.process.pid)
            for process in (root, *root.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    total += process.memory_info().rss
        return total / 1e6


def _child(connection: Connection, lifeline: Connection, serve: Callable[..., None], args: tuple[Any, ...]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True).start()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        serve(connection, *args)


def _die_with(lifeline: Connection) -> None:
    with suppress(EOFError, OSError):
        lifeline.recv()
    os.killpg(os.getpid(), signal.SIGKILL)


def evaluate_here(task: Task, jobs: Sequence[Job]) -> list[Outcome]:
    """``task.evaluate`` in this process; a job that raises becomes a failed outcome."""
    began = time.perf_counter()
    try:
        outcomes = list(task.evaluate(jobs))
    except UserError:
        raise
    except Exception as error:
        if len(jobs) > 1:
            return [outcome for job in jobs for outcome in evaluate_here(task, [job])]
        status = Status.MEMORY if isinstance(error, MemoryError) else Status.FAILED
        cost = time.perf_counter() - began if task.measured else _UNKNOWN_COST_S
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})".split())
        return [Outcome(status, (), cost, message=text)]
    if len(outcomes) != len(jobs):
        raise ValueError(f"{task.name}: expected {len(jobs)} outcomes, got {len(outcomes)}")
    return outcomes


_READY = "ready"
"""A worker's word that the time of its job begins: not before it has started up and made again what was lost."""


def _serve_jobs(connection: Connection, task: Task) -> None:
    connection.send(_READY)
    while True:
        job: Job = connection.recv()
        try:
            if _lost(job):
                job = _restored(task, job)
                connection.send(_READY)
            [answer] = evaluate_here(task, [job])
        except UserError as error:
            connection.send(error)
        else:
            connection.send((answer, machine.peak_memory_mb()))


def _lost(job: Job) -> bool:
    return job.start > 0 and job.state is None and job.before is not None


def _restored(task: Task, job: Job) -> Job:
    """``job`` with the state that it goes on from, made again if it is lost: that is not the job's own time, or a
    resumed run could hit a limit that the undisturbed one did not."""
    if not _lost(job):
        return job
    assert job.before is not None
    [outcome] = evaluate_here(task, [_restored(task, job.before)])
    return replace(job, state=outcome.state)


@dataclass
class _Slot:
    child: Child | None = None
    job: Job | None = None
    began: float = 0.0
    ready: bool = False


class Pool:
    """``n`` worker processes for the jobs of one task, each job within ``limits``."""

    def __init__(self, task: Task, n: int, limits: Limits) -> None:
        self.task, self.limits = task, limits
        self.peak_memory_mb = 0.0
        """Highest resident memory of a worker so far, 10^6 bytes."""
        self._slots = [_Slot() for _ in range(n)]

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers."""
        for slot in self._slots:
            self._end(slot)

    def submit(self, job: Job, worker: int) -> None:
        """Begin ``job`` on the idle worker number ``worker``."""
        slot = self._slots[worker]
        if slot.child is None:
            slot.child, slot.ready = Child(_serve_jobs, self.task), False
        slot.job, slot.began = job, time.perf_counter()
        slot.ready = slot.ready and not _lost(job)
        try:
            slot.child.connection.send(job)
        except (BrokenPipeError, ConnectionResetError):
            # It died while idle: that is not the job's fault.
            self._end(slot)
            self.submit(job, worker)

    def wait(self, timeout: float | None = None) -> list[tuple[int, Job, Outcome]]:
        """Block until at least one job has ended, however it ended: (worker, job, outcome) each.
        Nothing if ``timeout`` seconds pass first."""
        end = None if timeout is None else time.perf_counter() + timeout
        while True:
            busy = {slot.child.connection: i for i, slot in enumerate(self._slots) if slot.child and slot.job}
            ready = [busy[c] for c in wait(list(busy), _POLL_S) if isinstance(c, Connection)]
            over = [(i, o) for i in busy.values() if i not in ready and (o := self._over_limit(self._slots[i]))]
            done = [(i, o) for i in ready if (o := self._receive(self._slots[i]))] + over
            out = []
            for i, outcome in sorted(done, key=lambda entry: entry[0]):
                job = self._slots[i].job
                assert job is not None
                self._slots[i].job = None
                out.append((i, job, outcome))
            if out or not busy or (end is not None and time.perf_counter() >= end):
                return out

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """The outcomes of ``jobs``, in their order."""
        outcomes: dict[int, Outcome] = {}
        todo = list(enumerate(jobs))
        at: dict[int, int] = {}
        idle = list(range(len(self._slots)))
        while todo or at:
            while todo and idle:
                worker, (position, job) = idle.pop(0), todo.pop(0)
                at[worker] = position
                self.submit(job, worker)
            for worker, _, outcome in self.wait():
                outcomes[at.pop(worker)] = outcome
                idle.append(worker)
        return [outcomes[i] for i in range(len(jobs))]

    def _receive(self, slot: _Slot) -> Outcome | None:
        assert slot.child is not None
        try:
            answer = slot.child.connection.recv()
        except (EOFError, ConnectionResetError):
            slot.child.process.join()
            code = slot.child.process.exitcode
            self._end(slot)
            how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
            return self._failure(slot, Status.FAILED, f"its worker process {how}")
        if answer == _READY:
            slot.ready, slot.began = True, time.perf_counter()
            return None
        if isinstance(answer, UserError):
            raise answer
        outcome, peak = answer
        assert isinstance(outcome, Outcome)
        self.peak_memory_mb = max(self.peak_memory_mb, peak)
        return outcome

    def _over_limit(self, slot: _Slot) -> Outcome | None:
        assert slot.child is not None
        limit = self.limits
        if slot.ready and limit.seconds is not None and time.perf_counter() - slot.began > limit.seconds:
            self._end(slot)
            return self._failure(slot, Status.TIMEOUT, f"ran longer than {limit.seconds:g} s")
        if limit.memory_mb is not None and (used := slot.child.memory_mb()) > limit.memory_mb:
            self._end(slot)
            return self._failure(slot, Status.MEMORY, f"used {used:.0f} MB, more than {limit.memory_mb:g} MB")
        return None

    def _failure(self, slot: _Slot, status: Status, message: str) -> Outcome:
        return Outcome(status, (), max(time.perf_counter() - slot.began, 1e-9), message=message)

    def _end(self, slot: _Slot) -> None:
        if slot.child is not None:
            slot.child.kill()
            slot.child = None
