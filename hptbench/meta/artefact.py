"""The trained recommender as a file: arrays and JSON in an npz, no pickle, so that loading it runs no code.

What is learnt is the past itself, in 32 bits, and which members make up ``auto`` for each kind of task. The weights of
past data sets are computed when a recommendation is asked for, in fractions of a second; so that what was learnt from
a family can be left out at any time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown
from hptbench.files import write_whole
from hptbench.learners import TaskType
from hptbench.meta.auto import Auto, choose
from hptbench.meta.features import VERSION
from hptbench.meta.past import Key, Past, pasts

if TYPE_CHECKING:
    import pandas as pd

SHIPPED = Path(__file__).with_name("recommender.npz")
_CARD, _FIELDS = "card", ("features", "validation", "test")
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Trained:
    """What recommendations are made from."""

    pasts: Mapping[Key, Past]
    autos: Mapping[TaskType, Auto]

    def past(self, learner: str, kind: TaskType) -> Past:
        """Of a learner. UserError if nothing was learnt about it."""
        if (learner, kind) not in self.pasts:
            raise unknown(f"learner with recommendations for {kind}", learner, self.learners(kind))
        return self.pasts[learner, kind]

    def learners(self, kind: TaskType) -> list[str]:
        """Those with recommendations for a kind of task."""
        return sorted(learner for learner, known in self.pasts if known == kind)

    def without(self, families: Collection[str]) -> Trained:
        """What would have been learnt without these families, the choice of auto's members included."""
        touched = {kind for (_, kind), past in self.pasts.items() if np.isin(past.families, sorted(families)).any()}
        rest = {key: past.without(families) if key[1] in touched else past for key, past in self.pasts.items()}
        chosen = {kind: _choice(rest, kind) if kind in touched else auto for kind, auto in self.autos.items()}
        return Trained(rest, chosen)


def train(table: pd.DataFrame, described: pd.DataFrame) -> Trained:
    """Learn from a table of evaluations and one of meta-features. UserError as :func:`hptbench.meta.past.pasts`."""
    found = pasts(table, described)
    kinds: list[TaskType] = sorted({kind for _, kind in found})
    return Trained(found, {kind: _choice(found, kind) for kind in kinds})


def _choice(found: Mapping[Key, Past], kind: TaskType) -> Auto:
    return choose([past for past in found.values() if past.kind == kind])


def save(trained: Trained, path: Path) -> None:
    """Write the file. The same past gives the same bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    groups = []
    for past in trained.pasts.values():
        where = f"{past.learner}/{past.kind}/"
        arrays |= {where + name: getattr(past, name).astype(np.float32) for name in _FIELDS}
        groups.append({
            "learner": past.learner, "kind": past.kind, "metric": past.metric, "configs": list(past.configs),
            "data": list(past.data), "families": past.families.tolist(), "names": list(past.names),
        })  # fmt: skip
    autos = {kind: list(auto.members) for kind, auto in trained.autos.items()}
    card = {"format": _FORMAT, "features": VERSION, "autos": autos, "groups": groups}
    arrays[_CARD] = np.frombuffer(json.dumps(card, sort_keys=True).encode(), np.uint8)

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    write_whole(path, write)


@lru_cache(maxsize=2)
def load(path: Path = SHIPPED) -> Trained:
    """What :func:`save` wrote. UserError for a file that is none, or made with other definitions."""
    anew = "make it anew: python -m hptbench meta train"
    try:
        with np.load(path, allow_pickle=False) as file:
            card = json.loads(file[_CARD].tobytes().decode())
            if (card["format"], card["features"]) != (_FORMAT, VERSION):
                raise UserError(
                    f"{path}: expected a recommender of format {_FORMAT} with meta-features of version {VERSION}, got "
                    f"{card['format']} and {card['features']}; {anew}"
                )
            found = {(g["learner"], g["kind"]): _past(file, g) for g in card["groups"]}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: expected a trained recommender, got: {error}; {anew}") from error
    return Trained(found, {kind: Auto(tuple(members)) for kind, members in card["autos"].items()})


def _past(file: Mapping[str, NDArray[Any]], group: Mapping[str, Any]) -> Past:
    where = f"{group['learner']}/{group['kind']}/"
    features, validation, test = (file[where + name].astype(float) for name in _FIELDS)
    names: Sequence[str] = group["names"]
    return Past(
        group["learner"], group["kind"], group["metric"], tuple(group["configs"]), tuple(group["data"]),
        np.array(group["families"]), tuple(names), features, validation, test,
    )  # fmt: skip
