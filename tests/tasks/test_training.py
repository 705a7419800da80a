from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.protocol import Job, Proposal, Task
from hptbench.rng import entropy
from hptbench.tasks.training import TrainingTask
from hptbench.testing import TASK_CHECKS


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("function", ["toy", "noisy_quadratic", "noisy_sgd"])
def test_conformance(function: str, check: Callable[[Task], None]) -> None:
    check(TrainingTask(function, steps=10))


def chain(task: TrainingTask, configs: list[dict[str, float]], every: int = 1) -> list[Any]:
    """Outcomes of a training whose configuration changes with every segment."""
    outcomes: list[Any] = []
    before = None
    for i, config in enumerate(configs):
        state = outcomes[-1].state if outcomes else None
        job = Job(i, i, Proposal(config), float(i * every), float((i + 1) * every), entropy("t", i), state, before)
        outcomes += task.evaluate([job])
        before = job
    return outcomes


def test_the_toy_by_hand() -> None:
    [one, two] = chain(TrainingTask("toy"), [{"h0": 1.0, "h1": 0.0}, {"h0": 0.0, "h1": 0.5}], every=10)
    a, b = 0.9 * 0.98**10, 0.9 * 0.99**10
    assert one.curve[-1].values[0] == pytest.approx(a**2 + 0.81)
    assert two.curve[-1].values[0] == pytest.approx(a**2 + b**2)
    assert [p.fidelity for p in two.curve] == list(range(11, 21))
    [best] = chain(TrainingTask("toy", 20), [{"h0": 1.0, "h1": 1.0}], every=20)
    assert best.curve[-1].values[0] == pytest.approx(TrainingTask("toy", 20).optimum)


def test_the_best_schedule_of_the_noisy_quadratic_reaches_the_optimum() -> None:
    task, moment, schedule = TrainingTask("noisy_quadratic", 30), 100.0, []
    for _ in range(30):
        schedule.append({"rate": moment / (moment + 1)})
        moment = 1 / (1 / moment + 1)
    assert chain(task, schedule)[-1].curve[-1].values[0] == pytest.approx(task.optimum, rel=1e-12)
    assert task.optimum == pytest.approx(0.5 / 30.01)
    for worse in (0.9, 1.1):
        off = [{"rate": min(1.0, c["rate"] * worse)} for c in schedule]
        assert chain(task, off)[-1].curve[-1].values[0] > task.optimum


def test_the_logarithm_is_of_the_same_loss() -> None:
    plain, log = (chain(TrainingTask("toy", 20, log), [{"h0": 0.3, "h1": 0.9}], every=20)[0] for log in (False, True))
    assert log.curve[-1].values[0] == pytest.approx(math.log10(plain.curve[-1].values[0]))
    assert log.hidden["test"] == pytest.approx(log.hidden["value"] - TrainingTask("toy", 20, True).optimum)
    assert TrainingTask("toy", 20, True).objectives == ("log_loss",)


def test_no_constant_rate_comes_near_the_best_schedule() -> None:
    task, T = TrainingTask("noisy_quadratic"), 100
    rates = np.geomspace(0.001, 1, 300)
    decay = (1 - rates) ** 2
    losses = (decay**T * 100 + rates**2 * (1 - decay**T) / (1 - decay)) / 2
    [there] = chain(task, [{"rate": float(rates[150])}], every=100)
    assert there.curve[-1].values[0] == pytest.approx(losses[150])
    assert losses.min() > 2.5 * task.optimum


def test_real_descent_is_the_expectation_on_average() -> None:
    [exact], [real] = (chain(TrainingTask(f, 40), [{"rate": 0.1}], every=40) for f in ("noisy_quadratic", "noisy_sgd"))
    for a, b in zip(exact.curve, real.curve, strict=True):
        assert b.values[0] == pytest.approx(a.values[0], rel=5 * math.sqrt(2 / 1000))


def test_an_inherited_state_that_was_lost_is_made_again() -> None:
    task = TrainingTask("noisy_sgd", 20)
    first = Job(0, 0, Proposal({"rate": 0.3}), 0.0, 5.0, entropy("a"))
    [left] = task.evaluate([first])
    heir = Job(1, 1, Proposal({"rate": 0.1}, source=0), 5.0, 9.0, entropy("b"), left.state, first)
    lost = Job(1, 1, Proposal({"rate": 0.1}, source=0), 5.0, 9.0, entropy("b"), None, first)
    [kept], [again] = task.evaluate([heir]), task.evaluate([lost])
    assert kept.curve == again.curve


@pytest.mark.parametrize("wrong", [{"function": "quadric"}, {"function": "toy", "steps": 1}])
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        TrainingTask(**wrong)
