from __future__ import annotations

import math

import moocore
import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods.parego import ParEGO, scalarised
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Clock, Method, Problem
from hptbench.simulate import simulate
from hptbench.space import Floats
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.multiobjective import MultiobjectiveTask
from hptbench.testing.methods import drive

DTLZ2 = wrap(MultiobjectiveTask("dtlz2", 4), [{"shifted": {"seed": 1}}])


def found(method: Method, seed: int, jobs: int, workers: int = 1, m: int = 2) -> tuple[Floats, Floats, float]:
    """Configurations, values and hypervolume regret of a run."""
    task = DTLZ2 if m == 2 else MultiobjectiveTask("dtlz2", 4 + m, m)
    problem = Problem(task.space, task.objectives, None, Budget(max_jobs=jobs), workers)
    records = drive(simulate(method, problem, ("t", seed), Clock.UNITS), task)
    values = np.array([record.outcome.curve[-1].values for record in records])
    front = task.front  # type: ignore[attr-defined]
    regret = 1 - moocore.hypervolume(values, ref=front.reference_point) / front.hypervolume
    return task.space.encode([record.job.proposal.config for record in records]), values, regret


def best_of_random(jobs: int, m: int = 2) -> float:
    return min(found(RandomSearch(), seed, jobs, m=m)[2] for seed in range(10))


@pytest.mark.parametrize(
    ("m", "jobs", "seeds", "share"), [(2, 45, 3, 0.7), pytest.param(4, 60, 5, 0.9, marks=pytest.mark.slow)]
)
def test_it_is_far_better_than_random_search(m: int, jobs: int, seeds: int, share: float) -> None:
    """In the median: single runs differ between processors in what follows from last digits."""
    own = [found(ParEGO(), seed, jobs, m=m)[2] for seed in range(seeds)]
    assert np.median(own) < share * best_of_random(jobs, m)


def test_the_augmented_tchebycheff_function_by_hand() -> None:
    values = np.array([[0.0, 30.0], [2.0, 20.0], [4.0, 10.0], [math.inf, math.inf]])
    got = scalarised(values, np.array([0.25, 0.75]), 0.05)
    assert got[:3] == pytest.approx([0.75 + 0.05 * 0.75, 0.375 + 0.05 * 0.5, 0.25 + 0.05 * 0.25])
    assert got[3] == math.inf
    same = scalarised(np.array([[1.0, 5.0], [1.0, 7.0]]), np.array([0.5, 0.5]), 0.0)
    assert same.tolist() == [0, 0.5]


@pytest.mark.slow
def test_workers_do_not_propose_the_same_nor_of_the_same_weights() -> None:
    u, _, regret = found(ParEGO(), 0, 44, workers=4)
    for batch in (u[12:16], u[40:44]):
        apart = np.linalg.norm(batch[:, None] - batch[None], axis=2)[np.triu_indices(4, 1)]
        assert apart.min() > 1e-3
    assert regret < best_of_random(44)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UserError, match=r"parego\.candidates >= 1, got 0"):
        ParEGO(candidates=0)
    with pytest.raises(UserError, match=r"parego\.rho >= 0"):
        ParEGO(rho=math.nan)
