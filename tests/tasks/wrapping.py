"""What tests of wrappers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hptbench.protocol import Job, Outcome, Point, Proposal, Status
from hptbench.rng import entropy
from hptbench.space import Space
from hptbench.tasks.synthetic import SyntheticTask

BRANIN = SyntheticTask("branin")
HARTMANN = SyntheticTask("mf_hartmann3_good")
ONES = SyntheticTask("counting_ones", 8)


def job(task, config=None, stop=None, start=0.0, trial=0):
    stop = stop or (task.fidelity.high if task.fidelity else 1.0)
    return Job(trial, trial, Proposal(config or task.space.default(), stop), start, stop, entropy("test", trial))


def jobs(task, n=40):
    configs = task.space.decode(task.space.sample(np.random.default_rng(0), n))
    levels = [1.0] if task.fidelity is None else [task.fidelity.low, task.fidelity.high]
    return [job(task, c, levels[i % len(levels)], trial=i) for i, c in enumerate(configs)]


def configs(task, n=10):
    return task.space.decode(task.space.sample(np.random.default_rng(0), n))


def bare(outcomes):
    """Outcomes as text: NaN equals itself."""
    return [repr(o) for o in outcomes]


@dataclass(frozen=True)
class Echo:
    """Returns in ``hidden`` what its jobs carry."""

    space: Space
    name: str = "echo"
    unit: str = "echo"
    version: int = 4
    objectives: tuple[str, ...] = ("a", "b")
    constraints: tuple[str, ...] = ()
    fidelity: Any = HARTMANN.fidelity
    measured: bool = True

    def identity(self):
        return {}

    def evaluate(self, jobs):
        out = []
        for j in jobs:
            chain, link = [], j
            while link is not None:
                chain.append(dict(link.proposal.config))
                link = link.before
            points = tuple(Point(f, (1.0, 2.0)) for f in (1.0, 2.0))
            out.append(Outcome(Status.OK, points, 3.0, {"chain": chain}, state="kept"))  # type: ignore[dict-item]
        return out
