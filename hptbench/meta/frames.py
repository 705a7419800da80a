"""A user's data set, from a file or a frame to what learners take, or one sentence that says why not.

Nothing leaves the machine. What is changed on the way (columns left out, infinite values) is said in ``notes``.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.learners import Table, TaskType
from hptbench.store import layout
from hptbench.tasks._data import to_table

if TYPE_CHECKING:
    import pandas as pd

ROWS = (10, 1_000_000)
"""Fewest and most."""
COLUMNS, CLASSES = 5_000, 100
"""Most."""
_FEW = 15
"""A numeric target with at most so many different whole numbers, and in a twentieth of the rows, holds classes."""
_TEXT_SHARE, _TEXT_WORDS = 0.5, 3
"""A column of text with more different values than this share of the rows, or so many words in the middle, is free
text."""
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}([T ].*)?")
_SHOWN = 5


@dataclass(frozen=True)
class Cleaned:
    """A user's data set, ready for learners."""

    frame: pd.DataFrame
    """The columns that are left, and the target as the column ``target``."""
    table: Table
    kind: TaskType
    notes: tuple[str, ...]
    """What was changed, one sentence each."""


def read(data: str, target: str | None, encoding: str = "utf-8", store: str | None = None) -> tuple[pd.DataFrame, str]:
    """The frame and its target. ``data``: a file (.csv, .tsv, .parquet, .arff), or openml/<id> in a store.

    UserError for what cannot be read, and without a target (an OpenML data set has one)."""
    if found := re.fullmatch(r"openml/(\d+)", data):
        import pandas as pd

        folder = Path(store or layout.default_store()).expanduser()
        card = layout.find_data(folder, int(found[1]))
        if card is None:
            raise layout.missing(data, folder)
        return pd.read_parquet(layout.data_file(folder, card["name"])), target or "target"
    if not target:
        raise UserError("expected the name of the column to predict, got none; set target=COLUMN")
    path = Path(data).expanduser()
    readers = {
        ".csv": _csv, ".tsv": _csv, ".txt": _csv, ".parquet": _parquet, ".pq": _parquet, ".arff": _arff,
    }  # fmt: skip
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"expected data=FILE.csv, .tsv, .parquet or .arff, or openml/ID, got {data!r}")
    if not path.is_file():
        raise UserError(f"expected a file of data, found no {path}")
    try:
        return reader(path, encoding), target
    except UnicodeError as error:
        raise UserError(f"{path}: expected text in {encoding}, got {error}; set encoding=latin-1, say") from error
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: expected data in the format {path.suffix[1:]}, got: {reason}") from error


def _csv(path: Path, encoding: str) -> pd.DataFrame:
    import pandas as pd

    with path.open(encoding=encoding, newline="") as file:
        head = file.read(65536)
    try:
        separator = csv.Sniffer().sniff(head.partition("\n")[0], ",;\t|").delimiter
    except csv.Error:  # one column
        separator = ","
    return pd.read_csv(path, sep=separator, encoding=encoding)


def _parquet(path: Path, encoding: str) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path)


def _arff(path: Path, encoding: str) -> pd.DataFrame:
    import arff
    import pandas as pd

    with path.open(encoding=encoding) as file:
        try:
            found = arff.load(file)
        except arff.ArffException as error:
            raise ValueError(str(error)) from error
    frame = pd.DataFrame(found["data"], columns=[name for name, _ in found["attributes"]])
    for name, kind in found["attributes"]:
        if isinstance(kind, list):
            frame[name] = pd.Categorical(frame[name], categories=kind)
    return frame


