"""Data sets, tasks and suites from OpenML into a store, in parallel; what is there is not fetched again.

Each item is tried several times, each time with an empty cache of its own, and fails alone: the rest goes on.
"""

from __future__ import annotations

import queue
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal, NamedTuple

from hptbench.errors import UserError
from hptbench.store import client, convert, layout, write
from hptbench.store.layout import Card

LONGEST_DELAY = 30.0
"""Seconds between two attempts, at most."""


class Address(NamedTuple):
    """What is to be fetched."""

    kind: Literal["data", "task", "suite"]
    id: str

    def __str__(self) -> str:
        return f"openml/{self.id}" if self.kind == "data" else f"openml/{self.kind}/{self.id}"


class Result(NamedTuple):
    """What became of an item."""

    address: Address
    status: Literal["fetched", "there", "failed"]
    message: str = ""


@dataclass(frozen=True)
class Settings:
    """How to fetch."""

    server: str = client.OPENML
    jobs: int = 4
    """Downloads at once."""
    timeout: float = 60.0
    """Seconds that the server may be silent."""
    retries: int = 4
    """Attempts after the first."""
    backoff: float = 1.0
    """Seconds before the second attempt; doubled for each further one."""

    def __post_init__(self) -> None:
        for name, least in (("jobs", 1), ("timeout", 1e-3), ("retries", 0), ("backoff", 0)):
            if not getattr(self, name) >= least:
                raise UserError(f"expected {name} >= {least:g}, got {getattr(self, name)}")

    @property
    def delays(self) -> list[float]:
        """Seconds before each further attempt."""
        return [min(self.backoff * 2**i, LONGEST_DELAY) for i in range(self.retries)]


def parse(address: str) -> Address:
    """openml/31, openml/task/31 or openml/suite/99 (or a suite's alias). UserError for anything else."""
    if found := re.fullmatch(r"openml/(?:(data|task)/)?(\d+)", address):
        return Address("task" if found[1] == "task" else "data", str(int(found[2])))
    if found := re.fullmatch(r"openml/suite/([\w.-]+)", address):
        return Address("suite", str(int(found[1])) if found[1].isdecimal() else found[1])
    raise UserError(
        f"expected openml/<data id>, openml/task/<id> or openml/suite/<id or alias>, got {address!r}; "
        "e.g. python -m hptbench fetch openml/31 openml/suite/99"
    )


def fetch(
    store: Path,
    addresses: Iterable[Address],
    settings: Settings,
    on_progress: Callable[[int, int, Result], None] = lambda done, known, result: None,
) -> list[Result]:
    """One result per item, in the order in which they ended; a suite's tasks are items, too.

    ``on_progress`` is called with (items done, items known, result). The workers are daemons: an interrupted process
    ends at once, and the store bears it."""
    wanted = list(dict.fromkeys(addresses))
    with client.connected(settings.server, settings.timeout) as openml:
        fetcher = _Fetcher(store, openml, settings)
        todo: queue.SimpleQueue[Address | None] = queue.SimpleQueue()
        ended: queue.SimpleQueue[tuple[Result, Sequence[Address]]] = queue.SimpleQueue()

        def work() -> None:
            while (address := todo.get()) is not None:
                ended.put(fetcher.item(address))

        workers = [threading.Thread(target=work, daemon=True) for _ in range(settings.jobs)]
        for worker in workers:
            worker.start()
        for address in wanted:
            todo.put(address)
        known = set(wanted)
        results: list[Result] = []
        while len(results) < len(known):
            result, more = ended.get()
            for address in more:
                if address not in known:
                    known.add(address)
                    todo.put(address)
            results.append(result)
            on_progress(len(results), len(known), result)
        for _ in workers:
            todo.put(None)
        for worker in workers:
            worker.join()
    return results


