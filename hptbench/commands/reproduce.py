"""``reproduce``: a folder from which others run a study again, and see whether they get the same.

python -m hptbench reproduce write results/smoke --out smoke_again
python -m hptbench reproduce check smoke_again --smoke     one run of each method, as far as they fit into half a minute
python -m hptbench reproduce check smoke_again             all runs, and the conclusions

The folder holds the configurations that were run, exact versions, the tables and conclusions to expect, and run.sh.
Runs are equal if all of their jobs are, bit for bit: times of the run, values, configurations, notes; what is measured
(seconds, memory, energy) is not compared. Runs by measured time cannot be repeated, and are named.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from rich.console import Console

from hptbench.commands._formats import formatted
from hptbench.commands._reproduction import FOLDER, kept
from hptbench.commands._verbs import do as one_of
from hptbench.commands.compare import check_comparable, chosen
from hptbench.commands.run import do, planned
from hptbench.commands.tables import View, comparison
from hptbench.errors import UserError
from hptbench.executors import Executor
from hptbench.identity import as_json
from hptbench.protocol import Clock
from hptbench.results.collect import collect
from hptbench.results.registered import FILE as HYPOTHESES
from hptbench.results.schema import JOBS, KEY
from hptbench.run import Plan
from hptbench.simulate import MEASURED

if TYPE_CHECKING:
    import pandas as pd

_EXPECTED, _AGAIN, _CONCLUSIONS = "expected", "again", "conclusions.md"
_SMOKE_SECONDS = 30.0
"""Recorded time of the runs of a smoke test: with the time to begin it stays below a minute."""
_COMPARED = [column.name for column in JOBS if column.repeatable and column.name not in KEY]
_SHOWN = 10
_SCRIPT = """\
#!/bin/sh
# ./run.sh: one run of each method, under a minute.  ./run.sh all: every run, and the conclusions.
set -eu
cd "$(dirname "$0")"
case "${1:-smoke}" in
    smoke) exec python -m hptbench reproduce check . --smoke ;;
    all) exec python -m hptbench reproduce check . ;;
    *) echo "expected smoke or all, got $1" >&2; exit 2 ;;
