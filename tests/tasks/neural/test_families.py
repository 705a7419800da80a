from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from omegaconf import OmegaConf

pytest.importorskip("torch", reason="the extra neural is not installed")

from hptbench import rng
from hptbench.errors import UserError
from hptbench.ledger import Ledger
from hptbench.methods.pbt import PBT
from hptbench.paths import conf_dir
from hptbench.protocol import Budget, Clock, Job, Outcome, Problem, Proposal, Status, Task, Together
from hptbench.simulate import simulate
from hptbench.states import States
from hptbench.suites import several
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.dataset import DatasetTask
from hptbench.tasks.neural._tile import Tile
from hptbench.tasks.neural._trainer import Trainer, flops
from hptbench.tasks.neural.cnn import NeuralCNN
from hptbench.tasks.neural.mlp import NeuralMLP
from hptbench.testing import TASK_CHECKS
from hptbench.workers import Limits, Pool

WINE = NeuralMLP("wine", high=4)
TASKS = [WINE, NeuralMLP("diabetes", high=4, max_rows=100), NeuralCNN("digits", high=2, max_rows=100)]
MAX_UNITS = {"type": "integer", "lower": 64, "upper": 1024, "log": True}


def jobs(task: Any, n: int, stop: int | None = None) -> list[Job]:
    configs = [task.space.default(), *task.space.decode(task.space.sample(np.random.default_rng(0), n - 1))]
    return [
        Job(i, i, Proposal(config), 0.0, float(stop or task.high), rng.entropy("t", i))
        for i, config in enumerate(configs)
    ]


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_conforms(task: Task, check: Callable[[Task], None]) -> None:
    check(task)


def test_what_it_is() -> None:
    assert (WINE.name, WINE.unit, WINE.objectives) == ("wine-mlp", "wine", ("log_loss",))
    assert (replace(WINE, split=2).name, TASKS[2].name) == ("wine-mlp-s2", "digits-cnn")
    assert NeuralMLP("wine", metric=("accuracy", "auc")).objectives == ("error", "auc_error")
    assert WINE.identity() | {"sha256": ""} == {
        "data": "wine", "test_share": 0.25, "split": 0, "max_rows": None, "target": "target", "drop_rare": False,
        "metrics": ["log_loss"], "sha256": "", "model": "mlp", "low": 1, "high": 4,
    }  # fmt: skip


def test_scores_are_those_of_every_epoch_on_the_splits_of_data_set_tasks() -> None:
    [outcome] = WINE.evaluate(jobs(WINE, 1))
    dataset = DatasetTask("wine", "mlp")
    [(training, validation)], test = dataset.inner(0), dataset.outer().test
    assert [p.fidelity for p in outcome.curve] == [1, 2, 3, 4]
    assert outcome.curve[-1].values == (outcome.hidden["validation_log_loss"],)
    assert outcome.hidden["test"] == outcome.hidden["test_log_loss"] < math.log(3)
    assert outcome.hidden["validation_error"] * len(validation) == pytest.approx(
        round(outcome.hidden["validation_error"] * len(validation))
    )
    config = WINE.space.default()
    net, _ = WINE.networks(config, (13,), 3)
    assert net.hidden == (64, 34)
    assert outcome.hidden["flops"] == 4 * flops(net, len(training), len(validation))
    assert len(test) + len(validation) + len(training) == 178
    assert outcome.cost > 0


