from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="surrogates of YAHPO Gym need the extra yahpo")
pytest.importorskip("onnx", reason="the tests' surrogates are written with onnx")

import yahpo_folder as folders

from hptbench import suites
from hptbench.errors import UserError
from hptbench.protocol import Fidelity, Job, Outcome, Proposal, Status, Task
from hptbench.registry import find
from hptbench.rng import entropy
from hptbench.space import Config
from hptbench.tasks import _yahpo
from hptbench.tasks.yahpo import YahpoTask
from hptbench.testing import TASK_CHECKS

MAKERS: dict[str, Callable[[Path], Path]] = {
    "rbv2_svm": folders.svm, "lcbench": folders.lcbench, "own": folders.multiplexer,
}  # fmt: skip
INSTANCES = {"rbv2_svm": "40981", "lcbench": 3945, "own": 1067}
REAL = os.environ.get("HPTBENCH_YAHPO") or None
with_yahpo_data = pytest.mark.skipif(REAL is None, reason="HPTBENCH_YAHPO names no folder of yahpo_data")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("yahpo_data")
    for make in MAKERS.values():
        make(path)
    return str(path)


def make(root: str | None, scenario: str, **fields: Any) -> YahpoTask:
    return YahpoTask(scenario, INSTANCES[scenario], path=root, **fields)


def job(task: YahpoTask, config: Config | None = None, stop: float | None = None, start: float = 0.0) -> Job:
    high = task.fidelity.high if task.fidelity else 1.0
    config = task.space.default() if config is None else config
    return Job(0, 0, Proposal(config, stop), start, stop or high, entropy("yahpo"))


def run(task: YahpoTask, *args: Any, **kwargs: Any) -> Outcome:
    [outcome] = task.evaluate([job(task, *args, **kwargs)])
    assert outcome.status is Status.OK
    return outcome


def drawn(task: YahpoTask, n: int, seed: int = 0) -> list[Config]:
    return list(task.space.decode(task.space.sample(np.random.default_rng(seed), n)))


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("scenario", "fields"),
    [
        ("rbv2_svm", {}),
        ("rbv2_svm", {"axis": None}),
        ("rbv2_svm", {"axis": "repl", "targets": ("logloss", "memory")}),
        ("lcbench", {}),
        ("own", {}),
    ],
    ids=str,
)
def test_conforms(root: str, scenario: str, fields: dict[str, Any], check: Callable[[Task], None]) -> None:
    check(make(root, scenario, **fields))


def test_what_it_is(root: str) -> None:
    t = make(root, "rbv2_svm")
    assert find("task", "yahpo") is YahpoTask
    assert (t.name, t.unit, t.objectives, t.optimum) == ("yahpo-rbv2_svm-40981", "openml-40981", ("acc_error",), None)
    assert t.fidelity == Fidelity(0.05, 1.0, "trainsize", integer=False, continues=False, inherits=False)
    assert t.space.names == ("cost", "kernel", "num.impute.selected.cpo", "tolerance", "degree", "gamma")
    assert t.space.conditional
    assert t.space.configspace["cost"].log
    assert replace(t, axis="repl").fidelity == Fidelity(1, 10, "repl", inherits=False)
    assert replace(t, axis="repl").name == "yahpo-rbv2_svm-40981-repl"
    full = replace(t, axis=None)
    assert (full.fidelity, full.name) == (None, "yahpo-rbv2_svm-40981-full")
    epochs = make(root, "lcbench")
    assert epochs.fidelity == Fidelity(1, 52, "epoch", continues=True, inherits=False)
    assert (epochs.unit, epochs.objectives) == ("openml-task-3945", ("val_accuracy_error",))
    assert make(root, "own").objectives == ("mmce",)


def test_the_data_decide_the_identity_and_their_place_does_not(root: str, tmp_path: Path) -> None:
    t = make(root, "rbv2_svm")
    folders.svm(tmp_path)
    assert make(str(tmp_path), "rbv2_svm").identity() == t.identity()
    assert pickle.loads(pickle.dumps(t)) == t
    folders.write(tmp_path / "b" / "rbv2_svm", folders.SVM, folders.linear(3, 6, 9, seed=1), folders.SVM_CONDITIONS)
    assert make(str(tmp_path / "b"), "rbv2_svm").identity() != t.identity()
    assert replace(t, axis="repl").identity() != t.identity() != replace(t, axis=None).identity()


