from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from hptbench.commands.publish import main
from hptbench.errors import UserError
from hptbench.methods.default import Default
from hptbench.methods.random import RandomSearch
from hptbench.methods.sobol import Sobol
from hptbench.protocol import Budget, Clock
from hptbench.run import Driver, Evaluator, Plan, execute
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.workers import Limits


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "small"
    plans = [
        Plan(SyntheticTask(name), label, method, seed, Budget(max_jobs=jobs), 1, Clock.COST, Limits(None, None), folder)
        for name in ("branin", "hartmann3")
        for label, method, jobs in (("random", RandomSearch(), 8), ("sobol", Sobol(), 8), ("default", Default(), 1))
        for seed in range(3)
    ]
    for plan in plans:
        execute(plan, Driver(Evaluator(), lambda *_: None))
    return folder


def test_what_lasts_is_written(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(study), "--at", "4", "8", "--reference", "sobol"]) == 0
    printed = capsys.readouterr().out.split()
    assert {Path(line).name for line in printed} == {
        "references.json", "incumbents.parquet", "ranks.png", "ranks.json", "comparison.md",
    }  # fmt: skip
    text = (study / "comparison.md").read_text()
    assert "2 methods on 2 problems" in text
    assert "sobol against each" in text
    assert "default" not in text
    jobs, kept = pd.read_parquet(study / "jobs.parquet"), pd.read_parquet(study / "incumbents.parquet")
    final = kept.groupby(["task", "method", "seed"], observed=True)["value"].last()
    assert final.to_dict() == jobs.groupby(["task", "method", "seed"])["value"].min().to_dict()
    known = json.loads((study / "references.json").read_text())
    assert known["branin"]["best"] == jobs.loc[jobs["task"] == "branin", "value"].min()


def test_a_lower_value_known_from_before_is_kept(study: Path) -> None:
    (study / "references.json").write_text(json.dumps({"branin": {"best": 0.397887, "random": 50.0}}))
    main([str(study), "--at", "8"])
    assert json.loads((study / "references.json").read_text())["branin"]["best"] == 0.397887


def test_what_makes_no_sense_is_refused(study: Path) -> None:
    with pytest.raises(UserError, match="between 1 and the 8 evaluations"):
        main([str(study), "--at", "100"])
    with pytest.raises(UserError, match="sobol"):
        main([str(study), "--at", "8", "--reference", "sobbol"])
