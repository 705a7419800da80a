"""What of a study is worth keeping for good, small enough to commit: every run's incumbents, a row per run, and what
regrets are measured by.

Three files in the study's folder, from which every rank, test and figure of ``publish`` can be made again:
incumbents.parquet (:func:`hptbench.results.regret.steps`), published.parquet (a row per run, as in runs.parquet) and
references.json. A study may grow: runs that were published stay when their folders are gone, and those of another day
or machine are added, if they are of the same protocol.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.results.collect import EARLIER
from hptbench.results.regret import STEPS, Reference, Worth, references, steps, worth
from hptbench.results.schema import KEY, RUNS, arrow_schema
from hptbench.results.table import DEFAULT

if TYPE_CHECKING:
    import pandas as pd

_INCUMBENTS, _RUNS, _REFERENCES = "incumbents.parquet", "published.parquet", "references.json"
_RUN = KEY[:3]
BEGIN_ANEW = f"to begin anew delete {_INCUMBENTS}, {_RUNS} and {_REFERENCES}"


@dataclass(frozen=True)
class Published:
    """The lasting part of a study."""

    steps: pd.DataFrame
    """Columns :data:`hptbench.results.regret.STEPS`."""
    runs: pd.DataFrame
    """A row per run, columns :data:`hptbench.results.schema.RUNS`."""
    references: Mapping[str, Reference]
    """Of each task."""
    worth: Worth
    """Of the incumbents."""

    def of(self, runs: pd.DataFrame) -> Published:
        """The part with only ``runs``, some of its own."""
        there, tasks = set(runs[_RUN].itertuples(index=False, name=None)), set(runs["task"])
        keep = [row in there for row in self.steps[_RUN].itertuples(index=False, name=None)]
        known = {task: one for task, one in sorted(self.references.items()) if task in tasks}
        return replace(self, steps=self.steps[keep], runs=runs, references=known)


def is_published(folder: Path) -> bool:
    """Whether something was published in a study's folder."""
    return (folder / _INCUMBENTS).is_file()


def high_of(runs: pd.DataFrame) -> dict[str, float]:
    """The full fidelity of each task."""
    return {str(task): float(high) for task, high in runs.groupby("task")["high"].max().items()}


def condensed(jobs: pd.DataFrame, runs: pd.DataFrame, what: Worth, before: Published | None = None) -> Published:
    """The lasting part of a study's finished runs, and of those that were published ``before``.

    A run that was published and is there again is taken from ``jobs``. A task's lowest known value is the least of the
    optimum, where it is known, of all jobs and of the one known before; the median random value stays as it was first
    published, so that added runs move nobody's score. The protocols are the caller's to compare. UserError if the two
    are of different kinds of worth."""
    import pandas as pd

    runs = runs[runs["method"] != DEFAULT]
    jobs = worth(jobs[jobs["method"] != DEFAULT], high_of(runs), what)
    fresh, found = runs, steps(jobs, what)
    known = {str(task): float(least) for task, least in runs.groupby("task")["optimum"].min().dropna().items()}
    if before is not None:
        again = set(runs[_RUN].itertuples(index=False, name=None))
        old = before.of(before.runs[[row not in again for row in before.runs[_RUN].itertuples(index=False, name=None)]])
        if before.worth == what:
            changed = _changed(before.runs, runs)
            kept = {task: one for task, one in before.references.items() if task not in changed}
        elif old.runs.empty:
            kept = {}
        else:
            raise UserError(f"expected the worth of incumbents to be {before.worth!r}, as published before, got "
                            f"{what!r}; {BEGIN_ANEW}")  # fmt: skip
        known |= {task: min(one.best, known.get(task, np.inf)) for task, one in kept.items()}
        fresh, found = (pd.concat(pair, ignore_index=True) for pair in ((old.runs, runs), (old.steps, found)))
    else:
        kept = {}
    now = references(jobs, known, {task: one.random for task, one in kept.items()})
    return Published(found, fresh, kept | now, what)


def _changed(before: pd.DataFrame, runs: pd.DataFrame) -> set[str]:
    """Tasks that were another version before."""
    identities = dict(zip(before["task"], before["task_identity"], strict=True))
    now = zip(runs["task"], runs["task_identity"], strict=True)
    return {task for task, identity in now if identities.get(task, identity) != identity}


def write(folder: Path, what: Published) -> list[Path]:
    """Write the three files; their paths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = [folder / name for name in (_INCUMBENTS, _RUNS, _REFERENCES)]
    found = what.steps.sort_values([*_RUN, "evaluation"]).astype({"task": "category", "method": "category"})
    runs = what.runs.sort_values(_RUN)
    write_whole(paths[0], lambda part: found.to_parquet(part, compression="zstd", index=False))
    rows = pa.Table.from_pandas(runs, arrow_schema(RUNS), preserve_index=False).replace_schema_metadata(None)
    write_whole(paths[1], lambda part: pq.write_table(rows, part, compression="zstd"))
    plain = {task: asdict(one) for task, one in sorted(what.references.items())}
    text = json.dumps({"worth": what.worth, "references": plain}, indent=1)
    write_whole(paths[2], lambda part: part.write_text(text + "\n", encoding="utf-8"))
    return paths


def read(folder: Path) -> Published:
    """What :func:`write` wrote. UserError if a file is missing or damaged."""
    import pandas as pd
    import pyarrow as pa

    path = folder / _INCUMBENTS
    try:
        found = pd.read_parquet(path)[list(STEPS)].astype({"task": str, "method": str})
        path = folder / _RUNS
        runs = pd.read_parquet(path)
        lacking = {name: [value] * len(runs) for name, value in EARLIER.items() if name not in runs}
        runs = runs.assign(**lacking)[[c.name for c in RUNS]]
        path = folder / _REFERENCES
        plain: Any = json.loads(path.read_text(encoding="utf-8"))
        known = {task: Reference(float(one["best"]), float(one["random"])) for task, one in plain["references"].items()}
        return Published(found, runs, known, plain["worth"])
    except (OSError, ValueError, TypeError, AttributeError, KeyError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is missing or damaged ({reason}); bring it back (git checkout), or delete "
                        f"{_INCUMBENTS}, {_RUNS} and {_REFERENCES} and publish the runs again") from error  # fmt: skip