def by_hand(task: YahpoTask, config: Config, fidelities: dict[str, float]) -> tuple[list[int], list[float]]:
    """The inputs as yahpo_gym makes them: from the configuration with its instance and fidelities, '#na#' for absent
    categories and 0 for absent numbers, categories by encoding.json."""
    layout = _yahpo.scenario(str(task._folder)).layout
    codes = json.loads((task._folder / "encoding.json").read_text())
    whole: dict[str, Any] = {**config, **fidelities}
    if layout.instance:
        whole[layout.instance] = str(task.instance)
    for name in (*layout.categorical, *layout.continuous):
        if name not in whole:
            whole[name] = "#na#" if name in layout.categorical else 0
    return [codes[n][whole[n]] for n in layout.categorical], [float(whole[n]) for n in layout.continuous]


@pytest.mark.parametrize("scenario", MAKERS)
def test_the_network_gets_what_yahpo_gym_would_give_it(root: str, scenario: str) -> None:
    task = make(root, scenario, axis=None)
    read = _yahpo.scenario(str(task._folder))
    full = {name: high for name, (_, high, _) in read.bounds.items()}
    seen = set()
    for config in drawn(task, 200):
        codes, numbers = read.row(config, task.instance, full)
        assert ([*codes], [*numbers]) == by_hand(task, config, full)
        seen.add((codes.index(0) if 0 in codes else None, tuple(x == 0 for x in numbers)))
    assert len(seen) > 1 or not task.space.conditional, "some configurations have inactive parameters, others less"


def test_values_are_those_of_the_network(root: str) -> None:
    task = make(root, "rbv2_svm", targets=("acc", "logloss", "f1"))
    assert task.objectives == ("acc_error", "logloss", "f1_error")
    a, b, c = (w.astype(float) for w in folders.SVM_WEIGHTS)
    layout = _yahpo.KNOWN["rbv2_svm"]
    for config in drawn(task, 50):
        codes, numbers = by_hand(task, config, {"trainsize": 0.5, "repl": 10})
        y = dict(zip(layout.targets, codes @ a + numbers @ b + c, strict=True))
        outcome = run(task, config, 0.5)
        expected = (1 - y["acc"], y["logloss"], 1 - y["f1"])
        assert outcome.curve[-1].values == pytest.approx(expected, abs=1e-5)
        assert outcome.cost == pytest.approx(max(y["timetrain"], 1e-3), abs=1e-5)


def test_hidden_is_the_value_at_the_highest_fidelity_or_the_test_score(root: str) -> None:
    task = make(root, "rbv2_svm")
    low, high = run(task, stop=0.05), run(task)
    assert low.hidden == high.hidden == {"test": high.curve[-1].values[0], "value": high.curve[-1].values[0]}
    assert low.curve[-1].values != high.curve[-1].values
    assert run(replace(task, axis=None)).curve[-1].values == high.curve[-1].values
    test, ce = (make(root, "lcbench", targets=(f"{part}_cross_entropy",)) for part in ("test", "val"))
    assert run(ce, stop=9).hidden["test"] == run(test, stop=9).curve[-1].values[0]


def test_percentages_become_fractions(root: str) -> None:
    assert 0.1 < run(make(root, "lcbench")).curve[-1].values[0] < 0.25  # 100 % - about 80 %


def test_a_segment_is_charged_its_share_although_the_time_falls(root: str) -> None:
    """The time is 60 s less a second per epoch: the difference of two times is negative."""
    task = make(root, "lcbench")
    assert run(task, stop=10).cost == pytest.approx(50)
    assert run(task, stop=40).cost == pytest.approx(20)
    assert run(task, stop=40, start=10).cost == pytest.approx(20 * 30 / 40)
    assert run(replace(task, axis=None)).cost == pytest.approx(8)


def test_without_a_time_a_full_evaluation_costs_one(root: str) -> None:
    task = make(root, "own")
    assert (run(task).cost, run(task, stop=0.5).cost, run(replace(task, axis=None)).cost) == (1.0, 0.5, 1.0)


