"""From what the ``openml`` package gives to what a store holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.errors import UserError
from hptbench.store.layout import NONE_STATED, ROLES, SPLIT_COLUMNS, Card

if TYPE_CHECKING:
    import pandas as pd

CLASSIFICATION, REGRESSION = "classification", "regression"
_KINDS = {1: CLASSIFICATION, 2: REGRESSION}
"""OpenML's task type -> ours."""


def stamp() -> dict[str, Any]:
    """When and with what."""
    from importlib.metadata import version

    from hptbench import __version__

    versions = {"hptbench": __version__, "openml": version("openml"), "pyarrow": version("pyarrow")}
    return {"fetched": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions}


def natural_kind(dataset: Any, target: str) -> str:
    """Regression for a numeric target, classification for any other."""
    types = {feature.name: feature.data_type for feature in dataset.features.values()}
    if target not in types:
        raise UserError(f"{where(dataset)}: the target {target!r} is none of its columns; leave it out")
    return REGRESSION if types[target] == "numeric" else CLASSIFICATION


def default_target(dataset: Any) -> str:
    """The one target that OpenML names. UserError if there is none, or more than one."""
    named = dataset.default_target_attribute
    names = {feature.name for feature in dataset.features.values()}
    if named in names:
        return str(named)
    raise UserError(
        f"{where(dataset)}: expected one target, OpenML names {named or 'none'}; "
        "fetch one of its tasks, which do: openml/task/ID"
    )


def store_name(dataset: Any, target: str, kind: str) -> str:
    """credit-g-31; what differs from OpenML's default target and its natural kind is added."""
    words = [dataset.name, str(dataset.dataset_id)]
    if target != dataset.default_target_attribute:
        words.append(target)
    if kind != natural_kind(dataset, target):
        words.append(kind)
    return "-".join(re.sub(r"[^A-Za-z0-9_.]+", "-", word).strip("-.") or "x" for word in words)


def refuse_unreadable(dataset: Any) -> None:
    """UserError for formats that a store does not hold; before anything large is downloaded."""
    if dataset.format.lower() != "arff":
        raise UserError(f"{where(dataset)}: expected dense ARFF, got {dataset.format}; leave it out")
    if dates := [f.name for f in dataset.features.values() if f.data_type == "date"]:
        raise UserError(f"{where(dataset)}: columns of dates cannot be read ({', '.join(dates)}); leave it out")


def to_frame(dataset: Any, target: str, kind: str) -> tuple[pd.DataFrame, Card]:
    """The rows as a store holds them, all and in OpenML's order, and the card without the file's hash.

    Numbers become float64, nominal columns categories in the order of the ARFF header, text stays text. Row ids and
    what OpenML says to ignore is left out. UserError for data that cannot be learnt from."""
    import pandas as pd

    given, _, _, names = dataset.get_data(include_row_id=True, include_ignore_attribute=True)
    types = {feature.name: feature.data_type for feature in dataset.features.values()}
    if set(names) != set(types):
        raise UserError(f"{where(dataset)}: its file and its list of features name different columns; leave it out")
    dropped = {
        "row_id": _named(dataset.row_id_attribute, names, target),
        "ignored": _named(dataset.ignore_attribute, names, target),
    }
    out = {name for group in dropped.values() for name in group}
    kept = [name for name in names if name != target and name not in out]
    columns = {_free(name, kept): _column(given[name], types[name]) for name in kept}
    if not columns:
        raise UserError(f"{where(dataset)}: no column is left beside the target; leave it out")
    y = _column(given[target], types[target])
    if absent := int(y.isna().sum()):
        raise UserError(f"{where(dataset)}: the target {target!r} is missing in {absent} rows; leave it out")
    if kind == REGRESSION and types[target] != "numeric":
        raise UserError(f"{where(dataset)}: expected a numeric target, {target!r} is {types[target]}; leave it out")
    if kind == CLASSIFICATION and types[target] == "numeric":
        y = pd.Series(pd.Categorical(y))
        y = y.cat.rename_categories([f"{label:g}" for label in y.cat.categories])
    frame = pd.DataFrame({**columns, "target": y})
    features = [
        {"name": new, "type": types[old], "missing": int(frame[new].isna().sum())}
        | ({"was": old} if new != old else {})
        for new, old in zip(columns, kept, strict=True)
    ]
    return frame, {
        "name": store_name(dataset, target, kind),
        "data_id": int(dataset.dataset_id),
        "openml_name": dataset.name,
        "version": int(dataset.version),
        "licence": dataset.licence or NONE_STATED,
        "citation": dataset.citation,
        "url": dataset.url,
        "task_type": kind,
        "target": target,
        "default_target": target == dataset.default_target_attribute and kind == natural_kind(dataset, target),
        "n_rows": len(frame),
        "n_features": len(columns),
        "n_classes": int(y.nunique()) if kind == CLASSIFICATION else None,
        "features": features,
        "dropped": dropped,
        "md5": dataset.md5_checksum,
        **stamp(),
    }


