"""How the runs of a study are driven: one by one, side by side, or all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from hptbench.errors import UserError
from hptbench.run import Plan


@dataclass(frozen=True)
class Broken:
    """A run that could not be finished."""

    plan: Plan
    why: str


def check_whole(name: str, number: object) -> None:
    """UserError unless ``number`` is a whole number >= 1."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise UserError(f"expected {name} to be a whole number >= 1, got {number!r}")


class Watcher(Protocol):
    """Shown what goes on (a progress bar)."""

    def begun(self, plan: Plan, jobs: int, full_evals: float) -> None:
        """So many jobs and full evaluations of ``plan`` have begun."""
        ...

    def ended(self, plan: Plan) -> None:
        """``plan`` is finished or broken."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Drives runs. Whatever it is, a simulated run's results are the same."""

    live: ClassVar[bool]
    """Runs take place in real time on real workers."""

    def run(self, plans: Sequence[Plan], watcher: Watcher) -> list[Broken]:
        """Do all runs. One that breaks does not stop the others; a UserError stops all."""
        ...
