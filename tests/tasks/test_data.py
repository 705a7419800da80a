from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.tasks import _data


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(12.0), "target": list("abc") * 4} | columns)


def table(kind: Any = "classification", drop_rare: bool = False, **columns: Any) -> Any:
    return _data.to_table(frame(**columns), "target", kind, "toy", drop_rare)


@pytest.mark.parametrize("name", _data.BUNDLED)
def test_bundled(name: str) -> None:
    t = _data.load(name, None, "target", False)
    assert t.X.dtype == np.float64
    assert t.X.flags["C_CONTIGUOUS"]
    assert len(t.X) == len(t.y) > 100
    assert (t.n_classes > 1) == (_data.BUNDLED[name] == "classification")
    assert not t.categorical.any()


def test_bundled_data_never_change() -> None:
    sha = _data.fingerprint("wine", None, "target", False)
    assert sha == "51d63969b303d11aa4627f244caefb4cff692c15691c74e6e549027b17aec389"


COLUMNS = {
    "float32": (np.arange(12, dtype=np.float32), False),
    "nullable": (pd.array([1, None] * 6, dtype="Int64"), False),
    "bool": ([True, False] * 6, False),
    "nullable bool": (pd.array([True, None, False] * 4, dtype="boolean"), False),
    "empty": ([None] * 12, False),
    "all nan": ([np.nan] * 12, False),
    "text": (["b", "a", None] * 4, True),
    "category": (pd.Categorical(["b", "a", None] * 4, categories=["b", "a", "never"]), True),
    "objects": (pd.Series([True, "a", None, 2] * 3, dtype=object), True),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns(name: str) -> None:
    values, categorical = COLUMNS[name]
    t = table(c=values)
    assert t.categorical.tolist() == [False, categorical]
    np.testing.assert_array_equal(np.isnan(t.X[:, 1]), pd.isna(pd.Series(values)))


def test_categories_are_numbered_in_their_own_order_else_sorted() -> None:
    np.testing.assert_array_equal(table(c=COLUMNS["category"][0]).X[:3, 1], [0, 1, np.nan])
    np.testing.assert_array_equal(table(c=COLUMNS["text"][0]).X[:3, 1], [1, 0, np.nan])


@pytest.mark.parametrize("column", [
    pd.date_range("2020-01-01", periods=12), np.arange(12) * 1j, pd.Series([[1]] * 12),
    pd.timedelta_range("1h", periods=12),
], ids=["dates", "complex", "lists", "times"])  # fmt: skip
def test_columns_that_cannot_be_used(column: Any) -> None:
    with pytest.raises(UserError, match=r"column 'c'.*convert them"):
        table(c=column)


def test_infinite_numbers() -> None:
    with pytest.raises(UserError, match="'c': expected finite numbers"):
        table(c=[np.inf] + [0.0] * 11)


def test_classes_are_numbered() -> None:
    t = table(target=pd.Categorical(["z", "a"] * 6, categories=["z", "never", "a"]))
    assert t.n_classes == 2
    assert t.y.tolist() == [0, 1] * 6
    assert table(target=[5.0, 2.0, 3.0] * 4).y.tolist() == [2, 0, 1] * 4


def test_targets_that_cannot_be_used() -> None:
    with pytest.raises(UserError, match="the target 'target' is missing in 4 rows"):
        table(target=["a", "b", None] * 4)
    with pytest.raises(UserError, match="at least 2 classes, got 1"):
        table(target=["a"] * 12)
    with pytest.raises(UserError, match=r"fewer for 2 of 4 classes.*drop_rare=true"):
        table(target=["a"] * 5 + ["b"] * 4 + ["c"] * 2 + ["d"])
    with pytest.raises(UserError, match="no class has 3 rows"):
        table(target=list(range(12)), drop_rare=True)
    with pytest.raises(UserError, match="target 'target': expected numbers, got"):
        table(kind="regression")
    with pytest.raises(UserError, match="expected finite numbers"):
        table(kind="regression", target=[np.inf] * 12)


def test_rare_classes_can_be_dropped() -> None:
    t = table(target=["c"] * 5 + ["a"] * 2 + ["b"] * 5, drop_rare=True)
    assert t.n_classes == 2
    assert t.y.tolist() == [1] * 5 + [0] * 5
    assert t.X[:, 0].tolist() == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]


def test_frames_that_cannot_be_used() -> None:
    for bad in (frame()[:0], frame()[:7], frame()[["target"]]):
        with pytest.raises(UserError, match="expected at least 8 rows and a feature"):
            _data.to_table(bad, "target", "classification", "toy")
    with pytest.raises(UserError, match=r"unknown target column of 'toy': 'targt'. Did you mean 'target'"):
        _data.to_table(frame(), "targt", "classification", "toy")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "index.csv").write_text("name,task_type,licence\ntoy,classification,CC0\nlost,regression,CC0\n")
    frame(c=COLUMNS["text"][0]).to_parquet(tmp_path / "toy.parquet")
    return tmp_path


def test_store(store: Path) -> None:
    assert _data.read_index(str(store)) == {"toy": "classification", "lost": "regression"}
    t = _data.load("toy", str(store), "target", False)
    np.testing.assert_array_equal(t.X, table(c=COLUMNS["text"][0]).X)
    assert t.n_classes == 3


def test_the_fingerprint_is_of_the_content(store: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "index.csv").write_text("name,task_type\nmine,classification\nchanged,classification\n")
    frame(c=COLUMNS["text"][0]).to_parquet(other / "mine.parquet")
    frame(c=["b", *COLUMNS["text"][0][:11]]).to_parquet(other / "changed.parquet")
    here = _data.fingerprint("toy", str(store), "target", False)
    assert here == _data.fingerprint("mine", str(other), "target", False)
    assert here != _data.fingerprint("changed", str(other), "target", False)


def test_store_errors(store: Path) -> None:
    with pytest.raises(UserError, match=r"found no .*nowhere.index\.csv; make one"):
        _data.read_index(str(store / "nowhere"))
    with pytest.raises(UserError, match=r"unknown data set 'toi'. Did you mean 'toy'"):
        _data.load("toi", str(store), "target", False)
    with pytest.raises(UserError, match=r"unknown data set \(scikit-learn's.*Did you mean 'iris'"):
        _data.load("irsi", None, "target", False)
    with pytest.raises(UserError, match=r"lost\.parquet, found none"):
        _data.load("lost", str(store), "target", False)
    (store / "lost.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(UserError, match=r"lost\.parquet: expected a parquet file"):
        _data.load("lost", str(store), "target", False)
    (store / "lost.parquet").write_bytes((store / "toy.parquet").read_bytes()[:-20])
    with pytest.raises(UserError, match=r"lost\.parquet: expected a parquet file"):
        _data.load("lost", str(store), "target", False)


@pytest.mark.parametrize(("text", "message"), [
    ("name,kind\na,regression\n", "found no task_type"),
    ("name,task_type\na,clustering\n", "'a': expected task_type classification or regression, got 'clustering'"),
    ("name,task_type\na,regression\na,regression\n", "got a more than once"),
    ("", "expected a CSV file with a header"),
])  # fmt: skip
def test_index_errors(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "index.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        _data.read_index(str(tmp_path))


@pytest.mark.skipif("HPTBENCH_STORE" not in os.environ, reason="HPTBENCH_STORE names no data store")
def test_real_store() -> None:
    path = os.environ["HPTBENCH_STORE"]
    for name in list(_data.read_index(path))[::20]:
        t = _data.load(name, path, "target", True)
        assert len(t) == len(t.X) >= 8
