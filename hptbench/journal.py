"""Append-only log of one run. Resuming is running again: logged jobs are answered from the log.

A journal is a text file. Its first line says which run it belongs to, every other line is one
finished job, or the seconds that the method thought before it was asked for more (if they move the run's time): JSON, a
tab, the CRC-32 of the JSON. A batch of jobs is written at once and synced
to the disk before the next one is evaluated. A torn tail (a killed process, a full disk) is cut
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
from typing import Any

from hptbench.errors import UserError
from hptbench.protocol import Job, Outcome, Point, Status
from hptbench.simulate import Run

_FORMAT = 1
SYNCS = 16
"""Journals synced to the disk at a time."""
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_LOCK_SECONDS = 10.0
"""A killed process may take a moment to let go of its journal."""


class Journal:
    """The log of the run ``run`` at ``path``, locked for this process until closed.

    Raises UserError if the file is damaged before its tail, belongs to another run, or is in
    use by another process."""

    def __init__(self, path: Path, run: str) -> None:
        self.path = path
        self._unsynced = False
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._lock()
            lines, good = _read(path)
            self.history: list[tuple[int, float, float]] = []
            """Live runs: (job id, begin, end) in the order of end, seconds since the run began."""
            self.logged: dict[int, tuple[dict[str, Any], Outcome]] = {}
            """Job id -> what was asked and what came of it, in the order of logging."""
            self.thoughts: deque[float] = deque()
            """Seconds of the asks that are still to be replayed, the next one first."""
            if lines:
                self._check_header(lines[0], run)
                self.thoughts = deque(entry["thought"] for entry in lines[1:] if "thought" in entry)
                jobs = (entry for entry in lines[1:] if "thought" not in entry)
                self.logged = {entry["job"]: (entry, _outcome(entry.pop("outcome"))) for entry in jobs}
                self.history = [(e["job"], *e.pop("at")) for e, _ in self.logged.values() if "at" in e]
            os.ftruncate(self._fd, good)
            if not lines:
                self._write([{"format": _FORMAT, "run": run}])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Sync what is left to sync; release the lock and the file."""
        if self._fd >= 0:
            self.sync()
            os.close(self._fd)
            self._fd = -1

    def sync(self) -> None:
        """Return once all that was appended is on the disk."""
        if self._unsynced:
            os.fsync(self._fd)
            self._unsynced = False

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(
        self, jobs: Sequence[Job], outcomes: Sequence[Outcome], times: Sequence[tuple[float, float]] = ()
    ) -> None:
        """Log finished jobs, of live runs with their (begin, end). :meth:`sync` is the caller's to call."""
        entries = [_asked(job) | {"outcome": _plain(outcome)} for job, outcome in zip(jobs, outcomes, strict=True)]
        for entry, at in zip(entries, times, strict=False):
            entry["at"] = at
        self._write(entries)

    def thought(self, seconds: float) -> float:
        """The seconds of the run's next ask: those logged, if there are any, else ``seconds``, which are logged."""
        if self.thoughts:
            return self.thoughts.popleft()
        self._write([{"thought": seconds}])
        return seconds

    def take(self, job: Job) -> Outcome | None:
        """The logged outcome of a job, if there is one.

        Raises UserError if the log holds another job under this id: code or settings changed."""
        if job.id not in self.logged:
            return None
        was, outcome = self.logged.pop(job.id)
        now = json.loads(json.dumps(_asked(job)))
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

    def _check_header(self, header: Mapping[str, Any], run: str) -> None:
        if header.get("format") != _FORMAT:
            raise UserError(f"{self.path}: expected journal format {_FORMAT}, got {header.get('format')!r}")
        if header.get("run") != run:
            raise UserError(f"{self.path}: expected the journal of run {run}, got that of run {header.get('run')}")

    def _write(self, entries: Iterable[Mapping[str, Any]]) -> None:
        data = memoryview(b"".join(map(_line, entries)))
        while data:
            data = data[os.write(self._fd, data) :]
        self._unsynced = True


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


def _line(entry: Mapping[str, Any]) -> bytes:
    body = _encode(entry).encode()
    return b"%s\t%08x\n" % (body, zlib.crc32(body))


def _read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The entries before the first damaged line, and the number of bytes that they fill."""
    lines: list[dict[str, Any]] = []
    good, torn = 0, None
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        body, _, check = line.rstrip(b"\n").rpartition(b"\t")
        whole = line.endswith(b"\n") and check == b"%08x" % zlib.crc32(body)
        if whole and torn is None:
            lines.append(json.loads(body))
            good += len(line)
        elif whole:
            raise UserError(
                f"{path}: line {torn} is damaged, but line {number} after it is whole, so this is no torn tail. "
                "Restore the file, or move the run's folder away to start the run anew"
            )
        else:
            torn = torn or number
    return lines, good


def _asked(job: Job) -> dict[str, Any]:
    p = job.proposal
    return {
        "job": job.id,
        "trial": job.trial,
        "start": job.start,
        "stop": job.stop,
        "source": p.source,
        "config": dict(p.config),
    }


def _plain(o: Outcome) -> dict[str, Any]:
    plain = {
        "status": o.status,
        "curve": [(q.fidelity, q.values, *([q.constraints] if q.constraints else ())) for q in o.curve],
        "cost": o.cost,
        "hidden": dict(o.hidden),
        "message": o.message,
    }
    mostly_none = {"cpu": o.cpu, "memory": o.memory, "trained": o.trained}
    return plain | {name: value for name, value in mostly_none.items() if value is not None}


def _outcome(o: Mapping[str, Any]) -> Outcome:
    curve = tuple(Point(f, *map(tuple, values)) for f, *values in o["curve"])
    rest = (o.get(name) for name in ("cpu", "memory", "trained"))
    return Outcome(Status(o["status"]), curve, o["cost"], o["hidden"], None, o["message"], *rest)
