from __future__ import annotations

import dataclasses
import math
import pickle
import statistics
from collections import Counter
from dataclasses import replace

import ConfigSpace as CS
import numpy as np
import pytest
from scipy.optimize import brentq
from wrapping import BRANIN, HARTMANN, ONES, Echo, bare, job, jobs

from hptbench.errors import UserError
from hptbench.protocol import Budget, Clock, Problem, Status, Task
from hptbench.spacefile import space_from_yaml
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.delayed import Delayed
from hptbench.tasks.failing import Failing
from hptbench.tasks.noisy import Noisy
from hptbench.tasks.shifted import Shifted
from hptbench.tasks.straggling import Straggling
from hptbench.tasks.synthetic import SyntheticTask

WRAPPERS = [
    {"noisy": {"std": 0.1}},
    {"delayed": {"std": 0.5, "factor": 2.0}},
    {"straggling": {"sigma": 0.7, "trial_sigma": 0.4}},
    {"failing": {"rate": 0.3}},
    {"failing": {"rate": 0.3, "kind": "not_finite"}},
    {"shifted": {"seed": 3}},
    {"padded": {"dimensions": 12, "seed": 3}},
]
ALL = [wrap(task, [spec]) for task in (BRANIN, HARTMANN, ONES) for spec in WRAPPERS] + [
    wrap(ONES, WRAPPERS),
    wrap(SyntheticTask("quadratic", 2), [{"cropped": {"seed": 1}}, {"padded": {"dimensions": 4, "seed": 1}}]),
    wrap(SyntheticTask("levy", 2), [{"cropped": {"seed": 1}}, {"guessed": {"distance": 0.25, "seed": 1}}]),
]
each = pytest.mark.parametrize("task", ALL, ids=lambda t: t.name)

# every wrapper


@each
def test_passes_on_what_the_task_is(task):
    assert isinstance(task, Task)
    assert task.name.startswith(task.inner.name + "+")
    for what in ("unit", "version", "objectives", "constraints", "fidelity", "measured"):
        assert getattr(task, what) == getattr(task.inner, what)
    assert not Counter(task.inner.space.kinds) - Counter(task.space.kinds)  # padding adds some


@each
def test_an_outcome_depends_on_its_job_alone(task):
    batch = jobs(task)
    together = bare(task.evaluate(batch))
    assert together == [bare(task.evaluate([j]))[0] for j in batch]
    assert together == bare(task.evaluate(batch[::-1]))[::-1]


@each
def test_pickling_keeps_the_task(task):
    before = bare(task.evaluate(jobs(task)))
    again = pickle.loads(pickle.dumps(task))
    assert again == task
    assert bare(again.evaluate(jobs(task))) == before


@pytest.mark.parametrize("task", [t for t in ALL if t.fidelity], ids=lambda t: t.name)
def test_segments_end_where_one_whole_ends(task):
    for trial in range(5):
        whole = task.evaluate([job(task, trial=trial)])[0]
        last = task.evaluate([job(task, start=27.0, trial=trial)])[0]
        assert repr(last.curve) == repr(whole.curve)
        assert last.status is whole.status


def test_identity_and_name_differ_where_a_setting_or_the_inner_task_differs():
    tasks = [
        BRANIN, Noisy(BRANIN, 0.1), Noisy(BRANIN, 0.2), Noisy(SyntheticTask("hartmann3"), 0.1),
        Noisy(Noisy(BRANIN, 0.1), 0.1), Shifted(BRANIN, 1), Shifted(BRANIN, 2), Failing(BRANIN, 0.1),
        Failing(BRANIN, 0.1, "not_finite"), Delayed(BRANIN, 0.1), Delayed(BRANIN, 0.1, 2.0),
    ]  # fmt: skip
    assert len({str(t.identity()) for t in tasks}) == len({t.name for t in tasks}) == len(tasks)
    assert Noisy(BRANIN, 0.1).name == "branin+noisy0.1"


