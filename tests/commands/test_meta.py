"""The commands of meta-learning, from tables and a store in a temporary folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from known_past import made

from hptbench.commands.shell import dispatch
from hptbench.meta.artefact import load
from hptbench.meta.features import VERSION

QUICK = ["suite=smoke", "budget=tiny", "seeds=1", "executor=serial", "limits.seconds=null", "limits.memory_mb=null"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tables(tmp_path: Path) -> list[str]:
    table, described = made()
    table.to_parquet(tmp_path / "table.parquet")
    described.to_parquet(tmp_path / "features.parquet")
    return ["--table", "table.parquet", "--features", "features.parquet"]


def test_train_writes_what_can_be_loaded(tables: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["meta", "train", *tables, "--out", "own.npz"]) == 0
    assert "2 pairs of a learner and a kind of task" in capsys.readouterr().out
    assert len(load(Path("own.npz")).past("knn", "classification")) == 40


def test_train_takes_several_tables(tables: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    whole = pd.read_parquet("table.parquet")
    data = sorted(whole["data"].unique())
    for name, part in (("a", data[:25]), ("b", data[25:])):
        whole[whole["data"].isin(part)].to_parquet(f"{name}.parquet")
    words = ["--features", "features.parquet", "--out"]
    assert dispatch(["meta", "train", *tables, "--out", "one.npz"]) == 0
    assert dispatch(["meta", "train", "--table", "a.parquet", "b.parquet", *words, "several.npz"]) == 0
    assert Path("several.npz").read_bytes() == Path("one.npz").read_bytes()
    capsys.readouterr()
    assert dispatch(["meta", "train", "--table", "a.parquet", "table.parquet", *words, "twice.npz"]) == 2
    assert f"several of data {data[0]}, learner" in capsys.readouterr().err
    assert not Path("twice.npz").exists()


@pytest.mark.slow
def test_evaluate_writes_a_page_and_its_rows(tables: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["meta", "evaluate", *tables, "--without", "gain", "forest"]) == 0
    assert "holds: the first recommendation is better than the default" in capsys.readouterr().out
    text = Path("results/meta/proof.md").read_text(encoding="utf-8")
    assert "python -m hptbench meta evaluate --table table.parquet" in text
    assert "| without landmarkers |" in text
    rows = pd.read_parquet("results/meta/proof.parquet")
    assert "auto" in set(rows["recommender"])
    assert not {"gain", "forest"} & set(rows["recommender"])


def test_features_of_a_store(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        X = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
        X.assign(target=np.where(X["a"] > 0, "p", "q")).to_parquet(tmp_path / f"{name}.parquet")
    index = pd.DataFrame({"name": ["one", "two"], "task_type": "classification", "family": ["same", ""]})
    index.to_csv(tmp_path / "index.csv", index=False)
    assert dispatch(["meta", "features", "--store", str(tmp_path), "--out", "f.parquet"]) == 0
    found = pd.read_parquet("f.parquet")
    assert found["family"].tolist() == ["same", "two"]
    assert set(found["version"]) == {VERSION}
    assert np.exp(found["log_rows"]).round().tolist() == [45, 45]  # a quarter tests
    assert dispatch(["meta", "features", "--store", str(tmp_path), "--data", "thre"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["meta", "trian"], "Did you mean 'train'"),
        (["meta", "train", "--table", "none.parquet"], "found no none.parquet"),
        (["+method=random", "meta=yes", *QUICK], "unknown meta 'yes'"),
        (["+method=random", "meta=auto", "suite=synthetic", *QUICK[1:]], "meta=auto is for tasks that tune a learner"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(words) == 2
    assert message in capsys.readouterr().err


def test_methods_begin_with_recommendations(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["suite.instances=[{data: iris, learner: knn}]", "plot=false", *QUICK[1:], "study=s"]
    assert dispatch(["+method=sobol", "meta=auto", *words]) == 0
    jobs = pd.read_parquet("results/s/jobs.parquet")
    started = jobs[jobs["method"] == "sobol"]["note"].str.contains("start")
    assert started.any()
    assert not jobs[jobs["method"] == "random"]["note"].str.contains("start").any()
    assert dispatch(["+method=sobol", *words]) == 0
    assert len(pd.read_parquet("results/s/runs.parquet").query("method == 'sobol'")) == 2  # another run


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ablr", "rgpe", "quantile_transfer", "bounding_box"])
def test_transfer_methods_learn_from_the_advice(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["suite=surrogate", "suite.instances=[{data: vehicle, learner: knn}]", "plot=false", *QUICK[1:], "study=s"]
    assert dispatch([f"+method={name}", "meta=auto", *words]) == 0
    assert name in pd.read_parquet("results/s/runs.parquet")["method"].tolist()
    assert dispatch([f"+method={name}", *words]) != 0
    assert "learns from past tasks, and was told of none" in capsys.readouterr().err
