"""The wrapper ``straggling``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hptbench.errors import UserError
from hptbench.protocol import Job, Outcome
from hptbench.rng import entropy, stream
from hptbench.tasks._wrapper import Wrapper, wrapper


@wrapper("straggling")
@dataclass(frozen=True)
class Straggling(Wrapper):
    """Multiplies costs by log-normal factors: one of each trial, and one of each of its jobs. Values stay as they are.

    The first makes configurations of unequal cost, the second makes stragglers; each has the median 1, so that a
    ``sigma`` of 1 makes one job in forty slower than seven times the median. Long right tails are what is measured on
    clusters; ``delayed`` has the half-normal stragglers of the ASHA paper. Under ``clock: units`` costs are not seen.
    """

    sigma: float
    """Standard deviation of the logarithm of a job's factor, drawn anew for every fidelity at which a segment ends."""
    trial_sigma: float = 0.0
    """That of a trial's factor: the same for all its jobs."""

    def __post_init__(self) -> None:
        for name, value in self.settings.items():
            if not 0 <= value < math.inf:
                raise UserError(f"expected {name} >= 0, got {value}")

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes = self.inner.evaluate(jobs)
        return [replace(o, cost=o.cost * self._factor(job)) for job, o in zip(jobs, outcomes, strict=True)]

    def _factor(self, job: Job) -> float:
        of_trial = stream(entropy(*job.seed, self.name, "trial")).standard_normal() if self.trial_sigma else 0.0
        of_job = self.stream(job, job.stop).standard_normal() if self.sigma else 0.0
        return math.exp(self.trial_sigma * float(of_trial) + self.sigma * float(of_job))
