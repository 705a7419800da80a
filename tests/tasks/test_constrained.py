from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from hptbench.errors import UserError
from hptbench.protocol import Job, Proposal
from hptbench.rng import entropy
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.constrained import Constrained
from hptbench.tasks.multiobjective import MultiobjectiveTask
from hptbench.testing import TASK_CHECKS
from hptbench.testing.problems import Bowl

BOWL = Bowl(objectives=("loss", "time", "size"), constraints=("distance",))
LIMITED = Constrained(BOWL, {"size": 0.2})


def outcome(task, seed=0):
    [out] = task.evaluate([Job(0, 0, Proposal(task.space.default()), 0.0, 27.0, entropy("test", seed))])
    return out


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
def test_conformance(check: Any) -> None:
    check(LIMITED)


def test_an_objective_becomes_a_constraint() -> None:
    assert LIMITED.objectives == ("loss", "time")
    assert LIMITED.constraints == ("distance", "size")
    out, inner = outcome(LIMITED), outcome(BOWL)
    assert len(out.curve) == len(inner.curve) == 27
    for point, before in zip(out.curve, inner.curve, strict=True):
        assert point.values == before.values[:2]
        assert point.constraints == (*before.constraints, before.values[2] - 0.2)
    assert out.hidden == inner.hidden


def test_several_limits_are_in_the_order_of_the_objectives() -> None:
    task = Constrained(BOWL, {"size": 0.2, "time": 3})
    assert task.objectives == ("loss",)
    assert task.constraints == ("distance", "time", "size")
    assert task.name == "bowl+constrained-time3-size0.2"
    assert json.loads(json.dumps(task.identity()))["limits"] == {"time": 3.0, "size": 0.2}
    again = Constrained(BOWL, {"time": 3.0, "size": 0.2})
    assert (task.identity(), task, hash(task)) == (again.identity(), again, hash(again))


def test_the_front_of_the_inner_task_is_not_that_of_the_constrained_one() -> None:
    inner = MultiobjectiveTask("dtlz2", 6, 3)
    assert inner.front is not None
    assert Constrained(inner, {"f3": 0.5}).front is None


def test_from_yaml() -> None:
    assert wrap(BOWL, [{"constrained": {"limits": {"size": 0.2}}}]) == LIMITED


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, "expected limits of some objectives"),
        (3, "expected limits of some objectives"),
        ({"loss": 1.0}, "put another objective of bowl first"),
        ({"sice": 1.0}, "Did you mean 'size'"),
        ({"size": "small"}, "limit of size to be a finite number"),
        ({"size": float("nan")}, "limit of size to be a finite number"),
        ({"size": True}, "limit of size to be a finite number"),
    ],
)
def test_bad_limits_are_refused(limits: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        wrap(BOWL, [{"constrained": {"limits": limits}}])


def test_a_single_objective_cannot_be_taken_out() -> None:
    with pytest.raises(UserError):
        wrap(dataclasses.replace(BOWL, objectives=("loss",)), [{"constrained": {"limits": {"loss": 1.0}}}])
