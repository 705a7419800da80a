"""From a study of fixed designs to one table of evaluations and its card.

<folder>/<study>.parquet    a row per evaluation (EVALUATIONS, then a column per metric)
<folder>/<study>.md         the card: what was evaluated, how, and what failed
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.results.collect import Study
from hptbench.results.schema import EVALUATIONS
from hptbench.store.layout import NONE_STATED

if TYPE_CHECKING:
    import pandas as pd

_PARTS = ("validation_", "training_", "test_")
"""What metrics' columns begin with: the measures that tasks log under these names."""
_OF_EPOCH = re.compile(r"((?:training|validation|test)_\w+)@(\d+)")
"""What ``curves`` of networks are logged under."""
_EPOCH = "epoch"
_VERSIONS = {"python", "hptbench", "numpy", "scikit-learn", "xgboost", "xgboost-cpu", "lightgbm", "catboost", "torch"}
_SETTINGS = (
    "max_rows", "validation", "folds", "repeats", "reshuffle", "test_share", "split", "axis", "drop_rare", "high",
)  # fmt: skip
_CURVES = (
    "- **Networks** (docs/NEURAL.md) are trained many together, and a row is an epoch. `cost` is the training's share, "
    "by floating-point operations, of the time in which it and those beside it were trained and scored, evenly over "
    "its epochs. Losses are those without dropout; `training_…` on all training rows. One that diverged ends there, "
    "with status nan."
)
_FEW = 9
"""So many numbers are told one by one."""


def evaluations(study: Study) -> pd.DataFrame:
    """The table: EVALUATIONS and the metrics, numbers rounded to 32 bits; ordered by data set, learner, configuration
    and fidelity, which name a row. Metrics are null where the job failed or the learner cannot be measured by them.
    A job whose hidden measures are of every epoch (``curves`` of networks) is a row per epoch, with the share of its
    time until then; where it diverged, which its validation rows say, the last one has status nan. UserError if the
    study holds several evaluations under one name (seeds, folds, methods, other settings), or curves in segments."""
    import numpy as np
    import pandas as pd

    runs = study.runs.set_index("run")
    identity = {run: json.loads(text) for run, text in runs["task_identity"].items()}
    jobs = study.jobs
    measured = [
        _rows(json.loads(text), status == "ok") for text, status in zip(jobs["hidden"], jobs["status"], strict=True)
    ]
    hidden = [row for rows in measured for row in rows]
    metrics = sorted({name for one in hidden for name in one if name.startswith(_PARTS)}, reverse=True)
    out = pd.DataFrame({
        "data": jobs["run"].map(runs["unit"]).astype("category"),
        "learner": jobs["run"].map({run: _learner(one) for run, one in identity.items()}).astype("category"),
        "configuration": [json.loads(note).get("config") for note in jobs["note"]],
        "fidelity": jobs["stop"].astype("float32"),
        "status": jobs["status"].astype("category"),
        "cost": jobs["cost"].astype("float32"),
        "cpu": jobs["cpu"].astype("float32"),
        "memory": jobs["memory"].astype("float32"),
        "split": [identity[run].get("split") for run in jobs["run"]],
        "config": jobs["config"].astype("category"),
    })  # fmt: skip
    places = np.repeat(out.index, [len(rows) for rows in measured])
    out = out.loc[places].reset_index(drop=True)
    epochs = pd.Series([one.get(_EPOCH) for one in hidden], dtype=float)
    out["split"] = [
        one.get("split", split if _EPOCH in one else None) for one, split in zip(hidden, out["split"], strict=True)
    ]
    if (curve := epochs.notna()).any():
        if (begun := float(jobs["start"].loc[places].to_numpy()[curve].max())) > 0:
            raise UserError(
                f"{study.folder}: expected learning curves in one segment each, got one that went on after epoch "
                f"{begun:g}; set method.design.levels=[1.0] in a study of its own (study=NAME)"
            )
        ends = epochs.groupby(places).transform("max")
        diverged = list(map(_diverged, hidden))
        out[["cost", "cpu"]] = out[["cost", "cpu"]].mul((epochs / ends).fillna(1.0).astype("float32"), axis=0)
        out["fidelity"] = out["fidelity"].where(~curve, epochs).astype("float32")
        out["status"] = pd.Categorical(np.where(curve, np.where(diverged, "nan", "ok"), out["status"].astype(str)))
    for name in metrics:
        out[name] = pd.array([one.get(name) for one in hidden], dtype="Float32")
    out["configuration"] = out["configuration"].astype("Int32")
    out["split"] = out["split"].astype("Int64")
    assert list(out)[: len(EVALUATIONS)] == [column.name for column in EVALUATIONS]
    keys = ["data", "learner", "configuration", "fidelity"]
    if (twice := out.duplicated(keys)).any():
        one = ", ".join(f"{key} {value}" for key, value in out.loc[twice, keys].iloc[0].items())
        raise UserError(
            f"{study.folder}: expected one evaluation per data set, learner, configuration and fidelity, got "
            f"several of {one}: give each design, seed, fold or other setting a study of its own (study=NAME)"
        )
    out = out.assign(data=out["data"].astype(str), learner=out["learner"].astype(str)).sort_values(keys, kind="stable")
    return out.astype({"data": "category", "learner": "category"}).reset_index(drop=True)


