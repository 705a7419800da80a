"""The wrapper ``delayed``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hptbench.errors import UserError
from hptbench.protocol import Job, Outcome
from hptbench.tasks._wrapper import Wrapper, wrapper


@wrapper("delayed")
@dataclass(frozen=True)
class Delayed(Wrapper):
    """Multiplies the cost of every job by ``factor * (1 + |z|)``, z normal: stragglers. Values stay as they are.

    The straggler model is that of the simulations of Li et al., A System for Massively Parallel Hyperparameter
    Tuning (ASHA), MLSys 2020 (arXiv 1810.05934); z is drawn anew for every job. Under ``clock: units`` costs, and
    so delays, are not seen.
    """

    std: float = 0.0
    """Standard deviation of z; 0 for no stragglers."""
    factor: float = 1.0
    """What every cost is multiplied by."""

    def __post_init__(self) -> None:
        if not 0 <= self.std < math.inf:
            raise UserError(f"expected std >= 0, got {self.std}")
        if not 0 < self.factor < math.inf:
            raise UserError(f"expected factor > 0, got {self.factor}")

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes = self.inner.evaluate(jobs)
        return [replace(o, cost=o.cost * self._slowdown(job)) for job, o in zip(jobs, outcomes, strict=True)]

    def _slowdown(self, job: Job) -> float:
        return self.factor * (1 + abs(float(self.stream(job, job.stop).normal(0.0, self.std))))