def test_learning_curves_are_of_all_rows_without_dropout() -> None:
    task, plain = replace(WINE, curves=True), WINE
    config = WINE.space.default() | {"max_dropout": 0.8}
    [job] = [replace(one, proposal=Proposal(config)) for one in jobs(WINE, 1)]
    [seen], [expected] = task.evaluate([job]), plain.evaluate([job])
    told = [seen.hidden[f"validation_log_loss@{epoch}"] for epoch in (1, 2, 3, 4)]
    assert told == [point.values[0] for point in seen.curve]
    assert told == pytest.approx([point.values[0] for point in expected.curve], rel=1e-5)
    assert seen.hidden["test_error@4"] == pytest.approx(expected.hidden["test_error"])
    ready = plain.ready()
    recipe, [(training, _)] = plain.recipe(ready, job), DatasetTask("wine", "mlp").inner(0)
    [said] = ready.trainer.predict([expected.state], [recipe.within], ready.trainer.data.X)
    loss = float(-np.log(said[np.arange(len(said)), training.y]).mean())
    assert seen.hidden["training_log_loss@4"] == pytest.approx(loss, rel=1e-5)
    assert sum("@" in name for name in seen.hidden) == 4 * 3 * 2
    assert not any("@" in name for name in expected.hidden)
    assert task.identity() == {**plain.identity(), "curves": True}
    assert seen.hidden["flops"] > expected.hidden["flops"]
    going, first = task.evaluate([replace(job, start=2.0, before=replace(job, stop=2.0)), replace(job, stop=2.0)])
    assert [name for name in going.hidden if name.startswith("test_error@")] == ["test_error@3", "test_error@4"]
    assert first.hidden["test_error@2"] == seen.hidden["test_error@2"]


def test_whether_a_training_diverged_is_told_by_validation_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    some, task, say = jobs(WINE, 3), replace(WINE, curves=True), Trainer._say
    plain, expected = WINE.evaluate(some), task.evaluate(some)
    held = task.ready().trainer.data.held
    [test] = [watched.rows for watched in task.ready().watched if watched.part == "test"]

    def infinite(trainer: Any, tile: Any, rows: Any, *rest: Any) -> list[Any]:
        said = say(trainer, tile, rows, *rest)
        for one in said if len(rows) == len(held) else []:
            one[test] = np.inf
        return said

    monkeypatch.setattr(Trainer, "_say", infinite)
    for seen, same, other in zip(task.evaluate(some), expected, plain, strict=True):
        assert seen.curve == same.curve
        assert len(seen.curve) == len(other.curve) == 4
        for point, without in zip(seen.curve, other.curve, strict=True):
            assert point.fidelity == without.fidelity
            assert point.values == pytest.approx(without.values, rel=1e-5)
        assert all(math.isnan(seen.hidden[f"test_error@{epoch}"]) for epoch in (1, 2, 3, 4))
        assert seen.hidden["training_error@4"] == same.hidden["training_error@4"]


def test_it_learns() -> None:
    for task, better in ((NeuralMLP("breast_cancer"), 0.2), (NeuralMLP("diabetes"), 70.0)):
        [outcome] = task.evaluate(jobs(task, 1))
        assert outcome.curve[-1].values[0] < better  # 0.66 and 77 are those of a constant
        assert outcome.hidden["test"] < better


def test_a_population_that_goes_on_is_the_same_with_and_without_its_states() -> None:
    def run(states: States) -> list[Any]:
        problem = Problem(WINE.space, WINE.objectives, WINE.fidelity, Budget(max_full_evals=4), 4)
        course = simulate(PBT(population=4, interval=1), problem, ("t", 0), states=states)
        asked = next(course)
        while True:
            try:
                asked = course.send(WINE.evaluate(asked))
            except StopIteration as end:
                return [(r.job.proposal, r.outcome.curve, dict(r.outcome.hidden)) for r in end.value]

    kept = run(States())
    assert any(proposal.source is not None for proposal, _, _ in kept)
    assert run(States(limit=0)) == kept


