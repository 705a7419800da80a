"""The wrapper ``noisy``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hptbench.errors import UserError
from hptbench.protocol import Job, Outcome, Point
from hptbench.tasks._wrapper import Wrapper, wrapper


@wrapper("noisy")
@dataclass(frozen=True)
class Noisy(Wrapper):
    """Adds Gaussian noise to every value that a method sees; ``hidden`` stays without.

    The noise at a fidelity is drawn from the trial's own stream: another trial of the same configuration sees
    another value, and where a training was paused makes no difference.
    """

    std: float
    """Standard deviation of the noise, in the objectives' own units."""

    def __post_init__(self) -> None:
        if not 0 < self.std < math.inf:
            raise UserError(f"expected std > 0, got {self.std}")

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes = self.inner.evaluate(jobs)
        return [
            replace(outcome, curve=tuple(self._disturbed(job, point) for point in outcome.curve))
            for job, outcome in zip(jobs, outcomes, strict=True)
        ]

    def _disturbed(self, job: Job, point: Point) -> Point:
        noise = self.stream(job, point.fidelity).normal(0.0, self.std, len(point.values))
        return replace(point, values=tuple(v + e for v, e in zip(point.values, noise.tolist(), strict=True)))
