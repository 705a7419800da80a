from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hptbench
from hptbench.errors import UserError
from hptbench.protocol import Job, Outcome, Proposal, Status, Task
from hptbench.rng import entropy
from hptbench.space import Config
from hptbench.spacefile import packaged_space
from hptbench.tasks.evaluated import EvaluatedTask
from hptbench.testing import TASK_CHECKS
from hptbench.testing.tasks import evaluates

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


@pytest.fixture(scope="module")
def curves_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three epochs of six configurations of networks; i is worth i + 1/epoch, and 5 has diverged in its second one."""
    space = packaged_space("neural_mlp")
    rows = [
        {
            "data": "d", "learner": "neural_mlp", "configuration": i, "fidelity": np.float32(epoch),
            "status": "nan" if (i, epoch) == (5, 2) else "ok", "cost": 0.5 * epoch, "config": json.dumps(config),
            "training_log_loss": i / epoch, "validation_log_loss": np.nan if (i, epoch) == (5, 2) else i + 1 / epoch,
            "test_log_loss": np.nan if (i, epoch) == (5, 2) else 100 + i + 1 / epoch,
        }
        for i, config in enumerate(space.decode(space.sample(np.random.default_rng(0), 6)))
        for epoch in (1, 2, 3) if (i, epoch) != (5, 3)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("table") / "curves.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
def test_networks_conform(curves_table: Path, tmp_path: Path, check: Callable[[Task], None]) -> None:
    frame = pd.read_parquet(curves_table)
    frame[frame["configuration"] < 5].to_parquet(tmp_path / "t.parquet")  # those that have not diverged
    check(EvaluatedTask(str(tmp_path / "t.parquet"), "d", "neural_mlp"))


@pytest.mark.parametrize("check", [c for c in TASK_CHECKS if c is not evaluates], ids=lambda check: check.__name__)
def test_networks_that_diverged_conform(curves_table: Path, tmp_path: Path, check: Callable[[Task], None]) -> None:
    frame = pd.read_parquet(curves_table)
    frame[frame["configuration"].isin([0, 5])].to_parquet(tmp_path / "t.parquet")
    task = EvaluatedTask(str(tmp_path / "t.parquet"), "d", "neural_mlp")
    assert np.isnan(run(task, task.space.default(), 3.0).hidden["test"]), "the default is nearest to the diverged one"
    check(task)


def test_networks_go_on_epoch_by_epoch(curves_table: Path) -> None:
    task = EvaluatedTask(str(curves_table), "d", "neural_mlp")
    assert (task.fidelity.low, task.fidelity.high, task.fidelity.unit) == (1, 3, "epoch")
    assert task.fidelity.continues
    assert task.optimum == pytest.approx(1 / 3)
    found = hptbench.curves(str(curves_table), "d")
    first = Job(0, 0, Proposal(found.configs[2], 1.0), 0.0, 1.0, (0,))
    rest = Job(1, 0, Proposal(found.configs[2], 3.0, 0), 1.0, 3.0, (0,), before=first)
    begun, done = task.evaluate([first, rest])
    assert [point.values[0] for point in (*begun.curve, *done.curve)] == pytest.approx([3, 2.5, 2 + 1 / 3])
    assert [point.fidelity for point in done.curve] == [2, 3]
    assert (begun.cost, done.cost) == pytest.approx((0.5, 1.0))
    assert done.hidden == pytest.approx({"value": 2 + 1 / 3, "test": 102 + 1 / 3})


def test_a_network_that_diverged_is_nan_from_there(curves_table: Path) -> None:
    found = hptbench.curves(str(curves_table), "d")
    assert found.losses["validation_log_loss"][5] == pytest.approx([6, np.nan, np.nan], nan_ok=True)
    assert found.losses["training_log_loss"].shape == found.cost.shape == (6, 3)
    [outcome] = EvaluatedTask(str(curves_table), "d", "neural_mlp").evaluate(
        [Job(0, 0, Proposal(found.configs[5], 3.0), 0.0, 3.0, (0,))]
    )
    assert [point.fidelity for point in outcome.curve] == [1, 3]
    assert np.isnan(outcome.curve[-1].values[0])
    assert outcome.cost == pytest.approx(1.5)


def test_networks_need_every_epoch(curves_table: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(curves_table)
    frame[frame["fidelity"] != 2].to_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"expected every epoch of neural_mlp on d, got epochs \[1.0, 3.0\]"):
        EvaluatedTask(str(tmp_path / "t.parquet"), "d", "neural_mlp")


def test_the_card_beside_the_table_states_licences(table: Path) -> None:
    task = EvaluatedTask(str(table), "d", "random_forest")
    assert task.licence is None
    table.with_suffix(".md").write_text("| data set | licence | learners |\n|---|---|---|\n| d | CC0 | 1 |\n")
    assert task.licence == "CC0"
