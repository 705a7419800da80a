from __future__ import annotations

import math

import numpy as np
import pytest
import yaml

from hptbench.errors import UserError
from hptbench.paths import conf_dir
from hptbench.protocol import Job, Proposal
from hptbench.rng import entropy
from hptbench.suites import family
from hptbench.tasks.conditional import ConditionalTask
from hptbench.testing import TASK_CHECKS

ALL = [
    ConditionalTask(*f, seed) for f in (("tree", 2), ("tree", 3), ("choice", 2), ("choice", 6)) for seed in (None, 4)
]


def outcomes(task, configs):
    return task.evaluate([Job(i, i, Proposal(c), 0.0, 1.0, entropy("test", i)) for i, c in enumerate(configs)])


def draws(task, n):
    return task.space.decode(task.space.sample(np.random.default_rng(0), n))


@pytest.mark.parametrize("task", ALL, ids=lambda t: t.name)
@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
def test_conforms(task, check):
    check(task)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"c": "0", "c0": "0", "r0": 0.25, "x00": 0.5}, 0.1 + 0.25 + 0.25),
        ({"c": "0", "c0": "1", "r0": 0.0, "x01": -0.5}, 0.2 + 0.25),
        ({"c": "1", "c1": "0", "r1": 1.0, "x10": 0.0}, 0.3 + 1.0),
        ({"c": "1", "c1": "1", "r1": 0.5, "x11": 1.0}, 0.4 + 0.5 + 1.0),
    ],
)
def test_the_tree_of_depth_two_is_the_paper_s(config, expected):
    task = ConditionalTask("tree", 2)
    task.space.check(config)
    [outcome] = outcomes(task, [config])
    assert outcome.curve[-1].values == (pytest.approx(expected),)
    assert outcome.hidden == {"value": pytest.approx(expected), "test": pytest.approx(expected - 0.1)}


def test_a_choice_adds_regret_rank_and_what_all_share():
    task = ConditionalTask("choice", 3)
    best = {"algorithm": "hartmann3", "components": 8, "scaler": "none"}
    best |= {f"hartmann3:x{i}": x for i, x in enumerate((0.114588876655, 0.555648894617, 0.852546984687))}
    ackley = {"algorithm": "ackley", "components": 64, "scaler": "quantile", **{f"ackley:x{i}": 0.0 for i in range(4)}}
    branin = {"algorithm": "branin", "components": 1, "scaler": "standard", "branin:x0": math.pi, "branin:x1": 12.275}
    for config in (best, ackley, branin):
        task.space.check(config)
    values = [o.hidden["test"] for o in outcomes(task, [best, ackley, branin])]
    far = (math.pi, 12.275)
    b, c, t = 5.1 / (4 * math.pi**2), 5 / math.pi, 1 / (8 * math.pi)
    branin_there = (far[1] - b * far[0] ** 2 + c * far[0] - 6) ** 2 + 10 * (1 - t) * math.cos(far[0]) + 10
    assert values[0] == pytest.approx(0.0, abs=1e-9)
    assert values[1] == pytest.approx(0.1 + 0.15 + 0.1 * 0.5**2)
    assert values[2] == pytest.approx((branin_there - 5 / (4 * math.pi)) / 35.4 + 0.2 + 0.05 + 0.1 * 0.5**2)


@pytest.mark.parametrize("task", ALL, ids=lambda t: t.name)
def test_no_random_point_is_better_than_the_optimum(task):
    values = [o.hidden["value"] for o in outcomes(task, draws(task, 2000))]
    assert min(values) > task.optimum
    assert min(values) < np.median(values) / 2


@pytest.mark.parametrize("task", [t for t in ALL if t.seed is not None], ids=lambda t: t.name)
def test_coordinate_search_from_good_points_comes_near_the_optimum(task):
    """So the optimum is not only a bound, wherever the seed puts it."""
    rng = np.random.default_rng(0)
    start = task.space.encode(draws(task, 1500))
    values = np.array([o.hidden["test"] for o in outcomes(task, task.space.decode(start))])
    best = []
    for u in start[np.argsort(values)[:3]]:
        value, std = outcomes(task, task.space.decode(u[None]))[0].hidden["test"], 0.1
        for _ in range(16):
            near = np.clip(u + std * rng.standard_normal((60, len(u))) * (rng.random((60, len(u))) < 0.3), 0, 1)
            near = task.space.deactivate(np.where(np.isnan(near), 0.5, near))
            found = [o.hidden["test"] for o in outcomes(task, task.space.decode(near))]
            if min(found) < value:
                u, value = near[int(np.argmin(found))], min(found)
            else:
                std /= 1.5
        best.append(value)
    assert min(best) < 0.15


def test_a_seed_moves_what_was_at_a_nice_place():
    for f in (("tree", 2), ("choice", 3)):
        configs = draws(ConditionalTask(*f), 20)
        values = [[o.hidden["value"] for o in outcomes(ConditionalTask(*f, s), configs)] for s in (None, 1, 1, 2)]
        assert values[1] == values[2]
        assert len({tuple(v) for v in values}) == 3


def test_the_suite_holds_what_its_comments_say():
    text = (conf_dir() / "suite" / "conditional.yaml").read_text()
    tasks = family("conditional", yaml.safe_load(text)["instances"])
    active = [{len(c) for c in draws(t, 1000)} for t in tasks]
    assert [len(t.space) for t in tasks] == [9, 45, 12, 31]
    assert [(min(a), max(a)) for a in active] == [(4, 4), (8, 8), (5, 7), (5, 11)]


@pytest.mark.parametrize(("function", "size"), [("tree", 1), ("tree", 7), ("choice", 7), ("choice", True), ("bush", 2)])
def test_refuses_what_there_is_not(function, size):
    with pytest.raises(UserError, match=r"expected size|bush"):
        ConditionalTask(function, size)
