"""Tasks whose jobs take real time or take their worker along; importable on the nodes of a cluster."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hptbench.methods.random import RandomSearch
from hptbench.protocol import Job, Outcome, Problem, Proposal, Report, Search
from hptbench.testing.problems import Bowl


@dataclass(frozen=True)
class SlowBowl(Bowl):
    """A bowl that takes ``seconds`` for each job. Its results do not depend on how its jobs fare."""

    seconds: float = 0.1
    marks: str = ""
    """Folder in which each killed job leaves a mark."""
    deaths: int = 0
    """So often the process dies at the first job that reaches the end."""

    def identity(self) -> dict[str, str]:  # type: ignore[override]
        return {"name": self.name}

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        time.sleep(self.seconds * len(jobs))
        if any(job.stop == 27 for job in jobs):
            for i in range(self.deaths):
                mark = Path(self.marks) / str(i)
                if not mark.exists():
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory is out
        return super().evaluate(jobs)


@dataclass(frozen=True)
class Noted(Bowl):
    """A measured bowl whose costs are recorded all the same, and whose trainings leave a state and a line of notes."""

    notes: str = ""
    measured: bool = True

    def identity(self) -> dict[str, str]:  # type: ignore[override]
        return {"name": self.name}

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        with open(self.notes, "a") as file:
            file.writelines(f"{job.id}\n" for job in jobs)
        return [replace(outcome, state=job.id) for job, outcome in zip(jobs, super().evaluate(jobs), strict=True)]


@dataclass(frozen=True)
class Clumsy(RandomSearch):
    """Raises when it is told of its sixth job."""

    def begin(self, problem: Problem, rng: np.random.Generator) -> Search:
        return _Clumsy(super().begin(problem, rng))


class _Clumsy:
    def __init__(self, search: Any) -> None:
        self._search, self._told = search, 0

    def ask(self, n: int, running: Sequence[Proposal]) -> Sequence[Proposal]:
        return list(self._search.ask(n, running))

    def tell(self, reports: Sequence[Report]) -> None:
        self._told += len(reports)
        if self._told > 5:
            raise RuntimeError("it was to raise")
        self._search.tell(reports)
