"""The wrapper ``failing``."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hptbench.errors import UserError, unknown
from hptbench.protocol import Job, Outcome, Status
from hptbench.tasks._wrapper import Wrapper, wrapper

_CHUNK = 1 << 26
"""Bytes."""


def _raise() -> None:
    raise RuntimeError("injected failure")


def _exit() -> None:
    os._exit(1)


def _hang() -> None:
    threading.Event().wait()


def _exhaust() -> None:
    hoard: list[bytearray] = []
    while True:
        hoard.append(bytearray(b"\1") * _CHUNK)  # written to, so that the memory is really taken


_REAL: Mapping[str, Callable[[], None]] = {"raise": _raise, "exit": _exit, "hang": _hang, "memory": _exhaust}


@wrapper("failing")
@dataclass(frozen=True)
class Failing(Wrapper):
    """Lets jobs fail at random: a trial at a fidelity fails always or never.

    ``failed`` and ``not_finite`` return an outcome of that kind, at the cost of the whole job. The other kinds
    happen for real and take the calling process and its whole batch with them; they are made for tests of live workers:
    ``raise`` an exception, ``exit`` the process, ``hang`` for ever, take ``memory`` without end.
    """

    rate: float
    """Probability that a job fails."""
    kind: str = "failed"

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise UserError(f"expected 0 <= rate <= 1, got {self.rate}")
        if self.kind not in ("failed", "not_finite", *_REAL):
            raise unknown("kind of failure", self.kind, ("failed", "not_finite", *_REAL))

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        fails = [float(self.stream(job, job.stop).random()) < self.rate for job in jobs]
        if self.kind in _REAL and any(fails):
            _REAL[self.kind]()
        outcomes = self.inner.evaluate(jobs)
        return [self._spoilt(o) if bad and o.status is Status.OK else o for o, bad in zip(outcomes, fails, strict=True)]

    def _spoilt(self, outcome: Outcome) -> Outcome:
        if self.kind == "failed":
            return Outcome(Status.FAILED, (), outcome.cost, message="injected failure")
        *before, last = outcome.curve
        nan = replace(last, values=(math.nan,) * len(last.values))
        return replace(outcome, curve=(*before, nan), hidden={}, state=None)
