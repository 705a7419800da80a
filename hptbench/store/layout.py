"""What a store holds and where; reading it. Nothing here needs the network or the ``openml`` package.

    index.csv               a row per data set
    <name>.parquet          its rows, the target in the column ``target``
    cards/<name>.json       where it comes from, under which licence, its hashes
    tasks/<id>.json         an OpenML task: data set, target, estimation procedure, hashes
    tasks/<id>.parquet      its splits: repeat, fold, sample, row, role (train or test)
    suites/<id>.json        an OpenML suite: the ids of its tasks

Rows of splits are positions in the data set's file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Card = Mapping[str, Any]
Rows = NDArray[np.intp]

ROLES = ("train", "test")
NONE_STATED = "none stated"
"""The licence of a data set whose source states none."""
SPLIT_COLUMNS = ("repeat", "fold", "sample", "row", "role")


def default_store() -> str:
    """HPTBENCH_STORE, else the folder ``store`` here."""
    return os.environ.get("HPTBENCH_STORE") or "store"


def missing(address: str, store: str | Path) -> UserError:
    """The error for what the store lacks; it names the command that fetches it. ``address``: openml/task/31."""
    return UserError(
        f"{store} holds no {address}; fetch it once: python -m hptbench fetch {address} --store {store} (then offline)"
    )


def openml_address(name: str) -> str | None:
    """openml/31 for the data set name credit-g-31; None for a name that was not made from an OpenML id."""
    found = re.search(r"-(\d+)$", name)
    return f"openml/{found[1]}" if found else None


def data_file(store: Path, name: str) -> Path:
    """The rows of a data set."""
    return store / f"{name}.parquet"


def data_card_file(store: Path, name: str) -> Path:
    """The card of a data set."""
    return store / "cards" / f"{name}.json"


def task_card_file(store: Path, task: int) -> Path:
    """The card of an OpenML task."""
    return store / "tasks" / f"{task}.json"


def split_file(store: Path, task: int) -> Path:
    """The splits of an OpenML task."""
    return store / "tasks" / f"{task}.parquet"


def suite_file(store: Path, suite: int) -> Path:
    """The list of a suite."""
    return store / "suites" / f"{suite}.json"


def read_card(file: Path) -> Card:
    """A card. UserError if it cannot be read."""
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: expected a card in JSON, got: {error}; delete it and fetch again") from error
    if not isinstance(card, dict):
        raise UserError(f"{file}: expected a card in JSON, got a {type(card).__name__}; delete it and fetch again")
    return card


def task_card(store: str, task: int) -> Card:
    """What is known of an OpenML task. UserError, with the command that fetches it, if it is not in the store."""
    file = task_card_file(Path(store).expanduser(), task)
    if not file.is_file():
        raise missing(f"openml/task/{task}", store)
    return read_card(file)


def suite_card(store: str, suite: int | str) -> Card:
    """A suite by id or alias. UserError, with the command that fetches it, if it is not in the store."""
    card = find_suite(Path(store).expanduser(), str(suite))
    if card is None:
        raise missing(f"openml/suite/{suite}", store)
    return card


def find_suite(store: Path, suite: str) -> Card | None:
    """A suite of the store by id or alias."""
    if suite.isdecimal():
        file = suite_file(store, int(suite))
        return read_card(file) if file.is_file() else None
    cards = (read_card(file) for file in sorted((store / "suites").glob("*.json")))
    return next((card for card in cards if card["alias"] == suite), None)


def find_data(store: Path, data_id: int) -> Card | None:
    """The card of a data set with OpenML's default target, if the store holds it whole."""
    for file in sorted((store / "cards").glob(f"*-{data_id}.json")):
        card = read_card(file)
        if card["data_id"] == data_id and card["default_target"] and data_file(store, card["name"]).is_file():
            return card
    return None


@lru_cache(maxsize=64)
def split_rows(store: str, task: int, repeat: int, fold: int) -> tuple[Rows, Rows]:
    """(rows that may be learnt from, rows that test) of one of OpenML's splits, ascending. UserError if there is
    no such repeat or fold."""
    import pandas as pd

    card = task_card(store, task)
    for what, value, number in (("repeat", repeat, card["repeats"]), ("fold", fold, card["folds"])):
        if not 0 <= value < number:
            raise UserError(f"openml/task/{task}: expected {what} 0 to {number - 1}, got {value}")
    file = split_file(Path(store).expanduser(), task)
    if not file.is_file():
        raise missing(f"openml/task/{task}", store)
    chosen = [("repeat", "==", repeat), ("fold", "==", fold), ("sample", "==", 0)]
    try:
        part = pd.read_parquet(file, columns=["row", "role"], filters=chosen)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise UserError(f"{file}: expected a parquet file, got: {error}; delete it and fetch again") from error
    train, test = (np.sort(part["row"][part["role"] == role].to_numpy(np.intp)) for role in ROLES)
    return train, test


def sha256_of_file(file: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_splits(splits: pd.DataFrame) -> str:
    """The SHA-256 of the indices, whatever wrote the file: little-endian 64-bit numbers, row by row; the role is 0
    (train) or 1 (test)."""
    numbers = np.empty((len(splits), len(SPLIT_COLUMNS)), "<i8")
    for i, column in enumerate(SPLIT_COLUMNS[:-1]):
        numbers[:, i] = splits[column]
    numbers[:, -1] = splits["role"] == ROLES[1]
    return hashlib.sha256(numbers.tobytes()).hexdigest()
