"""Of `ablation=…`: a study in which each setting of a method is changed by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from hptbench.commands.shell import dispatch

QUICK = ["suite=smoke", "budget=tiny", "seeds=2", "executor=serial", "limits.seconds=null", "limits.memory_mb=null"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.slow
def test_an_ablation_changes_one_setting_at_a_time(tmp_path: Path) -> None:
    words = ("+method=hyperband", "ablation={hyperband: {eta: [2, 4], table: [hpbandster]}}", "baselines=[]")
    assert dispatch([*words, *QUICK]) == 0
    runs = pd.read_parquet(tmp_path / "results/smoke/runs.parquet")
    said = runs[runs["method"] != "default"].drop_duplicates("method").set_index("method")["provenance"]
    assert said["hyperband"] == "default"
    assert {m: json.loads(text) for m, text in said.drop("hyperband").items()} == {
        f"hyperband_{name}_{value}": {"changed": {name: value}, "ablation": "hyperband"}
        for name, value in (("eta", 2), ("eta", 4), ("table", "hpbandster"))
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [("{hyperban: {eta: [2]}}", "hyperband"), ("{hyperband: {et: [2]}}", "eta"), ("{hyperband: {eta: 2}}", "a list of"),
     ("{hyperband: {eta: [3]}}", "other values than"), ("{hyperband: {eta: [x]}}", "eta"), ("3", "be like"),
     ("{hyperband: {eta: [4, -4]}}", "both named hyperband_eta_4")],
)  # fmt: skip
def test_an_ablation_that_makes_no_sense(capsys: pytest.CaptureFixture[str], given: str, said: str) -> None:
    assert dispatch(["+method=hyperband", f"ablation={given}", *QUICK]) == 2
    assert said in capsys.readouterr().err


def test_a_variant_does_not_take_the_label_of_another_method(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("+method=hyperband", "+method@method.hyperband_eta_4=hyperband", "ablation={hyperband: {eta: [4]}}")
    assert dispatch([*words, *QUICK]) == 2
    assert "hyperband_eta_4 of ablation is a method of its own already" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "results").exists()
