from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from hptbench.commands.reproduce import main
from hptbench.commands.shell import OK, USAGE, dispatch

RUN = ["+method=random", "suite=smoke", "budget=tiny", "seeds=2", "executor=serial", "plot=false",
       "limits.seconds=null", "limits.memory_mb=null"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a study of 4 runs and 4 of the reference."""
    home = tmp_path_factory.mktemp("reproduce")
    assert dispatch([*RUN, f"results={home}", "study=mine"]) == OK
    assert main(["write", str(home / "mine"), "--out", str(home / "out")]) == 0
    return home / "out"


def test_all_runs_and_conclusions_are_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder), "--smoke"]) == 0
    assert capsys.readouterr().out == "2 of 2 runs are equal, bit for bit.\n"
    assert len(list((folder / "again" / "runs").glob("*/*/*/run.json"))) == 2  # one of each method, the reference's too
    assert main(["check", str(folder)]) == 0
    assert capsys.readouterr().out == "8 of 8 runs are equal, bit for bit.\nThe conclusions are the same.\n"


def test_what_is_needed_is_there(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} >= {
        "README.md", "run.sh", "constraints.txt", "conclusions.md", "configs", "expected",
    }  # fmt: skip
    text = (folder / "README.md").read_text()
    assert "python -m hptbench +method=random suite=smoke" in text
    assert '"data": "iris"' in text
    assert (
        f"numpy=={json.loads(pd.read_parquet(folder / 'expected/runs.parquet')['versions'][0])['numpy']}\n"
        in (folder / "constraints.txt").read_text()
    )
    assert os.access(folder / "run.sh", os.X_OK)
    wrong = subprocess.run([str(folder / "run.sh"), "half"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr) == (2, "expected smoke or all, got half\n")


@pytest.mark.parametrize(
    ("tables", "column", "value", "said"),
    [(["jobs"], "value", 0.25, "instead of 0.25"), (["jobs", "runs"], "run", "f00", "not what these configurations")],
)
def test_what_is_not_the_same_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], tables: list[str], column: str, value: object,
    said: str,
) -> None:  # fmt: skip
    copy = shutil.copytree(folder, tmp_path / "copy")  # its runs too, if they were done before
    for path in (copy / "expected" / f"{name}.parquet" for name in tables):
        frame = pd.read_parquet(path)
        chosen = (frame["method"] == "random") & (frame["seed"] == 1) & (frame["task"] == "iris-logistic")
        frame.loc[chosen, column] = value
        frame.to_parquet(path)
    assert main(["check", str(copy)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("7 of 8 runs are equal")
    assert "iris-logistic/random/1/" in out
    assert said in out
    assert "conclusions are" not in out


def test_what_cannot_be_written_or_checked(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = folder.parent / "mine"
    assert dispatch(["reproduce", "write", str(study), "--out", str(folder)]) == USAGE
    assert "that is not there" in capsys.readouterr().err
    bare = shutil.copytree(study, tmp_path / "bare", ignore=shutil.ignore_patterns("configs"))
    assert dispatch(["reproduce", "write", str(bare), "--out", str(tmp_path / "out")]) == USAGE
    assert "which says what was run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert dispatch(["reproduce", "check", str(study)]) == USAGE
    assert "expected a folder of `reproduce write`" in capsys.readouterr().err