def test_nested_conditions_of_the_old_format(root: str) -> None:
    patterns = {
        (c["learner"], c.get("booster"), "eta" in c, "rate_drop" in c, "alpha" in c)
        for c in drawn(make(root, "own"), 300)
    }
    assert patterns == {
        ("ranger", None, False, False, False), ("glmnet", None, False, False, True),
        ("xgboost", "gblinear", False, False, False), ("xgboost", "gbtree", True, False, False),
        ("xgboost", "dart", True, True, False),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scenario": "rbv2_smv"}, r"unknown scenario of .*'rbv2_smv'. Did you mean 'rbv2_svm'"),
        ({"instance": 7}, "unknown instance of rbv2_svm 7"),
        ({"instance": None}, "unknown instance of rbv2_svm None. Known: 1040, 3, 40981"),
        ({"scenario": "../rbv2_svm"}, "unknown scenario of"),
        ({"path": "/nowhere"}, "got /nowhere, which is none; set path or HPTBENCH_YAHPO"),
        ({"targets": "auc"}, r"expected a list of targets, e.g. \[acc\], got 'auc'"),
        ({"targets": ("aucc",)}, "unknown target of rbv2_svm 'aucc'. Did you mean 'auc'"),
        ({"targets": ("auc", "auc")}, "expected each target once"),
        ({"axis": "epoch"}, "unknown fidelity of rbv2_svm 'epoch'. Known: own, repl, trainsize"),
    ],
)
def test_errors(root: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        YahpoTask(**{"scenario": "rbv2_svm", "instance": 3, "path": root, **fields})


@pytest.mark.skipif("HPTBENCH_YAHPO" not in os.environ, reason="HPTBENCH_YAHPO names no folder of yahpo_data")
def test_an_instance_of_a_scenario_that_has_one_only_is_refused() -> None:
    assert YahpoTask("nb301").instance is None
    with pytest.raises(UserError, match="expected no instance of nb301, which has only one, got 3"):
        YahpoTask("nb301", 3)


def test_a_folder_is_needed(monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    monkeypatch.delenv("HPTBENCH_YAHPO", raising=False)
    with pytest.raises(UserError, match="got none; set path or HPTBENCH_YAHPO"):
        YahpoTask("rbv2_svm", 3)
    monkeypatch.setenv("HPTBENCH_YAHPO", root)
    assert YahpoTask("rbv2_svm", 3).path == root


def test_the_library_is_needed(monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    monkeypatch.setattr("hptbench.tasks._extras.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'needs onnxruntime, which is not installed; pip install "hptbench\[yahpo\]"'):
        make(root, "rbv2_svm")


def test_folders_that_are_not_as_they_should_be(tmp_path: Path) -> None:
    def fails(message: str, name: str = "own", instance: object = 1067) -> None:
        with pytest.raises(UserError, match=message):
            run(YahpoTask(name, instance, path=str(tmp_path)))  # type: ignore[arg-type]
        _yahpo.scenario.cache_clear()

    own = folders.multiplexer(tmp_path)
    schema = json.loads((own / "schema.json").read_text())
    (own / "schema.json").write_text(json.dumps({**schema, "cont_names": schema["cont_names"][:-1], "fidelity": []}))
    fails(r"expected 3 numbers \(alpha, eta, rate_drop\), got 4; write a schema.json")
    (own / "schema.json").write_text(json.dumps({**schema, "cat_names": ["task_id", "learner", "boster"]}))
    fails(r"expected all of the model's inputs, got no \['boster'\]")
    (own / "schema.json").write_text(json.dumps({k: v for k, v in schema.items() if k != "y_names"}))
    fails("schema.json: KeyError: 'y_names'")
    (own / "schema.json").unlink()
    fails("expected a scenario of yahpo_gym 1.0.2 or a schema.json")
    (own / "model.onnx").unlink()
    fails("expected the folder of a scenario of yahpo_data, got no model.onnx")
    folders.svm(tmp_path)
    encoding = json.loads((tmp_path / "rbv2_svm" / "encoding.json").read_text())
    del encoding["kernel"]["radial"]
    (tmp_path / "rbv2_svm" / "encoding.json").write_text(json.dumps(encoding))
    fails(r"expected a code for every kernel, got none for \['radial'\]", "rbv2_svm", 3)
    (tmp_path / "rbv2_svm" / "encoding.json").write_text(
        json.dumps({**encoding, "kernel": {"#na#": 0, "linear": 1, "polynomial": 2, "radial": 3}})
    )
    (tmp_path / "rbv2_svm" / "model.onnx").write_bytes(b"no model")
    fails("expected an ONNX model, got", "rbv2_svm", 3)


def test_scores_in_per_cent_must_be_declared(tmp_path: Path) -> None:
    a, b, _ = folders.linear(3, 4, 3)
    weights = a, b, np.array([0.5, 80, 0.5], np.float32)
    folders.write(tmp_path / "own", folders.SUPER, weights, folders.SUPER_CONDITIONS, folders.SUPER_SCHEMA)
    with pytest.raises(UserError, match=r'expected auc as a fraction, got [\d.]+; .*add "percent": \["auc"\]'):
        run(YahpoTask("own", 1067, path=str(tmp_path)))
    schema = {**folders.SUPER_SCHEMA, "percent": ["auc"]}
    folders.write(tmp_path / "b" / "own", folders.SUPER, weights, folders.SUPER_CONDITIONS, schema)
    value = run(YahpoTask("own", 1067, ("auc",), path=str(tmp_path / "b"))).curve[-1].values[0]
    assert value == pytest.approx(0.2, abs=0.01)


def test_a_suite_says_what_an_instance_is(root: str) -> None:
    [t] = suites.family("yahpo", [{"scenario": "lcbench", "instance": 7593}], {"path": root, "axis": None})
    assert t.name == "yahpo-lcbench-7593-full"
    with pytest.raises(UserError, match="field 'axis'"):
        suites.family("yahpo", [{"scenario": "lcbench", "instance": 7593, "axis": 3}], {"path": root})


# with yahpo_data


@with_yahpo_data
@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("scenario", "instance"), [("rbv2_rpart", 1040), ("iaml_glmnet", 1067), ("nb301", None)])
def test_real_scenarios_conform(scenario: str, instance: int | None, check: Callable[[Task], None]) -> None:
    check(YahpoTask(scenario, instance))


@with_yahpo_data
def test_inputs_and_outputs_are_those_of_yahpo_gym() -> None:
    """Recorded from yahpo_gym 1.0.2 with ConfigSpace 0.6.1 and numpy 1.26, which was given the same configurations."""
    for recorded in json.loads((Path(__file__).parent / "yahpo_gym.json").read_text()):
        task = YahpoTask(recorded["scenario"], recorded["instance"], axis=None)
        read = _yahpo.scenario(str(task._folder))
        for row in recorded["rows"]:
            task.space.check(row["config"])
            codes, numbers = read.row(row["config"], task.instance, row["fidelities"])
            assert ([*codes], [*numbers]) == (row["categories"], row["numbers"])
            assert read.predict((codes, numbers)) == pytest.approx(row["targets"], rel=1e-4, abs=1e-5)


@with_yahpo_data
@pytest.mark.parametrize(("scenario", "instance"), [("rbv2_rpart", "1040"), ("iaml_glmnet", "1067"), ("nb301", None)])
def test_random_configurations_are_as_good_as_the_reference_says(scenario: str, instance: str | None) -> None:
    file = Path(str(REAL)) / "random10k_reference.json"
    if not file.is_file():
        pytest.skip(f"no {file.name}")
    [reference] = [v for k, v in json.loads(file.read_text()).items() if k.endswith(scenario)]
    task = YahpoTask(scenario, instance, axis=None)
    read = _yahpo.scenario(str(task._folder))
    full = {name: high for name, (_, high, _) in read.bounds.items()}
    y = np.array([read.predict(read.row(config, task.instance, full)) for config in drawn(task, 1000, seed=1)])
    for target, q in reference[instance or "-"].items():
        values = y[:, read.layout.targets.index(target)]
        for share, quantile in ((0.01, q["q01"]), (0.5, q["median"]), (0.99, q["q99"])):
            spread = 4 * (share * (1 - share) / 1000) ** 0.5
            slack = 1e-5 * (q["max"] - q["min"])
            assert np.mean(values < quantile - slack) <= share + spread
            assert np.mean(values <= quantile + slack) >= share - spread


@with_yahpo_data
@pytest.mark.parametrize("scenario", ["rbv2_rpart", "iaml_glmnet", "nb301"])
def test_the_order_that_is_known_is_that_of_the_schema(scenario: str) -> None:
    schema = json.loads((Path(str(REAL)) / scenario / "schema.json").read_text())
    known = _yahpo.KNOWN[scenario]
    assert ([*known.categorical], [*known.continuous]) == (schema["cat_names"], schema["cont_names"])
    assert ([*known.fidelities], known.instance) == (schema["fidelity"], schema["instance"])
    if scenario != "nb301":  # whose targets are others in the first release
        assert [*known.targets] == schema["y_names"]
