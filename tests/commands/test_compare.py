from __future__ import annotations

import json
from pathlib import Path

import pytest
from studies import small

from hptbench.commands.compare import main
from hptbench.errors import UserError
from hptbench.results.registered import Hypothesis, register


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "small"
    register(folder, (Hypothesis("sobol", "random", at=4.0),), ["sobol", "random"])
    return small(folder)


def test_hypotheses_come_first_on_the_terminal(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(study), "--no-plot", "--rope", "0.05", "--hierarchical", "--aggregate", "median"]) == 0
    out = capsys.readouterr().out
    parts = [
        "Hypotheses registered on",
        "not shown",
        "Exploratory comparison over 2",
        "median of the normalised",
        "Bayes",
        "next data set",
        "On the next data set",
    ]
    assert [out.index(part) for part in parts] == sorted(out.index(part) for part in parts)
    assert "…" not in out


@pytest.mark.parametrize("form", ["json", "markdown", "latex"])
def test_other_formats_print_nothing_else(study: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(study.iterdir())
    assert main([str(study), "--format", form, "--unequal", "workers"]) == 0
    out = capsys.readouterr().out
    assert set(study.iterdir()) - before <= {study / "jobs.parquet", study / "runs.parquet"}
    assert "Runs were allowed to differ in: workers" in out
    if form == "json":
        found = json.loads(out)
        assert found["study"] == "small"
        assert found["hypotheses"][0]["pair"]["family"] == 1
        assert found["registered"]["sha"]
    else:
        assert out.startswith({"markdown": "# small: 2 methods", "latex": "% python -m hptbench compare"}[form])


def test_missing_runs_are_counted_as_asked(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--where", "seed=0,1,2", "--format", "json"]
    run = next((study / "runs" / "branin" / "sobol").glob("1-*")) / "run.json"
    kept = run.read_text()
    run.unlink()
    try:
        with pytest.raises(UserError, match="branin/sobol seed 1; finish"):
            main([str(study), *where])
        assert main([str(study), *where, "--missing", "worst"]) == 0
        assert json.loads(capsys.readouterr().out)["filled"] == ["branin/sobol seed 1"]
    finally:
        run.write_text(kept)


@pytest.mark.parametrize("width", ["-1", "nan", "wide"])
def test_a_region_that_is_none_is_refused(study: Path, width: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(study), "--rope", width])
    assert f"--rope: expected a number >= 0, got {width}" in capsys.readouterr().err
