"""The learnt embedding of data sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.learners import Table
from hptbench.meta.artefact import Trained
from hptbench.meta.embedding import Columns, Encoder, _forward, columns_of, load, save, train
from hptbench.meta.nearest import Nearest


def table(kind: int, seed: int, rows: int = 120) -> Table:
    """Data sets of a kind have columns of one shape (skewed, in two heaps, normal, categories) and as related to y."""
    rng = np.random.default_rng([kind, seed])
    y = rng.random(rows) < (0.15, 0.5)[kind % 2]
    shapes = (rng.lognormal(size=(rows, 5)), np.sign(rng.normal(size=(rows, 5))) + 0.05 * rng.normal(size=(rows, 5)),
              rng.normal(size=(rows, 5)), rng.integers(0, 2 + 2 * (kind % 3), (rows, 5)).astype(float))  # fmt: skip
    X = shapes[kind % 4] + (kind % 3) * y[:, None] * (kind % 4 != 3)
    return Table(X, y.astype(float), np.full(5, kind % 4 == 3), 2)


def untrained() -> Encoder:
    rng = np.random.default_rng(0)
    shapes = [(2, 32), *[(32, 32)] * 4, (32, 16)]
    weights = [part for shape in shapes for part in (rng.normal(size=shape) / np.sqrt(shape[0]), np.zeros(shape[1]))]
    return Encoder(tuple(np.float32(part) for part in weights), ("a", "b"))


def test_neither_the_order_nor_the_number_of_rows_and_columns_counts() -> None:
    weights, (x, y) = untrained().weights, columns_of(table(0, 0))
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(len(x)), rng.permutation(x.shape[1])
    whole = _forward(weights, x[None], y[None])
    assert whole.shape == (1, 16)
    assert _forward(weights, x[rows][:, columns][None], y[rows][None]) == pytest.approx(whole, rel=1e-4)
    twice = [np.concatenate([part, part], axis=axis)[None] for axis in (0, 1) for part in (x, y)]
    assert _forward(weights, *twice[:2]) == pytest.approx(whole, rel=1e-4)
    assert _forward(weights, *twice[2:]) == pytest.approx(whole, rel=1e-4)
    assert _forward(weights, x[None] + 1, y[None]) != pytest.approx(whole, rel=1e-2)


@pytest.mark.parametrize(
    "odd",
    [
        Table(np.zeros((4, 2)), np.array([0.0, 1, 0, 1]), np.zeros(2, bool), 2),
        Table(np.full((4, 2), np.nan), np.array([0.0, 1, 0, 1]), np.array([True, False]), 2),
        Table(np.array([[np.inf], [1e300], [-1e300]]), np.array([1e200, 0.0, -1e200]), np.zeros(1, bool), 0),
        Table(np.arange(9.0)[:, None], np.zeros(9), np.ones(1, bool), 1),
        Table(np.ones((1, 1)), np.ones(1), np.zeros(1, bool), 0),
    ],
)
def test_odd_data_have_an_embedding(odd: Table) -> None:
    found = untrained()(odd)
    assert found.shape == (16,)
    assert np.isfinite(found).all()
    assert (found == untrained()(odd)).all()


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    one = untrained()
    save(one, tmp_path / "a.npz")
    save(one, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (tmp_path / "a.npz").stat().st_size < 30_000
    back = load(tmp_path / "a.npz")
    assert back.data == one.data
    assert (back(table(1, 0)) == one(table(1, 0))).all()
    (tmp_path / "c.npz").write_bytes(b"no")
    for name in ("c.npz", "none.npz"):
        with pytest.raises(UserError, match="expected a trained embedding"):
            load(tmp_path / name)


def test_training_is_the_same_bit_for_bit_and_needs_something_to_tell_apart() -> None:
    pytest.importorskip("torch")
    tables = {f"d{kind}": columns_of(table(kind, 0)) for kind in range(4)}
    one, same, other = (train(tables, 3, seed=seed) for seed in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(one.weights, same.weights, strict=True))
    assert any((a != b).any() for a, b in zip(one.weights, other.weights, strict=True))
    with pytest.raises(UserError, match="two data sets"):
        train({"a": Columns(np.zeros((3, 1), np.float32), np.zeros((3, 1), np.float32))}, 1)


@pytest.mark.slow
def test_data_sets_of_a_kind_that_were_never_seen_lie_near_one_another() -> None:
    pytest.importorskip("torch")
    kinds = range(12)
    encoder = train({f"{kind} {seed}": columns_of(table(kind, seed)) for kind in kinds for seed in (0,)}, 150)
    first, second = (np.stack([encoder(table(kind, seed, 200)) for kind in kinds]) for seed in (7, 8))
    gaps = np.linalg.norm(first[:, None] - second[None], axis=2)
    assert (gaps.argmin(axis=1) == np.arange(12)).sum() >= 5  # by chance with probability 0.002


def test_nearest_may_go_by_the_embedding(trained: Trained) -> None:
    past = trained.past("knn", "classification")
    learnt = np.stack([np.arange(len(past)) * 1.0, np.zeros(len(past))], axis=1)
    both = replace(past, names=(*past.names, "embedding_00", "embedding_01"),
                   features=np.hstack([past.features, learnt]))  # fmt: skip
    x = np.append(past.features[0], [31.2, 0.0])  # its meta-features are those of data set 0
    first = Nearest(by="embedding").order(both, x, 1)[0]
    assert first == past.losses[31].argmin()
    assert Nearest().order(both, x, 5).tolist() == Nearest().order(past, past.features[0], 5).tolist()
    assert first != Nearest().order(both, x, 1)[0]
    assert both.compared == past.compared  # no other recommender looks at it
    with pytest.raises(UserError, match="expected embeddings"):
        Nearest(by="embedding").order(past, past.features[0], 1)
    with pytest.raises(UserError, match="expected embeddings"):
        Nearest(by="embedding").order(both, np.append(x[:-1], np.nan), 1)
    with pytest.raises(UserError, match="Did you mean 'embedding'"):
        Nearest(by="embeding")


def test_it_stands_beside_the_meta_features_of_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from hptbench.commands.shell import dispatch

    monkeypatch.chdir(tmp_path)
    for kind, name in enumerate(("one", "two")):
        made = table(kind, 0)
        pd.DataFrame(made.X, columns=list("abcde")).assign(target=np.where(made.y > 0, "p", "q")).to_parquet(
            f"{name}.parquet"
        )
    pd.DataFrame({"name": ["one", "two"], "task_type": "classification"}).to_csv("index.csv", index=False)
    assert dispatch(["meta", "embed", "--store", ".", "--steps", "2", "--out", "e.npz"]) == 0
    assert load(Path("e.npz")).data == ("one", "two")
    assert dispatch(["meta", "features", "--store", ".", "--embedding", "e.npz", "--out", "f.parquet"]) == 0
    found = pd.read_parquet("f.parquet").filter(like="embedding_")
    assert found.shape == (2, 16)
    assert (found.nunique() == 2).any()
    assert dispatch(["meta", "embed", "--store", ".", "--steps", "0"]) == 2
