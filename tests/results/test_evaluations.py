from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hptbench.commands.shell import dispatch
from hptbench.errors import UserError
from hptbench.executors.serial import Serial
from hptbench.methods.design import Design
from hptbench.protocol import Budget, Clock
from hptbench.results import evaluations
from hptbench.results.collect import collect
from hptbench.results.schema import EVALUATIONS
from hptbench.run import Plan
from hptbench.tasks.dataset import DatasetTask
from hptbench.workers import Limits


def study(folder: Path, limits: Limits = Limits()) -> None:  # noqa: B008
    fields = {"axis": "rows", "low": 0.2}
    tasks = [
        DatasetTask("wine", "knn", **fields),  # type: ignore[arg-type]
        DatasetTask("diabetes", "decision_tree", **fields),  # type: ignore[arg-type]
        DatasetTask("wine", "svm", **fields),  # type: ignore[arg-type]
    ]
    design = Design(configs=3, levels=(1 / 3, 1.0))
    plans = [Plan(t, "design", design, 0, Budget(max_jobs=6), 1, Clock.UNITS, limits, folder) for t in tasks]
    assert Serial().run(plans, Silent()) == []


class Silent:
    def begun(self, plan: Plan, jobs: int, full_evals: float) -> None:
        pass

    def ended(self, plan: Plan) -> None:
        pass


def test_a_row_per_evaluation_with_all_metrics(tmp_path: Path) -> None:
    study(tmp_path / "tiny", Limits(seconds=60))
    found = collect(tmp_path / "tiny")
    path, table = evaluations.write(found, tmp_path / "out", {"wine": "CC BY 4.0"}, "the command")
    assert path == tmp_path / "out" / "tiny.parquet"
    again = pd.read_parquet(path)
    pd.testing.assert_frame_equal(again, table)
    assert list(table)[: len(EVALUATIONS)] == [c.name for c in EVALUATIONS]
    assert list(table["data"]) == ["diabetes"] * 6 + ["wine"] * 12
    assert list(table["configuration"][:6]) == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(table["fidelity"][:6], [1 / 3, 1] * 3, rtol=1e-6)
    assert json.loads(table["config"][0]) == dict(DatasetTask("diabetes", "decision_tree").space.default())
    jobs = found.jobs
    [one] = jobs[(jobs["task"] == "wine-knn-rows") & (jobs["job"] == 0)].to_dict("records")
    [same] = table[(table["learner"] == "knn") & (table["configuration"] == 0)][:1].to_dict("records")
    hidden = json.loads(one["hidden"])
    for name in ("validation_log_loss", "test_auc_error"):
        assert same[name] == pytest.approx(hidden[name], rel=1e-6)
    assert same["validation_log_loss"] == pytest.approx(one["value"], rel=1e-6)
    assert table["validation_rmse"].notna().sum() == 6
    assert table["test_log_loss"].notna().sum() == 6, "a support vector machine has no probabilities"
    assert table["test_f1_error"].notna().sum() == 12
    assert (table["cpu"] > 0).all()
    assert table["memory"].between(50, 5000).all()
    card = path.with_suffix(".md").read_text()
    for words in (
        "18 evaluations of 9 configurations of 3 learners on 2 data sets, at 0.333, 1 of the fidelity",
        "the command",
        "| wine | CC BY 4.0 | 2 | 12 | 0 |",
        "| diabetes | none stated | 1 | 6 | 0 |",
        'axis "rows"',
    ):
        assert words in card, words


def test_a_name_stands_for_one_evaluation(tmp_path: Path) -> None:
    study(tmp_path / "tiny")
    found = collect(tmp_path / "tiny")
    twice = replace(found, jobs=pd.concat([found.jobs, found.jobs], ignore_index=True))
    with pytest.raises(UserError, match="got several of data diabetes, learner decision_tree, configuration 0"):
        evaluations.evaluations(twice)


def test_failures_are_rows_and_counted(tmp_path: Path) -> None:
    study(tmp_path / "tiny", Limits(memory_mb=1))
    path, table = evaluations.write(collect(tmp_path / "tiny"), tmp_path, {}, "")
    failed = table[table["status"] == "memory"]
    assert len(failed) > 0
    assert failed.filter(regex="^(validation|test)_").isna().all(axis=None)
    assert f"**Failed**: {len(failed)} of {len(table)} (memory {len(failed)})" in path.with_suffix(".md").read_text()


def test_licences_are_the_indexs(tmp_path: Path) -> None:
    index = tmp_path / "index.csv"
    index.write_text("name,task_type,licence\na,regression,CC0\nb,regression,\n")
    assert evaluations.licences(index) == {"a": "CC0", "b": ""}
    index.write_text("name,task_type\na,regression\n")
    assert evaluations.licences(index) == {}
    with pytest.raises(UserError, match="index of a data store"):
        evaluations.licences(tmp_path / "none.csv")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "store"
    folder.mkdir()
    draw = np.random.default_rng(0)
    x = draw.normal(size=60)
    pd.DataFrame({"x": x, "target": x > 0}).to_parquet(folder / "a.parquet")
    pd.DataFrame({"x": x, "target": x + draw.normal(size=60)}).to_parquet(folder / "b.parquet")
    (folder / "index.csv").write_text("name,task_type,licence\na,classification,CC0\nb,regression,MIT\n")
    return str(folder)


