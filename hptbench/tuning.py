"""``hptbench.tune``: a function and a space in, the best configuration out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hptbench.errors import UserError
from hptbench.given import whole
from hptbench.protocol import Budget, Fidelity, Method, Status
from hptbench.space import Config
from hptbench.suggestions import Result, Suggestion, best_of, front_of
from hptbench.tuner import Tuner

Callback = Callable[[Tuner, Result], object]


@dataclass(frozen=True)
class Tuned:
    """What a tuning has found."""

    history: list[Result]
    """In the order in which jobs ended."""

    @property
    def best(self) -> Result:
        """The incumbent, by the first objective. UserError if no job succeeded."""
        found = best_of(self.history)
        if found is None:
            last = f"; the last one: {self.history[-1].message}" if self.history else ""
            raise UserError(f"none of {len(self.history)} jobs has a value and keeps the constraints{last}")
        return found

    @property
    def config(self) -> Config:
        """The best configuration."""
        return self.best.config

    @property
    def value(self) -> float:
        """The value of the best configuration."""
        return self.best.value

    @property
    def front(self) -> list[Result]:
        """The best trade-offs between several objectives."""
        return front_of(self.history)


def tune(
    fn: Callable[..., Any],
    space: Any,
    method: str | Method = "gp",
    *,
    budget: float | Budget | Mapping[str, Any] = 50,
    seed: int = 0,
    fidelity: Fidelity | Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    start: Sequence[Config] = (),
    objectives: Sequence[str] = ("value",),
    constraints: Sequence[str] = (),
    workers: int = 1,
    executor: Executor | None = None,
    seconds: float | None = None,
    folder: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> Tuned:
    """Minimise ``fn(config)``, or with a fidelity ``fn(config, job)`` (see :class:`hptbench.suggestions.Suggestion`).

    ``fn`` returns a number, one per objective, or a mapping with ``value`` and what else :meth:`Tuner.tell` takes
    (``constraints``, ``curve``, ``cost``); an exception is a failed job, which is counted and never ends the tuning.
    ``workers`` jobs run at a time, in threads or in ``executor`` (a process pool, Dask's, …). ``seconds``: no job
    begins later. ``folder``: where the journal and the checkpoints are; the same call again goes on from there, with
    what was running first. ``callbacks`` are called after each result. All else is as for :class:`Tuner`.

    UserError for what does not fit together, and if ``fn`` returns no number."""
    whole("workers", workers, 1)
    place = None if folder is None else Path(folder)
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    tuner = Tuner(
        space, method, seed, budget=budget, fidelity=fidelity, settings=settings, start=start, objectives=objectives,
        constraints=constraints, workers=workers, path=place and place / "journal.jsonl",
        checkpoints=place and place / "checkpoints",
    )  # fmt: skip
    end = None if seconds is None else time.monotonic() + seconds
    with tuner, _pool(executor, workers) as pool:
        again = tuner.pending
        running: dict[Future[Mapping[str, Any]], Suggestion] = {}
        while True:
            if end is None or time.monotonic() < end:
                jobs, again = again[: workers - len(running)], again[workers - len(running) :]
                if free := workers - len(running) - len(jobs):
                    jobs += tuner.ask(free)
                for job in jobs:
                    running[pool.submit(_evaluated, fn, job)] = job
            if not running:
                return Tuned(tuner.history)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=lambda one: running[one].id):
                job = running.pop(future)
                result = tuner.tell(job, **_outcome(future))
                for callback in callbacks:
                    callback(tuner, result)


def _pool(executor: Executor | None, workers: int) -> AbstractContextManager[Executor]:
    """The caller's own is the caller's to shut down."""
    if executor is not None:
        return nullcontext(executor)
    return _Here() if workers == 1 else ThreadPoolExecutor(workers)


class _Here(Executor):
    """Calls at once, in this thread: Ctrl-C ends it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _evaluated(fn: Callable[..., Any], job: Suggestion) -> Mapping[str, Any]:
    """What to tell of a job; runs in the executor."""
    began = time.perf_counter()
    try:
        value = fn(dict(job.config)) if job.fidelity is None else fn(dict(job.config), job)
    except Exception as error:  # a failed training, whatever it was
        status = Status.MEMORY if isinstance(error, MemoryError) else Status.FAILED
        message = " ".join(f"{type(error).__name__}: {error}".split())
        return {"status": str(status), "message": message, "cost": time.perf_counter() - began}
    told = dict(value) if isinstance(value, Mapping) else {"value": value}
    return {"cost": time.perf_counter() - began} | told


def _outcome(future: Future[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What a worker answered. One that was lost with its job is a failure, one that is lost for good raises."""
    try:
        return future.result()
    except BrokenExecutor as error:
        raise UserError(f"the executor is broken ({error}); run again to go on from what was told") from error
    except Exception as error:
        return {"status": "failed", "message": f"{type(error).__name__}: {error}"}
