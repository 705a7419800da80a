from __future__ import annotations

import math

import moocore
import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods.ehvi import EHVI, reference_point
from hptbench.methods.random import RandomSearch
from hptbench.methods.sobol import Sobol
from hptbench.protocol import Budget, Clock, Method, Problem, Proposal, Report, Status
from hptbench.rng import entropy, stream
from hptbench.simulate import simulate
from hptbench.space import Floats
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.multiobjective import MultiobjectiveTask
from hptbench.testing.methods import drive

DTLZ2 = wrap(MultiobjectiveTask("dtlz2", 4), [{"shifted": {"seed": 1}}])
MIXED = wrap(MultiobjectiveTask("mixed_zdt1", 5, interior=1), [{"shifted": {"seed": 1}}])


def found(method: Method, task: object, seed: int, jobs: int, workers: int = 1) -> tuple[Floats, Floats]:
    """Configurations and values, in the order of their ends."""
    problem = Problem(task.space, task.objectives, None, Budget(max_jobs=jobs), workers)  # type: ignore[attr-defined]
    records = drive(simulate(method, problem, ("t", seed), Clock.UNITS), task)  # type: ignore[arg-type]
    u = task.space.encode([record.job.proposal.config for record in records])  # type: ignore[attr-defined]
    return u, np.array([record.outcome.curve[-1].values for record in records])


def regret(values: Floats, task: object) -> float:
    front = task.front  # type: ignore[attr-defined]
    return 1 - moocore.hypervolume(values, ref=front.reference_point) / front.hypervolume


def best_of_random(task: object, jobs: int) -> float:
    return min(regret(found(RandomSearch(), task, seed, jobs)[1], task) for seed in range(10))


@pytest.mark.parametrize(
    ("task", "jobs"),
    [
        (DTLZ2, 45),
        pytest.param(MIXED, 30, marks=pytest.mark.slow),
        pytest.param(MultiobjectiveTask("dtlz2", 4, 3), 35, marks=pytest.mark.slow),
    ],
)
def test_it_is_far_better_than_random_search(task: object, jobs: int) -> None:
    assert regret(found(EHVI(), task, 0, jobs)[1], task) < 0.7 * best_of_random(task, jobs)


def test_it_begins_with_a_sobol_sequence() -> None:
    problem = Problem(DTLZ2.space, DTLZ2.objectives, None, Budget(max_jobs=9))
    key = entropy("key", 1)
    first = EHVI(initial=5).begin(problem, stream(key)).ask(5, [])
    assert [p.config for p in first] == [p.config for p in Sobol().begin(problem, stream(key)).ask(5, [])]


def test_pending_jobs_are_kept_away_from() -> None:
    u, values = found(EHVI(), DTLZ2, 0, 44, workers=4)
    for batch in (u[12:16], u[40:44]):
        apart = np.linalg.norm(batch[:, None] - batch[None], axis=2)[np.triu_indices(4, 1)]
        assert apart.min() > 1e-3
    assert regret(values, DTLZ2) < best_of_random(DTLZ2, 44)


def test_the_reference_point_lies_behind_the_front_or_behind_everything() -> None:
    means = np.array([[0.0, 2.0], [1.0, 1.0], [10.0, 12.0]])
    on_front = np.array([True, True, False])
    assert reference_point(means, on_front, far=False) == pytest.approx([1 + 0.1, 2 + 0.1 * 1.1])
    assert reference_point(means, on_front, far=True) == pytest.approx([10 + 0.1, 12 + 0.1 * 1.1])
    one = np.array([True, False, False])
    assert (reference_point(means, one, far=False) > means[0]).all()
    assert (reference_point(means[:1], one[:1], far=False) > means[0]).all()


def test_a_large_history_is_thinned_to_the_front_and_the_latest() -> None:
    u, values = found(EHVI(max_points=20), DTLZ2, 0, 45)
    assert len(np.unique(u, axis=0)) == 45
    assert regret(values, DTLZ2) < best_of_random(DTLZ2, 45)


def test_the_one_success_among_many_failures_is_kept() -> None:
    search = EHVI(initial=1, max_points=10).begin(
        Problem(DTLZ2.space, DTLZ2.objectives, None, Budget(max_jobs=99)), stream(entropy("failures"))
    )
    values = [math.inf] * 10 + [1.0] + [math.inf] * 15
    configs = DTLZ2.space.decode(DTLZ2.space.sample(np.random.default_rng(1), len(values)))
    search.tell([
        Report(i, i, Proposal(config), 1.0, Status.OK if value < math.inf else Status.FAILED, (value, value), (), 1.0)
        for i, (config, value) in enumerate(zip(configs, values, strict=True))
    ])  # fmt: skip
    [proposal] = search.ask(1, [])
    DTLZ2.space.check(proposal.config)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UserError, match=r"ehvi\.starts >= 1, got 0"):
        EHVI(starts=0)
    with pytest.raises(UserError, match=r"ehvi\.far in \[0, 1\], got 2"):
        EHVI(far=2)
    assert EHVI.traits.max_objectives == 3
