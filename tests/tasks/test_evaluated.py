from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.protocol import Job, Outcome, Proposal, Status, Task
from hptbench.rng import entropy
from hptbench.space import Config
from hptbench.spacefile import packaged_space
from hptbench.tasks.evaluated import EvaluatedTask
from hptbench.testing import TASK_CHECKS

LEVELS = (1 / 9, 1 / 3, 1.0)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve configurations of a forest on data set d; configuration i is worth i + 1/fidelity, in test 100 more."""
    space = packaged_space("random_forest")
    configs = space.decode(space.sample(np.random.default_rng(0), 12))
    rows = [
        {
            "data": "d", "learner": "random_forest", "configuration": i, "fidelity": np.float32(level), "status": "ok",
            "cost": 2.0 * level, "config": json.dumps(config), "validation_log_loss": i + 1 / level,
            "test_log_loss": 100 + i + 1 / level, "validation_error": i / 12, "test_error": i / 12,
            "validation_rmse": None, "test_rmse": None,
        }
        for i, config in enumerate(configs) for level in LEVELS
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("table") / "t.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


def run(task: EvaluatedTask, config: Config, stop: float = 1.0) -> Outcome:
    [outcome] = task.evaluate([Job(0, 0, Proposal(config, stop), 0.0, stop, entropy("evaluated"))])
    assert outcome.status is Status.OK
    return outcome


def stored(path: Path) -> list[Config]:
    return [json.loads(text) for text in pd.read_parquet(path)["config"][::3]]


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
def test_conforms(table: Path, check: Callable[[Task], None]) -> None:
    check(EvaluatedTask(str(table), "d", "random_forest"))


def test_configurations_of_the_table_are_worth_what_it_says(table: Path) -> None:
    task = EvaluatedTask(str(table), "d", "random_forest")
    assert (task.name, task.unit, task.objectives) == ("evaluated-d-random_forest", "d", ("log_loss",))
    assert task.fidelity.unit == "fraction"
    assert not task.fidelity.continues
    for i, config in enumerate(stored(table)):
        for level in LEVELS:
            outcome = run(task, config, level)
            assert outcome.curve[-1].values == pytest.approx([i + 1 / level], rel=1e-6)
            assert outcome.hidden == {"value": i + 1.0, "test": pytest.approx(100 + i + 1 / level, rel=1e-6)}
            assert outcome.cost == pytest.approx(2 * level, rel=1e-6)
    assert task.optimum == 1.0


def test_between_levels_losses_are_interpolated_in_the_logarithm(table: Path) -> None:
    task = EvaluatedTask(str(table), "d", "random_forest")
    middle = run(task, stored(table)[4], float(np.sqrt(1 / 9 * 1 / 3)))
    assert middle.curve[-1].values == pytest.approx([4 + (9 + 3) / 2], rel=1e-6)


def test_others_are_worth_what_the_nearest_one_is(table: Path) -> None:
    task = EvaluatedTask(str(table), "d", "random_forest", metric="error")
    known = stored(table)
    u = task.space.encode(known)
    for config in task.space.decode(task.space.sample(np.random.default_rng(1), 30)):
        one = task.space.encode([config])[0]
        gaps = []
        for other, values in zip(u, known, strict=True):
            gap = 0.0
            for j, name in enumerate(task.space.names):
                if (name in config) != (name in values):
                    gap += 1
                elif name in config:
                    gap += (config[name] != values[name]) if task.space.categorical[j] else abs(one[j] - other[j])
            gaps.append(gap)
        assert run(task, config).curve[-1].values == pytest.approx([int(np.argmin(gaps)) / 12])


def test_what_is_not_complete_is_left_out(table: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(table)
    frame.loc[(frame["configuration"] == 0) & (frame["fidelity"] == 1), "status"] = "timeout"
    frame.to_parquet(tmp_path / "t.parquet")
    task = EvaluatedTask(str(tmp_path / "t.parquet"), "d", "random_forest")
    assert task.optimum == 2.0
    assert task.identity() != EvaluatedTask(str(table), "d", "random_forest").identity()
    assert pickle.loads(pickle.dumps(task)) == task


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data": "e"}, "unknown data set of .*'e'"),
        ({"learner": "svm"}, "unknown learner of .*'svm'"),
        ({"learner": "forest"}, "unknown learner"),
        ({"metric": "rmse"}, "unknown metric of d"),
        ({"path": "none.parquet"}, "found no none.parquet"),
    ],
)
def test_what_is_not_there_is_told(table: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        EvaluatedTask(**{"path": str(table), "data": "d", "learner": "random_forest", **fields})


def test_another_table_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"data": ["d"], "learner": ["svm"]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError, match="without config, configuration, cost, fidelity, status"):
        EvaluatedTask(str(tmp_path / "t.parquet"), "d", "svm")
