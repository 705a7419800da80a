"""What transfer methods are told of past tasks (``Advice.past``), as arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hptbench.errors import UserError
from hptbench.protocol import Problem
from hptbench.space import Floats, Mask

_FEWEST = 2


class Past(NamedTuple):
    """A past task."""

    u: Floats
    """(n, d) what was tried, in the unit cube, NaN where inactive."""
    losses: Floats
    """(n,) finite; comparable within a task only."""


def past_of(problem: Problem, method: str) -> list[Past]:
    """The past tasks of the problem's advice, without failures. UserError if there is none with two successes."""
    out = []
    for task in problem.advice.past:
        losses = np.asarray(task.losses, float)
        there: Mask = np.isfinite(losses)
        if there.sum() >= _FEWEST:
            out.append(Past(problem.space.encode(task.configs)[there], losses[there]))
    if not out:
        raise UserError(
            f"{method} learns from past tasks, and was told of none; set meta=auto (for tasks that tune a learner on "
            "a data set), or take a method that needs none, e.g. gp"
        )
    return out
