"""What the cells of a table of evaluations made elsewhere become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptbench.commands.shell import OK, USAGE, dispatch
from hptbench.errors import UserError
from hptbench.protocol import Job, Proposal
from hptbench.rng import entropy
from hptbench.tasks.evaluated import EvaluatedTask


def imported(path: Path, content: str | pd.DataFrame, metric: str = "error") -> pd.DataFrame:
    """The table that comes of a user's own, CSV or parquet."""
    file, out = path / ("m.csv" if isinstance(content, str) else "m.parquet"), path / "t.parquet"
    if isinstance(content, str):
        file.write_text(content)
    else:
        content.to_parquet(file)
    assert dispatch(["import", str(file), "--from", "evaluations", "--metric", metric, "--out", str(out)]) == OK
    return pd.read_parquet(out)


def configs_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [json.loads(text) for text in table.sort_values("configuration")["config"].astype(str)]


def test_a_whole_number_is_one_however_it_is_written(tmp_path: Path) -> None:
    table = imported(tmp_path, "data,learner,validation,config.x\na,t,0.2,3\na,t,0.4,3.0\na,t,0.5,1e1\n")
    assert configs_of(table) == [{"x": 3}, {"x": 10}]
    assert table["validation_error"].tolist() == pytest.approx([0.3, 0.5])


def test_what_only_resembles_a_number_is_a_name(tmp_path: Path) -> None:
    lines = "data,learner,validation,config.x\n007,t,0.2,100_50\n7,t,0.4,100\n1e3,1_0,0.5,inf\n"
    table = imported(tmp_path, lines)
    assert set(table["data"]) == {"007", "7", "1e3"}
    assert set(table["learner"]) == {"t", "1_0"}
    assert {"100_50", "100", "inf"} == {config["x"] for config in configs_of(table)}


def test_json_tells_categories_from_numbers(tmp_path: Path) -> None:
    lines = (
        'data,learner,validation,config\na,t,0.2,"{""x"": ""1"", ""y"": 1}"\na,t,0.4,"{""x"": ""10"", ""y"": 2.0}"\n'
    )
    assert configs_of(imported(tmp_path, lines)) == [{"x": "1", "y": 1}, {"x": "10", "y": 2}]
    space = EvaluatedTask(str(tmp_path / "t.parquet"), "a", "t").space
    assert (space.levels("x"), space.levels("y")) == (("1", "10"), ())


def test_numbers_too_large_for_integers_span_a_space(tmp_path: Path) -> None:
    imported(tmp_path, "data,learner,validation,config.x\na,t,0.2,1\na,t,0.4,1e20\n")
    assert EvaluatedTask(str(tmp_path / "t.parquet"), "a", "t").space.levels("x") == ()


def test_what_parquet_says_is_missing_is_missing(tmp_path: Path) -> None:
    frame = pd.DataFrame({
        "data": ["a", "a"], "learner": ["t", "t"], "validation": pd.array([0.2, None], "Float64"),
        "config.x": pd.array([1, None], "Int64"), "config.y": pd.array([None, "u"], "string"),
    })  # fmt: skip
    table = imported(tmp_path, frame)
    assert configs_of(table) == [{"x": 1}, {"y": "u"}]
    assert table["status"].tolist() == ["ok", "failed"]


@pytest.mark.parametrize("column", ["validation", "test", "fidelity", "seconds"])
def test_parquet_may_not_hold_infinite_numbers(tmp_path: Path, column: str, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"data": ["a"], "learner": ["t"], "validation": [0.1], "config.x": [1], column: [np.inf]})
    frame.to_parquet(tmp_path / "m.parquet")
    words = ["--from", "evaluations", "--metric", "error", "--out", str(tmp_path / "t.parquet")]
    assert dispatch(["import", str(tmp_path / "m.parquet"), *words]) == USAGE
    assert f"expected {column} to be a finite number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "message"),
    [("a,t,0.4,0.3,1,1\na,t,0.5,,1,2\n", "test losses of all or of none"),
     ("a,t,0.4,,0.5,1\na,t,0.5,,1,2\na,t,0.5,,1,3\n", "at every fidelity")],
)  # fmt: skip
def test_what_cannot_be_looked_up_is_not_said_to_be_of_use(
    tmp_path: Path, lines: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(tmp_path, "data,learner,validation,test,fidelity,config.x\n" + lines)
    assert "can be used by: none" in capsys.readouterr().out
    with pytest.raises(UserError, match=message):
        EvaluatedTask(str(tmp_path / "t.parquet"), "a", "t")


def test_a_time_that_was_rounded_to_nothing_is_short(tmp_path: Path) -> None:
    imported(tmp_path, "data,learner,validation,seconds,config.x\na,t,0.4,0,1\na,t,0.5,3,2\n")
    task = EvaluatedTask(str(tmp_path / "t.parquet"), "a", "t")
    jobs = [Job(i, i, Proposal({"x": x}), 0.0, 1.0, entropy("t")) for i, x in enumerate((1, 2))]
    assert [outcome.cost for outcome in task.evaluate(jobs)] == [1e-6, 3.0]


def test_fidelities_are_shares_of_what_the_learner_reached_elsewhere(tmp_path: Path) -> None:
    lines = "data,learner,validation,fidelity,config.C\na,logistic,0.4,50,1\na,logistic,0.3,100,99999\n"
    table = imported(tmp_path, lines).set_index("learner")
    assert table["fidelity"].to_dict() == {"logistic": 0.5, "external_logistic": 1.0}
