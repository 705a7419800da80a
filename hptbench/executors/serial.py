"""One run after another in this process."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hptbench.errors import UserError
from hptbench.executors import Broken, Watcher
from hptbench.run import Driver, Evaluator, Plan, execute


@dataclass(frozen=True)
class Serial:
    """One run after another, simulated workers."""

    live: ClassVar[bool] = False

    def run(self, plans: Sequence[Plan], watcher: Watcher) -> list[Broken]:
        """Do all runs in order."""
        broken: list[Broken] = []
        with Evaluator() as evaluator:
            for plan in plans:
                broken += attempt(plan, evaluator, watcher)
        return broken


@dataclass(frozen=True)
class Live(Serial):
    """One run after another in real time, each on ``workers`` real processes."""

    live: ClassVar[bool] = True


def attempt(plan: Plan, evaluator: Evaluator, watcher: Watcher) -> list[Broken]:
    """Do a run through ``evaluator``; the run if it broke, else nothing. UserError for what the user can put right."""
    broken = []
    try:
        execute(plan, Driver(evaluator, partial(watcher.begun, plan)))
    except UserError:
        raise
    except Exception:
        broken.append(Broken(plan, traceback.format_exc()))
    watcher.ended(plan)
    return broken