def _learner(identity: Mapping[str, Any]) -> str | None:
    """The name of what a task trains: of a learner, or of a family of networks."""
    return f"neural_{identity['model']}" if "model" in identity else identity.get("learner")


def _rows(measures: Mapping[str, float], ok: bool) -> list[dict[str, float]]:
    """What a job measured, a row of the table each: those named ``<name>@<epoch>`` by epoch; else one row."""
    epochs: dict[int, dict[str, float]] = {}
    for name, value in measures.items():
        if found := _OF_EPOCH.fullmatch(name):
            epochs.setdefault(int(found[2]), {})[found[1]] = value
    if not epochs:
        return [dict(measures) if ok else {}]
    return [{_EPOCH: float(epoch), **losses} for epoch, losses in sorted(epochs.items())]


def _diverged(row: Mapping[str, float]) -> bool:
    """Whether a training has, by the epoch of a row; test rows have no say in it."""
    return not all(math.isfinite(value) for name, value in row.items() if name.startswith("validation_"))


def write(study: Study, folder: Path, licences: Mapping[str, str], command: str) -> tuple[Path, pd.DataFrame]:
    """Write the table of ``study`` and its card into ``folder``. ``licences``: data set -> as stated."""
    table = evaluations(study)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{study.folder.name}.parquet"
    write_whole(path, lambda part: table.to_parquet(part, compression="zstd", compression_level=19, index=False))
    text = card(study, table, licences, command)
    write_whole(path.with_suffix(".md"), lambda part: part.write_text(text, encoding="utf-8"))
    return path, table


