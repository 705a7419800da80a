"""Evaluations made elsewhere, in small files of the official layouts, and what can be done with them here."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptbench.commands.shell import OK, USAGE, dispatch
from hptbench.meta.artefact import load
from hptbench.meta.features import VERSION
from hptbench.protocol import Job, Proposal
from hptbench.rng import entropy
from hptbench.tasks.evaluated import EvaluatedTask
from hptbench.testing import TASK_CHECKS

SETTINGS: list[dict[str, Any]] = [
    *({"algorithm": "KNN", "hyperparameters": {"n_neighbors": k, "p": p}} for k in (1, 5, 15) for p in (1, 2)),
    *({"algorithm": "DT", "hyperparameters": {"min_samples_split": m}} for m in (2, 64, 128, 0.01)),
    {"algorithm": "Logit", "hyperparameters": {"C": 1, "solver": "liblinear", "penalty": "l2"}},
    {"algorithm": "Logit", "hyperparameters": {"C": 1, "solver": "saga", "penalty": "l2"}},
    *({"algorithm": "GBT", "hyperparameters": {"learning_rate": r, "max_depth": 3, "max_features": f}}
      for r in (0.01, 0.1) for f in (None, "log2")),
    {"algorithm": "GNB", "hyperparameters": {}},
]  # fmt: skip
DATA = 21


def written(path: Path, lines: list[list[Any]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return path


def error_of(data: int, setting: int) -> float:
    return 0.1 + (0.01 * data + 0.037 * setting) % 0.3


@pytest.fixture(scope="module")
def oboe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The matrix that came of ``import``: 21 data sets, one of whose cells is empty."""
    folder = tmp_path_factory.mktemp("oboe")
    head = ["", *map(str, SETTINGS)]
    errors = [[f"{d:05}", *(error_of(d, s) for s in range(len(SETTINGS)))] for d in range(3, 3 + DATA)]
    errors[4][3] = ""
    written(folder / "error_matrix.csv", [head, *errors])
    written(folder / "runtime_matrix.csv", [head, *([row[0], *range(len(SETTINGS))] for row in errors)])
    written(folder / "index.csv", [["name", "openml_id"], ["kr_vs_kp", "3"], ["letter", "6"], ["other", ""]])
    words = ["--from", "oboe", "--names", str(folder / "index.csv"), "--out", str(folder / "oboe.parquet")]
    assert dispatch(["import", str(folder / "error_matrix.csv"), *words]) == OK
    return folder / "oboe.parquet"


def test_oboes_matrix_is_told_as_ours_where_it_can_be(oboe: Path) -> None:
    table = pd.read_parquet(oboe)
    assert len(table) == DATA * len(SETTINGS) - 1
    counts = table.groupby("learner", observed=True)["configuration"].nunique().to_dict()
    assert counts == {"knn": 6, "decision_tree": 2, "DT": 2, "Logit": 1, "logistic": 1, "GBT": 4, "GNB": 1}
    assert {"kr_vs_kp", "letter", "00004"} <= set(table["data"])
    assert not {"00003", "3"} & set(table["data"])
    one = table[(table["data"] == "letter") & (table["learner"] == "knn") & (table["configuration"] == 0)].iloc[0]
    assert json.loads(one["config"]) == {"n_neighbors": 5, "weights": "uniform", "p": 2}
    assert one["validation_balanced_error"] == pytest.approx(error_of(6, 3))
    assert one["cost"] == 3
    assert table["test_balanced_error"].isna().all()
    card = oboe.with_suffix(".md").read_text()
    assert "no error in the matrix: 1" in card
    assert "| knn | 6 | 21 | 20 | evaluated, meta train |" in card
    assert "| GNB | 1 | 21 | 21 | none |" in card
    assert "| logistic | 1 | 21 | 21 | none |" in card


