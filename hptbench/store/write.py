"""Writing into a store: under locks that a killed process gives back, and files that are there whole or not at all."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.store import layout
from hptbench.store.layout import Card

if TYPE_CHECKING:
    import pandas as pd

_INDEX = {
    "name": "name", "task_type": "task_type", "openml_id": "data_id", "version": "version", "n_rows": "n_rows",
    "n_features": "n_features", "n_classes": "n_classes", "licence": "licence", "target": "target",
    "sha256": "sha256", "fetched": "fetched",
}  # fmt: skip
"""Column of index.csv -> key of the card."""


@contextmanager
def locked(store: Path, key: str) -> Iterator[None]:
    """Alone with ``key`` among all threads and processes that use the store; waits for the others."""
    folder = store / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{key}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise UserError(
                f"{store}: expected a file system with locks, got: {error}; set --store elsewhere"
            ) from error
        yield


def put_data(store: Path, frame: pd.DataFrame, card: Card) -> Card:
    """Write a data set, its card and its row of the index, in this order: a card stands for a whole data set.
    Call it under the data set's lock."""
    file = layout.data_file(store, card["name"])
    _write(file, lambda part: frame.to_parquet(part, index=False))
    card = {**card, "sha256": layout.sha256_of_file(file)}
    put_card(layout.data_card_file(store, card["name"]), card)
    put_into_index(store, card)
    return card


def put_task(store: Path, splits: pd.DataFrame, card: Card) -> None:
    """Write the splits of a task, then its card. Call it under the task's lock."""
    file = layout.split_file(store, card["task_id"])
    _write(file, lambda part: splits.to_parquet(part, index=False))
    put_card(
        layout.task_card_file(store, card["task_id"]),
        {**card, "splits_sha256": layout.sha256_of_splits(splits), "sha256": layout.sha256_of_file(file)},
    )


def put_card(file: Path, card: Card) -> None:
    """Write a card."""
    text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    _write(file, lambda part: part.write_text(text, encoding="utf-8"))


def put_into_index(store: Path, card: Card) -> None:
    """Make the row of a data set what its card says. Rows and columns of others stay; rows are sorted by name, so
    that the order in which downloads end leaves no trace."""
    import pandas as pd

    file = store / "index.csv"
    row = {column: "" if card[key] is None else str(card[key]) for column, key in _INDEX.items()}
    with locked(store, "index"):
        index = read_index(file) if file.is_file() else pd.DataFrame(columns=list(row), dtype=str)
        same = index["name"] == row["name"]
        if same.any() and index.loc[same].iloc[0].reindex(list(row)).to_dict() == row:
            return
        index = pd.concat([index[~same], pd.DataFrame([row])]).fillna("").sort_values("name", kind="stable")
        _write(file, lambda part: index.to_csv(part, index=False))


def read_index(file: Path) -> pd.DataFrame:
    """The index as text. UserError if it cannot be read."""
    import pandas as pd

    try:
        index = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: expected a CSV file with a header, got: {error}; delete or mend it") from error
    if "name" not in index:
        raise UserError(f"{file}: expected the column name, found none; delete or mend it")
    return index


def _write(file: Path, write: Callable[[Path], Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    for left in file.parent.glob(f".{file.name}.*"):  # by a process that was killed: the lock is ours now
        left.unlink(missing_ok=True)
    write_whole(file, write)
