from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from hptbench.errors import UserError
from hptbench.methods.random import RandomSearch
from hptbench.methods.rf import RandomForest, design_size, expected_improvement, log_scaled
from hptbench.methods.sobol import Sobol
from hptbench.protocol import Budget, Clock, Job, Problem, Proposal, Report
from hptbench.rng import entropy, stream
from hptbench.simulate import simulate
from hptbench.spacefile import space_from_yaml
from hptbench.tasks.shifted import Shifted
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.testing.methods import drive, incumbent, records_of
from hptbench.testing.problems import Bowl

SPHERE = Bowl(over="sphere", noise=0.0, fidelity=None)


def problem_of(task, workers=1, **budget):
    return Problem(task.space, task.objectives, None, Budget(**(budget or {"max_jobs": 40})), workers)


def test_it_is_far_better_than_random_search():
    task, budget = Shifted(SyntheticTask("branin"), 3), Budget(max_jobs=40)
    own, random = (
        [incumbent(records_of(m, task, s, budget)) - task.inner.optimum for s in range(n)]
        for m, n in ((RandomForest(), 4), (RandomSearch(), 20))
    )
    assert stats.mannwhitneyu(own, random, alternative="less").pvalue < 0.01
    assert np.median(own) < np.median(random) / 5


@pytest.mark.parametrize(
    ("mean", "variance", "best"), [(-1.0, 0.3, -1.2), (-0.5, 0.01, -0.9), (-2.0, 1.0, -0.1), (-1.0, 1e-6, -0.9)]
)
def test_the_expected_improvement_is_the_integral_that_it_stands_for(mean, variance, best):
    std = math.sqrt(variance)
    expected, _ = integrate.quad(
        lambda y: (math.exp(best) - math.exp(y)) * stats.norm.pdf(y, mean, std), max(mean - 12 * std, best - 50), best,
        points=[mean] if mean < best else None, epsabs=1e-14,
    )  # fmt: skip
    [value] = expected_improvement(np.array([mean]), np.array([variance]), best)
    assert value == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_values_are_scaled_as_in_smac():
    """By hand: best 1, 5th percentile 1.5, worst 11: zero is put at 1 - (1.5 - 1)."""
    values = np.linspace(1, 11, 21)
    assert log_scaled(values) == pytest.approx(np.log((values - 0.5) / 10.5))
    assert log_scaled(np.array([2.0, math.inf, 4.0]))[1] == log_scaled(np.array([2.0, math.inf, 4.0]))[2] == 0.0
    assert not log_scaled(np.full(3, 7.0)).any()
    assert np.isfinite(log_scaled(np.array([0.0, 0.0, 1.0] * 40))).all()
    for ties in ([1e8, 1e8, 2e8], [-1e30, -1e30, 1.0], [1e308, -1e308, 0.0]):  # next to which SMAC's 1e-10 vanishes
        y = log_scaled(np.array(ties))
        assert np.isfinite(y).all()
        assert np.array_equal(np.argsort(y, kind="stable"), np.argsort(ties, kind="stable"))


def test_the_initial_design_is_smac_s():
    assert design_size(problem_of(SPHERE, max_jobs=100)) == 25
    assert design_size(problem_of(SPHERE, max_jobs=1000)) == 30
    assert design_size(problem_of(SPHERE, max_full_evals=10.0, max_jobs=1000)) == 2
    assert design_size(problem_of(SPHERE, max_jobs=2)) == 1
    assert design_size(problem_of(SPHERE, max_time=5.0)) == 30
    key = entropy("key", 1)
    problem = problem_of(SPHERE)
    first = RandomForest().begin(problem, stream(key)).ask(10, [])
    assert [p.config for p in first] == [p.config for p in Sobol().begin(problem, stream(key)).ask(10, [])]


def test_its_proposals_are_these():
    records = records_of(RandomForest(initial=3, random_fraction=0.1), SPHERE, 0, Budget(max_jobs=8))
    u = SPHERE.space.encode([r.job.proposal.config for r in records])
    assert u[3:] == pytest.approx(np.array(GOLDEN), abs=1e-6)


GOLDEN = [
    [0.034221, 0.913943, 0.204337], [0.13649, 0.230799, 0.19862], [0.16785, 0.307916, 0.198423],
    [0.192113, 0.240752, 0.196469], [0.242706, 0.321556, 0.08714],
]  # fmt: skip
"""With initial=3; the first is a random one."""


def test_pending_jobs_are_kept_away_from():
    problem = problem_of(SPHERE, workers=6)
    records = drive(
        simulate(RandomForest(random_fraction=0.0, challengers=500), problem, ("pending", 0), Clock.UNITS), SPHERE
    )
    batch = SPHERE.space.encode([r.job.proposal.config for r in records[-6:]])
    apart = np.linalg.norm(batch[:, None] - batch[None], axis=2)[np.triu_indices(6, 1)]
    assert apart.min() > 1e-3


def test_a_prior_draws_it_to_where_it_says():
    class Believer:
        traits = RandomForest.traits

        def begin(self, problem, rng):
            return RandomForest(random_fraction=0.0).begin(
                problem, rng, lambda u, n: -1e4 * ((u - 0.95) ** 2).sum(axis=1)
            )

    records = drive(simulate(Believer(), problem_of(SPHERE, max_jobs=12), ("prior", 0), Clock.UNITS), SPHERE)
    last = SPHERE.space.encode([r.job.proposal.config for r in records[3:]])
    assert np.abs(last - 0.95).max() < 0.15


def test_random_proposals_are_interleaved():
    """Where the prior allows a corner only, all others are random ones."""
    method = RandomForest(initial=1, challengers=100, searches=1, trees=1)
    search = method.begin(problem_of(SPHERE), stream(entropy("r")), lambda u, n: -1e6 * (1 - u).sum(axis=1))
    search.tell([report_of(SPHERE, search.ask(1, [])[0])])
    u = SPHERE.space.encode([search.ask(1, [])[0].config for _ in range(100)])
    assert np.mean(u.min(axis=1) < 0.7) == pytest.approx(0.2, abs=0.1)


def report_of(task, proposal):
    job = Job(0, 0, proposal, 0.0, 1.0, entropy("job"))
    [outcome] = task.evaluate([job])
    last = outcome.curve[-1]
    return Report(0, 0, proposal, 1.0, outcome.status, last.values, outcome.curve, outcome.cost)


def test_finite_spaces_are_walked_through_without_repetition():
    space = space_from_yaml({
        "a": {"type": "integer", "lower": 1, "upper": 4}, "b": {"type": "categorical", "choices": ["x", "y", "z"]}
    })  # fmt: skip
    search = RandomForest(initial=1).begin(Problem(space, ("loss",), None, Budget(max_jobs=20)), stream(entropy("f")))
    seen: list[Proposal] = []
    for _ in range(12):
        seen += search.ask(1, seen)
    assert len({space.key(p.config) for p in seen}) == 12
    assert len(search.ask(1, seen)) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"initial": 0}, {"trees": 0}, {"ratio_features": 0.0}, {"min_samples_split": 1}, {"min_samples_leaf": 0},
     {"random_fraction": 1.1}, {"challengers": 0}, {"searches": 0}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(UserError, match=f"expected rf.{next(iter(wrong))}"):
        RandomForest(**wrong)