COLLECT = (
    "collect-evaluations", "suite.learner={classification: [knn, logistic], regression: [elastic_net]}",
    "method.design.levels=[0.5,1]", "executor=serial", "limits.seconds=null", "limits.memory_mb=null",
)  # fmt: skip


@pytest.mark.slow
def test_from_the_command_to_the_table(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [*COLLECT, f"suite.path={store}"]
    assert dispatch([*argv, "method.design.configs=2"]) == 0
    assert "12 evaluations, 0 of them failed: 3 learners on 2 data sets" in capsys.readouterr().out
    file = tmp_path / "results" / "evaluations" / "tabular.parquet"
    first = pd.read_parquet(file)
    assert dispatch([*argv, "method.design.configs=2", "suite.data=[a]"]) == 0
    assert set(pd.read_parquet(file)["data"]) == {"a"}, "the table is what was asked for"
    assert dispatch(["collect-evaluations", "--table", "results/tabular", "--store", store]) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(file), first)
    card = file.with_suffix(".md").read_text()
    assert "python -m hptbench collect-evaluations --table results/tabular" in card
    assert "| b | MIT | 1 | 4 | 0 |" in card


@pytest.mark.slow
def test_learning_curves_of_networks(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="the extra neural is not installed")
    from hptbench.tasks.neural.mlp import NeuralMLP

    monkeypatch.setattr(NeuralMLP, "tile", 4)  # quickly checked
    command = ("collect-evaluations", "+experiment=curves", f"suite.path={store}", "suite.high=3", "executor=serial")
    wild = "space.neural_mlp.learning_rate.upper=1e30"
    assert dispatch([*command, "method.design.configs=5", wild]) == 0
    assert "of them failed: 1 learners on 2 data sets" in capsys.readouterr().out
    file = tmp_path / "results" / "evaluations" / "curves.parquet"
    table = pd.read_parquet(file)
    assert set(table["learner"]) == {"neural_mlp"}
    ends = table.groupby(["data", "configuration"], observed=True)
    assert (ends["fidelity"].max() == ends.size()).all(), "every epoch"
    diverged = table["status"] == "nan"
    assert diverged.any()
    last = table.drop_duplicates(["data", "configuration"], keep="last")
    assert set(table.index[diverged]) <= set(last.index), "it ends where it diverged"
    assert table.loc[diverged].filter(regex="^validation_").isna().all(axis=None)
    assert set(last["fidelity"][last["status"] == "ok"]) == {3}
    found = collect(tmp_path / "results" / "curves")
    costs = [*zip(found.jobs["task"].str[0], found.jobs["config"], found.jobs["cost"], strict=True)]
    assert sorted(zip(last["data"], last["config"], last["cost"], strict=True)) == [
        (data, config, pytest.approx(cost, rel=1e-6)) for data, config, cost in sorted(costs)
    ]
    fine = table[table["status"] == "ok"]
    assert fine.loc[fine["data"] == "a", ["training_error", "validation_log_loss", "test_error"]].notna().all(axis=None)
    assert fine.loc[fine["data"] == "b", ["training_rmse", "validation_mae", "test_rmse"]].notna().all(axis=None)
    assert (ends["cost"].diff().dropna() > 0).all()
    card = file.with_suffix(".md").read_text()
    for words in ("at 1, 2, 3 of the fidelity (epoch)", "`training_…`", "a row is an epoch", "seed 0", "high 3"):
        assert words in card, words
    assert "is processor time" not in card, "none was measured"
    slow = replace(found, jobs=found.jobs.assign(cost=3600.0))
    again = evaluations.card(slow, evaluations.evaluations(slow), {}, "")
    assert f"| neural_mlp | 5 | 2 | {len(table)} | {diverged.sum()} | 10.00 |" in again, "ten trainings of an hour"
    later = replace(found, jobs=found.jobs.assign(start=1.0))
    with pytest.raises(UserError, match=r"in one segment each, got one that went on after epoch 1; set method.design"):
        evaluations.evaluations(later)


def test_only_measures_of_epochs_are_split_and_only_validation_says_what_diverged() -> None:
    assert evaluations._rows({"a@b": 1.0, "share@3": 2.0, "test": 3.0}, True) == [
        {"a@b": 1.0, "share@3": 2.0, "test": 3.0}
    ]
    curve = {"validation_error@10": 0.1, "test_error@10": math.nan, "validation_error@9": math.nan, "test": 1.0}
    rows = evaluations._rows(curve, True)
    assert rows == [{"epoch": 9.0, "validation_error": math.nan}, {"epoch": 10.0} | rows[1]]
    assert [evaluations._diverged(row) for row in rows] == [True, False]


def test_help_and_mistakes(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        dispatch(["collect-evaluations", "--help"])
    assert end.value.code == 0
    assert "method.design.configs" in capsys.readouterr().out
    for argv, message in (
        (["--table", "nowhere"], "expected the folder of a study"),
        (["suite.path=nowhere"], "nowhere"),
        (["--out", "x"], "--out needs --table"),
        ([f"suite.path={store}", "method.design.configs=0"], "design.configs >= 1"),
        ([f"suite.path={store}", "suite.learner={classification: knm}"], "Did you mean 'knn'"),
    ):
        assert dispatch(["collect-evaluations", *argv]) == 2
        assert message in capsys.readouterr().err
