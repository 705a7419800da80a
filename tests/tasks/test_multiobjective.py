from __future__ import annotations

import math
import pickle

import moocore
import numpy as np
import pytest
import yaml

from hptbench.errors import UserError
from hptbench.paths import conf_dir
from hptbench.protocol import HasFront, Job, Proposal, Task
from hptbench.registry import find
from hptbench.rng import entropy
from hptbench.tasks._fronts import NAMES, problem, s_linear
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.multiobjective import MultiobjectiveTask
from hptbench.testing import TASK_CHECKS

TWO = [MultiobjectiveTask(name, 5) for name in NAMES]
MANY = [MultiobjectiveTask(name, 6, m) for name in ("dtlz1", "dtlz2", "dtlz7") for m in (3, 4)]
INTERIOR = [MultiobjectiveTask(t.function, 6, interior=3) for t in TWO if t._f.at_bound]
ALL = [*TWO, *MANY, *INTERIOR]
each = pytest.mark.parametrize("task", ALL, ids=lambda t: t.name)


def values(task: Task, configs: list) -> np.ndarray:
    jobs = [Job(i, i, Proposal(c), 0.0, 1.0, entropy("test", i)) for i, c in enumerate(configs)]
    return np.array([o.curve[-1].values for o in task.evaluate(jobs)])


def random_values(task: Task, n: int = 500) -> np.ndarray:
    return values(task, task.space.decode(task.space.sample(np.random.default_rng(0), n)))


@each
def test_conformance(task):
    assert isinstance(task, Task)
    assert isinstance(task, HasFront)
    for check in TASK_CHECKS:
        check(task)


@each
def test_the_ideal_and_the_reference_point_bound_all_values(task):
    seen, front = random_values(task), task.front
    assert len(front.ideal) == len(front.reference_point) == len(task.objectives)
    assert (seen >= np.array(front.ideal) - 1e-12).all()
    assert (seen < front.reference_point).all()
    assert 0 < moocore.hypervolume(seen, ref=front.reference_point) < front.hypervolume


@pytest.mark.parametrize("task", TWO, ids=lambda t: t.name)
def test_the_hypervolume_of_two_objectives_is_that_of_a_fine_sample(task):
    f, front = problem(task.function, 5), task.front
    fine = np.array([f.values(f.on_front(i / 20000)) for i in range(20001)])
    sampled = moocore.hypervolume(fine, ref=front.reference_point)
    scale = np.prod(np.array(front.reference_point) - front.ideal)
    assert 0 <= front.hypervolume - sampled < 2e-4 * scale  # the steps between points are missing
    assert fine.min(axis=0) == pytest.approx(front.ideal, abs=1e-6)
    points = np.array(front.points)
    assert moocore.is_nondominated(points).all()
    assert (
        moocore.filter_dominated(np.vstack([points, fine])).shape[0] >= 0.99 * moocore.filter_dominated(fine).shape[0]
    )


@pytest.mark.parametrize("name", ["dtlz1", "dtlz2", "dtlz7"])
def test_the_hypervolume_of_three_objectives_is_nearly_that_of_a_grid(name):
    f = problem(name, 5, 3)
    best, steps = f.on_front(0.3)[2:], [i / 60 for i in range(61)]
    points = np.array([f.values((a, b, *best)) for a in steps for b in steps])
    scale = np.prod(points.max(axis=0) - points.min(axis=0))
    missing = f.front.hypervolume - moocore.hypervolume(points, ref=f.front.reference_point)
    assert 0 < missing < 0.1 * scale


@pytest.mark.parametrize(
    ("name", "volume"), [("zdt1", 1.21 - 1 / 3), ("zdt2", 1.21 - 2 / 3), ("zdt3", 1.33176), ("zdt6", 0.50788)]
)
def test_hypervolumes_below_the_usual_reference_point(name, volume):
    """Studies of evolutionary algorithms take (1.1, 1.1); what lies between there and our reference point is known."""
    front = problem(name, 5).front
    between = (1.1 - front.ideal[0]) * (front.reference_point[1] - 1.1)
    assert front.reference_point[0] == 1.1
    assert front.hypervolume - between == pytest.approx(volume, abs=1e-4)
    assert moocore.hypervolume(front.points, ref=(1.1, 1.1)) == pytest.approx(volume, abs=0.02)


@pytest.mark.parametrize(
    ("name", "m", "x", "expected"),
    [
        ("zdt1", 2, (0.25, 1, 0), (0.25, 5.5 * (1 - math.sqrt(0.25 / 5.5)))),
        ("zdt2", 2, (0.5, 0, 0), (0.5, 0.75)),
        ("zdt3", 2, (0.05, 0, 0), (0.05, 1 - math.sqrt(0.05) - 0.05)),
        ("zdt4", 2, (0.25, 0.5, -0.5), (0.25, 1.5 * (1 - math.sqrt(0.25 / 1.5)))),
        ("zdt6", 2, (0.0, 1, 0), (1.0, (1 + 9 * 0.5**0.25) * (1 - (1 / (1 + 9 * 0.5**0.25)) ** 2))),
        ("dtlz1", 2, (0.25, 0.5, 0.55), (0.125 * 201.25, 0.375 * 201.25)),  # g = 100 (2 - 1 + 1.0025)
        ("dtlz2", 3, (0.5, 0.5, 0.5), (0.5, 0.5, math.sqrt(0.5))),
        ("dtlz2", 3, (0.0, 0.0, 1.0), (1.25, 0.0, 0.0)),
        ("dtlz7", 2, (0.5, 0, 0), (0.5, 4 - 0.5 * (1 + math.sin(1.5 * math.pi)))),
        ("vlmop2", 2, (math.sqrt(0.5), math.sqrt(0.5)), (0.0, 1 - math.exp(-4))),
        ("mixed_zdt1", 2, (0.25, 1, 0.0), (0.25, 5.5 * (1 - math.sqrt(0.25 / 5.5)))),
    ],
)
def test_values_by_hand(name, m, x, expected):
    assert problem(name, len(x), m).values(x) == pytest.approx(expected)


