from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ioh", reason="BBOB functions need the extra bbob")

from hptbench import suites
from hptbench.errors import UserError
from hptbench.protocol import Job, Outcome, Proposal, Task
from hptbench.registry import find
from hptbench.rng import entropy
from hptbench.space import Config
from hptbench.tasks.bbob import FUNCTIONS, BBOBTask
from hptbench.testing import TASK_CHECKS

NUMBERS = range(1, 25)


def outcomes(task: Task, configs: list[Config]) -> list[Outcome]:
    return list(task.evaluate([Job(i, i, Proposal(c), 0.0, 1.0, entropy("bbob", i)) for i, c in enumerate(configs)]))


def value(task: BBOBTask, x: Any) -> float:
    config = dict(zip(task.space.names, map(float, x), strict=True))
    return float(outcomes(task, [config])[0].curve[-1].values[0])


def best(task: BBOBTask) -> np.ndarray:
    return np.array(list(task.optimal_configs[0].values()))


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("number", NUMBERS)
def test_conforms(number: int, check: Callable[[Task], None]) -> None:
    check(BBOBTask(number, 3))


def test_what_it_is() -> None:
    t = BBOBTask("rastrigin", 12, 2)
    assert find("task", "bbob") is BBOBTask
    assert t == BBOBTask(3, 12, 2)
    assert (t.name, t.unit, t.fidelity) == ("bbob-f3-d12-i2", "bbob-f3-d12", None)
    assert t.space.names == tuple(f"x{i:02}" for i in range(12))
    assert {(hp.lower, hp.upper) for hp in t.space.configspace.values()} == {(-5.0, 5.0)}
    assert pickle.loads(pickle.dumps(t)) == t
    assert t.identity() == {"function": 3, "dimensions": 12, "instance": 2}


def test_names_are_those_of_the_library() -> None:
    import ioh

    theirs = ioh.ProblemClass.BBOB.problems
    assert [theirs[n].lower() for n in NUMBERS] == [name.replace("_", "") for name in FUNCTIONS]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("dimensions", [2, 5])
def test_nothing_is_better_than_the_optimum(number: int, dimensions: int) -> None:
    task = BBOBTask(number, dimensions, 3)
    [at_best] = outcomes(task, list(task.optimal_configs))
    task.space.check(task.optimal_configs[0])
    assert at_best.curve[-1].values[0] == pytest.approx(task.optimum, abs=1e-8)
    assert at_best.hidden["test"] == pytest.approx(0, abs=1e-8)
    drawn = list(task.space.decode(task.space.sample(np.random.default_rng(0), 500)))
    for outcome in outcomes(task, drawn):
        assert outcome.hidden["test"] == outcome.curve[-1].values[0] - task.optimum > 0


def test_formulas_that_are_easily_written_down() -> None:
    """Hansen, Finck, Ros & Auger (RR-6829): 1 is the squared distance to the optimum; 8 is Rosenbrock's function of
    z = max(1, sqrt(D) / 8) (x - optimum) + 1."""
    x = np.random.default_rng(1).uniform(-5, 5, (20, 5))
    sphere, rosenbrock = BBOBTask(1, 5, 2), BBOBTask(8, 5, 2)
    for row in x:
        assert value(sphere, row) == pytest.approx(((row - best(sphere)) ** 2).sum() + sphere.optimum)
        z = row - best(rosenbrock) + 1
        terms = 100 * (z[:-1] ** 2 - z[1:]) ** 2 + (z[:-1] - 1) ** 2
        assert value(rosenbrock, row) == pytest.approx(terms.sum() + rosenbrock.optimum)


def test_instances_move_the_optimum_away_from_the_centre() -> None:
    near_the_centre = set()
    for number in NUMBERS:
        places = {tuple(best(BBOBTask(number, 5, instance))) for instance in range(1, 9)}
        assert len(places) > 1
        if min(max(abs(x) for x in place) for place in places) < 1:
            near_the_centre.add(number)
    assert near_the_centre <= {9, 19}, "the docstring names them"


def test_no_state_is_left() -> None:
    """Neither the order nor an optimum that was found changes what is seen afterwards."""
    task = BBOBTask(21, 4)
    configs = list(task.space.decode(task.space.sample(np.random.default_rng(0), 50)))
    first = outcomes(task, configs)
    outcomes(task, list(task.optimal_configs))
    again = outcomes(task, configs[::-1])[::-1]
    assert [o.curve for o in again] == [o.curve for o in first]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("rastrign", 5), "unknown function of BBOB 'rastrign'. Did you mean 'rastrigin'"),
        ((25, 5), "expected the number of a function, 1 to 24, got 25"),
        ((0, 5), "expected the number of a function, 1 to 24, got 0"),
        ((1, 1), "expected dimensions >= 2, got 1"),
        ((1, 2.5), "expected dimensions to be a whole number, got 2.5"),
        ((True, 5), "expected function to be a whole number, got True"),
        ((1, 5, 0), "expected instance >= 1, got 0"),
    ],
)
def test_errors(fields: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        BBOBTask(*fields)


def test_the_library_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hptbench.tasks._extras.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'needs ioh, which is not installed; pip install "hptbench\[bbob\]"'):
        BBOBTask(1, 5)


def test_a_suite_says_what_an_instance_is() -> None:
    tasks = suites.family("bbob", [{"function": "sphere"}, {"function": 3, "instance": 4}], {"dimensions": 5})
    assert [t.name for t in tasks] == ["bbob-f1-d5-i1", "bbob-f3-d5-i4"]
    with pytest.raises(UserError, match=r"field 'function': expected int \| str, got 1.5"):
        suites.family("bbob", [{"function": 1.5, "dimensions": 5}])
