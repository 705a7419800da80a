"""What the families that train something share: states that are lost, scores that stay hidden."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from hptbench.protocol import Job, Outcome, State


def lost_since(job: Job) -> tuple[State, list[Job]]:
    """(the latest state before ``job`` that is there, None if it starts from nothing; the jobs since then, the first
    one first, whose states have to be made again). ValueError for a start without a past."""
    lost: list[Job] = []
    while job.start > 0 and job.state is None:
        if job.before is None:
            raise ValueError(f"job {job.id} starts at {job.start:g}, but has neither a state nor a job before")
        job = job.before
        lost.append(job)
    return (job.state if job.start > 0 else None), lost[::-1]


def on_card(steps: Sequence[Outcome]) -> float | None:
    """Seconds of a graphics card of all ``steps`` of a job; None if none was on one."""
    seconds = [step.gpu for step in steps if step.gpu is not None]
    return math.fsum(seconds) if seconds else None


def hidden_scores(
    score: Callable[[], Mapping[str, float]], metrics: Iterable[str], objective: str
) -> tuple[dict[str, float], str]:
    """(``test``, the objective's score on what stays hidden, and ``test_<metric>`` each; why not, in one line). All NaN
    if ``score`` raises: a method sees the status of a job, which must not tell anything of the hidden data."""
    message = ""
    try:
        scores = score()
    except Exception as error:
        scores = dict.fromkeys(metrics, math.nan)
        message = " ".join(f"test score failed: {type(error).__name__}: {error}".split())
    return {"test": scores[objective]} | {f"test_{name}": value for name, value in scores.items()}, message