# wrap


def test_wrap_composes_in_order():
    task = wrap(BRANIN, [{"shifted": {"seed": 3}}, {"noisy": {"std": 0.1}}])
    assert task == Noisy(Shifted(BRANIN, 3), 0.1)
    assert wrap(BRANIN, []) is BRANIN


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([{"noisi": {"std": 1}}], "unknown wrapper 'noisi'. Did you mean 'noisy'"),
        ([{"noisy": {"sdt": 1}}], "Did you mean 'std'"),
        ([{"noisy": {}}], "wrap.noisy: .*std"),
        ([{"noisy": None}], "wrap.noisy: expected its settings"),
        ([{"noisy": {"std": "much"}}], "wrap.noisy"),
        ([{"noisy": {"std": 0}}], "std > 0"),
        ([{"delayed": {"std": -1}}], "std >= 0"),
        ([{"straggling": {"sigma": -1}}], "sigma >= 0"),
        ([{"straggling": {"sigma": 1, "trial_sigma": math.inf}}], "trial_sigma >= 0"),
        ([{"delayed": {"factor": 0}}], "factor > 0"),
        ([{"failing": {"rate": 2}}], "0 <= rate <= 1"),
        ([{"failing": {"rate": 0.1, "kind": "hnag"}}], "Did you mean 'hang'"),
        ([{"shifted": {"seed": 1.5}}], "integer seed"),
        ([{"padded": {"dimensions": 3, "seed": True}}], "integer seed"),
        ([{"guessed": {"distance": 0.6, "seed": 1}}], "from 0 to 0.5"),
        ([{"guessed": {"distance": 0.1, "seed": "a"}}], "integer seed"),
        ([{"shifted": {"seed": 0}}, {"guessed": {"distance": 0.1, "seed": 0}}], "whose optimum is known"),
        ([{"padded": {"dimensions": 1, "seed": 0}}], "dimensions >= 2"),
        ([{"padded": {"dimensions": 3, "seed": 0}}, {"cropped": {"seed": 0}}], "whose optimum is known"),
        ([{"noisy": {"std": 1}, "failing": {"rate": 1}}], "one wrapper"),
        (["noisy"], "one wrapper"),
        ("noisy", "expected a list"),
        ({"noisy": {"std": 1}}, "expected a list"),
    ],
)
def test_wrap_refuses_bad_specs(specs, message):
    with pytest.raises(UserError, match=message):
        wrap(BRANIN, specs)


# noisy


def test_noise_is_gaussian_and_hidden_stays_without():
    task = Noisy(BRANIN, 0.5)
    outcomes = task.evaluate([job(task, trial=i) for i in range(1000)])
    plain = BRANIN.evaluate([job(BRANIN)])[0]
    errors = [o.curve[0].values[0] - plain.curve[0].values[0] for o in outcomes]
    assert statistics.mean(errors) == pytest.approx(0.0, abs=0.06)
    assert statistics.stdev(errors) == pytest.approx(0.5, rel=0.1)
    assert all(o.hidden == plain.hidden and o.cost == plain.cost for o in outcomes)


def test_noise_disturbs_every_objective_at_every_point_on_its_own():
    task = Noisy(Echo(BRANIN.space), 1.0)
    curve = task.evaluate([job(task)])[0].curve
    errors = {round(v - e, 12) for point in curve for v, e in zip(point.values, (1.0, 2.0), strict=True)}
    assert len(errors) == 4


def test_nested_noise_is_independent():
    task = Noisy(Noisy(BRANIN, 1.0), 1.0)
    plain = BRANIN.evaluate([job(BRANIN)])[0].curve[0].values[0]
    errors = [o.curve[0].values[0] - plain for o in task.evaluate([job(task, trial=i) for i in range(1000)])]
    assert statistics.stdev(errors) == pytest.approx(math.sqrt(2), rel=0.1)


