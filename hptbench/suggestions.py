"""What a tuner gives out and what it was told: jobs for whoever evaluates them, and their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hptbench.protocol import JSON, Status
from hptbench.space import Config


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A job to be done: train ``config`` from ``start`` up to ``fidelity``."""

    id: int
    trial: int
    """One configuration; when it is trained further, that is another job of the same trial."""
    config: Config
    fidelity: float | None
    """How far to train; None without a fidelity."""
    start: float
    """Fidelity already trained by the job ``source``; 0: train from nothing."""
    source: int | None
    """The job whose checkpoint to go on from; None: from nothing."""
    seed: int
    """For the random numbers of the training: the same for all jobs of a trial, 32 bits."""
    note: Mapping[str, JSON] = field(default_factory=dict)
    """The method's bookkeeping (bracket, rung, …)."""
    load: Path | None = None
    """Where the source has left its checkpoint; None if there is nothing (any more), or the tuner has no folder for
    them: then train from nothing up to ``fidelity``."""
    save: Path | None = None
    """Where to leave a checkpoint: a path in a folder that exists. None: nobody will go on from it."""


@dataclass(frozen=True, slots=True)
class Result:
    """A job with what was told of it."""

    job: Suggestion
    status: Status
    values: tuple[float, ...]
    """The objectives, which are minimised; +inf each if it failed."""
    constraints: tuple[float, ...]
    """Kept where <= 0; +inf each if it failed."""
    cost: float
    """Seconds."""
    message: str = ""

    @property
    def config(self) -> Config:
        """The job's configuration."""
        return self.job.config

    @property
    def value(self) -> float:
        """The first objective."""
        return self.values[0]

    @property
    def feasible(self) -> bool:
        """It did not fail, and keeps all constraints."""
        return self.status is Status.OK and all(c <= 0 for c in self.constraints)


def best_of(results: Sequence[Result]) -> Result | None:
    """The incumbent: among what keeps the constraints the furthest trained, then the lowest first value, then the first
    told; None if there is nothing."""
    found = [result for result in results if result.feasible]
    return min(found, key=lambda result: (-(result.job.fidelity or 0.0), result.value), default=None)


def front_of(results: Sequence[Result]) -> list[Result]:
    """The furthest trained results that keep the constraints and are dominated by none, in the order of telling."""
    found = [result for result in results if result.feasible]
    high = max((result.job.fidelity or 0.0 for result in found), default=0.0)
    found = [result for result in found if (result.job.fidelity or 0.0) == high]
    return [one for one in found if not any(_dominates(other.values, one.values) for other in found)]


def _dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))
