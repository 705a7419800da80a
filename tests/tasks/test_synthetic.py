from __future__ import annotations

import dataclasses
import pickle
import statistics

import numpy as np
import pytest
import yaml
from scipy.optimize import minimize
from scipy.stats import spearmanr

from hptbench.errors import UserError
from hptbench.paths import conf_dir
from hptbench.protocol import Job, Proposal, Status, Task
from hptbench.registry import find
from hptbench.rng import entropy
from hptbench.tasks._functions import FIXED, SCALABLE
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.synthetic import SyntheticTask

ALL = [SyntheticTask(name) for name in FIXED] + [SyntheticTask(name, d) for name in SCALABLE for d in (2, 6)]
MIXED = [SyntheticTask(name, 6, 2, 2) for name in ("ackley", "rosenbrock", "levy")]
ALL += [*MIXED, SyntheticTask("levy", 3, integers=3), SyntheticTask("ackley", 2, categories=1)]
WITH_FIDELITY = [t for t in ALL if t.fidelity]
each = pytest.mark.parametrize("task", ALL, ids=lambda t: t.name)
each_with_fidelity = pytest.mark.parametrize("task", WITH_FIDELITY, ids=lambda t: t.name)


def job(task, config, stop=None, start=0.0, trial=0):
    high = task.fidelity.high if task.fidelity else 1.0
    return Job(trial, trial, Proposal(config, stop), start, stop or high, entropy("test", trial))


def jobs(task, n=20):
    configs = task.space.decode(task.space.sample(np.random.default_rng(0), n))
    levels = [1.0] if task.fidelity is None else [task.fidelity.low, 27.0, task.fidelity.high]
    return [job(task, c, levels[i % len(levels)], trial=i) for i, c in enumerate(configs)]


def outcome(task, *args, **kwargs):
    return task.evaluate([job(task, *args, **kwargs)])[0]


def value(task, *args, **kwargs):
    return outcome(task, *args, **kwargs).curve[-1].values[0]


def test_is_registered_and_satisfies_the_protocol():
    assert find("task", "synthetic") is SyntheticTask
    assert isinstance(ALL[0], Task)


@each
def test_optimal_configs_reach_the_optimum(task):
    for config in task.optimal_configs:
        task.space.check(config)
        hidden = outcome(task, config).hidden
        assert hidden["value"] == pytest.approx(task.optimum, abs=1e-12)
        assert 0 <= hidden["test"] < 1e-12


@each
def test_no_random_point_is_better_and_the_test_score_is_the_regret(task):
    configs = task.space.decode(task.space.sample(np.random.default_rng(1), 2000))
    hidden = [o.hidden for o in task.evaluate([job(task, c) for c in configs])]
    assert min(h["test"] for h in hidden) >= 0
    assert all(h["test"] == h["value"] - task.optimum for h in hidden)
    assert len({h["test"] for h in hidden}) > 10 or task.name == "counting_ones2"


@pytest.mark.parametrize("task", [t for t in ALL if not t.fidelity], ids=lambda t: t.name)
def test_local_search_from_the_optimum_finds_nothing_better(task):
    names = task.space.names
    for config in task.optimal_configs:
        start = np.array([config[n] for n in names])
        found = minimize(lambda x: value(task, dict(zip(names, x.tolist(), strict=True))), start, method="Nelder-Mead")
        assert found.fun >= task.optimum - 1e-12


@pytest.mark.parametrize(
    ("name", "dimensions", "x", "expected"),
    [
        ("branin", None, (0.0, 0.0), 36 + 20 - 10 / (8 * np.pi)),
        ("branin", None, (2.5, 7.5), 24.129964413622268),
        ("hartmann3", None, (0.5, 0.5, 0.5), -0.6280222291),
        ("hartmann6", None, (0.5,) * 6, -0.5053149917),
        ("ackley", 2, (1.0, 1.0), 3.6253849384403627),
        ("rosenbrock", 3, (0.0, 0.0, 0.0), 2.0),
        ("rosenbrock", 2, (2.0, 3.0), 101.0),
        ("levy", 2, (-3.0, 1.0), 1.0 + 10 * np.sin(1) ** 2),
        ("quadratic", 3, (0.5, -1.0, 0.25), 0.25 + 1 + 0.0625),
        ("michalewicz", 2, (np.pi / 2, np.pi / 2), -(np.sin(np.pi / 4) ** 20) - np.sin(np.pi / 2) ** 20),
        ("counting_ones", 4, (1, 0, 0.25, 0.5), -1.75 / 4),
    ],
)
def test_values_computed_by_other_means(name, dimensions, x, expected):
    task = SyntheticTask(name, dimensions)
    assert outcome(task, dict(zip(task.space.names, x, strict=True))).hidden["value"] == pytest.approx(expected)


