"""The finished runs of a study as plain Python values, and folders that are there whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hptbench.errors import UserError
from hptbench.results.collect import Study
from hptbench.results.schema import KEY
from hptbench.space import Space, from_json


@dataclass(frozen=True)
class Finished:
    """A finished run. Missing values are None."""

    row: Mapping[str, Any]
    """Columns :data:`hptbench.results.schema.RUNS`."""
    jobs: Sequence[Mapping[str, Any]]
    """Columns :data:`hptbench.results.schema.JOBS`, in the order in which they ended."""

    @property
    def name(self) -> str:
        """task/method/seed."""
        return "/".join(str(self.row[column]) for column in KEY[:3])

    @cached_property
    def space(self) -> Space:
        """The search space. UserError if it is not known."""
        if self.row["space"] is None:
            raise UserError(
                f"expected a run with its search space, got the imported {self.name}; leave it out with --where"
            )
        return from_json(self.row["space"])

    def usable(self, job: Mapping[str, Any]) -> bool:
        """Whether a job succeeded at the full fidelity and keeps all constraints."""
        kept = all(one <= 0 for one in job["constraints"] or ())
        return bool(job["status"] == "ok" and kept and job["stop"] >= self.row["high"])


def finished(study: Study) -> list[Finished]:
    """The runs of ``study``, by task, method and seed. UserError if two runs share these."""
    import pyarrow.parquet as pq

    wanted = set(study.runs[KEY].itertuples(index=False, name=None))
    jobs: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for job in pq.read_table(study.folder / "jobs.parquet").to_pylist():
        jobs.setdefault(tuple(job[column] for column in KEY), []).append(job)
    rows = pq.read_table(study.folder / "runs.parquet").to_pylist()
    keyed = {tuple(row[column] for column in KEY): row for row in rows}
    found = [Finished(keyed[key], jobs.get(key, [])) for key in sorted(wanted)]
    names = [run.name for run in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(
            f"expected one run for each task, method and seed, got several of {', '.join(sorted(twice)[:4])}; "
            "choose runs of one protocol with --where"
        )
    return found


def single_objective(runs: Collection[Finished], what: str) -> None:
    """UserError if a run has several objectives, which ``what`` cannot hold."""
    if several := sorted({str(run.row["task"]) for run in runs if len(run.row["objectives"]) > 1}):
        raise UserError(
            f"{what} holds one objective, but {', '.join(several[:4])} have several; choose other tasks with "
            "--where task=…, or another format"
        )


def plain_names(names: Collection[str]) -> dict[str, str]:
    """Each of ``names`` as a name of a file without dots and blanks. UserError if two become the same."""
    plain = {name: re.sub(r"[^\w-]+", "_", name) for name in names}
    if len(set(plain.values())) < len(plain):
        raise UserError(f"expected names that differ in letters and digits, got {', '.join(sorted(plain))}")
    return plain


def write_folder(path: Path, write: Callable[[Path], None]) -> None:
    """``write`` a new folder so that ``path`` is never seen half-written. UserError if it is there already."""
    if path.exists():
        raise UserError(f"expected a folder that is not there yet, got {path}; name another with --out, or delete it")
    if not path.parent.is_dir():
        raise UserError(f"expected --out in a folder that exists, got {path}")
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.mkdir()
        write(part)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
