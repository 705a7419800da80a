"""A study folder of runs that were made elsewhere, through the writers of our own runs. Nothing is invented: what is
not known is null, and ``provenance`` says where a run comes from."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hptbench.errors import UserError
from hptbench.exchange.study import write_folder
from hptbench.files import write_whole
from hptbench.identity import as_json, digest
from hptbench.results.collect import collect
from hptbench.results.schema import JOBS, KEY, RUN_KEY, RUNS, table

_NAME = re.compile(r"[\w.,=+-]+")
"""What can be the name of a folder on any system."""


def unknown_run(task: str, method: str, seed: int) -> dict[str, Any]:
    """A row of runs.parquet of which nothing else is known."""
    return dict.fromkeys(column.name for column in RUNS) | {"task": task, "method": method, "seed": seed, "unit": task}


def unknown_job() -> dict[str, Any]:
    """A row of jobs.parquet of which nothing is known, without the columns that name its run."""
    none = dict.fromkeys(column.name for column in JOBS if column not in RUN_KEY)
    return none | {"message": "", "hidden": "{}", "note": "{}", "constraints": []}


def source(path: Path, kind: str) -> dict[str, str]:
    """What ``provenance`` says of an imported file."""
    return {"format": kind, "file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def completed(row: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """``row`` with what follows from its jobs, and ``jobs`` with training in full evaluations: a segment from ``start``
    to ``stop``, of ``high``."""
    high = row["high"]
    counted = [
        {**job, "units": (job["stop"] - job["start"]) / high, "units_from_zero": job["stop"] / high} for job in jobs
    ]
    failed = sum(job["status"] != "ok" for job in jobs)
    spent = sum(job["units"] for job in counted)
    return {**row, "jobs": len(jobs), "failed": failed, "full_evals": spent}, counted


def write_study(
    folder: Path, runs: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]], origin: Mapping[str, str]
) -> None:
    """Write the new study ``folder``. ``runs``: each the row of a run and its jobs without :data:`RUN_KEY`; the id is
    made here, of all that is there. UserError if two share a task, method and seed, or a name cannot be a folder's."""
    import pyarrow.parquet as pq

    names = Counter(tuple(row[column] for column in KEY[:3]) for row, _ in runs)
    if not names:
        raise UserError(f"expected at least one run in {origin['file']}, got none")
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(
            f"expected one run for each task, method and seed, got several of {'/'.join(map(str, twice[0]))}"
        )
    for part in sorted({str(part) for name in names for part in name[:2]}):
        if not _NAME.fullmatch(part) or part in (".", ".."):
            raise UserError(f"expected names of tasks and methods of letters, digits and -_.,=+, got {part!r}")

    def write(home: Path) -> None:
        for row, jobs in runs:
            run_id = digest({"row": dict(row), "jobs": [dict(job) for job in jobs]})
            whole = {**row, "run": run_id, "provenance": as_json({"imported": dict(origin), "was": row["provenance"]})}
            key = {column: whole[column] for column in KEY}
            table(RUNS, [whole])  # or the study could never be collected
            place = home / "runs" / str(row["task"]) / str(row["method"]) / f"{row['seed']}-{run_id}"
            place.mkdir(parents=True)
            rows = table(JOBS, [{**job, **key} for job in jobs])
            write_whole(place / "jobs.parquet", lambda path, rows=rows: pq.write_table(rows, path, compression="zstd"))  # type: ignore[misc]
            text = as_json(whole) + "\n"
            write_whole(place / "run.json", lambda path, text=text: path.write_text(text, encoding="utf-8"))  # type: ignore[misc]
        collect(home)

    write_folder(folder, write)