def test_s_linear_is_a_distance_stretched_to_the_unit_interval():
    assert [s_linear(x, 0.25) for x in (0.0, 0.125, 0.25, 0.625, 1.0)] == [1, 0.5, 0, 0.5, 1]
    assert [s_linear(x, 0.0) for x in (0.0, 0.5, 1.0)] == [0, 0.5, 1]
    assert [s_linear(x, 1.0) for x in (0.0, 0.5, 1.0)] == [1, 0.5, 0]


@pytest.mark.parametrize("task", INTERIOR, ids=lambda t: t.name)
def test_interior_moves_the_front_off_the_bounds_and_keeps_its_values(task):
    names, sizes = task.space.names, task._f.grid or (0,) * 6
    assert all(0.2 <= p <= 0.8 for p, n in zip(task.places, sizes[1:], strict=True) if not n)
    assert all(0 < p < 1 for p, n in zip(task.places, sizes[1:], strict=True) if n > 2)
    x = [0.3, *(round(p * (n - 1)) if n else p for p, n in zip(task.places, sizes[1:], strict=True))]
    plain = MultiobjectiveTask(task.function, 6)
    want = problem(task.function, 6).values((0.3, *(0.0,) * 5))
    config = dict(zip(names, x, strict=True))
    task.space.check(config)
    assert values(task, [config])[0] == pytest.approx(want, abs=1e-12)
    assert task.front == plain.front
    assert task.unit == plain.unit
    assert task.name != plain.name
    assert MultiobjectiveTask(task.function, 6, interior=4).places != task.places


def test_shifted_keeps_the_front_and_moves_interior_optima_off_bounds_and_centre():
    task = wrap(MultiobjectiveTask("dtlz2", 6), [{"shifted": {"seed": 1}}])
    assert isinstance(task, HasFront)
    assert task.front == MultiobjectiveTask("dtlz2", 6).front
    centre = task.inner_config(dict.fromkeys(task.space.names, 0.5))
    assert all(abs(v - 0.5) > 0.09 for v in centre.values())
    low = task.inner_config(dict.fromkeys(task.space.names, 0.0))
    assert set(low.values()) <= {0.0, 1.0}  # why `interior` is needed where optima are at bounds
    assert wrap(MultiobjectiveTask("zdt1", 3), [{"noisy": {"std": 1.0}}]).front is not None


def test_mixed_zdt1_has_categories_integers_and_floats():
    task = MultiobjectiveTask("mixed_zdt1", 7)
    assert [str(k) for k in task.space.kinds] == [
        "float", "categorical", "integer", "integer", "integer", "float", "categorical",
    ]  # fmt: skip
    assert task.space.sizes.tolist() == [0, 2, 4, 8, 16, 0, 2]
    worst = {"x0": 0.0, "x1": 1, "x2": 3, "x3": 7, "x4": 15, "x5": 1.0, "x6": 1}
    assert values(task, [worst])[0].tolist() == [0.0, 10.0]


def test_hidden_holds_the_objectives_without_noise():
    noisy = wrap(MultiobjectiveTask("zdt1", 3), [{"noisy": {"std": 1.0}}])
    [outcome] = noisy.evaluate([Job(0, 0, Proposal(noisy.space.default()), 0.0, 1.0, (1,))])
    [plain] = noisy.inner.evaluate([Job(0, 0, Proposal(noisy.space.default()), 0.0, 1.0, (1,))])
    assert outcome.curve != plain.curve
    f1, f2 = plain.curve[-1].values
    assert outcome.hidden == plain.hidden == {"test": f1, "test_f1": f1, "test_f2": f2}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("zdt7", 3), "Did you mean 'zdt"),
        (("zdt1", 1), "dimensions >= 2"),
        (("zdt1", 2.0), "dimensions >= 2"),
        (("dtlz2", 2, 3), "dimensions >= 3"),
        (("dtlz2", 3, 1), "n_objectives >= 2"),
        (("zdt1", 3, 3), "n_objectives=2"),
        (("dtlz2", 3, 2, 1), "not at a bound"),
        (("zdt1", 3, 2, True), "seed or null"),
    ],
)
def test_bad_settings_are_refused(args, message):
    with pytest.raises(UserError, match=message):
        MultiobjectiveTask(*args)


def test_names_and_identities_differ_where_a_field_does():
    assert len({t.name for t in ALL}) == len({str(t.identity()) for t in ALL}) == len(ALL)
    assert find("task", "multiobjective") is MultiobjectiveTask
    assert pickle.loads(pickle.dumps(ALL[0])).front == ALL[0].front


def test_every_instance_of_the_suite_can_be_built():
    node = yaml.safe_load((conf_dir() / "suite" / "multiobjective.yaml").read_text(encoding="utf-8"))
    tasks = [
        wrap(MultiobjectiveTask(**{k: v for k, v in i.items() if k != "wrap"}), i["wrap"]) for i in node["instances"]
    ]
    assert len({t.name for t in tasks}) == len(tasks) >= 9
    assert len({t.unit for t in tasks}) == len(tasks)
    for task in tasks:
        assert task.front.hypervolume > moocore.hypervolume(random_values(task, 50), ref=task.front.reference_point) > 0
