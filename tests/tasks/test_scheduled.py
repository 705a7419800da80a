from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.protocol import Fidelity, Job, Proposal, Task
from hptbench.rng import entropy
from hptbench.tasks.replayed import Replayed
from hptbench.tasks.scheduled import SHAPES, Scheduled
from hptbench.tasks.training import TrainingTask
from hptbench.testing import TASK_CHECKS
from hptbench.testing.problems import Bowl

QUADRATIC = TrainingTask("noisy_quadratic", 20)
SGD = TrainingTask("noisy_sgd", 20)
ALL = Scheduled(QUADRATIC, "rate", SHAPES)
STEPS = [{"stop": 5, "config": {"rate": 0.5}}, {"stop": 20, "config": {"rate": 0.1}}]
TASKS = [ALL, Scheduled(SGD, "rate", every=3.0), Scheduled(Bowl(), "layers", ("piecewise",)), Replayed(SGD, STEPS),
         Scheduled(Scheduled(TrainingTask("toy", 8), "h0", ("cosine",)), "h1", ("step",))]  # fmt: skip


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_conformance(task: Task, check: Callable[[Task], None]) -> None:
    check(task)


def run(task: Task, config: dict[str, Any], stop: float, start: float = 0.0) -> Any:
    [outcome] = task.evaluate([Job(0, 0, Proposal(config), start, stop, entropy("run"))])
    return outcome


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"rate:shape": "constant"}, [0.4, 0.4, 0.4, 0.4]),
        ({"rate:shape": "step", "rate:final": 0.01, "rate:steps": 2}, [0.4, 0.4, 0.04, 0.004]),
        ({"rate:shape": "cosine", "rate:final": 0.1}, [0.4, 0.34727922, 0.22, 0.04]),
        ({"rate:shape": "warmup", "rate:warmup": 0.5}, [0.001, 0.2, 0.4, 0.4]),
        ({"rate:shape": "piecewise", "rate:1": 0.1, "rate:2": 0.4, "rate:3": 0.004}, [0.4, 0.14142136, 0.2, 0.004]),
    ],
)
def test_shapes_by_hand(more: dict[str, Any], expected: list[float]) -> None:
    config = {"rate": 0.4, **more}
    ALL.space.check(config)
    values = [ALL.value(config, p) for p in (0.0, 0.25, 0.5, 1.0)]
    if more["rate:shape"] == "piecewise":
        expected[1] = 0.4 * 0.25**0.75  # a share of 0.75 of the way from 0.4 to 0.1, on the logarithmic scale
        expected[2] = 0.1 * 4**0.5
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_a_constant_schedule_is_the_task_itself() -> None:
    plain, scheduled = (
        run(SGD, {"rate": 0.2}, 20),
        run(Scheduled(SGD, "rate"), {"rate": 0.2, "rate:shape": "constant"}, 20),
    )
    assert plain.curve == scheduled.curve
    assert (plain.cost, plain.hidden) == (scheduled.cost, scheduled.hidden)


def test_a_schedule_is_the_same_as_changing_the_configuration_by_hand() -> None:
    state, losses = 100.0, []
    for step in range(20):
        rate = 0.9 * (0.01 + 0.99 * (1 + math.cos(math.pi * step / 20)) / 2)
        state = (1 - rate) ** 2 * state + rate**2
        losses.append(state / 2)
    outcome = run(ALL, {"rate": 0.9, "rate:shape": "cosine", "rate:final": 0.01}, 20)
    np.testing.assert_allclose([p.values[0] for p in outcome.curve], losses)
    assert outcome.cost == pytest.approx(1.0)


def test_values_change_at_multiples_of_every() -> None:
    task = Scheduled(QUADRATIC, "rate", ("cosine",), every=7.0)
    config = {"rate": 0.9, "rate:final": 0.01}
    assert [stop for stop, _ in task.pieces(config, 0, 20)] == [7, 14, 20]
    assert [stop for stop, _ in task.pieces(config, 5, 15)] == [7, 14, 15]
    assert task.pieces(config, 5, 7)[0][1] == task.pieces(config, 0, 7)[0][1]


