from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import hptbench
from hptbench.errors import UserError
from hptbench.protocol import Fidelity, Status
from hptbench.suggestions import Result, Suggestion
from hptbench.tuner import Tuner
from hptbench.tuning import tune

SPACE = {"x": {"type": "float", "lower": -5, "upper": 5}, "y": {"type": "integer", "lower": 1, "upper": 9}}
LAST = Fidelity(1, 9, "epoch", continues=True)


def bowl(config: dict[str, Any]) -> float:
    return float((config["x"] - 1) ** 2 + (config["y"] - 3) ** 2)


def test_it_finds_the_bottom_and_says_all_that_it_did() -> None:
    seen: list[Result] = []
    tuned = hptbench.tune(bowl, SPACE, budget=30, callbacks=[lambda tuner, result: seen.append(result)])
    assert tuned.value < 0.3
    assert tuned.value == bowl(dict(tuned.config)) == min(result.value for result in tuned.history)
    assert tuned.history == seen
    assert len(seen) == 30


def test_it_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    whole = tune(bowl, SPACE, "tpe", budget=14)
    calls: list[dict[str, Any]] = []

    def dies(config: dict[str, Any]) -> float:
        calls.append(config)
        if len(calls) in (4, 9):
            raise KeyboardInterrupt
        return bowl(config)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            tune(dies, SPACE, "tpe", budget=14, folder=tmp_path)
    parts = tune(dies, SPACE, "tpe", budget=14, folder=tmp_path)
    assert [result.config for result in parts.history] == [result.config for result in whole.history]
    assert len(calls) == 14 + 2, "nothing that was told is done again"
    assert tune(dies, SPACE, "tpe", budget=14, folder=tmp_path).history == parts.history
    assert len(calls) == 16


def test_failures_count_and_do_not_end_it() -> None:
    def fails(config: dict[str, Any]) -> float:
        if config["x"] < 0:
            raise MemoryError("too much")
        return bowl(config)

    tuned = tune(fails, SPACE, "random", budget=20)
    assert {result.status for result in tuned.history} == {Status.OK, Status.MEMORY}
    assert tuned.config["x"] > 0
    with pytest.raises(UserError, match="none of 3 jobs has a value and keeps the constraints; the last one: ZeroDiv"):
        _ = tune(lambda config: 1 / 0, SPACE, "random", budget=3).best
    with pytest.raises(UserError, match="expected a value for each objective, got None"):
        tune(lambda config: None, SPACE, "random", budget=3)


def test_trainings_go_on_from_their_checkpoints(tmp_path: Path) -> None:
    trained = []

    def train(config: dict[str, Any], job: Suggestion) -> float:
        epochs = int(job.load.read_text()) if job.load else 0
        assert epochs == job.start
        assert job.fidelity is not None
        trained.append(job.fidelity - epochs)
        if job.save:
            job.save.write_text(str(int(job.fidelity)))
        return bowl(config) + 9 - job.fidelity

    tuned = tune(train, SPACE, "hyperband", budget=6, fidelity=LAST, folder=tmp_path)
    assert sum(trained) == pytest.approx(6 * 9, abs=8)
    assert any(result.job.start for result in tuned.history)
    assert tuned.best.job.fidelity == 9


@pytest.mark.parametrize("pool", [None, "processes"])
def test_several_at_a_time(pool: str | None) -> None:
    if pool is None:
        tuned = tune(bowl, SPACE, "random", budget=12, workers=3)
    else:
        with ProcessPoolExecutor(2) as executor:
            tuned = tune(bowl, SPACE, "random", budget=12, workers=3, executor=executor)
    one = tune(bowl, SPACE, "random", budget=12)
    assert {str(result.config) for result in tuned.history} == {str(result.config) for result in one.history}
    assert all(result.value == bowl(dict(result.config)) for result in tuned.history)


def test_what_a_function_may_say_and_what_it_may_not() -> None:
    tuned = tune(
        lambda config: {"value": bowl(config), "constraints": 5.0 - config["y"]},
        SPACE, "random", budget=30, constraints=("y",),
    )  # fmt: skip
    assert tuned.config["y"] >= 5
    two = tune(lambda config: (config["x"], -config["x"]), SPACE, "random", budget=5, objectives=("a", "b"))
    assert len(two.front) == 5
    with pytest.raises(TypeError, match="pid"):
        tune(lambda config: {"value": 1.0, "pid": 3}, SPACE, "random", budget=5)


def test_time_ends_it() -> None:
    assert tune(bowl, SPACE, "random", budget=50, seconds=0).history == []
    with pytest.raises(UserError, match="expected workers"):
        tune(bowl, SPACE, workers=0)


def test_a_callback_sees_the_tuner() -> None:
    seen = []

    def told(tuner: Tuner, result: Result) -> None:
        seen.append(tuner.history[-1] == result)

    tune(bowl, SPACE, "random", budget=2, callbacks=[told])
    assert seen == [True, True]
