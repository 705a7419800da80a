"""From the folders of runs to two tables of a study: ``jobs.parquet`` and ``runs.parquet``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.results.schema import JOBS, KEY, RUNS, arrow_schema, table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Study:
    """The finished runs of a study as tables; columns as in :mod:`hptbench.results.schema`."""

    folder: Path
    jobs: pd.DataFrame
    """A row per job, ordered by run and end."""
    runs: pd.DataFrame
    """A row per run."""
    unfinished: tuple[str, ...]
    """Folders of runs that have begun, but not finished."""


_LATER = ("cpu", "memory", "energy", "gpu", "gpu_energy", "left", "constraints", "trained")
"""Columns that runs of earlier versions lack: null."""
_PLAIN = '{"overhead": 0.0, "spread": 0.0}'
"""The simulation of runs of versions that knew no other."""
EARLIER: Mapping[str, Any] = {
    "constraints": [], "front": None, "optimum": None, "simulation": _PLAIN, "hypotheses": None, "load": None,
    "states": None,
    "licence": None, "advice": None, "budget_reason": None,
}  # fmt: skip
"""What columns of runs were, before runs had them."""


def collect(folder: Path, only: Collection[tuple[str, str, int, str]] | None = None) -> Study:
    """Gather all finished runs below ``folder`` and write the study's two tables, unless they are there already.

    ``only``: KEY of the runs to return (the tables on disk hold all). Raises UserError if there
    is no run, or if a run's files are damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    home = folder / "runs"
    if not home.is_dir():
        raise UserError(f"expected the folder of a study, with runs/ in it, got {folder}")
    done = sorted(path.parent for path in home.glob("*/*/*/run.json"))
    begun = sorted(path.parent for path in home.glob("*/*/*/journal.jsonl"))
    if not done:
        raise UserError(f"{folder}: no run is finished yet; run the study's command again to go on")
    runs = _runs([path / "run.json" for path in done])
    jobs = _collected(folder, runs, done)
    if jobs is None:
        jobs = pa.concat_tables([_jobs(path / "jobs.parquet") for path in done]).combine_chunks()
        for name, rows in (("jobs", jobs), ("runs", runs)):
            write_whole(folder / f"{name}.parquet", partial(pq.write_table, rows, compression="zstd"))
    frames = [rows.to_pandas() for rows in (jobs, runs)]
    if only is not None:
        frames = [chosen(frame, only) for frame in frames]
    left = tuple(str(path.relative_to(home)) for path in begun if path not in set(done))
    return Study(folder, frames[0], frames[1], left)


def inputs(folder: Path) -> dict[str, str]:
    """SHA-256 of the study's tables."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("jobs.parquet", "runs.parquet")}


def chosen(frame: pd.DataFrame, only: Collection[tuple[str, str, int, str]]) -> pd.DataFrame:
    """The rows of the runs ``only``, by KEY."""
    import pandas as pd

    keep = pd.MultiIndex.from_frame(frame[KEY]).isin(list(only))
    return frame[keep].reset_index(drop=True)


def _collected(folder: Path, runs: Any, done: Sequence[Path]) -> Any:
    """The study's table of jobs if it was written of just these ``runs``, else None: a file per run is read a hundred
    times as slowly. What a run measured of itself is in its row, so that a run that was made anew has another one."""
    import pyarrow as pa

    tables = {name: folder / f"{name}.parquet" for name in ("jobs", "runs")}
    try:
        written = min(path.stat().st_mtime_ns for path in tables.values())
        if any((path / "jobs.parquet").stat().st_mtime_ns > written for path in done):
            return None
        if not _table(tables["runs"]).equals(runs):
            return None
        jobs = _table(tables["jobs"])
    except (pa.ArrowException, OSError):
        return None
    whole = jobs.num_rows == sum(runs["jobs"].to_pylist())  # somebody else may write the two tables at the same time
    return jobs if whole and jobs.schema.equals(arrow_schema(JOBS)) else None


def _table(path: Path) -> Any:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read(use_threads=False)


def _runs(paths: Sequence[Path]) -> Any:
    """The table of runs, a row per file."""
    rows = [_row(path) for path in paths]
    try:
        return table(RUNS, rows)
    except (ValueError, TypeError):
        for path, row in zip(paths, rows, strict=True):  # whose it is
            try:
                table(RUNS, [row])
            except (ValueError, TypeError) as error:
                raise _damaged(path, error) from error
        raise


def _row(path: Path) -> dict[str, Any]:
    try:
        row = {**EARLIER, **json.loads(path.read_text(encoding="utf-8"))}
        if missing := {c.name for c in RUNS} - row.keys():
            raise ValueError(f"no {sorted(missing)}")
    except (ValueError, TypeError) as error:
        raise _damaged(path, error) from error
    return row


def _jobs(path: Path) -> Any:
    import pyarrow as pa

    try:
        rows = _table(path)
        for column in JOBS:
            if column.name in _LATER and column.name not in rows.column_names:
                nulls = table([column], [{column.name: None}] * len(rows))
                rows = rows.append_column(column.name, nulls[column.name])
        return rows.select([c.name for c in JOBS])
    except (pa.ArrowException, OSError, KeyError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UserError(
        f"{path} is damaged ({reason}). Delete {path.with_name('run.json')} and run the study's command again: "
        "the run is made anew from its journal"
    )
