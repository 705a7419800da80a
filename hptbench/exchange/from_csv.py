"""Trials of a CSV file as runs of a study: a row per evaluation, in the order in which they ended.

task, method, seed   what names a run
value                the objective, minimised; empty: the evaluation failed
fidelity             what it was trained to; the highest of a task is a full evaluation (default: all are full)
trial                rows of one trial go on with one training (default: each row trains from nothing)
test                 hidden score
cost                 seconds of the evaluation
began, ended         seconds in the run
config.NAME          parameters; empty: inactive
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hptbench.errors import UserError, unknown
from hptbench.exchange.imported import completed, unknown_job, unknown_run
from hptbench.identity import as_json

_NEEDED = ("task", "method", "seed", "value")
_NUMBERS = ("fidelity", "test", "cost", "began", "ended")
_CONFIG = "config."

Runs = list[tuple[dict[str, Any], list[dict[str, Any]]]]


def read(path: Path) -> Runs:
    """The runs of a file. UserError, with the line, for what is not understood."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or ())
            _check_columns(path, columns)
            lines = [(reader.line_num, line) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    runs: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for number, line in lines:
        where = f"{path}, line {number}"
        if None in line or None in line.values():
            raise UserError(f"{where}: expected {len(columns)} entries, as in the first line")
        key = (_text(line, "task", where), _text(line, "method", where), _whole(line, "seed", where))
        runs.setdefault(key, []).append(_job(line, where))
    highest: dict[str, float] = {}
    for (task, *_), jobs in runs.items():
        highest[task] = max([highest.get(task, 0.0), *(job["stop"] for job in jobs)])
    found: Runs = []
    for key, jobs in runs.items():
        row = unknown_run(*key) | {
            "objective": "value", "objectives": ["value"], "constraints": [], "high": highest[key[0]],
            "fidelity_unit": "fidelity" if "fidelity" in columns else None,
        }  # fmt: skip
        found.append(completed(row, _numbered(jobs, "/".join(map(str, key)))))
    return found


def _check_columns(path: Path, columns: list[str]) -> None:
    known = (*_NEEDED, *_NUMBERS, "trial", "config.NAME")
    if missing := [name for name in _NEEDED if name not in columns]:
        raise UserError(f"{path}: expected the columns {', '.join(_NEEDED)}, got no {', '.join(missing)}")
    if twice := {name for name in columns if columns.count(name) > 1}:
        raise UserError(f"{path}: expected each column once, got several {', '.join(sorted(twice))}")
    for name in columns:
        if name not in known and not (name.startswith(_CONFIG) and len(name) > len(_CONFIG)):
            raise unknown("column", name, known)


def _job(line: Mapping[str, str], where: str) -> dict[str, Any]:
    value = _number(line, "value", where)
    numbers = {name: _number(line, name, where) for name in _NUMBERS}
    stop = numbers.pop("fidelity")
    if stop is None and line.get("fidelity") is not None:
        raise UserError(f"{where}: expected a fidelity, got none")
    if stop is not None and stop <= 0:
        raise UserError(f"{where}: expected a fidelity above 0, got {stop:g}")
    config = {name[len(_CONFIG) :]: _value(text) for name, text in line.items() if name.startswith(_CONFIG) and text}
    ok = value is not None
    known = {"value": value, "values": [value] if ok else None, "constraints": [] if ok else None}
    hidden = {"test": numbers["test"]} if numbers["test"] is not None else {}
    return unknown_job() | numbers | known | {
        "trial": line.get("trial") or None, "stop": 1.0 if stop is None else stop, "start": 0.0,
        "config": as_json(config), "status": "ok" if ok else "failed", "hidden": as_json(hidden),
    }  # fmt: skip


def _numbered(jobs: list[dict[str, Any]], run: str) -> list[dict[str, Any]]:
    """``jobs`` with numbers of jobs and trials; those of one trial begin where the one before ended."""
    trials: dict[str, int] = {}
    last: dict[int, dict[str, Any]] = {}
    for number, job in enumerate(jobs):
        name = f"row {number}" if job["trial"] is None else f"trial {job['trial']}"
        trial = trials.setdefault(name, len(trials))
        before = last.get(trial)
        if before is not None:
            if job["stop"] <= before["stop"] or job["config"] != before["config"]:
                raise UserError(
                    f"{run}: expected the rows of {name} to have one configuration and rising fidelities, got "
                    f"{job['stop']:g} after {before['stop']:g}; evaluations from nothing need trials of their own"
                )
            job |= {"start": before["stop"], "source": before["job"]}
        job |= {"job": number, "trial": trial}
        last[trial] = job
    return jobs


def _text(line: Mapping[str, str], name: str, where: str) -> str:
    if not line[name]:
        raise UserError(f"{where}: expected a {name}, got none")
    return line[name]


def _whole(line: Mapping[str, str], name: str, where: str) -> int:
    try:
        return int(line[name])
    except ValueError:
        raise UserError(f"{where}: expected {name} to be a whole number, got {line[name]!r}") from None


def _number(line: Mapping[str, str], name: str, where: str) -> float | None:
    """None for an empty entry."""
    text = line.get(name)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{where}: expected {name} to be a finite number, or empty, got {text!r}")
    return number


def _value(text: str) -> Any:
    """A number, true, false, or text."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, bool | int | float) else text