@pytest.mark.parametrize(("dimensions", "minimum"), [(2, -1.8013), (5, -4.687658), (10, -9.66015)])
def test_minima_of_michalewicz_are_those_of_the_literature(dimensions, minimum):
    assert SyntheticTask("michalewicz", dimensions).optimum == pytest.approx(
        minimum, abs=5e-6 + 5e-5 * (dimensions == 2)
    )


@each
def test_an_outcome_depends_on_its_job_alone(task):
    batch = jobs(task)
    together = task.evaluate(batch)
    assert together == [task.evaluate([j])[0] for j in batch]
    assert together == task.evaluate(batch[::-1])[::-1]
    assert together == task.evaluate(batch)
    assert all(
        o.status is Status.OK and o.cost > 0 and o.curve[-1].fidelity == j.stop
        for o, j in zip(together, batch, strict=True)
    )


@each
def test_pickling_keeps_the_task(task):
    again = pickle.loads(pickle.dumps(task))
    assert again == task
    assert again.space == task.space
    assert again.evaluate(jobs(task)) == task.evaluate(jobs(task))


def test_without_fidelity_the_value_is_exact_and_costs_a_second():
    task = SyntheticTask("levy", 3)
    assert task.fidelity is None
    got = outcome(task, task.space.default(), trial=1)
    assert got.curve[-1].values[0] == got.hidden["value"]
    assert got.cost == 1.0


@each_with_fidelity
def test_segments_add_up_to_one_whole(task):
    config = task.space.default()
    low, high = task.fidelity.low, task.fidelity.high
    whole = outcome(task, config)
    first = outcome(task, config, low)
    second = outcome(task, config, 27.0, start=low)
    third = outcome(task, config, high, start=27.0)
    assert task.fidelity.continues
    assert third.curve == whole.curve
    assert third.hidden == whole.hidden
    assert first.cost + second.cost + third.cost == pytest.approx(whole.cost)
    assert whole.cost == pytest.approx(1.0)
    assert first.cost < 0.1


@each_with_fidelity
def test_a_level_is_a_number_however_it_is_written(task):
    assert value(task, task.space.default(), 27) == value(task, task.space.default(), 27.0)


@pytest.mark.parametrize("name", [n for n in FIXED if n.startswith("mf_")])
def test_approximations_end_in_the_function(name):
    task, config = SyntheticTask(name), SyntheticTask(name).space.default()
    plain = SyntheticTask(task.unit)
    assert value(task, config) == value(plain, config)
    assert value(task, config, task.fidelity.low) != value(plain, config)
    assert task.optimum == plain.optimum


def _rank_correlation(name):
    task = SyntheticTask(name)
    configs = task.space.decode(task.space.sample(np.random.default_rng(2), 400))
    seen, true = zip(*((o.curve[-1].values[0], o.hidden["value"]) for o in task.evaluate(
        [job(task, c, 27.0, trial=i) for i, c in enumerate(configs)])), strict=True)  # fmt: skip
    return float(spearmanr(seen, true)[0])


@pytest.mark.parametrize("function", ["mf_hartmann3", "mf_hartmann6"])
def test_presets_order_the_use_of_low_levels(function):
    good, terrible = (_rank_correlation(f"{function}_{p}") for p in ("good", "terrible"))
    assert good > terrible + 0.15
    assert good > 0.25


def test_noise_of_hartmann_belongs_to_trial_and_level():
    task = SyntheticTask("mf_hartmann3_good")
    config = task.space.default()
    seen = {value(task, config, level, trial=trial) for level in (9.0, 27.0) for trial in (0, 1)}
    assert len(seen) == 4


def test_counting_ones_estimates_means_from_the_draws_of_its_trial():
    task = SyntheticTask("counting_ones", 2)
    config = {"x0": 1, "x1": 0.3}

    def seen(level, trial):
        return -2 * value(task, config, level, trial=trial) - 1  # share of hits

    few = [seen(9.0, trial) for trial in range(400)]
    many = [seen(729.0, trial) for trial in range(400)]
    assert all(round(9 * share, 9).is_integer() for share in few)
    assert statistics.mean(few) == pytest.approx(0.3, abs=0.03)
    assert statistics.stdev(few) == pytest.approx((0.3 * 0.7 / 9) ** 0.5, rel=0.15)
    assert statistics.stdev(many) == pytest.approx((0.3 * 0.7 / 729) ** 0.5, rel=0.15)
    # The first nine draws stay: with the tenth, the number of hits grows by 0 or 1.
    assert all(round(10 * seen(10.0, t) - 9 * few[t], 9) in (0, 1) for t in range(50))


