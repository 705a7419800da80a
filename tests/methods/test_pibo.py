from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hptbench.errors import UserError
from hptbench.methods.pibo import PiBO
from hptbench.methods.rf import RandomForest
from hptbench.protocol import Budget, Clock, Problem
from hptbench.rng import entropy, stream
from hptbench.simulate import simulate
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.testing.methods import drive, incumbent, records_of
from hptbench.testing.problems import Bowl

BRANIN = SyntheticTask("branin")
GOOD = {"x0": {"mean": math.pi, "std": 0.1}, "x1": {"mean": 2.0, "std": 0.1}}
WRONG = {"x0": {"mean": -4.0, "std": 0.05}, "x1": {"mean": 1.0, "std": 0.05}}


def regrets(method, jobs, seeds=4):
    records = [records_of(method, BRANIN, s, Budget(max_jobs=jobs)) for s in range(seeds)]
    return [incumbent(r) - BRANIN.optimum for r in records]


@pytest.mark.slow
@pytest.mark.parametrize("inner", ["gp", "rf", "tpe"])
def test_a_good_prior_helps_in_the_beginning(inner):
    """After 8 evaluations, against a prior that knows nothing."""
    ignorant = {name: {"mean": BRANIN.space.default()[name], "std": 100.0} for name in BRANIN.space.names}
    good = regrets(PiBO(inner=inner, prior=GOOD), 8)
    without = regrets(PiBO(inner=inner, prior=ignorant), 8, 8)
    assert stats.mannwhitneyu(good, without, alternative="less").pvalue < 0.03


@pytest.mark.slow
def test_it_recovers_from_a_wrong_prior():
    """Its weight falls as 1 / n: with the same number of evaluations, a small beta is nearer to no prior at all."""
    early, late = (regrets(PiBO(inner="rf", prior=WRONG), n) for n in (10, 50))
    assert max(late) < min(early) / 3
    stubborn = regrets(PiBO(inner="rf", prior=WRONG, beta=1e4), 50)
    assert min(stubborn) > 3 * max(late)


def test_it_begins_with_the_mode_and_draws_from_the_prior():
    records = records_of(PiBO(inner="rf", prior=GOOD, initial=40), BRANIN, 0, Budget(max_jobs=40))
    first, *rest = (r.job.proposal.config for r in records)
    assert first == {"x0": pytest.approx(math.pi), "x1": pytest.approx(2.0)}
    x0 = np.array([config["x0"] for config in rest])
    mean, std = math.pi, 1.5  # a tenth of the range
    assert stats.kstest(x0, stats.truncnorm((-5 - mean) / std, (10 - mean) / std, mean, std).cdf).pvalue > 1e-3


def test_the_exponent_is_beta_over_n():
    problem = Problem(BRANIN.space, ("loss",), None, Budget(max_jobs=70))
    u = np.random.default_rng(0).random((5, 2))
    for beta, expected in ((None, 7.0), (3.0, 3.0)):
        search = PiBO(inner="gp", prior=GOOD, beta=beta).begin(problem, stream(entropy("x")))
        density = np.exp(search._belief.log_density(u))
        assert search._log_prior(u, 14) == pytest.approx(np.log((density + 1e-12) ** (expected / 14)))
    unlimited = Problem(BRANIN.space, ("loss",), None, Budget(max_time=5.0))
    assert PiBO(prior=GOOD).begin(unlimited, stream(entropy("x")))._beta == 10.0


def test_with_a_forest_the_prior_is_a_staircase_that_ends():
    problem = Problem(BRANIN.space, ("loss",), None, Budget(max_jobs=100))
    search = PiBO(inner="rf", prior=GOOD).begin(problem, stream(entropy("x")))
    u = np.stack([np.linspace(0, 1, 500), np.full(500, 2 / 15)], axis=1)
    assert len(np.unique(search._log_prior(u, 50).round(9))) == 2
    assert 10 < len(np.unique(search._log_prior(u, 5).round(9))) <= 20
    assert len(np.unique(search._log_prior(u, 100).round(9))) == 1


def test_several_workers_get_different_configurations():
    task = Bowl(fidelity=None)
    problem = Problem(task.space, task.objectives, None, Budget(max_jobs=30), workers=8)
    records = drive(simulate(PiBO(inner="rf"), problem, ("w", 0), Clock.UNITS), task)
    assert len({task.space.key(r.job.proposal.config) for r in records}) == 30


def test_without_a_prior_it_believes_in_the_default():
    task = Bowl(fidelity=None)
    [record] = records_of(PiBO(inner="rf"), task, 0, Budget(max_jobs=1))
    u = task.space.encode([record.job.proposal.config, task.space.default()])
    assert u[0] == pytest.approx(u[1], nan_ok=True)


def test_the_inner_method_s_own_defaults_stay():
    problem = Problem(BRANIN.space, ("loss",), None, Budget(max_jobs=50))
    search = PiBO(inner="rf").begin(problem, stream(entropy("x")))
    assert search._inner._method == RandomForest(initial=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"inner": "random"}, "pibo.inner"),
        ({"prior": 3}, "expected pibo.prior"),
        ({"std": 0.0}, "pibo.std > 0"),
        ({"confidence": 1.5}, "pibo.confidence"),
        ({"beta": -1.0}, "pibo.beta >= 0"),
        ({"initial": 0}, "pibo.initial >= 1"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        PiBO(**wrong)


def test_a_prior_of_another_space_is_refused():
    problem = Problem(BRANIN.space, ("loss",), None, Budget(max_jobs=50))
    with pytest.raises(UserError, match="parameter"):
        PiBO(prior={"learning_rate": {"mean": 1.0}}).begin(problem, stream(entropy("x")))
