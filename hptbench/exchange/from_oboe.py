"""Oboe's error matrix: a row per data set (its OpenML number), a column per model setting.

C. Yang, Y. Akimoto, D. W. Kim and M. Udell, "OBOE: collaborative filtering for AutoML model selection", KDD 2019;
``error_matrix.csv`` of their package. The name of a column is the text of a Python dictionary, {'algorithm': 'KNN',
'hyperparameters': {'n_neighbors': 1, 'p': 1}}; a cell is the mean balanced error over folds, empty where it is unknown.
``runtime_matrix.csv`` beside it has the seconds in the same layout. There are no test errors.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from hptbench.errors import UserError
from hptbench.exchange.imported import source
from hptbench.exchange.table import Alias, Found, Row, csv_lines, measure, number_of
from hptbench.space import Config

ALIASES: Mapping[str, Alias] = {
    "DT": Alias("decision_tree"),
    "ExtraTrees": Alias("extra_trees"),
    "KNN": Alias("knn"),
    "Logit": Alias("logistic", fixed={"solver": "saga"}),
    "MLP": Alias("mlp", fixed={"solver": "adam", "learning_rate": "adaptive"}),  # the latter is of sgd only
    "RF": Alias("random_forest", fixed={"min_samples_split": 2}),
}
"""Those that train scikit-learn's model of one of our learners. Its kSVM stays its own: gamma has another scale."""
_EMPTY = "no error in the matrix"
_TIMES = "runtime_matrix.csv"


def read(path: Path, metric: str | None) -> Found:
    """The evaluations of a matrix; ``metric`` is balanced_error if it is not given. UserError for another file."""
    settings, errors = _matrix(path)
    beside = path.with_name(_TIMES)
    files = [path, *([beside] if beside.is_file() and beside != path else [])]
    times = dict.fromkeys(errors, [""] * len(settings))
    if len(files) > 1:
        other, seconds = _matrix(beside)
        if other != settings or not errors.keys() <= seconds.keys():
            raise UserError(f"{beside}: expected the rows and columns of {path.name}, got others; move it away")
        times = seconds
    rows, empty = [], 0
    for data, cells in errors.items():
        for (learner, config), cell, time in zip(settings, cells, times[data], strict=True):
            where = f"{path}, data set {data}"
            value = number_of(cell, "an error", where)
            if value is None:
                empty += 1
                continue
            rows.append(Row(data, learner, config, value, seconds=number_of(time, "a time", where)))
    return Found(
        rows, measure(metric or "balanced_error"), ALIASES, {_EMPTY: empty} if empty else {},
        {file.name: source(file, "oboe")["sha256"] for file in files},
    )  # fmt: skip


def _matrix(path: Path) -> tuple[list[tuple[str, Config]], dict[str, list[str]]]:
    """The settings of a matrix, and its cells by data set."""
    head, lines = csv_lines(path)
    settings = [_setting(text, path) for text in head[1:]]
    if not settings:
        raise UserError(f"{path}: expected a column for each model setting, got none")
    out: dict[str, list[str]] = {}
    for line in lines:
        if line[0] in out:
            raise UserError(f"{path}: expected each data set once, got {line[0]} again")
        out[line[0]] = line[1:]
    return settings, out


def _setting(text: str, path: Path) -> tuple[str, Config]:
    try:
        found = ast.literal_eval(text)
        config = {str(name): _plain(value) for name, value in found["hyperparameters"].items()}
        return str(found["algorithm"]), config
    except (ValueError, SyntaxError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: expected columns {{'algorithm': …, 'hyperparameters': {{…}}}}, got {text!r}"
        ) from error


def _plain(value: object) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)
