"""Tasks whose jobs take real time or take their worker along; importable on the nodes of a cluster."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hptbench.protocol import Job, Outcome
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
