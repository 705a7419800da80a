"""Append-only log of one run. Resuming is running again: logged jobs are answered from the log.

A log is a text file. Its first line says which run it belongs to, every other line is one
finished job, or the seconds that the method thought before it was asked for more (if they move the run's time): JSON, a
tab, the CRC-32 of the JSON. A batch of jobs is written at once and synced
to the disk before the next one is evaluated; of jobs that are looked up, and cost nothing to do again, at most once a
second. A torn tail (a killed process, a full disk) is cut
on opening.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Self

from hptbench.errors import CannotWrite, UserError
from hptbench.protocol import Job, Outcome, Point, Status
from hptbench.simulate import Run

_FORMAT = 1
SYNCS = 16
"""Journals synced to the disk at a time."""
_DUE_S = 1.0
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_LOCK_SECONDS = 10.0
"""A killed process may take a moment to let go of its journal."""
_MOSTLY_NONE = ("cpu", "memory", "trained", "energy", "gpu", "gpu_energy", "left")
"""Of an outcome what a log holds only if it is known."""


class Log:
    """An append-only file of checked lines, locked for this process until closed. The first line says what it is of.

    The lock is the kernel's (flock): that of a dead process is gone. Raises UserError if the file is damaged before its
    tail, belongs to another run, is in use by another process, or cannot be locked or written."""

    def __init__(self, path: Path, run: str, about: Mapping[str, Any] | None = None) -> None:
        """The log of the run ``run``; ``about``: what else a new one says of it in its first line."""
        self.path = path
        self.head = {"format": _FORMAT, "run": run} | dict(about or {})
        """The first line of a new one."""
        self._unsynced, self._synced = False, time.monotonic()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise CannotWrite(
                f"{path} cannot be opened as a journal ({error.strerror}): its folder has to exist, and to be writable"
            ) from error
        try:
            self._lock()
            lines, self._size = _read(path)
            if lines:
                self._check_header(lines[0], run)
            self._read_in(lines[1:])
            os.ftruncate(self._fd, self._size)
            if not lines:
                self.write([self.head])
        except BaseException:
            self.close()
            raise

    def _read_in(self, entries: list[dict[str, Any]]) -> None:
        """Take in what an earlier session has logged."""
        self.entries = entries

    def close(self) -> None:
        """Sync what is left to sync; release the lock and the file."""
        if self._fd >= 0:
            self.sync()
            os.close(self._fd)
            self._fd = -1

    def sync(self) -> None:
        """Return once all that was written is on the disk."""
        if self._unsynced:
            os.fsync(self._fd)
            self._unsynced = False
        self._synced = time.monotonic()

    @property
    def due(self) -> bool:
        """The last sync was more than a second ago: time for one even of what costs nothing to do again."""
        return time.monotonic() - self._synced > _DUE_S

    def write(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Append all of ``entries`` or, with a UserError, none. :meth:`sync` is the caller's to call."""
        self.extend(lines_of(entries))

    def extend(self, lines: bytes) -> None:
        """Append whole lines, as :func:`lines_of` makes them; else like :meth:`write`."""
        whole = data = memoryview(lines)
        if (size := os.fstat(self._fd).st_size) != self._size:
            raise UserError(
                f"{self.path}: expected {self._size} bytes, as this process left it, got {size}: somebody else writes "
                "it, too, so its lock does not hold between machines. Let one machine work at a time, or put results= "
                "on a file system whose flock does (docs/CLUSTER.md)"
            )
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            raise CannotWrite(
                f"{self.path} cannot be written ({error.strerror}); make room and run again: what it holds is kept"
            ) from error
        self._size += len(whole)
        self._unsynced = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lock(self) -> None:
        end = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    raise UserError(
                        f"{self.path} is in use by another process: wait for it, or stop it, then run again"
                    ) from None
                time.sleep(0.05)
            except OSError as error:
                raise UserError(
                    f"{self.path} cannot be locked ({error.strerror}): put results= on a file system with flock "
                    "(docs/CLUSTER.md)"
                ) from error

    def _check_header(self, header: Mapping[str, Any], run: str) -> None:
        if header.get("format") != _FORMAT:
            raise UserError(f"{self.path}: expected journal format {_FORMAT}, got {header.get('format')!r}")
        if header.get("run") != run:
            raise UserError(f"{self.path}: expected the journal of run {run}, got that of run {header.get('run')}")