# delayed


def test_delay_changes_the_cost_alone():
    task = Delayed(HARTMANN, std=1.0, factor=3.0)
    batch = jobs(task)
    plain, delayed = HARTMANN.evaluate(batch), task.evaluate(batch)
    assert [replace(o, cost=1.0) for o in plain] == [replace(o, cost=1.0) for o in delayed]
    ratios = [d.cost / p.cost for d, p in zip(delayed, plain, strict=True)]
    assert min(ratios) >= 3.0
    assert len(set(ratios)) == len(ratios)


def test_stragglers_have_the_slowdown_of_the_source():
    task = Delayed(BRANIN, std=0.5)
    costs = [o.cost for o in task.evaluate([job(task, trial=i) for i in range(2000)])]
    assert statistics.mean(costs) == pytest.approx(1 + 0.5 * math.sqrt(2 / math.pi), rel=0.03)


def test_a_fixed_factor_is_exact():
    assert Delayed(BRANIN, factor=4.0).evaluate([job(BRANIN)])[0].cost == 4.0


# straggling


def test_factors_of_trials_and_jobs_are_log_normal_and_independent():
    both = Straggling(HARTMANN, sigma=0.8, trial_sigma=0.3)
    pairs = [job(both, stop=stop, trial=trial) for trial in range(1000) for stop in (3.0, 243.0)]
    slow, plain = ([o.cost for o in task.evaluate(pairs)] for task in (both, HARTMANN))
    logs = np.log(np.array(slow) / np.array(plain)).reshape(-1, 2)
    assert np.median(logs, axis=0) == pytest.approx(0, abs=0.08)
    assert logs.std(axis=0) == pytest.approx(math.hypot(0.8, 0.3), rel=0.06)
    assert np.cov(logs.T)[0, 1] == pytest.approx(0.3**2, abs=0.05)  # what a trial's jobs have in common
    only = Straggling(HARTMANN, sigma=0.0, trial_sigma=0.3)
    slow, plain = ([o.cost for o in task.evaluate(pairs[:2])] for task in (only, HARTMANN))
    assert slow[0] / plain[0] == pytest.approx(slow[1] / plain[1])


# shifted


def _outer_config(task: Shifted, target):
    """The configuration that stands for ``target``, by search on each parameter."""
    out = {}
    whole = task.space.default()
    for name, source, _ in task._shift[1]:
        hp = task.space.configspace[name]

        def gap(v, name=name, source=source):
            return task.inner_config({**whole, name: v})[source] - target[source]

        if isinstance(hp, CS.CategoricalHyperparameter):
            out[name] = next(v for v in hp.choices if gap(v) == 0)
        else:
            edges = [v for v in (hp.lower, hp.upper) if gap(v) == 0]
            out[name] = edges[0] if edges else brentq(gap, hp.lower, hp.upper, xtol=1e-14, rtol=1e-14)
    return out


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "inner",
    [BRANIN, HARTMANN, ONES, SyntheticTask("ackley", 3), SyntheticTask("levy", 3), SyntheticTask("rosenbrock", 3)],
    ids=lambda t: t.name,
)
def test_shift_keeps_the_optimum_and_moves_it(inner, seed):
    task = Shifted(inner, seed)
    best = _outer_config(task, inner.optimal_configs[0])
    task.space.check(best)
    assert task.evaluate([job(task, best)])[0].hidden["test"] < 1e-9
    assert min(o.hidden["test"] for o in task.evaluate(jobs(task, 500))) >= 0
    where = np.sort(task.space.encode([best])[0])
    was = np.sort(inner.space.encode([inner.optimal_configs[0]])[0])
    if inner is not ONES:
        assert np.abs(where - was).max() > 0.02


