"""The table of learning curves that comes with the project."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

FILE = Path(__file__).resolve().parents[2] / "results" / "evaluations" / "curves.parquet"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="results/ is only in the repository")
CONFIGS, EPOCHS, DATA = 1000, 27, 20


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    columns = ["data", "configuration", "fidelity", "status", "config", "validation_log_loss", "validation_rmse"]
    return pd.read_parquet(FILE, columns=columns)


def test_it_is_as_large_as_it_says(table: pd.DataFrame) -> None:
    tried = table.groupby("data", observed=True)["configuration"].nunique()
    assert (len(tried), set(tried)) == (DATA, {CONFIGS})
    assert FILE.stat().st_size < 25e6
    assert f"{len(table):,} evaluations" in FILE.with_suffix(".md").read_text(encoding="utf-8")


def test_curves_have_every_epoch_until_they_diverge(table: pd.DataFrame) -> None:
    curves = table.groupby(["data", "configuration"], observed=True)
    last, length = curves["fidelity"].max(), curves.size()
    assert (last == length).all()
    diverged = curves["status"].last() != "ok"
    assert (length[~diverged] == EPOCHS).all()
    assert 0 < diverged.sum() < 0.01 * len(length)


def test_configurations_are_the_same_on_every_data_set(table: pd.DataFrame) -> None:
    assert (table.groupby("configuration")["config"].nunique() == 1).all()


def test_training_on_helps(table: pd.DataFrame) -> None:
    """The default configuration, from the first epoch to the last."""
    loss = table["validation_log_loss"].astype(float).fillna(table["validation_rmse"].astype(float))
    default = table.assign(loss=loss)[table["configuration"] == 0].pivot(
        index="data", columns="fidelity", values="loss"
    )
    assert (default[EPOCHS] < default[1]).mean() > 0.9
