"""What the trainings of a run have left to go on from, bounded however long the run is.

A state is only a cache: one that is not here is made again from ``Job.before``, bit for bit. So what is kept decides
how much has to be trained twice, never a result. Kept are

- what a job under way goes on from (a pending proposal's ``source``),
- of the others the :data:`LIMIT` that were used last, or twice as many as a population has members. The last states of
  trials outlive those from which their trial has gone on, which another trial may still want to copy; the best one
  (highest fidelity first, then lowest value) outlives all.

So a population loses none, and one that trains for ever (PBT) does not fill the disk.
That of a training that has reached the end is not kept at all.
Which state came from which is in the journal and in ``jobs.parquet``: ``source``, ``trial``, ``start``.
"""

from __future__ import annotations

import pickle
import shutil
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.protocol import GoesOn, Search, State

LIMIT = 64
"""Kept beside those in use, at least."""


@dataclass
class _Kept:
    rank: tuple[float, float]
    """(- fidelity, value): the least is the best."""
    state: State
    """None if it is on the disk."""
    users: int = 0
    """Jobs under way that go on from it."""
    over: bool = False
    """Its trial has gone on from it."""


class States:
    """The states of one run: in memory, or as files ``<job>.pickle`` in ``folder``.

    Files are for the run's own next session, which alone reads them, and are gone when it is finished. Those of
    jobs that are not in ``known`` (the jobs in the run's journal) are deleted."""

    def __init__(self, folder: Path | None = None, known: Collection[int] = (), limit: int = LIMIT) -> None:
        self._folder, self._limit = folder, limit
        self._idle: OrderedDict[int, _Kept] = OrderedDict()
        """Last state of a trial, by the job that left it; the latest used last."""
        self._over: OrderedDict[int, _Kept] = OrderedDict()
        """The same of those from which their trial has gone on."""
        self._busy: dict[int, _Kept] = {}
        self._bytes: dict[int, int] = {}
        """Sizes of the files, by job."""
        self.peak_mb: float | None = None
        """Most that the files took at a time, 10^6 bytes; None if there was none."""
        self._best: int | None = None
        """The best of the last states, if it is known."""
        if folder is not None:
            folder.mkdir(exist_ok=True)
            for path in folder.iterdir():
                if path.suffix != ".pickle" or not path.stem.isdigit() or int(path.stem) not in known:
                    path.unlink()

    def __len__(self) -> int:
        return len(self._idle) + len(self._over) + len(self._busy)

    def hold(self, search: Search) -> None:
        """Make room for the states of all that ``search`` has in training, and of as many that it has left."""
        if isinstance(search, GoesOn):
            self._limit = max(self._limit, 2 * search.in_training)

    def keep(self, job: int, state: State, fidelity: float, value: float) -> None:
        """What ``job`` left at ``fidelity`` with ``value``. None: that an earlier session may have kept."""
        path = self._path(job)
        if path is not None:
            if state is not None:
                write_whole(path, lambda part: part.write_bytes(pickle.dumps(state, pickle.HIGHEST_PROTOCOL)))
            elif not path.is_file():
                return
            self._bytes[job] = path.stat().st_size
            self.peak_mb = max(self.peak_mb or 0.0, sum(self._bytes.values()) / 1e6)
        elif state is None:
            return
        self._rest(job, _Kept((-fidelity, value), state if path is None else None))

    def lend(self, job: int) -> State:
        """What ``job`` left, for another job to go on from; None if it is lost. Stays until it is given back."""
        kept = self._busy.get(job)
        if kept is None:
            kept = self._idle.pop(job, None) or self._over.pop(job, None)
            if kept is None:
                return None
            self._busy[job] = kept
            self._best = None if self._best == job else self._best
        kept.users += 1
        path = self._path(job)
        return kept.state if path is None else _read(path)

    def give_back(self, job: int, over: bool) -> None:
        """A job that went on from the state has ended; ``over``: it was the same trial's, which has gone on."""
        kept = self._busy.get(job)
        if kept is None:  # lost when it was asked for
            return
        kept.users -= 1
        kept.over |= over
        if not kept.users:
            del self._busy[job]
            self._rest(job, kept)

    def clear(self) -> None:
        """Delete all: the run is finished."""
        self._idle.clear()
        self._over.clear()
        self._busy.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder)

    def _rest(self, job: int, kept: _Kept) -> None:
        """Nobody uses it now; drop another if there are too many."""
        if kept.over:
            self._over[job] = kept
        else:
            self._idle[job] = kept
            if self._best is not None and kept.rank < self._idle[self._best].rank:
                self._best = job
        if len(self._idle) + len(self._over) > self._limit:
            victim = self._victim()
            if (path := self._path(victim)) is not None:
                path.unlink()
                del self._bytes[victim]

    def _victim(self) -> int:
        """Take out the state that is missed least."""
        if self._over:
            return self._over.popitem(last=False)[0]
        if self._best is None:
            self._best = min(self._idle, key=lambda job: self._idle[job].rank)
        oldest = iter(self._idle)
        victim = next(oldest)
        if victim == self._best:
            victim = next(oldest)
        del self._idle[victim]
        return victim

    def _path(self, job: int) -> Path | None:
        return None if self._folder is None else self._folder / f"{job}.pickle"


def _read(path: Path) -> State:
    try:
        return pickle.loads(path.read_bytes())
    except Exception as error:  # whatever the state's own classes raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"{path} cannot be read ({reason}): the environment changed since. Delete {path.parent} to go on: what was "
            "in it is made again"
        ) from error
