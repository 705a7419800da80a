"""A folder of auto-sklearn's meta-data, in the layout of ASlib with ``configurations.csv`` besides.

M. Feurer et al., "Auto-sklearn 2.0", JMLR 23(261), 2022, ``autosklearn/metalearning/files/<metric>_<task>``; B. Bischl
et al., "ASlib: a benchmark library for algorithm selection", Artificial Intelligence 237, 2016.

description.txt        performance_measures, and whether they are maximised
algorithm_runs.arff    instance_id, repetition, algorithm, a column per measure (the first is read), runstatus
configurations.csv     idx, which is the algorithm, and a column per parameter, empty where it is inactive

``feature_values.arff`` is not read: its meta-features are defined otherwise than ours. Configurations are whole
pipelines, so they stay under the name ``auto-sklearn``. There are no test losses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hptbench.errors import UserError
from hptbench.exchange.imported import source
from hptbench.exchange.table import Found, Measure, Row, csv_lines, measure, name_of, number_of, value_of
from hptbench.space import Config

LEARNER = "auto-sklearn"
_FILES = ("description.txt", "algorithm_runs.arff", "configurations.csv")
_FIRST = ("instance_id", "repetition", "algorithm")
_STATUS = "runstatus"
_NAMES: Mapping[str, str] = {
    "accuracy": "accuracy", "balanced_accuracy": "balanced_accuracy", "roc_auc": "auc", "f1": "f1", "f1_macro": "f1",
    "log_loss": "log_loss", "r2": "r2", "mean_absolute_error": "mae", "root_mean_squared_error": "rmse",
}  # fmt: skip
"""auto-sklearn's measures -> ours. What it stores is a loss, 1 - score, unless ``maximize`` says that it is not."""
_SQUARED = "mean_squared_error"


def read(folder: Path, metric: str | None) -> Found:
    """The evaluations of a folder; ``metric``: what the measure is, if its own name says not. UserError for another
    folder."""
    for name in _FILES:
        if not (folder / name).is_file():
            raise UserError(f"expected a folder with {', '.join(_FILES)}, found no {folder / name}")
    configs = _configurations(folder / _FILES[2])
    known, runs = _runs(folder / _FILES[1])
    how = _measure(folder / _FILES[0], known, metric)
    rows, left = [], Counter[str]()
    for number, run in enumerate(runs, 1):
        data, _, algorithm = map(name_of, run[:3])
        if algorithm not in configs:
            left["evaluations of a configuration that configurations.csv lacks"] += 1
            continue
        where = f"{folder / _FILES[1]}, data row {number}"
        value = number_of(run[3], "the measure", where) if run[-1] == "ok" else None
        rows.append(Row(data, LEARNER, configs[algorithm], value))
    if (folder / "feature_values.arff").is_file():
        left["files of meta-features that are defined otherwise than ours"] = 1
    return Found(rows, how, {}, left, {name: source(folder / name, "aslib")["sha256"] for name in _FILES})


def _measure(description: Path, name: str, metric: str | None) -> Measure:
    try:
        lines = description.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{description} cannot be read as text in UTF-8: {error}") from error
    given = {key.strip(): value.strip().strip('"').lower() for key, _, value in (line.partition(":") for line in lines)}
    maximised = given.get("maximize", "").split(",")[0]
    if metric:
        one = measure(metric)
        if maximised == ("true" if one.how == "loss" else "false"):
            raise UserError(
                f"{description}: maximize: {maximised} is not that of --metric {metric}, read as {one.how}; give a "
                "loss where less is better, a score or neg_LOSS where more is"
            )
        return one
    if maximised not in ("true", "false"):
        raise UserError(f"{description}: expected maximize: true or false, got {maximised or 'none'}")
    if name == _SQUARED and maximised == "false":
        return Measure("rmse", "regression", "square")
    if name not in _NAMES:
        raise UserError(
            f"expected one of the measures {', '.join(_NAMES)}, or {_SQUARED} that is minimised, got {name}; if it is "
            "one of ours under another name, say which with --metric"
        )
    one = measure(_NAMES[name])
    if maximised == "false":
        return Measure(one.loss, one.kind, "loss")
    return one if one.how == "score" else Measure(one.loss, one.kind, "negated")


def _runs(path: Path) -> tuple[str, list[list[Any]]]:
    """The name of the first measure, and the rows."""
    import arff

    try:
        with path.open(encoding="utf-8") as file:
            found = arff.load(file)
    except (OSError, UnicodeDecodeError, arff.ArffException) as error:
        raise UserError(f"{path} cannot be read as ARFF: {' '.join(str(error).split())}") from error
    names = [name.lower() for name, _ in found["attributes"]]
    if tuple(names[:3]) != _FIRST or len(names) < 5 or names[-1] != _STATUS:
        raise UserError(
            f"{path}: expected the attributes {', '.join(_FIRST)}, a measure and {_STATUS}, got {', '.join(names)}"
        )
    return names[3], found["data"]


def _configurations(path: Path) -> dict[str, Config]:
    """By their ``idx``."""
    head, lines = csv_lines(path)
    if not lines or "idx" not in head:
        raise UserError(f"{path}: expected a column idx and a row per configuration, got none")
    if twice := [name for name, count in Counter(head).items() if count > 1]:
        raise UserError(f"{path}: expected each column once, got {twice[0]} again")
    out: dict[str, Config] = {}
    for line in lines:
        cells = dict(zip(head, line, strict=True))
        idx = name_of(cells.pop("idx"))
        if idx in out:
            raise UserError(f"{path}: expected each idx once, got {idx} again")
        values = {name: value_of(cell) for name, cell in cells.items()}
        out[idx] = {name: value for name, value in values.items() if value is not None}
    return out