class _Fetcher:
    def __init__(self, store: Path, openml: ModuleType, settings: Settings) -> None:
        self._store, self._openml, self._settings = store, openml, settings

    def item(self, address: Address) -> tuple[Result, Sequence[Address]]:
        """(what became of an item, what it asks for further). Raises nothing."""
        attempts: list[float | None] = [*self._settings.delays, None]
        for number, delay in enumerate(attempts, 1):
            try:
                return self._once(address)
            except Exception as error:
                words = client.reason(error)
                if not client.may_pass(error):
                    return Result(address, "failed", words), ()
                if delay is None:
                    return Result(address, "failed", f"given up after {number} attempts: {words}"), ()
                time.sleep(delay)
        raise AssertionError("unreachable")

    def _once(self, address: Address) -> tuple[Result, Sequence[Address]]:
        there = {"data": self._data_there, "task": self._task_there, "suite": self._suite_there}[address.kind]
        make = {"data": self._data, "task": self._task, "suite": self._suite}[address.kind]
        if (card := there(address.id)) is not None:
            return Result(address, "there"), _further(card)
        folder = self._store / ".cache" / f"{address.kind}-{address.id}"
        with write.locked(self._store, folder.name):
            if (card := there(address.id)) is not None:  # another process was quicker
                return Result(address, "there"), _further(card)
            shutil.rmtree(folder, ignore_errors=True)  # left by a process that was killed
            try:
                with client.cache(folder):
                    card = make(address.id)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return Result(address, "fetched"), _further(card)

    # what is there

    def _data_there(self, data_id: str) -> Card | None:
        card = layout.find_data(self._store, int(data_id))
        if card is not None:
            write.put_into_index(self._store, card)
        return card

    def _task_there(self, task_id: str) -> Card | None:
        file, splits = (f(self._store, int(task_id)) for f in (layout.task_card_file, layout.split_file))
        if not (file.is_file() and splits.is_file()):
            return None
        card = layout.read_card(file)
        return card if self._named_data(card["data"]) is not None else None

    def _named_data(self, name: str) -> Card | None:
        file = layout.data_card_file(self._store, name)
        if not (file.is_file() and layout.data_file(self._store, name).is_file()):
            return None
        card = layout.read_card(file)
        write.put_into_index(self._store, card)
        return card

    def _suite_there(self, suite: str) -> Card | None:
        return layout.find_suite(self._store, suite)

    # what is not

    def _data(self, data_id: str) -> Card:
        dataset = self._openml.datasets.get_dataset(int(data_id))
        target = convert.default_target(dataset)
        return self._put_data(dataset, target, convert.natural_kind(dataset, target))

    def _put_data(self, dataset: object, target: str, kind: str) -> Card:
        convert.refuse_unreadable(dataset)
        name = convert.store_name(dataset, target, kind)
        with write.locked(self._store, f"name-{name}"):  # data sets and several tasks may want the same
            card = self._named_data(name)
            return card if card is not None else write.put_data(self._store, *convert.to_frame(dataset, target, kind))

    def _task(self, task_id: str) -> Card:
        task = self._openml.tasks.get_task(int(task_id))
        kind = convert.task_kind(task)
        dataset = self._openml.datasets.get_dataset(task.dataset_id)
        data = self._put_data(dataset, task.target_name, kind)
        splits, card = convert.to_splits(task, data["n_rows"])
        card = {**card, "data": data["name"]}
        write.put_task(self._store, splits, card)
        return card

    def _suite(self, suite: str) -> Card:
        card = convert.to_suite(self._openml.study.get_suite(int(suite) if suite.isdecimal() else suite))
        with write.locked(self._store, f"name-suite-{card['suite_id']}"):  # its alias may be asked for, too
            write.put_card(layout.suite_file(self._store, card["suite_id"]), card)
        return card


def _further(card: Card) -> Sequence[Address]:
    """The tasks of a suite."""
    return [Address("task", str(task)) for task in card.get("tasks", ())]
