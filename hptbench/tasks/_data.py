"""Data sets: those bundled with scikit-learn, and a store (a folder with ``index.csv`` and parquet files).

A store is a folder that holds ``index.csv`` with at least the columns ``name`` and ``task_type``
(classification or regression), and ``<name>.parquet`` for each row of it: one column per feature (numbers and
booleans; categories as pandas category, text or objects) and the column ``target``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown
from hptbench.learners import Table, TaskType
from hptbench.space import Floats
from hptbench.store import layout

if TYPE_CHECKING:
    import pandas as pd

BUNDLED: Mapping[str, TaskType] = {
    "breast_cancer": "classification",
    "diabetes": "regression",
    "digits": "classification",
    "iris": "classification",
    "wine": "classification",
}
MIN_CLASS_ROWS = 3
"""So that each class can occur in test, validation and training rows."""
MIN_ROWS = 8


def task_type(data: str, store: str | None) -> TaskType:
    """What kind of problem a data set is, without loading it."""
    known = BUNDLED if store is None else read_index(store)
    if data not in known:
        if store is not None and (address := layout.openml_address(data)):
            raise layout.missing(address, store)
        where = "data set (scikit-learn's; set store to a folder for others)" if store is None else "data set"
        raise unknown(where, data, known)
    return known[data]


def licence(data: str, store: str | None) -> str | None:
    """As the store's index states it. None: it does not; scikit-learn's descriptions of its data sets state none."""
    if store is None or "licence" not in (index := _index(store)):
        return None
    stated: str = dict(zip(index["name"], index["licence"], strict=True)).get(data, "").strip()
    return None if stated in ("", layout.NONE_STATED) else stated


def read_index(store: str) -> Mapping[str, TaskType]:
    """The data sets of a store -> their task type."""
    index = _index(store)
    return dict(zip(index["name"], index["task_type"], strict=True))


@lru_cache(maxsize=8)
def _index(store: str) -> pd.DataFrame:
    """A row per data set, all of it text."""
    import pandas as pd

    file = Path(store).expanduser() / "index.csv"
    if not file.is_file():
        raise UserError(
            f"expected the index of a data store, found no {file}; make one (docs/STORE.md), "
            f"fetch data sets (python -m hptbench fetch openml/31 --store {store}), or name another folder"
        )
    try:
        index = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: expected a CSV file with a header, got: {error}") from error
    if missing := {"name", "task_type"} - set(index):
        raise UserError(f"{file}: expected the columns name and task_type, found no {', '.join(sorted(missing))}")
    for name, kind in zip(index["name"], index["task_type"], strict=True):
        if kind not in ("classification", "regression"):
            raise UserError(f"{file}: data set {name!r}: expected task_type classification or regression, got {kind!r}")
    if twice := sorted(index["name"][index["name"].duplicated()]):
        raise UserError(f"{file}: expected each name once, got {', '.join(twice)} more than once")
    return index


@lru_cache(maxsize=32)
def load(data: str, store: str | None, target: str, drop_rare: bool) -> Table:
    """The whole data set. UserError where the file cannot be read or cannot be learnt from."""
    kind = task_type(data, store)
    if store is not None:
        return to_table(_read(Path(store).expanduser() / f"{data}.parquet"), target, kind, data, drop_rare)
    import sklearn.datasets

    X, y = getattr(sklearn.datasets, f"load_{data}")(return_X_y=True)
    y = y.astype(np.int64) if kind == "classification" else y.astype(np.float64)
    X = np.ascontiguousarray(X, np.float64)
    return Table(X, y, np.zeros(X.shape[1], bool), len(np.unique(y)) if kind == "classification" else 0)


@lru_cache(maxsize=256)
def fingerprint(data: str, store: str | None, target: str, drop_rare: bool) -> str:
    """The SHA-256 of all that learners can see of a data set."""
    table = load(data, store, target, drop_rare)
    digest = hashlib.sha256(repr((table.X.shape, str(table.y.dtype), table.n_classes)).encode())
    for part in (table.X, table.y, table.categorical):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def to_table(frame: pd.DataFrame, target: str, kind: TaskType, data: str, drop_rare: bool = False) -> Table:
    """A data frame as arrays. ``drop_rare`` leaves out the rows of classes with fewer than 3 rows, which are
    an error otherwise."""
    if target not in frame:
        raise unknown(f"target column of {data!r}:", target, map(str, frame.columns))
    features = frame.drop(columns=target)
    if len(frame) < MIN_ROWS or not len(features.columns):
        raise UserError(
            f"data set {data!r}: expected at least {MIN_ROWS} rows and a feature, "
            f"got {len(frame)} rows and {len(features.columns)} features"
        )
    if missing := int(frame[target].isna().sum()):
        raise UserError(f"data set {data!r}: the target {target!r} is missing in {missing} rows; drop these rows")
    columns = [_column(features[name], f"data set {data!r}: column {name!r}") for name in features]
    X = np.stack([values for values, _ in columns], axis=1)
    categorical = np.array([is_category for _, is_category in columns])
    if kind == "regression":
        return Table(X, _numbers(frame[target], f"data set {data!r}: target {target!r}"), categorical, 0)
    codes = _codes(frame[target], f"data set {data!r}: target {target!r}")
    return _checked(X, codes, categorical, data, drop_rare)


def _checked(X: Floats, labels: Floats, categorical: NDArray[np.bool_], data: str, drop_rare: bool) -> Table:
    _, y, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rare = counts < MIN_CLASS_ROWS
    if rare.any() and drop_rare:
        keep = ~rare[y]
        if not keep.any():
            raise UserError(f"data set {data!r}: no class has {MIN_CLASS_ROWS} rows; is it a regression problem?")
        return _checked(X[keep], labels[keep], categorical, data, drop_rare)
    if len(counts) < 2:
        raise UserError(f"data set {data!r}: expected at least 2 classes, got {len(counts)}; leave it out")
    if rare.any():
        raise UserError(
            f"data set {data!r}: expected at least {MIN_CLASS_ROWS} rows of each class (test, validation, training), "
            f"got fewer for {int(rare.sum())} of {len(counts)} classes; merge them, or set drop_rare=true"
        )
    return Table(X, y.astype(np.int64), categorical, len(counts))


def _read(file: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow

    if not file.is_file():
        if address := layout.openml_address(file.stem):
            raise layout.missing(address, file.parent)
        raise UserError(f"expected the data set's file {file}, found none; the store's index.csv names it")
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise UserError(f"{file}: expected a parquet file, got: {error}; write it anew") from error


def _column(column: pd.Series[Any], where: str) -> tuple[Floats, bool]:
    """(n,) numbers or category codes, NaN where missing; whether they are categories."""
    if column.isna().all():
        return np.full(len(column), np.nan), False
    if _holds_numbers(column):
        return _numbers(column, where), False
    return _codes(column, where), True


def _holds_numbers(column: pd.Series[Any]) -> bool:
    """Also booleans, and numbers with missing values."""
    from pandas.api import types

    return types.is_numeric_dtype(column.dtype) and not types.is_complex_dtype(column.dtype)


def _numbers(column: pd.Series[Any], where: str) -> Floats:
    if not _holds_numbers(column):
        raise UserError(f"{where}: expected numbers, got {column.dtype}; convert them")
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        raise UserError(f"{where}: expected finite numbers, got infinite ones; replace them, e.g. by missing values")
    return values


def _codes(column: pd.Series[Any], where: str) -> Floats:
    """(n,) 0, 1, ... in the order of the categories, or of the sorted values; NaN where missing."""
    import pandas as pd
    from pandas.api import types

    if not isinstance(column.dtype, pd.CategoricalDtype):
        if types.is_object_dtype(column.dtype) or types.is_string_dtype(column.dtype):
            if not column.dropna().map(lambda v: isinstance(v, str | bool | int | float)).all():
                raise UserError(f"{where}: expected text, numbers or booleans, got other objects; convert them")
            column = column.map(str, na_action="ignore")
        elif not _holds_numbers(column):
            raise UserError(f"{where}: expected numbers, booleans or categories, got {column.dtype}; convert them")
        column = column.astype("category")
    codes = column.cat.codes.to_numpy(dtype=np.float64)
    return np.where(codes < 0, np.nan, codes)
