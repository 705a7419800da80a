"""A task whose jobs misbehave as their configuration says; importable in worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from hptbench.errors import UserError
from hptbench.protocol import Fidelity, Job, Outcome, Point, Problem, Proposal, Status, Traits
from hptbench.space import Space
from hptbench.spacefile import space_from_yaml

_HOARD: list[bytes] = []
HOW = ("fine", "raise", "exit", "kill", "hang", "memory", "fork", "user error", "slow")


@dataclass(frozen=True)
class Rogue:
    """``how``: what every job does; else the job's own parameter ``how`` says it."""

    how: str | None = None
    pids: str = ""
    """File to which processes that are started write their ids."""
    choices: tuple[str, ...] = HOW
    name: str = "rogue"
    unit: str = "rogue"
    version: int = 1
    objectives: tuple[str, ...] = ("loss",)
    constraints: tuple[str, ...] = ()
    fidelity: Fidelity | None = None
    measured: bool = True

    @cached_property
    def space(self) -> Space:
        return space_from_yaml(
            {
                "how": {"type": "categorical", "choices": list(self.choices)},
                "x": {"type": "float", "lower": 0, "upper": 1},
            }
        )

    def identity(self) -> Mapping[str, Any]:
        return asdict(self)

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Outcome:
        began = time.perf_counter()
        how = self.how or job.proposal.config["how"]
        if how == "raise":
            raise RuntimeError("it was\nto raise")
        if how == "exit":
            os._exit(3)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "hang":
            time.sleep(1000)
        if how == "memory":
            hoard = []
            while True:
                hoard.append(b"x" * 20_000_000)
                time.sleep(0.002)
        if how == "large":  # for a moment
            len(b"x" * 200_000_000)
        if how == "fork":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
            with open(self.pids, "a") as file:
                file.write(f"{child.pid}\n")
            time.sleep(1000)
        if how == "orphan":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "hoard":  # and never let go of it
            _HOARD.append(b"x" * 80_000_000)
            time.sleep(0.3)
        if how == "user error":
            raise UserError("the data are gone; bring them back")
        if how == "slow":
            time.sleep(0.1)
        x = float(job.proposal.config["x"])
        return Outcome(Status.OK, (Point(1.0, (x,)),), time.perf_counter() - began + 1e-9, {"test": x})


@dataclass(frozen=True)
class Unborn(Rogue):
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (3,)


@dataclass(frozen=True)
class Crowd(Rogue):
    """Takes four jobs at once; says with how many others each was evaluated."""

    together: int = 4

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes = super().evaluate(jobs)
        return [replace(o, hidden={**o.hidden, "others": len(jobs) - 1.0}) for o in outcomes]


@dataclass(frozen=True)
class Sleeper(Rogue):
    """Trains for half a second per epoch and goes on from its state."""

    fidelity: Fidelity | None = Fidelity(1, 9, continues=True)  # noqa: RUF009

    def _one(self, job: Job) -> Outcome:
        epochs = job.stop - (job.start if job.state is not None else 0)
        time.sleep(0.5 * epochs)
        return Outcome(Status.OK, (Point(job.stop, (1 / job.stop,)),), 0.5 * epochs, {"test": 1.0}, "state")


@dataclass(frozen=True)
class Outside:
    """A method that proposes what is not in the space (1990)."""

    traits: ClassVar[Traits] = Traits()

    def begin(self, problem: Problem, rng: object) -> Outside:
        return self

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        return [Proposal({"nonsense": 1})] * n

    def tell(self, reports: object) -> None:
        pass