def task_kind(task: Any) -> str:
    """UserError for a task that is neither supervised classification nor regression."""
    kind = _KINDS.get(task.task_type_id.value)
    if kind is None:
        raise UserError(
            f"openml/task/{task.task_id}: expected supervised classification or regression, "
            f"got {task.task_type}; leave it out"
        )
    return kind


def to_splits(task: Any, n_rows: int) -> tuple[pd.DataFrame, Card]:
    """The splits of a task, in order, and its card without hashes. ValueError for a file that was cut off, as
    OpenML states no checksum of it."""
    import pandas as pd

    split = task.download_split()
    _check_splits(task, split.split, n_rows)
    parts = []
    for repeat, folds in sorted(split.split.items()):
        for fold, samples in sorted(folds.items()):
            for sample, rows in sorted(samples.items()):
                for role, chosen in zip(ROLES, rows, strict=True):
                    place = {"repeat": np.int32(repeat), "fold": np.int32(fold), "sample": np.int32(sample)}
                    part = pd.DataFrame({**place, "row": np.asarray(chosen, np.int32)}, columns=SPLIT_COLUMNS[:-1])
                    parts.append(part.assign(role=pd.Categorical([role] * len(chosen), categories=ROLES)))
    procedure = task.estimation_procedure
    return pd.concat(parts, ignore_index=True), {
        "task_id": int(task.task_id),
        "data_id": int(task.dataset_id),
        "target": task.target_name,
        "task_type": task_kind(task),
        "estimation_procedure": {"type": procedure["type"], "parameters": procedure["parameters"]},
        "evaluation_measure": task.evaluation_measure,
        "repeats": split.repeats,
        "folds": split.folds,
        "n_rows": n_rows,
        "url": procedure["data_splits_url"],
        **stamp(),
    }


def to_suite(suite: Any) -> Card:
    """The card of a suite."""
    return {
        "suite_id": int(suite.study_id),
        "alias": suite.alias,
        "name": suite.name,
        "status": suite.status,
        "tasks": sorted(suite.tasks or ()),
        **stamp(),
    }


def where(dataset: Any) -> str:
    """The data set in a message."""
    return f"data set {dataset.name!r} (openml/{dataset.dataset_id})"


def _named(attributes: str | list[str] | None, names: list[str], target: str) -> list[str]:
    """The columns that an attribute of a description names, also those in one text with commas."""
    listed = [attributes] if isinstance(attributes, str) else attributes or []
    words = [word for item in listed for word in ([item] if item in names else item.split(","))]
    return [name for name in names if name in {word.strip() for word in words} and name != target]


def _free(name: str, names: list[str]) -> str:
    """A feature's name; ``target`` is the target's."""
    if name != "target":
        return name
    while name in names:
        name += "_"
    return name


def _column(column: pd.Series[Any], kind: str) -> pd.Series[Any]:
    import pandas as pd

    if kind == "numeric":
        return pd.to_numeric(column).astype(np.float64)
    if kind == "nominal":  # two classes true and false come as booleans
        labels = [str(label) for label in column.cat.categories]
        return pd.Series(pd.Categorical.from_codes(column.cat.codes.to_numpy(), categories=pd.Index(labels)))
    return column.map(str, na_action="ignore").astype("str")


def _check_splits(task: Any, split: Mapping[int, Any], n_rows: int) -> None:
    stated = task.estimation_procedure["parameters"] or {}
    for what, number in (("number_repeats", len(split)), ("number_folds", min(map(len, split.values())))):
        if (stated.get(what) or "").isdecimal() and int(stated[what]) != number:
            raise ValueError(f"the splits are not whole: {number} instead of {stated[what]} ({what})")
    for repeat, folds in split.items():
        tested = np.zeros(n_rows, np.int64)
        for fold, samples in folds.items():
            for train, test in samples.values():
                both = np.concatenate([train, test])
                if not len(train) or not len(test) or both.min() < 0 or both.max() >= n_rows:
                    raise ValueError(f"the splits are not whole: rows of repeat {repeat}, fold {fold}")
                if len(np.unique(both)) < len(both):
                    raise ValueError(f"the splits are wrong: a row twice in repeat {repeat}, fold {fold}")
                np.add.at(tested, test, 1)
                if task.estimation_procedure["type"] == "crossvalidation" and len(both) != n_rows:
                    raise ValueError(f"the splits are not whole: rows of repeat {repeat}, fold {fold}")
        if task.estimation_procedure["type"] == "crossvalidation" and (tested != 1).any():
            raise ValueError(f"the splits are not whole: repeat {repeat} does not test each row once")
