from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hptbench.errors import UserError
from hptbench.methods._surrogate import Surrogate, standardised, transformed
from hptbench.methods.gp import GaussianProcess
from hptbench.models.embedding import Embedding
from hptbench.models.gp import Priors
from hptbench.protocol import Budget, Clock, Problem, Proposal
from hptbench.rng import entropy, stream
from hptbench.simulate import simulate
from hptbench.space import Floats
from hptbench.tasks.shifted import Shifted
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.testing.methods import drive, incumbent, records_of
from hptbench.testing.problems import Bowl

HARTMANN = Shifted(SyntheticTask("hartmann6"), 3)


def regrets(method: object, seeds: range, jobs: int) -> list[float]:
    budget = Budget(max_jobs=jobs)
    optimum = SyntheticTask("hartmann6").optimum
    return [incumbent(records_of(method, HARTMANN, seed, budget)) - optimum for seed in seeds]  # type: ignore[arg-type]


def test_it_is_far_better_than_random_search() -> None:
    from hptbench.methods.random import RandomSearch

    own, random = regrets(GaussianProcess(), range(4), 35), regrets(RandomSearch(), range(20), 35)
    assert stats.mannwhitneyu(own, random, alternative="less").pvalue < 0.01
    assert np.median(own) < np.median(random) / 2


def test_it_begins_with_a_sobol_sequence_shifted_by_the_seed() -> None:
    from hptbench.methods.sobol import Sobol

    space = HARTMANN.space
    problem = Problem(space, ("loss",), None, Budget(max_jobs=9))
    key = entropy("key", 1)
    first = GaussianProcess(initial=8).begin(problem, stream(key)).ask(8, [])
    assert [p.config for p in first] == [p.config for p in Sobol().begin(problem, stream(key)).ask(8, [])]


def test_pending_jobs_are_kept_away_from() -> None:
    task = Bowl(over="sphere", noise=0.0, fidelity=None)
    problem = Problem(task.space, task.objectives, None, Budget(max_jobs=40), workers=6)
    records = drive(simulate(GaussianProcess(), problem, ("pending", 0), Clock.UNITS), task)
    batch = task.space.encode([r.job.proposal.config for r in records[12:18]])
    apart = np.linalg.norm(batch[:, None] - batch[None], axis=2)[np.triu_indices(6, 1)]
    assert apart.min() > 1e-3
    search = GaussianProcess().begin(problem, stream(entropy("pending")))
    [one] = search.ask(1, [])
    assert search.ask(1, [one])[0] != one


def test_a_prior_draws_it_to_where_it_says() -> None:
    task = Bowl(over="sphere", noise=0.0, fidelity=None)
    problem = Problem(task.space, task.objectives, None, Budget(max_jobs=12))

    def to_the_corner(u: Floats, n: int) -> Floats:
        return -1e4 * ((u - 0.95) ** 2).sum(axis=1)

    class Believer:
        traits = GaussianProcess.traits

        def begin(self, problem: Problem, rng: np.random.Generator) -> object:
            return GaussianProcess().begin(problem, rng, to_the_corner)

    records = drive(simulate(Believer(), problem, ("prior", 0), Clock.UNITS), task)  # type: ignore[arg-type]
    last = task.space.encode([r.job.proposal.config for r in records[8:]])
    assert np.abs(last - 0.95).max() < 0.1


def test_targets_keep_their_order_and_failures_are_the_worst() -> None:
    values = np.array([3.0, math.inf, 1.0, 1e6, 2.0])
    y = transformed(values)
    assert (y.mean(), y.std()) == pytest.approx((0, 1), abs=1e-9)
    assert np.argsort(y, kind="stable").tolist() == [2, 4, 0, 1, 3]
    assert y[1] == y[3]
    lognormal = np.exp(2 * np.random.default_rng(0).standard_normal(200))
    assert abs(stats.skew(transformed(lognormal))) < 1 < stats.skew(standardised(lognormal))
    assert not transformed(np.full(5, 0.1)).any()
    assert np.isfinite(transformed(np.array([1e300, -1e300, 0.0]))).all()


def test_a_large_history_is_thinned_to_the_best_and_the_latest() -> None:
    space = HARTMANN.space
    u = space.sample(np.random.default_rng(0), 50)
    targets = standardised(np.random.default_rng(1).standard_normal(50))
    fitted = Surrogate(Embedding(space), Priors(), 20).fit(u, targets)
    best = set(np.argsort(targets)[:10].tolist())
    latest = [i for i in range(50) if i not in best][-10:]
    assert np.array_equal(fitted.u, u[sorted([*best, *latest])])
    assert np.array_equal(fitted.best_first[0], u[np.argmin(targets)])


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UserError, match=r"gp\.starts >= 1, got 0"):
        GaussianProcess(starts=0)
    with pytest.raises(UserError, match="acquisition function"):
        GaussianProcess(acquisition="log-ei")
    problem = Problem(HARTMANN.space, ("loss",), None, Budget(max_jobs=1))
    with pytest.raises(UserError, match="log_ei with a prior"):
        GaussianProcess(acquisition="ei").begin(problem, stream(entropy("x")), lambda u, n: u[:, 0])


def test_finite_spaces_are_walked_through_without_repetition() -> None:
    from hptbench.spacefile import space_from_yaml

    space = space_from_yaml({
        "a": {"type": "integer", "lower": 1, "upper": 4}, "b": {"type": "categorical", "choices": ["x", "y", "z"]}
    })  # fmt: skip
    search = GaussianProcess().begin(Problem(space, ("loss",), None, Budget(max_jobs=20)), stream(entropy("f")))
    seen: list[Proposal] = []
    for _ in range(12):
        seen += search.ask(1, seen)
    assert len({space.key(p.config) for p in seen}) == 12
    assert len(search.ask(1, seen)) == 1
