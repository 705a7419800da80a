"""What is learnt from, and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.meta.artefact import SHIPPED, Trained, load, save, train
from hptbench.meta.past import joined, pasts, relative

Tables = tuple[pd.DataFrame, pd.DataFrame]


def test_only_whole_trainings_of_whole_data_sets_count(tables: Tables) -> None:
    table, described = tables
    table = table[~((table["data"] == "d03") & (table["learner"] == "knn") & (table["configuration"] == 5))]
    found = pasts(table, described)
    assert set(found) == {("knn", "classification"), ("decision_tree", "classification")}
    knn, tree = found["knn", "classification"], found["decision_tree", "classification"]
    assert "d03" not in knn.data
    assert "d03" in tree.data
    assert knn.configs[0] == knn.space.default()
    one = table[(table["data"] == "d07") & (table["learner"] == "knn") & (table["fidelity"] == 1)]
    assert knn.test[knn.data.index("d07")].tolist() == one["test_log_loss"].tolist()
    assert knn.families[knn.data.index("d07")] == "f03"


def test_tables_that_do_not_belong_together_are_refused(tables: Tables) -> None:
    table, described = tables
    with pytest.raises(UserError, match="without config"):
        pasts(table.drop(columns="config"), described)
    with pytest.raises(UserError, match="version"):
        pasts(table, described.assign(version=-1))
    with pytest.raises(UserError, match="20 data sets"):
        pasts(table, described.head(10))
    swapped = table.assign(config=np.where(table["data"] == "d00", '{"n_neighbors": 9}', table["config"]))
    with pytest.raises(UserError, match="different ones under one number"):
        pasts(swapped, described)


def test_losses_are_relative_to_the_best_and_the_median() -> None:
    losses = np.array([[1.0, 2.0, 3.0, 9.0, 100.0], [4.0, 4.0, 4.0, 4.0, 4.0]])
    assert relative(losses).tolist() == [[0, 0.5, 1, 1, 1], [0] * 5]


def test_a_family_is_forgotten_entirely(trained: Trained) -> None:
    rest = trained.without(["f03"])
    for past in rest.pasts.values():
        assert len(past) == 38
        assert "f03" not in past.families
        assert not {"d06", "d07"} & set(past.data)
    assert len(trained.past("knn", "classification")) == 40
    with pytest.raises(UserError, match="2 past data sets"):
        trained.without([f"f{i:02}" for i in range(20)])


def test_what_is_missing_or_far_away_is_usual_or_at_the_end(trained: Trained) -> None:
    past = trained.past("knn", "classification")
    assert past.compared == ("landmark_a", "log_rows", "log_columns")  # missing_share does not vary
    rows, own = past.comparable(np.array([np.nan, 1e9, 0.0, 0.0]))
    assert own[0] == np.median(past.features[:, 0])
    assert own[1] == rows[:, 1].max()


def test_several_learners_can_be_one_past(trained: Trained) -> None:
    parts = [trained.past(name, "classification") for name in ("knn", "decision_tree")]
    whole, place = joined(parts)
    assert whole.test.shape == (40, 24)
    assert place[13] == (1, 1)
    assert (whole.test[:, 13] == parts[1].test[:, 1]).all()


def test_the_file_is_the_same_every_time_and_holds_no_code(trained: Trained, tables: Tables, tmp_path: Path) -> None:
    save(trained, tmp_path / "a.npz")
    save(train(*tables), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = load(tmp_path / "a.npz")
    past, other = trained.past("knn", "classification"), again.past("knn", "classification")
    assert other.configs == past.configs
    assert np.allclose(other.test, past.test)
    assert again.autos == trained.autos
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file)


def test_wrong_files_are_refused(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="meta train"):
        load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(UserError, match="expected a trained recommender"):
        load(tmp_path / "text.npz")
    monkeypatch.setattr("hptbench.meta.artefact.VERSION", -1)
    save(trained, tmp_path / "old.npz")
    monkeypatch.undo()
    with pytest.raises(UserError, match="version 1, got"):
        load(tmp_path / "old.npz")


def test_unknown_learners_are_named(trained: Trained) -> None:
    with pytest.raises(UserError, match="Did you mean 'knn'"):
        trained.past("kn", "classification")


def test_the_recommender_ships_with_the_package() -> None:
    assert SHIPPED.stat().st_size < 20e6
    found = load()
    assert {"random_forest", "decision_tree", "knn"} <= set(found.learners("regression"))
    for (learner, kind), past in found.pasts.items():
        assert past.configs[0] == past.space.default(), (learner, kind)
        assert np.isfinite(past.test).all()
