"""Processes that can be killed for good: for single jobs (with limits) and for whole runs.

A child leads a process group of its own, so that killing it takes along whatever it started. It
holds one end of a lifeline: when the parent dies, however it dies, the group is killed.
"""

from __future__ import annotations

import fcntl
import math
import multiprocessing as mp
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from hptbench import machine
from hptbench.errors import UserError
from hptbench.protocol import Job, Outcome, State, Status, Task, Together, check_outcome

_PRELOAD = [
    "hptbench.tasks.dataset",
    "hptbench.workers",
    "hptbench.executors.processes",
    "sklearn.ensemble",
    "sklearn.svm",
    "sklearn.neural_network",
]
_POLL_S = 0.05
"""How often the time is looked at."""
_MEMORY_S = 0.2
"""How often memory is looked at: that takes longer."""
_ENERGY_S = 30.0
"""How often the counters of energy are read, before they run over."""
_START_S = 600.0
"""A worker that has not begun its job by then never will. Making lost states again may take longer."""
_UNKNOWN_COST_S = 1.0
"""Charged to a job of a recorded-cost task that raises: a measured cost would not be repeatable."""
_F_SETSIG = 10
"""Linux, ``<fcntl.h>``; the module fcntl does not name it."""


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
            object.__setattr__(self, name, None if limit is None else float(limit))

    def __bool__(self) -> bool:
        return self.seconds is not None or self.memory_mb is not None


class Child:
    """A process that runs ``serve(connection)`` in a group of its own."""

    def __init__(self, serve: Callable[..., None], *args: Any) -> None:
        context = mp.get_context("forkserver")
        context.set_forkserver_preload(_PRELOAD)
        # Ctrl-C is the parent's to handle, also while the server of children starts.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # the kernel kills the group at once, even in the middle of compiled code
        fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True).start()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        serve(connection, *args)


def _die_with(lifeline: Connection) -> None:
    with suppress(EOFError, OSError):
        lifeline.recv()
    os.killpg(os.getpid(), signal.SIGKILL)


def evaluate_here(task: Task, jobs: Sequence[Job]) -> list[Outcome]:
    """``task.evaluate`` in this process; a job that raises becomes a failed outcome.

    ValueError if the task itself is wrong: too few outcomes, or one that makes no sense."""
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
    for outcome in outcomes:
        check_outcome(outcome, len(task.objectives), len(task.constraints))
    return outcomes


@dataclass(frozen=True, slots=True)
class _Begun:
    """A worker's word that its job's time begins: it has started up, and made again what was lost."""


def _serve_jobs(connection: Connection, task: Task) -> None:
    while True:
        work = connection.recv()
        try:
            jobs = _made_again(task, work)
            connection.send(_Begun())
            meter = machine.Meter()
            outcomes = evaluate_here(task, jobs)
            if len(jobs) == 1:  # what several take together is nobody's own
                outcomes = [replace(outcomes[0], cpu=meter.cpu(), memory=meter.peak_memory_mb())]
            connection.send(([_weighed(outcome) for outcome in outcomes], machine.peak_memory_mb()))
        except UserError as error:
            connection.send(error)
        except ValueError as error:  # of the task itself, not of a training
            connection.send(RuntimeError(f"{task.name}: {error}"))


def _weighed(outcome: Outcome) -> Outcome:
    """With the size of its state, as :class:`hptbench.states.States` writes it."""
    if outcome.state is None:
        return outcome
    return replace(outcome, left=len(pickle.dumps(outcome.state, pickle.HIGHEST_PROTOCOL)) / 1e6)


def _made_again(task: Task, work: Sequence[tuple[Job, Sequence[Job]]]) -> list[Job]:
    """Jobs with the states that they go on from: those that are lost, made again by the jobs that come with each."""
    states: list[State] = [None] * len(work)
    for step in range(max(len(lost) for _, lost in work)):
        some = [i for i, (_, lost) in enumerate(work) if step < len(lost)]
        outcomes = evaluate_here(task, [replace(work[i][1][step], state=states[i]) for i in some])
        for i, outcome in zip(some, outcomes, strict=True):
            states[i] = outcome.state
    return [replace(job, state=state) if lost else job for (job, lost), state in zip(work, states, strict=True)]