def cleaned(frame: pd.DataFrame, target: str, kind: str | None = None) -> Cleaned:
    """The data set that learners can take. ``kind``: classification or regression; None: what the target looks like.

    Left out are rows without a target and of classes with fewer than 3 rows, and columns that hold nothing, dates, free
    text, ids, or the same as another. UserError where nothing can be learnt, or the data set is too large."""
    notes: list[str] = []
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    if target not in frame:
        raise unknown("target column", target, frame.columns)
    if list(frame.columns).count(target) > 1:
        raise UserError(f"expected one column {target!r}, got several; rename the others")
    if frame.columns.duplicated().any():
        frame = frame.loc[:, ~frame.columns.duplicated()]
        notes.append("of columns with one name only the first was kept")
    if absent := int(frame[target].isna().sum()):
        frame = frame[frame[target].notna()]
        notes.append(f"{absent} rows without a target were left out")
    _check_size(frame)
    kind_found: TaskType = _kind(frame[target], kind)
    y = frame[target]
    if kind_found == "classification":
        y, frame = _classes(y, frame, target, notes)
    else:
        _check_numbers(y, target)
    columns: dict[str, Any] = {}
    for name in frame.columns.drop(target):
        column, why = _column(frame[name])
        if why:
            notes.append(f"column {name!r} was left out: {why}")
        else:
            columns[_free(name, frame.columns)] = column
    columns = _finite(columns, notes)
    _drop_twins(columns, notes)
    if not columns:
        raise UserError("expected a column to learn from beside the target, got none that holds numbers or categories")
    import pandas as pd

    whole = pd.DataFrame({**columns, "target": y.to_numpy() if kind_found == "regression" else y.astype(str)})
    return Cleaned(whole, to_table(whole, "target", kind_found, "yours"), kind_found, _short(notes))


def _check_size(frame: pd.DataFrame) -> None:
    rows, columns = frame.shape[0], frame.shape[1] - 1
    if not ROWS[0] <= rows <= ROWS[1]:
        todo = "collect more" if rows < ROWS[0] else "take a sample of them"
        raise UserError(f"expected {ROWS[0]} to {ROWS[1]:,} rows with a target, got {rows:,}; {todo}")
    if not 1 <= columns <= COLUMNS:
        todo = "there is nothing to learn from" if columns < 1 else "leave some out"
        raise UserError(f"expected 1 to {COLUMNS:,} columns beside the target, got {columns:,}; {todo}")


