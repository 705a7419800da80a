"""Small tasks of recorded cost that provoke methods: noise, failures, flat and one-point problems."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from hptbench.protocol import Fidelity, Job, Outcome, Point, Status
from hptbench.rng import entropy, stream
from hptbench.space import Floats, Space
from hptbench.spacefile import space_from_yaml

_MIXED = {
    "x": {"type": "float", "lower": -5, "upper": 5},
    "rate": {"type": "float", "lower": 1e-5, "upper": 1.0, "log": True},
    "layers": {"type": "integer", "lower": 1, "upper": 5},
    "kind": {"type": "categorical", "choices": ["plain", "deep", "wide"]},
    "depth": {"type": "integer", "lower": 1, "upper": 9, "when": {"kind": "deep"}},
    "width": {"type": "float", "lower": 1, "upper": 100, "log": True, "when": {"kind": ["deep", "wide"]}},
    "flag": {"type": "categorical", "choices": [True, False]},
}
_SPHERE = {name: {"type": "float", "lower": 0, "upper": 1} for name in "abc"}
_POINT = {"only": {"type": "constant", "value": 1}}
SPACES: Mapping[str, Mapping[str, Any]] = {"mixed": _MIXED, "sphere": _SPHERE, "point": _POINT}
_EPOCHS = Fidelity(1, 27, "epoch", continues=True)


@dataclass(frozen=True)
class Bowl:
    """A bowl over one of three spaces, approached along a learning curve that can be continued.

    Every segment costs what it trains (times 1 to 2, by configuration). ``fail`` and ``nan``
    are shares of jobs; ``flat`` makes the objective constant. Every constraint is kept nearer than 0.5 to the bottom,
    in terms of the squared distance."""

    over: str = "mixed"
    fidelity: Fidelity | None = _EPOCHS
    noise: float = 0.01
    fail: float = 0.0
    nan: float = 0.0
    flat: bool = False
    objectives: tuple[str, ...] = ("loss",)
    constraints: tuple[str, ...] = ()
    name: str = "bowl"
    version: int = 1
    measured: bool = False

    @property
    def unit(self) -> str:
        """The bowl stands for itself."""
        return self.name

    @cached_property
    def space(self) -> Space:
        """Built once."""
        return space_from_yaml(SPACES[self.over])

    def identity(self) -> Mapping[str, Any]:
        """All fields."""
        return asdict(self)

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job."""
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Outcome:
        u = self.space.encode([job.proposal.config])[0]
        distance = _distance(u)
        high = self.fidelity.high if self.fidelity else 1.0
        fate = stream(entropy(*job.seed, "fate", str(job.stop))).random()
        cost = (job.stop - job.start) / high * (1.0 + (0.0 if math.isnan(u[0]) else u[0]))
        if fate < self.fail:
            return Outcome(Status.FAILED, (), cost, message="it was to fail")
        loss = float(job.state) if job.state is not None else self._loss(job.before)
        curve = []
        for epoch in range(int(job.start) + 1, int(job.stop) + 1):
            loss = self._step(job, epoch, loss, distance)
            curve.append(self._point(float(epoch), loss, distance))
        if fate > 1 - self.nan:
            curve[-1] = self._point(job.stop, math.nan, distance)
        return Outcome(Status.OK, tuple(curve), cost, {"test": loss + 0.5}, loss)

    def _point(self, epoch: float, loss: float, distance: float) -> Point:
        return Point(epoch, (loss,) * len(self.objectives), (distance - 0.5,) * len(self.constraints))

    def _loss(self, job: Job | None) -> float:
        """The state that ``job`` left, made again with its own configuration."""
        if job is None:
            return 1.0
        loss = self._loss(job.before)
        distance = _distance(self.space.encode([job.proposal.config])[0])
        for epoch in range(int(job.start) + 1, int(job.stop) + 1):
            loss = self._step(job, epoch, loss, distance)
        return loss

    def _step(self, job: Job, epoch: int, loss: float, distance: float) -> float:
        if self.flat:
            return 0.25
        noise = self.noise and self.noise * float(stream(entropy(*job.seed, "epoch", epoch)).standard_normal())
        return 0.7 * loss + 0.3 * distance + noise if self.fidelity else distance + noise


def _distance(u: Floats) -> float:
    """From the bottom, squared; inactive parameters do not count."""
    return math.fsum((0.0 if math.isnan(x) else x - 0.3) ** 2 for x in u)