def recipe(job: Job) -> list[Job]:
    """The jobs to do again before ``job``, the first one first: none if its state is there."""
    chain: list[Job] = []
    while job.start > 0 and job.state is None and job.before is not None:
        job = job.before
        chain.append(replace(job, before=None))
    return chain[::-1]


@dataclass
class _Slot:
    child: Child | None = None
    jobs: tuple[Job, ...] = ()
    """What it works on; several only of a task that takes them together."""
    sent: float = 0.0
    began: float | None = None
    """When the jobs' time began; None while the worker starts up or makes lost states again."""
    looked: float = 0.0
    """When its memory was looked at."""
    used: bool = False
    """The worker has done jobs before."""
    joules: tuple[float | None, float | None] | None = None
    """What the pool's meters of energy showed when the jobs began."""


class Pool:
    """``n`` worker processes for the jobs of one task, each job within ``limits``.

    Of a task that takes jobs together (:class:`hptbench.protocol.Together`) each worker is given several, within their
    limits of time added up; if that goes wrong, each of them is evaluated again, alone."""

    def __init__(self, task: Task, n: int, limits: Limits) -> None:
        self.task, self.limits, self.n = task, limits, n
        self.peak_memory_mb = 0.0
        """Highest resident memory of a worker so far, 10^6 bytes."""
        self._slots = [_Slot() for _ in range(n)]
        self._joules, self._card_joules = machine.Joules(), machine.CardJoules()
        self._metered = time.perf_counter()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers and forget their jobs."""
        for slot in self._slots:
            self._end(slot)
            slot.jobs = ()

    def submit(self, jobs: Sequence[Job], worker: int) -> None:
        """Begin ``jobs`` on the idle worker number ``worker``."""
        slot = self._slots[worker]
        if slot.child is None:
            slot.child, slot.used = Child(_serve_jobs, self.task), False
        slot.jobs, slot.sent, slot.began, slot.joules = tuple(jobs), time.perf_counter(), None, None
        try:
            slot.child.connection.send([(replace(job, before=None), recipe(job)) for job in jobs])
        except (BrokenPipeError, ConnectionResetError):
            # It died while idle: that is not the jobs' fault.
            self._end(slot)
            self.submit(jobs, worker)

    def wait(self, timeout: float | None = None) -> list[tuple[int, tuple[Job, ...], list[Outcome]]]:
        """Block until a worker is done, however it ended: (worker, jobs, outcomes) each; no outcomes if it was lost
        with several jobs. Nothing if ``timeout`` seconds pass first. RuntimeError if the task cannot be evaluated at
        all."""
        end = None if timeout is None else time.perf_counter() + timeout
        while True:
            out = []
            busy = [(i, slot, slot.child) for i, slot in enumerate(self._slots) if slot.child and slot.jobs]
            # A dead worker is seen by its sentinel: what it has started may still hold its pipe open.
            watched = [thing for _, _, child in busy for thing in (child.connection, child.process.sentinel)]
            ready = set(wait(watched, _POLL_S))
            for i, slot, child in busy:
                if child.connection in ready or child.process.sentinel in ready:
                    outcomes = self._receive(slot, child)
                else:
                    outcomes = self._over_limit(i, slot, child)
                if outcomes is not None:
                    out.append((i, slot.jobs, self._with_energy(slot, outcomes)))
                    slot.jobs, slot.used = (), True
            if time.perf_counter() - self._metered > _ENERGY_S:
                self._energy()
                self._metered = time.perf_counter()
            if out or not busy or (end is not None and time.perf_counter() >= end):
                return out

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """The outcomes of ``jobs``, in their order."""
        together = self.task.together if isinstance(self.task, Together) else 1
        size = max(min(together, math.ceil(len(jobs) / self.n)), 1)
        todo = deque(range(i, min(i + size, len(jobs))) for i in range(0, len(jobs), size))
        outcomes: dict[int, Outcome] = {}
        at: dict[int, range] = {}
        idle = list(range(self.n))
        try:
            while todo or at:
                while todo and idle:
                    worker, positions = idle.pop(0), todo.popleft()
                    at[worker] = positions
                    self.submit([jobs[i] for i in positions], worker)
                for worker, _, ended in self.wait():
                    positions = at.pop(worker)
                    outcomes |= zip(positions, ended, strict=False)
                    if not ended:
                        todo += (range(i, i + 1) for i in positions)
                    idle.append(worker)
        except BaseException:
            self.close()  # or the next batch would be given this one's answers
            raise
        return [outcomes[i] for i in range(len(jobs))]

    def _with_energy(self, slot: _Slot, outcomes: list[Outcome]) -> list[Outcome]:
        """A job's outcome with the energy since it began; what several take together is nobody's own."""
        if slot.joules is None or len(outcomes) != 1:
            return outcomes
        ends = zip(slot.joules, self._energy(), strict=True)
        energy, cards = (None if a is None or b is None else b - a for a, b in ends)
        return [replace(outcomes[0], energy=energy, gpu_energy=cards)]

    def _energy(self) -> tuple[float | None, float | None]:
        """What the meters of processors and of graphics cards show, joules."""
        return self._joules.total(), self._card_joules.total()

    def _receive(self, slot: _Slot, child: Child) -> list[Outcome] | None:
        try:
            if not child.connection.poll():
                raise EOFError
            answer = child.connection.recv()
        except (EOFError, OSError):
            child.process.join()
            code = child.process.exitcode
            how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
            self._end(slot)
            if slot.began is None and not slot.used:
                raise RuntimeError(
                    f"{self.task.name}: its worker process {how} before it began a job; can the task be imported there?"
                ) from None
            return self._failure(slot, Status.FAILED, f"its worker process {how}")
        if isinstance(answer, _Begun):
            slot.began, slot.joules = time.perf_counter(), self._energy()
            return None
        if isinstance(answer, Exception):
            raise answer
        outcomes, peak = answer
        self.peak_memory_mb = max(self.peak_memory_mb, peak)
        return list(outcomes)

    def _over_limit(self, worker: int, slot: _Slot, child: Child) -> list[Outcome] | None:
        now, limit = time.perf_counter(), self.limits
        if limit.seconds is not None:
            patience = _START_S + limit.seconds * sum(len(recipe(job)) for job in slot.jobs)
            if slot.began is None and now - slot.sent > patience:
                self._end(slot)
                return self._failure(slot, Status.TIMEOUT, f"did not begin within {patience:g} s")
            if slot.began is not None and now - slot.began > limit.seconds * len(slot.jobs):
                self._end(slot)
                return self._failure(slot, Status.TIMEOUT, f"ran longer than {limit.seconds:g} s")
        if limit.memory_mb is not None and now - slot.looked > _MEMORY_S:
            slot.looked = now
            if (used := child.memory_mb()) > limit.memory_mb:
                self._end(slot)
                if slot.used:  # perhaps what earlier jobs left: only a fresh worker can tell
                    self.submit(slot.jobs, worker)
                    return None
                return self._failure(slot, Status.MEMORY, f"used {used:.0f} MB, more than {limit.memory_mb:g} MB")
        return None

    def _failure(self, slot: _Slot, status: Status, message: str) -> list[Outcome]:
        """The outcome of a job; none of several, one of which it was."""
        began = slot.sent if slot.began is None else slot.began
        cost = max(time.perf_counter() - began, 1e-9)
        return [Outcome(status, (), cost, message=message)] if len(slot.jobs) == 1 else []

    def _end(self, slot: _Slot) -> None:
        if slot.child is not None:
            slot.child.kill()
            slot.child = None
