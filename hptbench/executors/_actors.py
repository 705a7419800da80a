"""Actors of Ray as the workers of a live run."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hptbench.errors import UserError
from hptbench.executors._cluster import LATE_S, TRIES, Home, OnRay, line
from hptbench.protocol import Job, Outcome, Status, Task
from hptbench.run import Evaluator, Plan
from hptbench.workers import Limits, Pool, recipe


class RayEvaluator(Evaluator):
    """Evaluates the jobs of live runs on actors."""

    def __init__(self, ray: Any, on: OnRay) -> None:
        super().__init__()
        self._ray, self._on = ray, on

    def pool(self, plan: Plan, processes: int) -> RayPool:
        """Actors for the jobs of ``plan``."""
        self.__exit__()
        check = partial(self._on.check_room, self._ray, plan.task, processes)
        resources = self._on.resources(plan.task)
        self._pool = pool = RayPool(self._ray, resources, check, plan.task, processes, plan.limits)
        return pool


@dataclass
class _Hand:
    actor: Any = None
    started: Any = None
    """What Ray will answer once the actor is there."""
    job: Job | None = None
    deaths: int = 0
    """Of actors that had the job."""


class RayPool(Pool):
    """``n`` actors for the jobs of one task. An actor that dies, or whose node does, is replaced, and its job begun
    again on the new one; the job fails if it happens three times. RuntimeError if no actor could be started at all."""

    def __init__(
        self, ray: Any, resources: dict[str, float], check: Callable[[], None], task: Task, n: int, limits: Limits
    ) -> None:
        """``check`` raises if the cluster has no room for all actors."""
        super().__init__(task, n, limits)
        self._ray, self._check, self._home = ray, check, Home()
        self._actor = ray.remote(max_restarts=0, max_task_retries=0, **resources)(_Worker)
        self._hands = [_Hand() for _ in range(n)]
        self._at: dict[Any, int] = {}
        """What Ray will answer -> the worker."""

    def close(self) -> None:
        """End all workers and forget their jobs."""
        for hand in self._hands:
            self._dismiss(hand)
            hand.job = None
        self._at.clear()

    def submit(self, jobs: Sequence[Job], worker: int) -> None:
        """Begin the one job on the idle worker number ``worker``."""
        [job] = jobs
        hand = self._hands[worker]
        hand.job, hand.deaths = job, 0
        self._begin(hand, job, worker)

    def wait(self, timeout: float | None = None) -> list[tuple[int, tuple[Job, ...], list[Outcome]]]:
        """Block until a worker is done: (worker, its job, its outcome); nothing if ``timeout`` seconds pass first."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LATE_S if end is None else min(max(end - time.monotonic(), 0.0), LATE_S)
            ready, _ = self._ray.wait(list(self._at), num_returns=1, timeout=left)
            if not ready and not all(self._started(hand) for hand in self._hands if hand.job is not None):
                self._check()
            done = [ended for answer in ready for ended in self._take(answer)]
            if done or (end is not None and time.monotonic() >= end):
                return done

    def _take(self, answer: Any) -> list[tuple[int, tuple[Job, ...], list[Outcome]]]:
        """What a worker answers; nothing if its job is begun again."""
        worker = self._at.pop(answer)
        hand = self._hands[worker]
        job = hand.job
        assert job is not None, "it was submitted"
        try:
            kind, news = self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as error:  # it lives, but could not even begin
            kind, news = "broken", str(error)
        except self._ray.exceptions.RayError as error:
            started = self._started(hand)
            self._dismiss(hand)
            hand.deaths += 1
            if hand.deaths < TRIES:
                self._begin(hand, job, worker)
                return []
            if not started:
                raise RuntimeError(
                    f"{self.task.name}: its actor died {TRIES} times, at last before it began a job; can the task be "
                    f"imported there? ({line(error)})"
                ) from error
            message = f"its worker died {TRIES} times: {line(error)}"
            kind, news = "done", (Outcome(Status.FAILED, (), 1e-9, message=message), 0.0)
        if kind == "user error":
            raise UserError(news)
        if kind == "broken":
            raise RuntimeError(news)
        outcome, peak = news
        self.peak_memory_mb = max(self.peak_memory_mb, peak)
        hand.job = None
        return [(worker, (job,), [outcome])]

    def _begin(self, hand: _Hand, job: Job, worker: int) -> None:
        if hand.actor is None:
            hand.actor = self._actor.remote(self.task, self.limits, self._home)
            hand.started = hand.actor.start.remote()
        self._at[hand.actor.work.remote(replace(job, before=None), recipe(job))] = worker

    def _dismiss(self, hand: _Hand) -> None:
        if hand.actor is not None:
            self._ray.kill(hand.actor)
            hand.actor = hand.started = None

    def _started(self, hand: _Hand) -> bool:
        """The actor is, or was, there."""
        ready, _ = self._ray.wait([hand.started], timeout=1)
        try:
            self._ray.get(ready)
        except self._ray.exceptions.RayError:
            return False
        return bool(ready)


class _Worker:
    """On a node: a worker process with limits, as on one machine."""

    def __init__(self, task: Task, limits: Limits, home: Home) -> None:
        self._pool, self._home, self._entered = Pool(task, 1, limits), home, False

    def start(self) -> None:
        """The first thing that it is asked: the answer shows that it could be made."""

    def work(self, job: Job, lost: Sequence[Job]) -> tuple[str, Any]:
        """("done", (the outcome of ``job``, MB of memory)), after the jobs ``lost`` were done again for its state; or
        ("user error", text), ("broken", where)."""
        try:
            if not self._entered:
                self._home.enter()
                self._entered = True
            before = None
            for earlier in lost:
                before = replace(earlier, before=before)
            [outcome] = self._pool.evaluate([replace(job, before=before)])
        except UserError as error:
            return "user error", str(error)
        except Exception:
            return "broken", traceback.format_exc()
        return "done", (outcome, self._pool.peak_memory_mb)
