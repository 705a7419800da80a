from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptbench.commands.publish import main as publish
from hptbench.errors import UserError
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Clock
from hptbench.run import Driver, Evaluator, Plan, execute
from hptbench.tasks.dataset import DatasetTask
from hptbench.workers import Limits


@pytest.fixture(scope="module")
def script() -> Any:
    path = Path(__file__).parents[2] / "scripts" / "reshuffling.py"
    spec = importlib.util.spec_from_file_location("reshuffling", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_planted_difference_is_found_and_nothing_else(script: Any) -> None:
    rng = np.random.default_rng(0)
    ways = list(script._WAYS)
    data = rng.normal(size=(30, 1)) + rng.normal(0, 0.02, size=(30, 4)) + np.array([0, np.log10(0.9), 0, 0])
    index = pd.MultiIndex.from_product([["random"], [f"d{i}" for i in range(30)]], names=["method", "data"])
    text = script.page(pd.DataFrame(data, index, ways), 3)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| random | ")]
    assert len(rows) == 6
    for _, first, second, _, _, _, p in rows:
        assert (float(p) < 0.01) == ("holdout, reshuffled" in (first, second))
    assert rows[0][1:3] == ["holdout", "holdout, reshuffled"]
    assert float(rows[0][4].removesuffix(" %")) == pytest.approx(100 / 0.9 - 100, abs=3)


def test_scores_are_the_test_losses_of_what_was_chosen(script: Any, tmp_path: Path) -> None:
    for validation in ("holdout", "cv"):
        for reshuffle in (False, True):
            task = DatasetTask("wine", "knn", validation=validation, folds=2, reshuffle=reshuffle)
            plan = Plan(
                task, "random", RandomSearch(), 0, Budget(max_jobs=4), 1, Clock.UNITS, Limits(None, None), tmp_path
            )
            execute(plan, Driver(Evaluator(), lambda *_: None))
    publish([str(tmp_path), "--at", "4"])
    table = script.scores(tmp_path)
    assert table.index.tolist() == [("random", "wine")]
    jobs = pd.read_parquet(tmp_path / "jobs.parquet")
    chosen = jobs.loc[jobs.groupby("task")["value"].idxmin()].set_index("task")["test"]
    assert sorted(10 ** table.to_numpy()[0]) == pytest.approx(sorted(np.maximum(chosen, 1e-6)))
    assert 10 ** table["holdout"].item() == pytest.approx(max(chosen["wine-knn"], 1e-6))
    path = tmp_path / "published.parquet"
    pd.read_parquet(path).query("task != 'wine-knn'").to_parquet(path)
    with pytest.raises(UserError, match=r"some lack: wine \(random\)"):
        script.scores(tmp_path)
