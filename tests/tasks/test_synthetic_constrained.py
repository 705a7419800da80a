from __future__ import annotations

import math

import numpy as np
import pytest
import yaml
from scipy.optimize import minimize

from hptbench import suites
from hptbench.errors import UserError
from hptbench.paths import conf_dir
from hptbench.protocol import Job, Proposal, Task
from hptbench.rng import entropy
from hptbench.tasks._constrained import CONSTRAINED
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.synthetic_constrained import SyntheticConstrainedTask
from hptbench.testing import TASK_CHECKS

ALL = [SyntheticConstrainedTask(name) for name in CONSTRAINED]
each = pytest.mark.parametrize("task", ALL, ids=lambda t: t.name)


def outcome(task, config):
    [out] = task.evaluate([Job(0, 0, Proposal(config), 0.0, 1.0, entropy("test", 0))])
    return out


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@each
def test_conformance(task: Task, check) -> None:
    check(task)


@each
def test_the_optimal_configuration_is_feasible_and_has_no_regret(task):
    task.space.check(task.optimal_config)
    out = outcome(task, task.optimal_config)
    assert len(out.curve[-1].constraints) == len(task.constraints)
    assert max(out.curve[-1].constraints) <= 0
    assert out.hidden["value"] == pytest.approx(task.optimum, rel=1e-9)
    assert 0 <= out.hidden["test"] < 1e-9 * max(1.0, abs(task.optimum))


@each
def test_the_optimum_is_on_the_boundary_of_what_is_feasible(task):
    assert max(outcome(task, task.optimal_config).curve[-1].constraints) > -1e-9


@each
def test_no_random_point_is_better_and_the_share_of_feasible_ones_is_as_noted(task):
    configs = task.space.decode(task.space.sample(np.random.default_rng(1), 4000))
    outs = [outcome(task, c) for c in configs]
    feasible = [max(o.curve[-1].constraints) <= 0 for o in outs]
    share = CONSTRAINED[task.name].feasible
    assert np.mean(feasible) == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 4000))
    for ok, o in zip(feasible, outs, strict=True):
        regret = o.hidden["test"]
        assert regret == o.hidden["value"] - task.optimum if ok else math.isnan(regret)


@each
def test_local_search_finds_nothing_better(task):
    f = CONSTRAINED[task.name]
    k, start = f.integers, np.array(f.minimiser, dtype=float)

    def full(x):
        return [*start[:k], *x.tolist()]

    kept = [{"type": "ineq", "fun": lambda x, c=c: -c(full(x))} for c in f.constraints.values()]
    found = minimize(lambda x: f.value(full(x)), start[k:], method="SLSQP", bounds=f.bounds[k:], constraints=kept)
    assert found.fun >= f.minimum - 1e-6 * max(1.0, abs(f.minimum))


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("gramacy", 0.5998),  # Gramacy et al. 2016
        ("gardner", math.asin(0.95) - 1),  # sin x0 = -1, sin x1 = 0.95
        ("townsend", -2.0239884),  # chebfun.org
        ("pressure_vessel", 6059.714335),
        ("welded_beam", 1.724852),
        ("spring", 0.0126652),
    ],
)
def test_minima_are_the_published_ones(name, published):
    assert CONSTRAINED[name].minimum == pytest.approx(published, rel=2e-5)


def test_values_by_hand():
    gramacy = outcome(SyntheticConstrainedTask("gramacy"), {"x0": 0.5, "x1": 0.25})
    assert gramacy.curve[-1].values == (0.75,)
    # 1.5 - 0.5 - 0.5 - 0.5 sin(2 pi (0.25 - 0.5)) = 1; 0.25 + 0.0625 - 1.5
    assert gramacy.curve[-1].constraints == pytest.approx((1.0, -1.1875))
    vessel = outcome(SyntheticConstrainedTask("pressure_vessel"), {"x0": 16, "x1": 16, "x2": 50.0, "x3": 100.0})
    assert vessel.curve[-1].values[0] == pytest.approx(0.6224 * 5000 + 1.7781 * 2500 + 3.1661 * 100 + 19.84 * 50)
    assert vessel.curve[-1].constraints[:2] == pytest.approx((-0.035, -0.523))
    assert vessel.curve[-1].constraints[2] == pytest.approx(1 - (250000 + 500000 / 3) * math.pi / 1296000)


def test_a_shifted_task_keeps_its_optimum_and_constraints():
    task = wrap(SyntheticConstrainedTask("pressure_vessel"), [{"shifted": {"seed": 4}}])
    assert task.constraints == ("shell", "head", "volume")
    configs = task.space.decode(task.space.sample(np.random.default_rng(0), 50))
    for config in configs:
        assert outcome(task, config) == outcome(task.inner, task.inner_config(config))


def test_an_unknown_function_is_refused():
    with pytest.raises(UserError, match="Did you mean 'gardner'"):
        SyntheticConstrainedTask("gardener")


def test_the_suite_holds_every_function_once():
    node = yaml.safe_load((conf_dir() / "suite" / "constrained.yaml").read_text(encoding="utf-8"))
    tasks = suites.family(node["family"], node["instances"])
    assert {task.unit for task in tasks} == set(CONSTRAINED)
    assert all(task.constraints for task in tasks)