def test_one_that_diverges_is_nan_alone() -> None:
    task = replace(WINE, space={"learning_rate": {"type": "float", "lower": 1e-4, "upper": 1e30, "log": True}})  # type: ignore[arg-type]
    fine, wild = jobs(task, 2)
    wild = replace(wild, proposal=Proposal({"learning_rate": 1e30}))
    ledger = Ledger(Problem(task.space, task.objectives, task.fidelity, Budget(max_jobs=9)), ("t", 0), Clock.UNITS)
    opened = ledger.open(wild.proposal)
    [good, bad], [alone] = task.evaluate([fine, opened]), task.evaluate([fine])
    assert (good.curve, good.hidden) == (alone.curve, alone.hidden)
    _, judged, report = ledger.close(opened, bad)
    assert judged.status is Status.NAN
    assert report.values == (math.inf,)
    assert bad.curve[-1].fidelity == 4
    [watched] = replace(task, curves=True).evaluate([wild])
    last = max(int(name.rpartition("@")[2]) for name in watched.hidden if "@" in name)
    assert last == len(watched.curve) < 4
    assert math.isnan(watched.hidden[f"training_error@{last}"])
    assert math.isnan(watched.curve[-1].values[0])


def test_short_of_memory_half_way_every_epoch_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [replace(one, seed=rng.entropy("t", i)) for i, one in enumerate(jobs(WINE, 1) * 3)]
    expected, step, left = [outcome.curve for outcome in WINE.evaluate(some)], Tile.step, [8]  # in the third epoch

    def short_of_memory(tile: Any, *args: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise RuntimeError("can't allocate memory")
        step(tile, *args)

    monkeypatch.setattr(Tile, "step", short_of_memory)
    with pytest.warns(UserWarning, match="out of memory with 3 trainings"):
        assert [outcome.curve for outcome in WINE.evaluate(some)] == expected
    WINE.ready().trainer._tile = WINE.tile


@pytest.mark.slow
def test_workers_take_several_jobs_at_once_and_give_the_same(tmp_path: Path) -> None:
    assert isinstance(WINE, Together)
    assert wrap(WINE, [{"noisy": {"std": 0.1}}]).together == WINE.together  # type: ignore[attr-defined]
    some = jobs(WINE, 5, 2)

    def shown(outcomes: list[Outcome]) -> list[Any]:
        return [(o.status, o.curve, dict(o.hidden)) for o in outcomes]

    here = WINE.evaluate(some)
    with Pool(WINE, 2, Limits(seconds=600)) as pool:
        there = pool.evaluate(some)
        [last] = pool.evaluate([replace(some[0], start=2.0, stop=4.0, before=some[0])])  # its state is lost
    assert shown(there) == shown(here)
    assert [o.memory is None for o in there] == [True] * 5
    assert last.memory is not None
    assert last.curve[-1] == WINE.evaluate(jobs(WINE, 1))[0].curve[-1]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"max_units": {"type": "integer", "lower": 0, "upper": 9}}, r"max_units to be a whole number in .*, got 0"),
        ({"num_layers": {"type": "float", "lower": 1, "upper": 4}}, r"num_layers to be a whole number in .*, got 1.0"),
        ({"momentum": {"type": "constant", "value": 1.0}}, "expected momentum to be a number"),
        ({"max_dropout": {"type": "float", "lower": 0, "upper": 1.5}}, r"max_dropout .* in \[0, 1\], got 1.5"),
        ({"optimizer": {"type": "categorical", "choices": ["sgd", "lion"]}}, "optimizer to be of sgd, .* got 'lion'"),
        ({"width": {"type": "integer", "lower": 1, "upper": 8}}, "unknown parameter of mlp 'width'"),
    ],
)  # fmt: skip
def test_spaces_that_no_network_has(space: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        NeuralMLP("wine", space=space)


def test_a_space_of_other_sizes_and_optimisers() -> None:
    choices = {"type": "categorical", "choices": ["adam", "rmsprop"]}
    task = NeuralMLP("wine", high=1, space={"max_units": MAX_UNITS, "optimizer": choices})  # type: ignore[arg-type]
    [outcome] = task.evaluate(jobs(task, 1))
    assert outcome.status is Status.OK
    assert task.networks(task.space.default() | {"num_layers": 7}, (13,), 3)[1].hidden[0] == 256


def test_data_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected whole epochs, got high"):
        NeuralMLP("wine", high=2.5)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="expected a fidelity"):
        NeuralMLP("wine", low=5, high=3)
    cnn = NeuralCNN("wine", high=1)
    with pytest.raises(UserError, match="expected square images of at least 4 x 4 pixels, got 13 columns"):
        cnn.evaluate(jobs(cnn, 1))
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 16)), columns=[f"x{i}" for i in range(16)])
    frame.loc[::3, "x3"] = np.nan
    frame["target"] = [0, 1, 2] * 20
    frame.assign(target=1).to_parquet(tmp_path / "one.parquet")
    frame.to_parquet(tmp_path / "gaps.parquet")
    (tmp_path / "index.csv").write_text("name,task_type\none,classification\ngaps,classification\n")
    one = NeuralMLP("one", str(tmp_path), high=1)
    with pytest.raises(UserError, match="expected at least 2 classes, got 1"):
        one.evaluate(jobs(one, 1))
    holes = NeuralCNN("gaps", str(tmp_path), high=1)
    with pytest.raises(UserError, match="expected pixels, got categories or missing values"):
        holes.evaluate(jobs(holes, 1))
    [outcome] = (gaps := NeuralMLP("gaps", str(tmp_path), high=1)).evaluate(jobs(gaps, 1))
    assert math.isfinite(outcome.curve[-1].values[0])