class Journal(Log):
    """The log of one run's jobs."""

    def _read_in(self, entries: list[dict[str, Any]]) -> None:
        self.thoughts: deque[float] = deque(entry["thought"] for entry in entries if "thought" in entry)
        """Seconds of the asks that are still to be replayed, the next one first."""
        jobs = (entry for entry in entries if "thought" not in entry)
        self.logged = {entry["job"]: (entry, outcome_of(entry.pop("outcome"))) for entry in jobs}
        """Job id -> what was asked and what came of it, in the order of logging."""
        self.history = [(e["job"], *e.pop("at")) for e, _ in self.logged.values() if "at" in e]
        """Live runs: (job id, begin, end) in the order of end, seconds since the run began."""

    def append(
        self, jobs: Sequence[Job], outcomes: Sequence[Outcome], times: Sequence[tuple[float, float]] = ()
    ) -> None:
        """Log finished jobs, of live runs with their (begin, end). :meth:`sync` is the caller's to call."""
        entries = [
            asked_entry(job) | {"outcome": outcome_entry(outcome)} for job, outcome in zip(jobs, outcomes, strict=True)
        ]
        for entry, at in zip(entries, times, strict=False):
            entry["at"] = at
        self.write(entries)

    def thought(self, seconds: float) -> float:
        """The seconds of the run's next ask: those logged, if there are any, else ``seconds``, which are logged."""
        if self.thoughts:
            return self.thoughts.popleft()
        self.write([{"thought": seconds}])
        return seconds

    def take(self, job: Job) -> Outcome | None:
        """The logged outcome of a job, if there is one.

        Raises UserError if the log holds another job under this id: code or settings changed."""
        if job.id not in self.logged:
            return None
        was, outcome = self.logged.pop(job.id)
        now = json.loads(json.dumps(asked_entry(job)))
        if was != now:
            odd = next(k for k in now if now[k] != was.get(k))
            raise UserError(
                f"{self.path}: job {job.id} now has {odd}={now[odd]!r}, the journal has {was.get(odd)!r}: the code or "
                "the environment changed since. Go back to it to resume, or move the run's folder away to start anew"
            )
        return outcome

    def stray(self, jobs: Iterable[int]) -> UserError:
        """The error for logged jobs that the run no longer asks for."""
        return UserError(
            f"{self.path} holds jobs {sorted(jobs)[:5]}, which the run no longer asks for: the code changed since. "
            "Go back to it to resume, or move the run's folder away to start anew"
        )


def begun(path: Path) -> bool:
    """Whether there is a log: a process may have been killed, or the disk full, before its first line was written."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _whole(file.readline())


def header(path: Path) -> dict[str, Any]:
    """The first line of a log: what it is of. UserError if there is no log."""
    lines = _read(path)[0] if path.is_file() else []
    if not lines:
        raise UserError(f"expected a journal, got {path}, which is none")
    return lines[0]


def peek(path: Path) -> list[dict[str, Any]]:
    """The finished jobs of a journal that another process may be writing, in the order of logging: what was asked
    (job, trial, start, stop, source, config) and its outcome (status, curve, …). A torn tail is left alone and out.

    UserError if the file is damaged before its tail."""
    lines, _ = _read(path)
    return [line for line in lines[1:] if "thought" not in line]


def journaled(run: Run, journal: Journal, sync: Callable[[Journal], None] = Journal.sync) -> Run:
    """``run`` with a memory: only jobs that are not in the journal are passed on to be evaluated.

    ``sync`` is called with the journal when it has grown; a driver of many runs may sync them together,
    as long as it does so before it evaluates more jobs."""
    try:
        jobs = next(run)
        while True:
            known = {job.id: outcome for job in jobs if (outcome := journal.take(job)) is not None}
            new = [job for job in jobs if job.id not in known]
            if new:
                outcomes = yield new
                journal.append(new, outcomes)
                sync(journal)
                known |= zip((job.id for job in new), outcomes, strict=True)
            jobs = run.send([known[job.id] for job in jobs])
    except StopIteration as stop:
        if journal.logged:
            raise journal.stray(journal.logged) from None
        return list(stop.value)


def sync_all(journals: Sequence[Journal], disk: Executor) -> None:
    """Sync many journals together: a disk takes several at once, and in threads they do not wait for each other."""
    parts = [journals[i::SYNCS] for i in range(SYNCS)]
    list(disk.map(lambda part: [journal.sync() for journal in part], parts))


def lines_of(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """The text of a log, or of a part of it."""
    return b"".join(map(_line, entries))


def _line(entry: Mapping[str, Any]) -> bytes:
    body = _encode(entry).encode()
    return b"%s\t%08x\n" % (body, zlib.crc32(body))


def _whole(line: bytes) -> bool:
    body, _, check = line.rpartition(b"\t")
    return check == b"%08x\n" % zlib.crc32(body)


def _read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The entries before the first damaged line, and the number of bytes that they fill."""
    lines: list[dict[str, Any]] = []
    good, torn = 0, None
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        whole = _whole(line)
        if whole and torn is None:
            lines.append(json.loads(line.rpartition(b"\t")[0]))
            good += len(line)
        elif whole:
            raise UserError(
                f"{path}: line {torn} is damaged, but line {number} after it is whole, so this is no torn tail. "
                "Restore the file, or move the run's folder away to start the run anew"
            )
        else:
            torn = torn or number
    return lines, good


def asked_entry(job: Job) -> dict[str, Any]:
    """What was asked, as a log holds it."""
    p = job.proposal
    return {
        "job": job.id,
        "trial": job.trial,
        "start": job.start,
        "stop": job.stop,
        "source": p.source,
        "config": dict(p.config),
    }


def outcome_entry(o: Outcome) -> dict[str, Any]:
    """An outcome, as a log holds it; its state is not in it."""
    plain = {
        "status": o.status,
        "curve": [(q.fidelity, q.values, *([q.constraints] if q.constraints else ())) for q in o.curve],
        "cost": o.cost,
        "hidden": dict(o.hidden),
        "message": o.message,
    }
    mostly_none = {name: getattr(o, name) for name in _MOSTLY_NONE}
    return plain | {name: value for name, value in mostly_none.items() if value is not None}


def outcome_of(o: Mapping[str, Any]) -> Outcome:
    """The inverse of :func:`outcome_entry`."""
    curve = tuple(Point(f, *map(tuple, values)) for f, *values in o["curve"])
    rest = {name: o.get(name) for name in _MOSTLY_NONE}
    return Outcome(Status(o["status"]), curve, o["cost"], o["hidden"], None, o["message"], **rest)
