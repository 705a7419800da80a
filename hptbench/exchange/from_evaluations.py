"""A user's own table of evaluations, CSV or parquet: a row per evaluation, its columns named on the command line.

data            name of the data set
learner         one of ours, or any other name
validation      loss or score on validation rows, as ``--metric`` says; empty: the evaluation failed
test            the same on test rows (may be absent, as all that follow)
fidelity        what it was trained to; the learner's highest is a full evaluation
seconds, cpu    wall and processor time
seed            rows that differ by nothing else are repetitions
config          JSON: the parameters, of which "1" in quotes is a category; and
config.NAME     a parameter; empty: inactive or left at its default
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hptbench.errors import UserError, unknown
from hptbench.exchange.imported import source
from hptbench.exchange.table import Found, Row, csv_lines, measure, name_of, number_of, value_of
from hptbench.space import Config

if TYPE_CHECKING:
    import pandas as pd

_NEEDED = ("data", "learner", "validation")
_NUMBERS = ("validation", "test", "fidelity", "seconds", "cpu")
_ROLES = ("data", "learner", *_NUMBERS, "seed", "config")
_CONFIG = "config."


def read(path: Path, metric: str | None, columns: Sequence[str]) -> Found:
    """The evaluations of a file. ``columns``: ROLE=COLUMN where a column has another name. UserError, with the row, for
    what is not understood."""
    if not metric:
        raise UserError("expected --metric, which says what validation and test are: error, accuracy, rmse, …")
    how, frame = measure(metric), _frame(path)
    roles = _roles(list(map(str, frame)), columns, path)
    rows, seen = [], set()
    for number, cells in enumerate(frame[list(roles.values())].itertuples(index=False, name=None), 1):
        given = dict(zip(roles, cells, strict=True))
        where = f"{path}, row {number}"
        names = [name_of(given[role]) for role in ("data", "learner")]
        if not all(names):
            raise UserError(f"{where}: expected a data set and a learner, got {' and '.join(map(repr, names))}")
        numbers = {role: number_of(given.get(role), role, where) for role in _NUMBERS}
        config = _config(given, where)
        if "seed" in roles:
            key = (*names, json.dumps(config, sort_keys=True), numbers["fidelity"], str(given["seed"]))
            if key in seen:
                raise UserError(f"{where}: expected each evaluation once with a seed, got the one with {key[-1]} again")
            seen.add(key)
        rows.append(Row(names[0], names[1], config, **numbers))
    unused = {f"column {name}": len(frame) for name in map(str, frame) if name not in roles.values()}
    return Found(rows, how, {}, unused, {path.name: source(path, "evaluations")["sha256"]})


def _frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    from hptbench.tasks._parquet import read_parquet

    if path.suffix == ".parquet":
        frame = read_parquet(path, "table of evaluations").astype(object)
        return frame.where(frame.notna(), None)
    head, lines = csv_lines(path)
    if twice := [name for name, count in Counter(head).items() if count > 1]:
        raise UserError(f"{path}: expected each column once, got {twice[0]!r} again; rename one")
    return pd.DataFrame(lines, columns=head, dtype=object)


def _roles(there: list[str], given: Sequence[str], path: Path) -> dict[str, str]:
    """Role -> column."""
    out = {name: name for name in there if name in _ROLES or name.startswith(_CONFIG)}
    named: dict[str, str] = {}
    for word in given:
        role, equals, column = word.partition("=")
        if not equals or not (role in _ROLES or (role.startswith(_CONFIG) and len(role) > len(_CONFIG))):
            raise unknown("role of a column, ROLE=COLUMN", word, (*_ROLES, "config.NAME"))
        if column not in there:
            raise unknown(f"column of {path}", column, there)
        if role in named:
            raise UserError(f"expected one column for {role}, got {named[role]} and {column}")
        out[role] = named[role] = column
    if missing := [role for role in _NEEDED if role not in out]:
        raise UserError(f"{path}: expected columns for {', '.join(_NEEDED)}, got none for {', '.join(missing)}; "
                        "name them with --columns ROLE=COLUMN")  # fmt: skip
    if not any(role.startswith("config") for role in out):
        raise UserError(f"{path}: expected a column config, or config.NAME for each parameter, got none")
    return out


def _config(given: Mapping[str, Any], where: str) -> Config:
    """The parameters of a row; a column of its own counts more than ``config``."""
    whole = given.get("config")
    if isinstance(whole, str):
        try:
            whole = json.loads(whole or "{}")
        except ValueError as error:
            raise UserError(f"{where}: expected config to be JSON, got {whole!r}") from error
    if not isinstance(whole, dict | None):
        raise UserError(f"{where}: expected config to be a JSON object, got {whole!r}")
    cells = {role[len(_CONFIG) :]: cell for role, cell in given.items() if role.startswith(_CONFIG)}
    stated = {str(name): cell if isinstance(cell, str) else value_of(cell) for name, cell in (whole or {}).items()}
    values = stated | {name: value_of(cell) for name, cell in cells.items()}
    return {name: value for name, value in values.items() if value is not None}