def test_the_space_has_what_the_shapes_need() -> None:
    one = Scheduled(QUADRATIC, "rate", ("cosine",))
    assert set(one.space.names) == {"rate", "rate:final"}
    assert not one.space.conditional
    for config in ALL.space.decode(ALL.space.sample(np.random.default_rng(0), 50)):
        assert ("rate:final" in config) == (config["rate:shape"] in ("step", "cosine"))
        assert ("rate:3" in config) == (config["rate:shape"] == "piecewise")
    assert ALL.space.default() == {"rate": 0.1, "rate:shape": "constant"}


def test_names_tell_tasks_apart() -> None:
    assert Scheduled(QUADRATIC, "rate").name == "noisy_quadratic-20+scheduled-rate-constant-step-cosine-warmup"
    assert Scheduled(QUADRATIC, "rate", ["piecewise"], 5.0, 2).name.endswith("-rate-piecewise2-every5")


def test_integers_stay_integers() -> None:
    task = Scheduled(Bowl(), "layers", ("cosine",))
    values = [task.value({"layers": 5, "layers:final": 0.001}, p) for p in (0.0, 0.5, 1.0)]
    assert values == [5, 3, 1]
    assert all(isinstance(value, int) for value in values)


def test_a_failure_ends_the_segment() -> None:
    failing = Scheduled(Bowl(over="sphere", fail=1.0), "a", ("cosine",))
    outcome = run(failing, {"a": 0.5, "b": 0.5, "c": 0.5, "a:final": 0.1}, 27)
    assert outcome.status == "failed"
    assert outcome.cost < 0.1, "of the first piece only"


def test_replaying_by_hand_and_from_a_file(tmp_path: Path) -> None:
    state = 100.0
    for step in range(20):
        rate = 0.5 if step < 5 else 0.1
        state = (1 - rate) ** 2 * state + rate**2
    file = tmp_path / "s.yaml"
    file.write_text("steps:\n- {stop: 5, config: {rate: 0.5}}\n- {start: 5, stop: 20, config: {rate: 0.1}}\n")
    for task in (Replayed(QUADRATIC, STEPS), Replayed(QUADRATIC, file=str(file))):
        outcome = run(task, task.space.default(), 20)
        assert outcome.curve[-1].values[0] == pytest.approx(state / 2)
    assert Replayed(QUADRATIC, file=str(file)).identity() == Replayed(QUADRATIC, STEPS).identity()
    for text in (b"steps: 3", b"steps:", b"other: []", b"\xff\xfe", b"[1"):
        file.write_bytes(text)
        with pytest.raises(UserError, match=r"s\.yaml: expected"):
            Replayed(QUADRATIC, file=str(file))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scheduled(Bowl(fidelity=None), "x"), "cannot"),
        (lambda: Scheduled(Bowl(fidelity=Fidelity(1, 9)), "x"), "cannot"),
        (lambda: Scheduled(Bowl(), "y"), "parameter 'y'"),
        (lambda: Scheduled(Bowl(), "kind"), "number"),
        (lambda: Scheduled(Bowl(), "depth"), "always active"),
        (lambda: Scheduled(Bowl(), "x", ("linear",)), "linear"),
        (lambda: Scheduled(Bowl(), "x", ()), "one at least"),
        (lambda: Scheduled(Bowl(), "x", every=0.0), "every > 0"),
        (lambda: Scheduled(Bowl(), "x", knots=0), "knots"),
        (lambda: Replayed(QUADRATIC, STEPS[:1]), "rise to 20"),
        (lambda: Replayed(QUADRATIC, STEPS[::-1]), "rise to 20"),
        (lambda: Replayed(QUADRATIC, [{"stop": 20, "config": {"rate": 3.0}}]), "rate"),
        (lambda: Replayed(QUADRATIC, [{"stop": 20}]), "steps such as"),
        (lambda: Replayed(QUADRATIC, file="nowhere.yaml"), "nowhere"),
        (lambda: Replayed(QUADRATIC, STEPS, "nowhere.yaml"), "expected steps or file, got both"),
    ],
)
def test_wrong_settings(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