def card(study: Study, table: pd.DataFrame, licences: Mapping[str, str], command: str) -> str:
    """What one has to know of the table before using it."""
    runs = study.runs
    curves = {_learner(one) for one in map(json.loads, runs["task_identity"]) if one.get("curves")}
    failed = table[table["status"] != "ok"]
    counts = failed["status"].value_counts()
    lines = [
        f"# Evaluations: {study.folder.name}",
        "",
        f"{len(table):,} evaluations of {len(table.groupby(['learner', 'config'], observed=True)):,} configurations of "
        f"{table['learner'].nunique()} learners on {table['data'].nunique()} data sets, "
        f"at {_several(table['fidelity'])} of the fidelity ({_one(runs['fidelity_unit'])}).",
        "",
        "    " + command,
        "",
        f"- **Study**: {len(runs)} finished runs (data set × learner)"
        + (f"; {len(study.unfinished)} of the study have begun and are not in here" if study.unfinished else "")
        + f"; seed {_one(runs['seed'])}.",
        *_settings(runs),
        *([_CURVES] if curves else []),
        f"- **Limits** of one training: {_one(runs['limits'])}. A configuration that failed at one fidelity was not "
        "tried at a higher one, so those rows are absent.",
        f"- **Failed**: {len(failed):,} of {len(table):,} ("
        + (", ".join(f"{name} {n:,}" for name, n in counts.items() if n) or "none")
        + ").",
        f"- **Machine**: {_one(runs['device'])}; one thread per training. `cost` is wall time of training and "
        "validation, with other work on the machine, if there was any"
        + (
            "; `cpu` is processor time and counts the scoring of the test rows, too."
            if table["cpu"].notna().any()
            else "."
        ),
        f"- **Versions**: {_versions(runs)}.",
        f"- **Code**: commit {_one(runs['commit'])}.",
        "- **Licence** of the table: that of the project. The data sets are not part of it; their licences are below, "
        "as their sources state them.",
        "",
        "| column | unit | meaning |",
        "|---|---|---|",
        *(f"| `{c.name}` | {c.unit} | {c.meaning} |" for c in EVALUATIONS),
        f"| {', '.join(f'`{part}…`' for part in _PARTS if any(table.filter(like=part)))} | loss "
        "| all metrics, minimised; `test_…` on the outer test rows; 32 bits |",
        "",
        "| learner | configurations | data sets | evaluations | failed | cost in all, h |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {rows['config'].nunique():,} | {rows['data'].nunique()} | {len(rows):,} "
            f"| {(rows['status'] != 'ok').sum():,} | {_hours(rows, name in curves):.2f} |"
            for name, rows in table.groupby("learner", observed=True)
        ),
        "",
        "| data set | licence | learners | evaluations | failed |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {_licence(licences, str(name))} | {rows['learner'].nunique()} | {len(rows):,} "
            f"| {(rows['status'] != 'ok').sum():,} |"
            for name, rows in table.groupby("data", observed=True)
        ),
    ]
    return "\n".join(lines) + "\n"


def _hours(rows: pd.DataFrame, curves: bool) -> float:
    """What a learner's evaluations cost; a row of a learning curve counts those before it."""
    if curves:
        rows = rows.drop_duplicates(["data", "configuration"], keep="last")
    return float(rows["cost"].sum()) / 3600


def _licence(licences: Mapping[str, str], data: str) -> str:
    return licences.get(data, "").replace("|", "/") or NONE_STATED


def _settings(runs: pd.DataFrame) -> list[str]:
    """The settings that all tasks share, and by name those in which they differ."""
    identities = [json.loads(text) for text in runs["task_identity"]]
    out = []
    for name in _SETTINGS:
        values = sorted({json.dumps(one[name]) for one in identities if name in one})
        out += [f"{name} {' or '.join(values)}"] if values else []
    return [f"- **Tasks**: {', '.join(out)}."] if out else []


def _versions(runs: pd.DataFrame) -> str:
    found: dict[str, set[str]] = {}
    for text in runs["versions"].unique():
        versions = json.loads(text)
        for name in _VERSIONS & versions.keys():
            found.setdefault(name, set()).add(str(versions[name]))
    return ", ".join(f"{name} {' or '.join(sorted(values))}" for name, values in sorted(found.items()))


def _one(column: pd.Series[Any]) -> str:
    """The values of a column, once each."""
    return " or ".join(sorted({str(value) for value in column}))


def _several(column: pd.Series[Any]) -> str:
    values = [f"{value:.3g}" for value in sorted(column.unique())]
    return ", ".join(values) if len(values) <= _FEW else f"{len(values)} levels from {values[0]} to {values[-1]}"


def licences(index: Path) -> dict[str, str]:
    """Data set -> licence as its store's index states it; empty if the index has no such column."""
    import pandas as pd

    try:
        frame = pd.read_csv(index, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{index}: expected the index of a data store, got: {error}") from error
    if not {"name", "licence"} <= set(frame):
        return {}
    return dict(zip(frame["name"], frame["licence"], strict=True))