def _kind(y: pd.Series[Any], given: str | None) -> TaskType:
    from pandas.api import types

    if given not in (None, "classification", "regression"):
        raise unknown("kind", given, ("classification", "regression"))
    if given is not None:
        return given  # type: ignore[return-value]
    if not types.is_numeric_dtype(y.dtype) or types.is_bool_dtype(y.dtype):
        return "classification"
    values = y.unique()
    whole = bool((np.asarray(values, float) == np.rint(np.asarray(values, float))).all())
    return "classification" if whole and len(values) <= min(_FEW, max(2, len(y) // 20)) else "regression"


def _check_numbers(y: pd.Series[Any], target: str) -> None:
    from pandas.api import types

    if not types.is_numeric_dtype(y.dtype) or types.is_complex_dtype(y.dtype):
        raise UserError(
            f"expected a target of numbers for regression, {target!r} is {y.dtype}; set kind=classification"
        )
    values = y.to_numpy(dtype=float)
    if not np.isfinite(values).all():
        raise UserError(f"expected a finite target, {target!r} has infinite values; leave these rows out")
    if values.min() == values.max():
        raise UserError(f"expected a target that varies, {target!r} is {values[0]:g} in every row")


def _classes(
    y: pd.Series[Any], frame: pd.DataFrame, target: str, notes: list[str]
) -> tuple[pd.Series[Any], pd.DataFrame]:
    counts = y.astype(str).value_counts()
    if len(counts) < 2:
        raise UserError(f"expected at least two classes, {target!r} is {counts.index[0]!r} in every row")
    if rare := counts.index[counts < 3].tolist():
        kept = ~y.astype(str).isin(rare)
        y, frame = y[kept], frame[kept]
        notes.append(f"{len(rare)} class(es) with fewer than 3 rows were left out")
        if y.nunique() < 2:
            raise UserError(
                f"expected two classes with 3 rows or more, {target!r} has {y.nunique()}; set kind=regression if it "
                "holds numbers"
            )
    if len(counts) - len(rare) > CLASSES:
        raise UserError(
            f"expected at most {CLASSES} classes, {target!r} has {len(counts) - len(rare)}; merge them, or set "
            "kind=regression if it holds numbers"
        )
    return y, frame


def _column(column: pd.Series[Any]) -> tuple[Any, str]:
    """The column as learners take it, and why it is left out; that is empty if it is not."""
    from pandas.api import types

    there = column.dropna()
    if there.empty:
        return None, "it is empty"
    if types.is_datetime64_any_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype):
        return None, _DATES
    if types.is_complex_dtype(column.dtype):
        return None, "it holds complex numbers"
    if types.is_numeric_dtype(column.dtype):
        if there.min() == there.max():
            return None, "it is constant"
        if types.is_integer_dtype(column.dtype) and _counts_up(there):
            return None, "it numbers the rows"
        return column, ""
    return _words(column, there)


_DATES = "it holds dates (years, months or weekdays as columns of their own could be used)"


def _words(column: pd.Series[Any], there: pd.Series[Any]) -> tuple[Any, str]:
    """As :func:`_column`, of what is no number: texts, categories, objects."""
    import pandas as pd

    if not there.map(lambda v: isinstance(v, str | bool | int | float | np.generic)).all():
        kind = type(there.iloc[0]).__name__
        return None, _DATES if kind in ("date", "datetime", "Timestamp") else f"it holds objects ({kind})"
    numbers = pd.to_numeric(column.astype(object), errors="coerce")
    if numbers.notna().sum() == len(there):
        return _column(numbers.astype(float))
    text = there.astype(str)
    distinct = int(text.nunique())
    if distinct == 1:
        return None, "it is constant"
    if text.iloc[:1000].map(_DATE.fullmatch).notna().all():
        return None, _DATES
    if distinct == len(text):
        return None, "every value is another: an id, or free text"
    if distinct > _TEXT_SHARE * len(text) or (
        distinct > _FEW and text.iloc[:1000].str.count(r"\s+").median() >= _TEXT_WORDS
    ):
        return None, "it is free text, or an id"
    return column.map(str, na_action="ignore").astype("category"), ""


def _counts_up(there: pd.Series[Any]) -> bool:
    values = np.sort(there.to_numpy(dtype=float))
    return len(values) > ROWS[0] and bool((np.diff(values) == 1).all())


def _finite(columns: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Infinite values become missing ones."""
    from pandas.api import types

    out = {}
    for name, column in columns.items():
        if types.is_float_dtype(column.dtype) and (bad := np.isinf(column.to_numpy(float, na_value=np.nan))).any():
            notes.append(f"{int(bad.sum())} infinite values of column {name!r} count as missing")
            column = column.mask(bad)
        out[name] = column
    return out


def _drop_twins(columns: dict[str, Any], notes: list[str]) -> None:
    """Of columns that hold the same only the first is kept."""
    import pandas as pd

    seen: dict[bytes, str] = {}
    for name, column in list(columns.items()):
        key = pd.util.hash_pandas_object(column, index=False, categorize=True).to_numpy().tobytes()
        if key in seen:
            notes.append(f"column {name!r} was left out: it is the same as {seen[key]!r}")
            del columns[name]
        seen.setdefault(key, name)


def _free(name: str, names: Any) -> str:
    """A column's name; ``target`` is the target's."""
    if name == "target":
        while name in names:
            name += "_"
    return name


def _short(notes: list[str]) -> tuple[str, ...]:
    more = len(notes) - _SHOWN
    return (*notes[:_SHOWN], *([f"and {more} more of the kind"] if more > 0 else []))