esac
"""

Key = tuple[str, str, int, str]
Row = Mapping[str, Any]


def main(argv: list[str]) -> int:
    """Write such a folder, or check it."""
    return one_of("reproduce", {"write": _write, "check": _check}, argv, __doc__)


def _write(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m hptbench reproduce write", description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path, help="folder of a study")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write; it must not be there")
    options = parser.parse_args(argv)
    study, out = options.results, options.out
    if out.exists():
        raise UserError(f"expected --out to name a folder that is not there, got {out}")
    commands, runs = kept(study), collect(study).runs
    conclusions, pins = _conclusions(study), _pins(runs)
    (out / _EXPECTED).mkdir(parents=True)
    for name in ("jobs.parquet", "runs.parquet"):
        shutil.copyfile(study / name, out / _EXPECTED / name)
    shutil.copytree(study / FOLDER, out / FOLDER)
    if (study / HYPOTHESES).is_file():
        shutil.copyfile(study / HYPOTHESES, out / HYPOTHESES)
    texts = {
        _CONCLUSIONS: conclusions,
        "constraints.txt": "".join(f"{name}=={version}\n" for name, version in pins.items() if name != "python"),
        "README.md": _readme(study.resolve().name, commands, runs, pins),
        "run.sh": _SCRIPT,
    }
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    (out / "run.sh").chmod(0o755)
    print(f"{out}: {len(runs)} runs; ./run.sh does a part of them again, ./run.sh all everything")
    return 0


def _pins(runs: pd.DataFrame) -> dict[str, str]:
    """Package -> the version that all runs had. UserError if they had different ones, or it is not known."""
    known = [json.loads(text) for text in runs["versions"].dropna().unique()]
    if not known:
        raise UserError("expected runs that recorded their versions, got imported ones")
    different = sorted({name for one in known for name in one if one[name] != known[0].get(name)})
    if different:
        raise UserError(
            f"expected all runs to be of the same versions, but {', '.join(different)} differ; choose a study that was "
            "run at once"
        )
    return {name: version.partition("+")[0] for name, version in known[0].items() if version is not None}


def _readme(name: str, commands: Iterable[str], runs: pd.DataFrame, pins: Mapping[str, str]) -> str:
    commits = ", ".join(sorted(set(runs["commit"].dropna()))) or "not recorded"
    tasks = runs[runs["method"] != "default"].drop_duplicates("task").sort_values("task")
    return "\n".join([
        f"# {name}, to be run again",
        "",
        f"{len(runs)} runs, made with Python {pins['python']} and hptbench {pins['hptbench']}, commit {commits}"
        " (+: files differed from it), on " + "; ".join(sorted(set(runs["device"].dropna()))) + ".",
        "",
        "```bash",
        "pip install -c constraints.txt hptbench   # or a checkout of the commit: pip install -c constraints.txt -e .",
        "./run.sh       # one run of each method, under a minute",
        f"./run.sh all   # everything: {runs['wall'].sum():.3g} s of runs on that machine",
        "```",
        "",
        f"Equal runs are equal bit for bit; [{_CONCLUSIONS}]({_CONCLUSIONS}) are the conclusions to expect, "
        f"`{_EXPECTED}/` the tables. On a processor of another kind, last digits of real trainings may differ; then "
        f"the first difference is shown. Runs that are done again are kept in `{_AGAIN}/`; without it all begin anew.",
        "",
        f"What was run (`{FOLDER}/` holds it with all settings resolved):",
        "",
        "```bash", *commands, "```",
        "",
        "| task | version | protocol | identity: data, split, learner |", "|---|---|---|---|",
        *(f"| {row['task']} | {row['version']} | {row['protocol']} | `{row['task_identity']}` |"
          for row in tasks.to_dict("records")),
        "",
    ])  # fmt: skip


def _check(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m hptbench reproduce check", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="what reproduce write has written")
    parser.add_argument("--smoke", action="store_true", help="only one run of each method, under a minute")
    options = parser.parse_args(argv)
    folder: Path = options.folder
    expected, seconds = _expected(folder)
    again = folder / _AGAIN
    again.mkdir(exist_ok=True)
    if (folder / HYPOTHESES).is_file():
        shutil.copyfile(folder / HYPOTHESES, again / HYPOTHESES)
    wanted = _smoke(seconds) if options.smoke else list(expected)
    there: dict[Key, Plan] = {}
    broken = 0
    for plans, executor in _studies(folder):
        mine = {plan.key_in_tables: plan for plan in plans if plan.key_in_tables in wanted}
        broken += len(do(list(mine.values()), executor, Console(stderr=True))) if mine else 0
        there |= mine
    changed = [key for key in wanted if key not in there]
    measured = [key for key, plan in there.items() if _by_measured_time(plan)]
    compared = [key for key, plan in there.items() if plan.finished and key not in measured]
    found = {key: _difference(expected[key], _rows(there[key].folder / "jobs.parquet")) for key in compared}
    differ = [key for key, what in found.items() if what]
    print(f"{len(compared) - len(differ)} of {len(wanted)} runs are equal, bit for bit.")
    for word, keys in (
        ("of measured time, which cannot be repeated", measured),
        ("not what these configurations make here, as a task, its data or a method has changed", changed),
        ("different", differ),
    ):
        for key in keys[:_SHOWN]:
            print(f"{'/'.join(map(str, key))}: {found.get(key) or word}")
        if len(keys) > _SHOWN:
            print(f"… and {len(keys) - _SHOWN} more: {word}")
    same = not (differ or changed or broken)
    if same and not options.smoke and not measured:
        same = _conclusions(again) == (folder / _CONCLUSIONS).read_text(encoding="utf-8")
        print(f"The conclusions are {'the same' if same else f'other ones than in {folder / _CONCLUSIONS}'}.")
    return 0 if same else 1


def _studies(folder: Path) -> Iterator[tuple[list[Plan], Executor]]:
    """The runs of each configuration, to be done into the folder ``again``."""
    for config in kept(folder).values():
        yield planned(OmegaConf.create({**config, "results": str(folder), "study": _AGAIN}))


def _conclusions(study: Path) -> str:
    """What ``compare`` says of all runs, as Markdown; or why it says nothing."""
    try:
        found = chosen(collect(study), [])
        check_comparable(found.runs)
        return formatted(comparison(found, View()), "markdown", "The study", "python -m hptbench compare") + "\n"
    except UserError as error:
        return f"No comparison: {error}\n"


def _expected(folder: Path) -> tuple[dict[Key, list[Row]], dict[Key, float]]:
    """The jobs of each run, and its seconds. UserError if ``folder`` is not what ``reproduce write`` writes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        runs = pq.read_table(folder / _EXPECTED / "runs.parquet").to_pylist()
        jobs: dict[Key, list[Row]] = {_key(row): [] for row in runs}
        for row in _rows(folder / _EXPECTED / "jobs.parquet"):
            jobs[_key(row)].append(row)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError(f"expected a folder of `reproduce write`, got {folder}: {error}") from error
    return jobs, {_key(row): row["wall"] for row in runs}


def _key(row: Row) -> Key:
    return (row["task"], row["method"], row["seed"], row["run"])


def _rows(path: Path) -> list[Row]:
    import pyarrow.parquet as pq

    rows: list[Row] = pq.read_table(path).to_pylist()
    return rows


def _smoke(seconds: Mapping[Key, float]) -> list[Key]:
    """The quickest run of each method, from the quickest method on, as many as fit; one at least."""
    quickest: dict[str, Key] = {}
    for key in sorted(seconds, key=lambda key: (seconds[key], key)):
        quickest.setdefault(key[1], key)
    found = list(quickest.values())
    used = list(accumulate(seconds[key] for key in found))
    return found[: max(1, sum(total <= _SMOKE_SECONDS for total in used))]


def _by_measured_time(plan: Plan) -> bool:
    """What the run does depends on how long something took."""
    by_cost = plan.clock is Clock.COST and plan.task.measured
    return plan.live or by_cost or plan.simulation.overhead == MEASURED


def _difference(expected: Sequence[Row], found: Sequence[Row]) -> str:
    """The first one, in words; empty if there is none."""
    for before, after in zip(expected, found, strict=False):
        for name in _COMPARED:
            if as_json(before[name]) != as_json(after[name]):  # NaN is equal to itself
                return f"job {before['job']} has {name} {after[name]!r} instead of {before[name]!r}"
    return "" if len(expected) == len(found) else f"{len(found)} jobs instead of {len(expected)}"
