"""Tuning a real learner on a task of OpenML, from a frozen store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.protocol import JSON
from hptbench.registry import task
from hptbench.store import layout
from hptbench.tasks import _data, _split
from hptbench.tasks.dataset import DatasetTask, Outer

_LEAST = 2
"""Rows of each class outside the test rows, so that no training part of the inner split lacks one."""


@task("openml")
@dataclass(frozen=True, kw_only=True)
class OpenMLTask(DatasetTask):
    """A learner on an OpenML task: OpenML's own split is the hidden outer test split.

    ``fetch openml/task/ID`` puts a task into the store; from then on no network is needed. All else is as in the
    family ``dataset``; the number ``split`` is that of the inner split alone. ``max_rows`` thins the rows that may be
    learnt from and those that test alike.
    """

    version: ClassVar[int] = 2

    data: str = field(init=False, default="")
    """The task's data set in the store."""
    task_id: int
    repeat: int = 0
    fold: int = 0

    def __post_init__(self) -> None:
        if self.store is None:
            object.__setattr__(self, "store", layout.default_store())
        object.__setattr__(self, "data", self._card(self.task_id, self.store)["data"])
        given = {f.name: f.default for f in fields(DatasetTask)}
        for name in ("test_share", "drop_rare", "target"):
            if getattr(self, name) != given[name]:
                raise UserError(f"openml/task/{self.task_id} fixes its test rows and its target; leave {name} out")
        layout.split_rows(self._folder, self.task_id, self.repeat, self.fold)
        super().__post_init__()

    @property
    def name(self) -> str:
        return f"{super().name}-t{self.task_id}-r{self.repeat}f{self.fold}"

    def identity(self) -> Mapping[str, JSON]:
        outer = layout.split_rows(self._folder, self.task_id, self.repeat, self.fold)
        digest = hashlib.sha256(
            b"".join(len(rows).to_bytes(8, "little") + rows.astype("<i8").tobytes() for rows in outer)
        )
        place = {"task_id": self.task_id, "repeat": self.repeat, "fold": self.fold}
        inherited = {k: v for k, v in super().identity().items() if k not in ("test_share", "drop_rare", "target")}
        return inherited | place | {"outer_sha256": digest.hexdigest()}

    @classmethod
    def space_name(
        cls, data: str = "", learner: str = "", store: str | None = None, task_id: int | None = None, **_: Any
    ) -> str:
        """Which packaged space a task with these fields has: the key under ``spaces`` of a suite."""
        store = store or layout.default_store()
        name = data if task_id is None else cls._card(task_id, store)["data"]
        return super().space_name(name, learner, store)

    def outer(self) -> Outer:
        """OpenML's own split. UserError if the store does not hold what the task says."""
        return _outer(self.data, self._folder, self.max_rows, self.task_id, self.repeat, self.fold)

    @staticmethod
    def _card(task_id: int, store: str | None) -> layout.Card:
        return layout.task_card(store or layout.default_store(), task_id)

    @property
    def _folder(self) -> str:
        assert self.store is not None  # __post_init__ sets it
        return self.store


@lru_cache(maxsize=8)
def _outer(data: str, store: str, max_rows: int | None, task_id: int, repeat: int, fold: int) -> Outer:
    table = _data.load(data, store, "target", False)
    stated = layout.task_card(store, task_id)["n_rows"]
    if len(table) != stated:
        raise UserError(
            f"openml/task/{task_id}: expected {stated} rows in {data}, got {len(table)}; fetch --verify the store"
        )
    rest, test = (table.take(rows) for rows in layout.split_rows(store, task_id, repeat, fold))
    if max_rows is not None:
        share = max_rows / len(table)
        kept = _data.MIN_CLASS_ROWS
        rest, test = (
            part.take(_split.part(part, share, ("openml", data, role, repeat, fold), kept))
            for part, role in ((rest, "rest"), (test, "test"))
        )
    if table.n_classes and (few := int((np.bincount(rest.y, minlength=table.n_classes) < _LEAST).sum())):
        raise UserError(
            f"openml/task/{task_id}: expected {_LEAST} rows of each class to learn from in repeat {repeat}, fold "
            f"{fold}, got fewer for {few} of {table.n_classes} classes; choose another fold, or leave the task out"
        )
    return Outer(rest, test)