def test_counting_ones_is_half_categorical():
    task = SyntheticTask("counting_ones", 24)
    assert [str(k) for k in task.space.kinds] == ["categorical"] * 12 + ["float"] * 12


def test_identity_and_names_differ_where_a_field_differs():
    assert len({str(t.identity()) for t in ALL}) == len({t.name for t in ALL}) == len(ALL)


def test_variants_of_a_function_share_its_unit():
    assert {SyntheticTask(n).unit for n in FIXED} == {"branin", "hartmann3", "hartmann6"}
    assert SyntheticTask("levy", 2).unit != SyntheticTask("levy", 3).unit


@pytest.mark.parametrize(
    ("name", "dimensions", "message"),
    [
        ("brannin", None, "Did you mean 'branin'"),
        ("branin", 2, "leave them out"),
        ("ackley", None, "dimensions >= 1"),
        ("rosenbrock", 1, "dimensions >= 2"),
        ("levy", 2.0, "dimensions >= 1"),
        ("levy", True, "dimensions >= 1"),
        ("counting_ones", 5, "even number"),
    ],
)
def test_bad_settings_are_refused(name, dimensions, message):
    with pytest.raises(UserError, match=message):
        SyntheticTask(name, dimensions)


@pytest.mark.parametrize(("suite", "fidelity"), [("synthetic", True), ("synthetic_blackbox", False)])
def test_every_instance_of_the_suites_can_be_built(suite, fidelity):
    node = yaml.safe_load((conf_dir() / "suite" / f"{suite}.yaml").read_text(encoding="utf-8"))
    tasks = [wrap(SyntheticTask(**{k: v for k, v in i.items() if k != "wrap"}), i["wrap"]) for i in node["instances"]]
    assert len({t.name for t in tasks}) == len(tasks) == 8
    assert all((t.fidelity is not None) is fidelity for t in tasks)


@pytest.mark.parametrize("task", MIXED, ids=lambda t: t.name)
def test_mixed_functions_are_the_function_on_a_grid(task):
    """Positions 0 to 8 are sixteenths of the box apart, and 2 is where the minimum is."""
    plain = SyntheticTask(task.function, 6)
    [best] = plain.optimal_configs
    step = {"ackley": 2 * 32.768, "rosenbrock": 15, "levy": 20}[task.function] / 16
    configs = task.space.decode(task.space.sample(np.random.default_rng(3), 50))
    assert {type(c[n]) for c in configs for n in ("x0", "x1", "x2", "x3")} == {int}
    for config in configs:
        same = {n: best[n] + (v - 2) * step if n in ("x0", "x1", "x2", "x3") else v for n, v in config.items()}
        plain.space.check(same)
        assert value(task, config) == pytest.approx(value(plain, same), rel=1e-12)


def test_mixed_spaces_names_and_identities():
    task = SyntheticTask("ackley", 5, 1, 2)
    assert [k.value for k in task.space.kinds] == ["categorical", "integer", "integer", "float", "float"]
    assert task.space.sizes.tolist() == [9, 9, 9, 0, 0]
    assert (task.name, task.unit, task.optimum) == ("ackley5-c1i2", "ackley5", 0.0)
    assert task.identity() == {"function": "ackley", "dimensions": 5, "categories": 1, "integers": 2}
    assert SyntheticTask("ackley", 5).identity() == {"function": "ackley", "dimensions": 5}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("branin", None, 1), "expected no categories and integers for 'branin'"),
        (("counting_ones", 4, 1), "expected no categories and integers for 'counting_ones'"),
        (("levy", 3, 2, 2), r"expected categories \+ integers <= 3 dimensions, got 2 \+ 2"),
        (("levy", 3, -1), "expected categories >= 0 and integers >= 0, got -1 and 0"),
    ],
)
def test_mixed_functions_that_cannot_be(fields, message):
    with pytest.raises(UserError, match=message):
        SyntheticTask(*fields)


def test_a_shift_never_brings_the_best_position_to_the_middle():
    for seed in range(20):
        task = wrap(SyntheticTask("levy", 4, 0, 4), [{"shifted": {"seed": seed}}])
        [middle] = task.space.decode(np.full((1, 4), 0.5))
        assert set(middle.values()) == {4}
        assert outcome(task, middle).hidden["test"] > 0


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SyntheticTask("branin").function = "levy"  # type: ignore[misc]
