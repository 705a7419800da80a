"""How far the runs are that have begun and not finished: read from their journals, which may be growing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from hptbench.errors import UserError
from hptbench.journal import peek


@dataclass(frozen=True)
class Progress:
    """What the journal of an unfinished run holds."""

    task: str
    method: str
    seed: int
    run: str
    best: tuple[float, ...]
    """The incumbent's value of the first objective after each finished job, by validation: highest fidelity first; NaN
    before the first that succeeded."""
    failed: int
    written: float
    """When the journal last grew: seconds since 1970."""

    @property
    def jobs(self) -> int:
        """Finished jobs."""
        return len(self.best)


def unfinished(folder: Path) -> list[Progress]:
    """The unfinished runs of a study, by task, method and seed. UserError if ``folder`` is no study's or a journal is
    damaged before its tail."""
    home = folder / "runs"
    if not home.is_dir():
        raise UserError(f"expected the folder of a study, with runs/ in it, got {folder}")
    journals = home.glob("*/*/*/journal.jsonl")
    return [_progress(path) for path in sorted(journals) if not path.with_name("run.json").is_file()]


def _progress(path: Path) -> Progress:
    task, method, name = path.parts[-4:-1]
    seed, _, run = name.partition("-")
    best: list[float] = []
    at = (0.0, math.nan)
    failed = 0
    for entry in peek(path):
        outcome = entry["outcome"]
        if outcome["status"] == "ok":
            _, values, *constraints = outcome["curve"][-1]
            new = (-float(entry["stop"]), float(values[0]))
            if all(c <= 0 for kept in constraints for c in kept) and (math.isnan(at[1]) or new < at):
                at = new
        else:
            failed += 1
        best.append(at[1])
    return Progress(task, method, int(seed), run, tuple(best), failed, path.stat().st_mtime)


def signature(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Changes when a run of the study logs a job, or ends: (file, size, time of change in ns) of journals and rows."""
    found = []
    for pattern in ("*/*/*/journal.jsonl", "*/*/*/run.json"):
        for path in (folder / "runs").glob(pattern):
            status = path.stat()
            found.append((str(path), status.st_size, status.st_mtime_ns))
    return tuple(sorted(found))