def test_images_of_three_colours(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).normal(size=(60, 48))
    frame = pd.DataFrame(pixels, columns=[f"x{i}" for i in range(48)]).assign(target=[0, 1] * 30)
    frame.to_parquet(tmp_path / "colours.parquet")
    (tmp_path / "index.csv").write_text("name,task_type\ncolours,classification\n")
    data = NeuralCNN("colours", str(tmp_path), high=1).ready().trainer.data
    assert data.X.shape[1:] == (3, 4, 4)
    flat = data.X.reshape(len(data.X), -1)[0]
    [row] = [row for row in pixels if np.corrcoef(row, flat)[0, 1] > 0.999999]
    np.testing.assert_allclose((row - row.mean()) / row.std(), (flat - flat.mean()) / flat.std(), atol=1e-5)


def test_without_torch_the_task_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from hptbench.tasks.neural import _trainings

    monkeypatch.setattr(_trainings, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r'pip install "hptbench\[neural\]"'):
        NeuralMLP("wine")


def test_the_suite_for_gpus_says_what_to_fetch_and_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (conf_dir() / "suite" / "neural_gpu.yaml").read_text(encoding="utf-8")

    def families(store: str, *names: str) -> Any:
        (tmp_path / store).mkdir()
        rows = "".join(f"{name},classification\n" for name in names)
        (tmp_path / store / "index.csv").write_text(f"name,task_type\n{rows}")
        monkeypatch.setenv("HPTBENCH_STORE", str(tmp_path / store))
        return OmegaConf.to_container(OmegaConf.create(text), resolve=True)["families"]  # type: ignore[call-overload, index]

    with pytest.raises(UserError, match="python -m hptbench fetch openml/40668 --store"):
        several(families("one", "adult-1590"))
    tasks: Any = several(families("all", "adult-1590", "connect-4-40668", "Fashion-MNIST-40996", "CIFAR_10-40927"))
    assert len({task.name for task in tasks}) == len(tasks) == 15
    assert {type(task).__name__ for task in tasks} == {
        "NeuralMLP", "NeuralCNN", "NeuralText", "NeuralForecast", "NeuralRL",
    }  # fmt: skip
    assert tasks[0].space.configspace["max_units"].upper == 1024
    for task in tasks[4:]:
        assert task.identity()["high"] == task.high
    for task in tasks:
        if "layers" in task.space.names:
            net, within = task.networks(task.space.default() | {"heads": 64, "layers": 8}, (128,), 96)
            assert (len(net.hidden), within.width) == (8, 512)


def test_the_suite_for_processors_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    text = yaml.safe_load((conf_dir() / "suite" / "neural.yaml").read_text(encoding="utf-8"))
    tasks: Any = several(text["families"])
    assert len({task.name for task in tasks}) == len(tasks) == 10
    assert max(task.high for task in tasks) == 27
