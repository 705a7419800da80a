"""Whether a store is what it was when it was fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hptbench.errors import UserError
from hptbench.store import layout, write
from hptbench.store.layout import Card


class Verdict(NamedTuple):
    """What :func:`verify` found."""

    files: int
    """How many were looked at."""
    damaged: dict[str, str]
    """File, relative to the store -> what is wrong with it and what to do."""


def verify(store: Path) -> Verdict:
    """Compute every hash again: data sets, splits, and the index. Data sets without a card, which are the user's
    own, have none."""
    cards = sorted(f for kind in ("cards", "tasks", "suites") for f in (store / kind).glob("*.json"))
    if not cards:
        raise UserError(
            f"expected a store with cards, found none in {store}; fetch something first, or set --store to another"
        )
    damaged: dict[str, str] = {}
    sound: dict[str, Card] = {}
    files = len(cards)
    for file in cards:
        try:
            card = layout.read_card(file)
        except UserError as error:
            damaged[str(file.relative_to(store))] = str(error)
            continue
        try:
            if file.parent.name == "cards":
                sound[card["name"]] = card
                wrong = _wrong(layout.data_file(store, card["name"]), card)
            elif file.parent.name == "tasks":
                wrong = _wrong(layout.split_file(store, card["task_id"]), card, _wrong_splits)
            else:
                _ = [int(task) for task in card["tasks"]]
                continue
        except (KeyError, TypeError, ValueError) as error:
            damaged[str(file.relative_to(store))] = f"an entry is missing or wrong: {error}; {_AGAIN}"
            continue
        files += 1
        if wrong:
            damaged[str(file.with_suffix(".parquet").relative_to(store)).removeprefix("cards/")] = f"{wrong}; {_AGAIN}"
    if sound:
        files += 1
        damaged |= _wrong_index(store, sound)
    return Verdict(files, damaged)


_AGAIN = "delete it and fetch again"


def _wrong(file: Path, card: Card, look: Callable[[Path, Card], str] = lambda file, card: "") -> str:
    if not file.is_file():
        return "missing"
    if (got := layout.sha256_of_file(file)) != card["sha256"]:
        return f"expected SHA-256 {card['sha256'][:12]}…, got {got[:12]}…"
    return look(file, card)


def _wrong_splits(file: Path, card: Card) -> str:
    import pandas as pd

    got = layout.sha256_of_splits(pd.read_parquet(file))
    return "" if got == card["splits_sha256"] else f"expected splits {card['splits_sha256'][:12]}…, got {got[:12]}…"


def _wrong_index(store: Path, cards: dict[str, Card]) -> dict[str, str]:
    file = store / "index.csv"
    try:
        index = write.read_index(file).set_index("name")
    except UserError as error:
        return {"index.csv": str(error)}
    for name, card in cards.items():
        if name not in index.index:
            return {"index.csv": f"no row for {name}; fetch openml/{card['data_id']}, which mends it"}
        if str(index.loc[name].get("sha256")) != card["sha256"]:
            return {"index.csv": f"the SHA-256 of {name} is not its card's; fetch openml/{card['data_id']}"}
    return {}
