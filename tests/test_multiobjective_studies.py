"""Studies over tasks of several objectives, from the command to what is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pandas as pd
import pytest

from hptbench.commands.shell import dispatch

QUICK = ["seeds=2", "executor=serial", "limits.seconds=null", "limits.memory_mb=null", "budget.max_full_evals=14"]
FUNCTIONS = "[{function: zdt1, dimensions: 3}, {function: dtlz2, dimensions: 4, n_objectives: 3}]"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def lines(side: dict[str, Any], task: str) -> dict[str, Any]:
    """Method -> its line in the task's panel of a side-car."""
    [panel] = [panel for panel in side["panels"] if panel["task"] == task]
    return {mark["series"]: mark for mark in panel["marks"] if mark["series"] and not mark["faint"]}


@pytest.mark.slow
def test_methods_for_several_objectives_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["+method=[nsga2,parego,ehvi]", "suite=multiobjective", f"suite.instances={FUNCTIONS}", *QUICK]
    assert dispatch(argv) == 0
    out = capsys.readouterr().out
    for words in (
        "zdt1-3 hypervolume regret", "changes are those of the test hypervolume regret",
        "zdt1-3: f1, f2; regret against the true front, reference point (1.1, 11)", "attainment.png",
        "measure: normalised test hypervolume regret (default configuration = 1)", "Mean ranks", "p Holm",
    ):  # fmt: skip
        assert words in out
    study = tmp_path / "results" / "multiobjective"
    jobs = pd.read_parquet(study / "jobs.parquet")
    mine = jobs[(jobs["task"] == "zdt1-3") & (jobs["method"] == "ehvi")]
    want = [
        1 - moocore.hypervolume(np.stack(list(run["values"])), ref=(1.1, 11)) / (1.1 * 11 - 1 / 3)
        for _, run in mine.groupby("seed")
    ]
    side = json.loads((study / "anytime.json").read_text())
    assert lines(side, "zdt1-3")["ehvi"]["y"][-1] == pytest.approx(np.mean(want), rel=1e-4)
    assert "share of the reference front's hypervolume" in side["caption"]
    assert side["references"]["dtlz2-4-3"]["reference_point"] == pytest.approx([1.65] * 3)
    attained = json.loads((study / "attainment.json").read_text())
    assert [panel["task"] for panel in attained["panels"]] == ["zdt1-3"], "three objectives have no attainment figure"
    assert lines(attained, "zdt1-3").keys() == {"default", "ehvi", "nsga2", "parego", "random"}
    assert attained["references"].keys() == {"zdt1-3"}
    assert dispatch(["publish", "results/multiobjective", "--at", "5"]) == 2
    assert "expected tasks of one objective" in capsys.readouterr().err


@pytest.mark.slow
def test_metrics_of_a_data_set_are_objectives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    instances = "[{data: iris, learner: logistic, metric: [accuracy, log_loss]}]"
    assert dispatch(["+method=parego", "suite=smoke", f"suite.instances={instances}", *QUICK]) == 0
    out = capsys.readouterr().out
    assert "iris-logistic hypervolume regret" in out
    assert "regret against all fronts of this study together" in out
    side = json.loads((tmp_path / "results/smoke/anytime.json").read_text())
    of_test = side["references"]["iris-logistic"]["reference_point"]
    assert dispatch(["compare", "results/smoke", "--measure", "validation"]) == 0
    assert "normalised validation hypervolume regret" in capsys.readouterr().out
    side = json.loads((tmp_path / "results/smoke/anytime.json").read_text())
    assert side["references"]["iris-logistic"]["reference_point"] != of_test
    finals = [lines(side, "iris-logistic")[method]["y"][-1] for method in ("parego", "random")]
    assert all(0 <= regret < 1 for regret in finals)


def test_a_method_for_one_objective_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["+method=gp", "suite=multiobjective", f"suite.instances={FUNCTIONS}", *QUICK]) == 2
    assert "gp takes 1 to 1 objective(s), but zdt1-3 has 2: f1, f2" in capsys.readouterr().err
    four = "[{function: dtlz2, dimensions: 5, n_objectives: 4}]"
    assert dispatch(["+method=ehvi", "suite=multiobjective", f"suite.instances={four}", *QUICK]) == 2
    assert "ehvi takes 2 to 3 objective(s)" in capsys.readouterr().err