def test_an_imported_table_trains_a_recommender(oboe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = sorted(set(pd.read_parquet(oboe)["data"].astype(str)))
    described = pd.DataFrame({
        "data": names, "family": names, "kind": "classification", "version": VERSION,
        "log_rows": np.arange(len(names)) / 7, "log_columns": np.arange(len(names)) % 5 / 2,
    })  # fmt: skip
    described.to_parquet(tmp_path / "features.parquet")
    words = ["--table", str(oboe), "--features", str(tmp_path / "features.parquet"), "--out", str(tmp_path / "r.npz")]
    assert dispatch(["meta", "train", *words]) == OK
    said = capsys.readouterr().err
    assert "GBT: left out" in said
    assert "knn" not in said
    past = load(tmp_path / "r.npz").past("knn", "classification")
    assert past.metric == "balanced_error"
    assert (past.test == past.validation).all()
    assert past.configs[0] == past.space.default()


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
def test_a_foreign_learner_is_a_task_with_an_inferred_space(oboe: Path, check: Any) -> None:
    check(EvaluatedTask(str(oboe), "letter", "GBT"))


def test_a_foreign_learner_is_worth_what_was_measured(oboe: Path) -> None:
    task = EvaluatedTask(str(oboe), "letter", "GBT")
    assert set(task.space.names) == {"learning_rate", "max_depth", "max_features"}
    config = {"learning_rate": 0.1, "max_depth": 3, "max_features": "log2"}
    [outcome] = task.evaluate([Job(0, 0, Proposal(config), 0.0, 1.0, entropy("t"))])
    place = SETTINGS.index({"algorithm": "GBT", "hyperparameters": config})
    assert outcome.curve[-1].values[0] == pytest.approx(error_of(6, place))
    assert np.isnan(outcome.hidden["test"])
    assert outcome.cost == place


ARFF = """@RELATION auto-sklearn_ALGORITHM_RUNS

@ATTRIBUTE instance_id STRING
@ATTRIBUTE repetition NUMERIC
@ATTRIBUTE algorithm STRING
@ATTRIBUTE {measure} NUMERIC
@ATTRIBUTE runstatus {{ok, timeout, memout, not_applicable, crash, other}}

@DATA
2120,1.0,1,0.1,ok
2120,1.0,1,0.3,ok
2120,1.0,2,0.4,ok
75193,1.0,2,0.05,ok
75193,1.0,1,1.0,timeout
75193,1.0,7,0.2,ok
%
%
"""
CONFIGURATIONS = """idx,balancing:strategy,classifier:__choice__,classifier:k_nearest_neighbors:n_neighbors,\
classifier:random_forest:bootstrap,classifier:random_forest:max_depth
1,none,k_nearest_neighbors,3,,
2,weighting,random_forest,,True,None
3,weighting,random_forest,,False,12
"""


def scenario(folder: Path, measure: str = "balanced_accuracy", maximize: str = "false") -> Path:
    folder.mkdir()
    (folder / "algorithm_runs.arff").write_text(ARFF.format(measure=measure))
    (folder / "configurations.csv").write_text(CONFIGURATIONS)
    (folder / "feature_values.arff").write_text("")
    text = f"features_cutoff_time: 3600\nperformance_measures: {measure}\nmaximize: {maximize}\n"
    (folder / "description.txt").write_text(text)
    return folder


def test_auto_sklearns_meta_data_are_whole_pipelines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.parquet"
    assert dispatch(["import", str(scenario(tmp_path / "s")), "--from", "aslib", "--out", str(out)]) == OK
    said = capsys.readouterr().out
    assert "configurations.csv lacks: 1" in said
    assert "meta-features" in said
    table = pd.read_parquet(out).set_index(["data", "configuration"])
    losses = table["validation_balanced_error"].astype(object)
    assert losses.where(losses.notna(), None).to_dict() == {
        ("2120", 1): pytest.approx(0.2), ("2120", 2): pytest.approx(0.4),
        ("75193", 1): None, ("75193", 2): pytest.approx(0.05),
    }  # fmt: skip
    assert table["status"].tolist() == ["ok", "ok", "failed", "ok"]
    task = EvaluatedTask(str(out), "2120", "auto-sklearn")
    config = {"balancing:strategy": "none", "classifier:__choice__": "k_nearest_neighbors",
              "classifier:k_nearest_neighbors:n_neighbors": 3}  # fmt: skip
    task.space.check(config)
    [outcome] = task.evaluate([Job(0, 0, Proposal(config), 0.0, 1.0, entropy("t"))])
    assert outcome.curve[-1].values[0] == pytest.approx(0.2)
    assert outcome.cost == 1


@pytest.mark.parametrize(
    ("measure", "maximize", "column", "value"),
    [
        ("accuracy", "true", "validation_error", 0.6),
        ("mean_squared_error", "false", "validation_rmse", 0.4**0.5),
        ("roc_auc", "false", "validation_auc_error", 0.4),
    ],
)
def test_measures_of_auto_sklearn_become_losses(
    tmp_path: Path, measure: str, maximize: str, column: str, value: float
) -> None:
    folder, out = scenario(tmp_path / "s", measure, maximize), tmp_path / "a.parquet"
    assert dispatch(["import", str(folder), "--from", "aslib", "--out", str(out)]) == OK
    assert pd.read_parquet(out).set_index(["data", "configuration"])[column]["2120", 2] == pytest.approx(value)


OWN = """dataset;algo;acc;holdout;rows;time;run;c;pen;ratio;note
a;logistic;0.9;0.8;1;3;0;1;l2;;x
a;logistic;0.7;0.6;1;5;1;1;l2;;x
a;logistic;0.5;0.4;0.5;1;0;1;l2;;x
a;logistic;;;1;9;0;10.0;elasticnet;0.25;x
b;logistic;0.75;0.7;1;3;0;99999;l1;;x
""".replace(";", ",")
COLUMNS = ["data=dataset", "learner=algo", "validation=acc", "test=holdout", "fidelity=rows", "seconds=time",
           "seed=run", "config.C=c", "config.penalty=pen", "config.l1_ratio=ratio"]  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_users_own_table_has_columns_of_any_name(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / f"mine.{suffix}", tmp_path / "out.parquet"
    (tmp_path / "mine.csv").write_text(OWN)
    if suffix == "parquet":
        pd.read_csv(tmp_path / "mine.csv").to_parquet(file)
    words = ["--from", "evaluations", "--metric", "accuracy", "--out", str(out), "--columns", *COLUMNS]
    assert dispatch(["import", str(file), *words]) == OK
    said = capsys.readouterr().out
    assert "column note: 5" in said
    assert "4 of 5 evaluations (repetitions are averaged)" in said
    table = pd.read_parquet(out).set_index(["data", "learner", "configuration", "fidelity"])
    assert len(table) == 4  # two seeds are one
    default = table.loc["a", "logistic", 0, 1.0]
    assert (default["validation_error"], default["test_error"], default["cost"]) == pytest.approx((0.2, 0.3, 4.0))
    assert table.loc["a", "logistic", 0, 0.5]["validation_error"] == 0.5
    failed = table.loc["a", "logistic", 1, 1.0]
    assert failed["status"] == "failed"
    assert json.loads(failed["config"]) == {"penalty": "elasticnet", "C": 10.0, "l1_ratio": 0.25}
    outside = table.loc["b", "external_logistic", 1, 1.0]  # C is too large for our space
    assert json.loads(outside["config"]) == {"C": 99999, "penalty": "l1"}


def test_configurations_may_be_json(tmp_path: Path) -> None:
    lines = [["data", "learner", "config", "validation"], ["a", "tool", '{"x": 1, "y": "u"}', 2],
             ["a", "tool", '{"x": 4, "y": "v"}', 3]]  # fmt: skip
    words = ["--from", "evaluations", "--metric", "rmse", "--out", str(tmp_path / "t.parquet")]
    assert dispatch(["import", str(written(tmp_path / "m.csv", lines)), *words]) == OK
    assert EvaluatedTask(str(tmp_path / "t.parquet"), "a", "tool").optimum == 2


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (OWN, [], "--metric"),
        (OWN, ["--metric", "accurcy"], "Did you mean 'accuracy'"),
        (OWN, ["--metric", "accuracy"], "got none for data, learner, validation"),
        (OWN, ["--metric", "accuracy", "--columns", "data=nix"], "unknown column"),
        (OWN, ["--metric", "accuracy", "--columns", "dat=dataset"], "unknown role"),
        ("data,learner,validation\na,b,1\n", ["--metric", "error"], "config"),
        ("data,learner,validation,config\na,b,x,{}\n", ["--metric", "error"], "row 1: expected validation"),
        ("data,learner,validation,config\na,b,1,[\n", ["--metric", "error"], "row 1: expected config to be JSON"),
        ("data,learner,validation,config\n,b,1,{}\n", ["--metric", "error"], "row 1: expected a data set"),
        ("data,learner,validation,config\na,neural_x,1,{}\n", ["--metric", "error"], "neural_"),
        ("data,learner,validation,config\n", ["--metric", "error"], "at least one evaluation"),
        (
            "data,learner,validation,config,seed\na,b,1,{},0\na,b,1,{},0\n",
            ["--metric", "error"],
            "row 2: expected each",
        ),
        ("data,learner,validation,config,fidelity\na,b,1,{},0\n", ["--metric", "error"], "fidelity above 0"),
        ("", ["--metric", "error"], "got an empty file"),
        ("data,learner,validation,config\nb,a,t,0.1,{}\nb,a,t,0.2,{}\n", ["--metric", "error"], "line 2: expected 4"),
        ('data,learner,validation,config\na,t,0.1,{"x": 1, "y": 2}\n', ["--metric", "error"], "in quotes"),
        ("data,learner,validation,config\na,t,0.1,{}\na,t\n", ["--metric", "error"], "line 3: expected 4 entries"),
        ("data,learner,validation,config,data\na,t,0.1,{},b\n", ["--metric", "error"], "got 'data' again"),
        (OWN, ["--metric", "accuracy", "--columns", "data=dataset", "data=note"], "one column for data"),
        ("data,learner,validation,config\na,b,87.2,{}\n", ["--metric", "accuracy"], "got -86.2 (87.2, read as score)"),
        ("data,learner,validation,config\na,b,12.8,{}\n", ["--metric", "error"], "b on a: expected error from 0 to 1"),
        ("data,learner,validation,config\na,b,-3,{}\n", ["--metric", "rmse"], "expected rmse from 0"),
        ("data,learner,validation,config\na,b,3,{}\n", ["--metric", "neg_rmse"], "got -3 (3, read as negated)"),
        ("data,learner,validation,config\na,b,1e50,{}\n", ["--metric", "rmse"], "nothing where it failed"),
        ("data,learner,validation,test,config\na,b,0.1,9,{}\n", ["--metric", "error"], "got 9"),
        ("data,learner,validation,config,seconds\na,b,1,{},-5\n", ["--metric", "error"], "times of 0 seconds at least"),
    ],
)
def test_what_cannot_be_understood_is_told_in_a_sentence(
    tmp_path: Path, text: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.csv").write_text(text)
    out = tmp_path / "t.parquet"
    assert dispatch(["import", str(tmp_path / "m.csv"), "--from", "evaluations", "--out", str(out), *words]) == USAGE
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("oboe", ",KNN\n3,0.1\n", "{'algorithm': …"),
        ("oboe", "\n", "a column for each model setting"),
        ("oboe", ",\"{'algorithm': 'A', 'hyperparameters': {}}\"\n3\n", "line 2: expected 2 entries"),
        ("oboe", ",\"{'algorithm': 'A', 'hyperparameters': {}}\"\n3,x\n", "data set 3: expected an error"),
        ("aslib", "", "expected a folder"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, kind: str, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f.csv").write_text(text)
    assert dispatch(["import", str(tmp_path / "f.csv"), "--from", kind, "--out", str(tmp_path / "t.parquet")]) == USAGE
    assert message in capsys.readouterr().err


def test_a_folder_of_aslib_has_to_be_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for change, message in (
        (lambda folder: (folder / "description.txt").write_text("scenario_id: x\n"), "expected maximize"),
        (lambda folder: (folder / "configurations.csv").unlink(), "found no"),
        (lambda folder: (folder / "configurations.csv").write_text("idx,x\n1,2\n1,3\n"), "each idx once"),
        (lambda folder: (folder / "configurations.csv").write_text("idx,x,x\n1,2,3\n"), "got x again"),
        (lambda folder: (folder / "algorithm_runs.arff").write_text("@RELATION x\n@DATA\n1"), "as ARFF"),
    ):
        folder = scenario(tmp_path / message.replace(" ", "_"))
        change(folder)
        assert dispatch(["import", str(folder), "--from", "aslib", "--out", str(tmp_path / "t.parquet")]) == USAGE
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(("maximize", "metric"), [("false", "accuracy"), ("false", "neg_error"), ("true", "error")])
def test_a_measure_of_aslib_keeps_its_direction(
    tmp_path: Path, maximize: str, metric: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = scenario(tmp_path / "s", "mine", maximize)
    words = ["--from", "aslib", "--metric", metric, "--out", str(tmp_path / "t.parquet")]
    assert dispatch(["import", str(folder), *words]) == USAGE
    assert f"maximize: {maximize} is not that of --metric {metric}" in capsys.readouterr().err


def test_two_data_sets_are_never_named_alike(oboe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = written(oboe.parent / "alike.csv", [["name", "openml_id"], ["x", "3"], ["x", "6"]])
    words = ["--from", "oboe", "--names", str(index), "--out", str(oboe.parent / "alike.parquet")]
    assert dispatch(["import", str(oboe.parent / "error_matrix.csv"), *words]) == USAGE
    assert "got x for both 00003 and 00006" in capsys.readouterr().err


def test_how_many_data_sets_are_named_is_told(oboe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--from", "oboe", "--names", str(oboe.parent / "index.csv"), "--out", str(oboe.parent / "told.parquet")]
    assert dispatch(["import", str(oboe.parent / "error_matrix.csv"), *words]) == OK
    assert "2 data sets are named by" in (said := capsys.readouterr().out)
    assert f"{DATA - 2} keep their names" in said


def test_why_nothing_is_left_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = scenario(tmp_path / "s")
    (folder / "configurations.csv").write_text("idx,x\n9,1\n")
    assert dispatch(["import", str(folder), "--from", "aslib", "--out", str(tmp_path / "t.parquet")]) == USAGE
    assert "configurations.csv lacks: 6" in capsys.readouterr().err


def test_a_table_cannot_be_in_a_file(oboe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--from", "oboe", "--out", str(oboe / "t.parquet")]
    assert dispatch(["import", str(oboe.parent / "error_matrix.csv"), *words]) == USAGE
    assert "is a file; name another" in capsys.readouterr().err


def test_nothing_is_overwritten(oboe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["import", str(oboe.parent / "error_matrix.csv"), "--from", "oboe", "--out", str(oboe)]
    assert dispatch(words) == USAGE
    assert "to be new" in capsys.readouterr().err
