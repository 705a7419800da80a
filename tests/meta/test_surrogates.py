"""Surrogates are fitted to tables of evaluations; those that ship say what they said when they were made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from hptbench.commands.shell import dispatch
from hptbench.errors import UserError
from hptbench.meta.surrogates import accuracy, differences, fitted, groups_of, learners_of
from hptbench.paths import surrogates_dir
from hptbench.spacefile import packaged_space
from hptbench.tasks._surrogates import Surface, load, save

LEVELS, DATA, CONFIGS = (1 / 3, 1.0), 6, 32


def table(noise: float = 0.0) -> pd.DataFrame:
    """elastic_net on data sets with their best ``alpha`` at other places; the test loss is ten times the other."""
    rng = np.random.default_rng(0)
    space = packaged_space("elastic_net")
    u = space.sample(rng, CONFIGS)
    rows = []
    for d in range(DATA):
        for c, config in enumerate(space.decode(u)):
            for level in LEVELS:
                loss = 1 + (u[c, 0] - d / DATA) ** 2 + 0.1 * u[c, 1] + 0.1 / level + noise * rng.normal()
                rows.append({
                    "data": f"d{d}", "learner": "elastic_net", "configuration": c, "fidelity": level, "status": "ok",
                    "cpu": level * (1 + u[c, 1]), "config": json.dumps(config), "validation_rmse": loss,
                    "test_rmse": 10 * loss, "validation_mae": loss, "test_mae": loss,
                })  # fmt: skip
    return pd.DataFrame(rows)


def test_what_is_smooth_is_predicted_where_nothing_was_trained() -> None:
    [group] = groups_of(table(), "elastic_net", fewest=2)
    assert (group.kind, group.metrics, len(group.data)) == ("regression", ("rmse", "mae"), DATA)
    found = accuracy(group)
    assert found["validation rmse at 1"]["median"] > 0.93
    assert found["cost at 1"]["median"] > 0.93
    u = np.array([[0.5, 0.2], [0.5, 0.8]])
    new = Surface(group, "d3", "rmse")(u, np.ones(2))
    assert new.validation == pytest.approx([1.12, 1.18], abs=0.03)
    assert new.test == pytest.approx(10 * new.validation, rel=1e-3)
    assert new.cost == pytest.approx([1.2, 1.8], rel=0.1)
    assert np.all(Surface(group, "d3", "rmse")(u, np.full(2, 1 / 3)).validation > new.validation + 0.1)


def test_noise_is_what_smoothing_leaves() -> None:
    """Losses of pure noise have noise of about the variance of their normal scores; smooth ones next to none."""
    [group] = groups_of(table(), "elastic_net", fewest=2)
    assert np.sqrt(group.noise[0].diagonal()).max() < 0.2
    pure = np.random.default_rng(1).normal(size=group.losses.shape)
    pure[:, :, 1] = pure[:, :, 0]  # validation and test err together
    noise = fitted(replace(group, losses=pure)).noise[0]
    assert noise.diagonal() == pytest.approx(0.95, abs=0.2)
    assert noise[0, 2] == pytest.approx(noise[0, 0], abs=1e-3)
    assert abs(noise[0, 1]) < 0.3


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(groups_of(table(), "elastic_net", fewest=2), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_is_not_complete_is_left_out() -> None:
    frame = table()
    frame.loc[0, "status"] = "timeout"
    [group] = groups_of(frame, "elastic_net", fewest=2)
    assert group.data == ("d1", "d2", "d3", "d4", "d5")
    assert learners_of(frame, fewest=6) == []
    with pytest.raises(UserError, match="without config, cpu"):
        learners_of(frame.drop(columns=["cpu", "config"]))


def test_a_metric_that_few_data_sets_lack_stays() -> None:
    frame = table()
    frame.loc[frame["data"] == "d0", "test_mae"] = np.nan
    [group] = groups_of(frame, "elastic_net", fewest=2)
    assert (group.metrics, len(group.data)) == (("rmse", "mae"), 5)
    frame.loc[frame["data"] == "d1", "test_mae"] = np.nan
    [group] = groups_of(frame, "elastic_net", fewest=2)
    assert (group.metrics, len(group.data)) == (("rmse",), 6)


def test_networks_are_left_out() -> None:
    frame = table()
    assert learners_of(pd.concat([frame, frame.assign(learner="neural_mlp")]), fewest=2) == ["elastic_net"]


def test_fit_and_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    table().to_parquet("t.parquet")
    assert dispatch(["surrogate", "fit", "--table", "t.parquet", "--fewest", "3", "--out", "own"]) == 0
    assert "elastic_net regression: 6 data sets, held-out Spearman 0.9" in capsys.readouterr().out
    card = yaml.safe_load(Path("own/elastic_net/card.yaml").read_text())
    assert card["made by"] == "python -m hptbench surrogate fit --table t.parquet --fewest 3 --out own"
    assert (card["from"], card["licence"]) == ("t.parquet", "that of the table")
    assert card["kinds"]["regression"]["held-out Spearman"]["test mae at 1"]["data sets"] == DATA
    assert dispatch(["surrogate", "check", "--dir", "own"]) == 0
    told = json.loads(Path("own/elastic_net/check.json").read_text())
    told[0]["test"] *= 1.001
    Path("own/elastic_net/check.json").write_text(json.dumps(told))
    assert dispatch(["surrogate", "check", "--dir", "own"]) == 1
    assert "elastic_net on d0: expected test" in capsys.readouterr().out
    assert dispatch(["surrogate", "fit", "--table", "t.parquet", "--out", "own"]) == 2
    assert dispatch(["surrogate", "check", "--dir", "none"]) == 2
    Path("own/elastic_net/model.npz").write_bytes(b"no")
    with pytest.raises(UserError, match="expected a surrogate"):
        load(Path("own/elastic_net/model.npz"))


SHIPPED = sorted(file.parent for file in surrogates_dir().glob("*/model.npz"))


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_those_that_ship_are_small_and_say_what_they_said(folder: Path) -> None:
    assert differences(folder) == []
    assert (folder / "model.npz").stat().st_size <= 5e6
    card = yaml.safe_load((folder / "card.yaml").read_text(encoding="utf-8"))
    for kind, group in load(folder / "model.npz").items():
        assert card["kinds"][kind]["data sets"] == len(group.data)


def test_there_is_one_for_every_learner_with_enough_data_sets() -> None:
    names = ["decision_tree", "elastic_net", "knn", "logistic", "random_forest", "svm", "svr"]
    assert [folder.name for folder in SHIPPED] == names


@pytest.mark.slow
def test_fitting_anew_gives_what_ships(tmp_path: Path) -> None:
    frame = pd.read_parquet(Path(__file__).parents[2] / "results" / "evaluations" / "tabular.parquet")
    save(groups_of(frame, "elastic_net"), tmp_path / "m")
    [own], [shipped] = (load(p).values() for p in (tmp_path / "m", surrogates_dir() / "elastic_net" / "model.npz"))
    assert (own.data, own.metrics, own.configs, own.levels) == (
        shipped.data, shipped.metrics, shipped.configs, shipped.levels
    )  # fmt: skip
    assert np.array_equal(own.losses, shipped.losses)
    assert np.array_equal(own.costs, shipped.costs)
    for part in ("by_loss", "by_cost", "noise"):  # processors may differ in the last digit
        np.testing.assert_allclose(getattr(own, part), getattr(shipped, part), atol=2e-4)