@pytest.mark.parametrize("seed", range(20))
def test_the_centre_moves_by_a_tenth_at_least_but_stays_inside(seed):
    inner = SyntheticTask("ackley", 4)
    best = _outer_config(Shifted(inner, seed), inner.optimal_configs[0])
    u = Shifted(inner, seed).space.encode([best])[0]
    assert ((np.abs(u - 0.5) > 0.0999) & (np.abs(u - 0.5) < 0.2501)).all()


def test_seeds_differ_in_order_and_place():
    spaces = {tuple(str(hp) for hp in Shifted(BRANIN, s).space.configspace.values()) for s in range(10)}
    assert len(spaces) == 2  # both orders of the two parameters of Branin
    corner = {"x0": -5.0, "x1": 0.0}
    values = {Shifted(SyntheticTask("levy", 2), s).evaluate([job(BRANIN, corner)])[0].hidden["test"] for s in range(20)}
    assert len(values) == 20


MIXED = space_from_yaml(
    {
        "rate": {"type": "float", "lower": 1e-4, "upper": 1.0, "log": True},
        "depth": {"type": "integer", "lower": 2, "upper": 9},
        "width": {"type": "integer", "lower": 1, "upper": 64, "log": True},
        "kind": {"type": "categorical", "choices": ["a", "b", "c"]},
        "size": {"type": "ordinal", "choices": ["s", "m", "l"]},
        "flag": {"type": "categorical", "choices": [True, False]},
        "fixed": {"type": "constant", "value": 7},
    }
)


@pytest.mark.parametrize("seed", range(8))
def test_every_kind_of_parameter_is_mapped_one_to_one_onto_itself(seed):
    task = Shifted(Echo(MIXED), seed)
    u = task.space.sample(np.random.default_rng(seed), 300)
    u[0], u[1] = 0.0, 1.0
    configs = task.space.decode(u)
    images = [task.inner_config(c) for c in configs]
    for image in images:
        MIXED.check(image)
    assert len({MIXED.key(i) for i in images}) == len({task.space.key(c) for c in configs})
    for name, source, _ in task._shift[1]:
        pairs = {(c[name], i[source]) for c, i in zip(configs, images, strict=True)}
        assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
        if MIXED.sizes[MIXED.names.index(source)]:
            assert {a for a, _ in pairs} == {b for _, b in pairs}


def test_the_chain_of_jobs_and_the_state_are_passed_on_translated():
    task = Shifted(Echo(MIXED), 1)
    a, b = task.space.decode(task.space.sample(np.random.default_rng(0), 2))
    first = job(task, a, 9.0)
    second = replace(job(task, b, 27.0, start=9.0), before=first, state="s")
    chain = task.evaluate([second])[0].hidden["chain"]
    assert chain == [task.inner_config(b), task.inner_config(a)]
    assert second.proposal.config == b
    assert task._inner_job(second).state == "s"


def test_shift_refuses_spaces_that_it_would_break():
    conditional = space_from_yaml(
        {
            "kernel": {"type": "categorical", "choices": ["linear", "rbf"]},
            "gamma": {"type": "float", "lower": 0.1, "upper": 1.0, "when": {"kernel": "rbf"}},
        }
    )
    with pytest.raises(UserError, match="without conditions"):
        Shifted(Echo(conditional), 1)


# in a run


def test_a_wrapped_task_runs_under_a_budget_in_seconds():
    from hptbench.methods.random import RandomSearch
    from hptbench.simulate import simulate

    task = wrap(HARTMANN, WRAPPERS)
    problem = Problem(task.space, task.objectives, task.fidelity, Budget(max_time=40.0), workers=2)
    run = simulate(RandomSearch(), problem, (task.name, 0), Clock.COST)
    try:
        batch = next(run)
        while True:
            batch = run.send(task.evaluate(batch))
    except StopIteration as end:
        records = end.value
    statuses = {r.outcome.status for r in records}
    assert statuses == {Status.OK, Status.FAILED, Status.NAN}
    assert dataclasses.is_dataclass(task)
