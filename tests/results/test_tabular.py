"""The table of evaluations that comes with the project."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hptbench.learners import find_learner
from hptbench.protocol import Budget, Problem
from hptbench.registry import find
from hptbench.spacefile import packaged_space

FILE = Path(__file__).resolve().parents[2] / "results" / "evaluations" / "tabular.parquet"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="results/ is only in the repository")
CONFIGS, LEVELS = 64, 3


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_parquet(FILE)


def test_it_is_as_large_as_it_says(table: pd.DataFrame) -> None:
    kind = {"logistic": "linear", "elastic_net": "linear", "svr": "svm"}
    family = table["learner"].astype(str).replace(kind)
    tried = table.groupby(["data", family], observed=True)["configuration"].nunique()
    whole = tried[tried == CONFIGS].groupby("data", observed=True).size()
    assert (whole >= 5).sum() >= 100, "data sets with all configurations of five learners"
    assert FILE.stat().st_size < 25e6
    assert f"{len(table):,} evaluations" in FILE.with_suffix(".md").read_text()


def test_only_what_failed_lacks_scores_and_higher_levels(table: pd.DataFrame) -> None:
    ok = table["status"] == "ok"
    scores = table.filter(regex="^(validation|test)_")
    assert scores[~ok].isna().all(axis=None)
    for part in ("validation", "test"):
        assert (scores[f"{part}_rmse"].notna() ^ scores[f"{part}_error"].notna())[ok].all()
    levels = table[ok].groupby(["data", "learner", "configuration"], observed=True).size()
    stopped = table[~ok].groupby(["data", "learner", "configuration"], observed=True).size()
    assert set(levels[levels < LEVELS].index) <= set(stopped.index)
    assert not table.duplicated(["data", "learner", "configuration", "fidelity"]).any()


def test_the_configurations_are_the_designs_on_every_data_set(table: pd.DataFrame) -> None:
    regression = table.groupby("data", observed=True)["validation_rmse"].apply(lambda s: s.notna().any())
    kind = table["data"].map(regression).astype(bool).map({True: "regression", False: "classification"})
    for (learner, task_type), rows in table.groupby(["learner", kind], observed=True):
        space = packaged_space(find_learner(str(learner)).spaces[task_type])
        problem = Problem(space, ("loss",), None, Budget(max_jobs=CONFIGS))
        search = find("method", "design")(configs=CONFIGS).begin(problem, np.random.default_rng(0))
        design = [json.dumps(dict(p.config), sort_keys=True) for p in search.ask(CONFIGS, [])]
        numbers = rows["configuration"].to_numpy(int)
        assert (rows["config"].astype(str).to_numpy() == np.array(design)[numbers]).all(), learner


def test_training_on_more_rows_helps(table: pd.DataFrame) -> None:
    """Not always, but nearly everywhere for the default configuration."""
    default = table[table["configuration"] == 0].pivot(
        index=["data", "learner"], columns="fidelity", values="test_balanced_error"
    )
    assert (default.iloc[:, -1] <= default.iloc[:, 0] + 1e-9).dropna().mean() > 0.8
