"""Evaluations made elsewhere as a table that ``collect-evaluations`` could have written, with its card.

A reader (:mod:`hptbench.exchange.from_evaluations`, ``from_oboe``, ``from_aslib``) says what there is as
:class:`Found`. Configurations that lie in the space of one of our learners are told as that learner's, what they leave
open as its default; all others stay under the learner's own name, and their space is inferred
(:mod:`hptbench.inferred`).
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ConfigSpace.hyperparameters import IntegerHyperparameter

from hptbench.errors import UserError, unknown
from hptbench.files import write_whole
from hptbench.inferred import EXACT
from hptbench.learners import TaskType, find_learner, learners
from hptbench.meta.past import FEWEST
from hptbench.results.schema import EVALUATIONS
from hptbench.space import Config, Space, Value
from hptbench.spacefile import packaged_space
from hptbench.tasks._metrics import METRICS

if TYPE_CHECKING:
    import pandas as pd

_NAME = re.compile(r"[\w.,=+ -]+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_OWN = "external_"
"""What the name of one of our learners begins with where a configuration does not lie in its space."""
_NEGATED = "neg_"
_ROUNDING = 1e-6
"""By so much a loss may be outside its range."""
_LARGEST = 3.4e38
"""float32, in which tables hold losses, has no more."""


@dataclass(frozen=True)
class Measure:
    """How a column of numbers becomes a loss."""

    loss: str
    """One of METRICS."""
    kind: TaskType
    how: str
    """``loss``: as it is; ``score``: 1 - it; ``negated``: its negative; ``square``: its root."""

    def __call__(self, value: float) -> float:
        """UserError where it is none: below 0, or above 1 where it is a share; float32 has to hold it."""
        if self.how == "square":
            loss = math.sqrt(value) if value >= 0 else -math.inf
        else:
            loss = {"loss": value, "score": 1.0 - value, "negated": -value}[self.how]
        most = 1.0 if self.kind == "classification" and self.loss != "log_loss" else _LARGEST
        if not -_ROUNDING <= loss <= most + _ROUNDING:
            raise UserError(
                f"expected {self.loss} from 0 to {most:g}, got {loss:g} ({value:g}, read as {self.how}); give shares, "
                "not per cent, the --metric that it is, and nothing where it failed"
            )
        return loss


def measure(name: str) -> Measure:
    """Of a loss or a score by its name here (error, accuracy, rmse, …; ``list`` of docs/EVALUATIONS.md), or of a loss
    negated, so that more is better (neg_log_loss). UserError for another name."""
    known: dict[str, Measure] = {}
    for kind, metrics in METRICS.items():
        for metric in metrics:
            known[metric.name] = Measure(metric.name, kind, "loss")
            known[_NEGATED + metric.name] = Measure(metric.name, kind, "negated")
            if metric.score:
                known[metric.score] = Measure(metric.name, kind, "score")
    if name not in known:
        raise unknown("metric", name, [one for one in known if not one.startswith(_NEGATED)])
    return known[name]


@dataclass(frozen=True)
class Alias:
    """Which of our learners another tool's is, parameter by parameter."""

    learner: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Its name of a parameter -> ours."""
    fixed: Mapping[str, Value] = field(default_factory=dict)
    """Its parameters that ours has not, and the value at which the two are the same."""


@dataclass(frozen=True)
class Row:
    """An evaluation."""

    data: str
    learner: str
    config: Config
    validation: float | None
    """As it was measured; None where it failed."""
    test: float | None = None
    fidelity: float | None = None
    """None: full."""
    seconds: float | None = None
    cpu: float | None = None


@dataclass(frozen=True)
class Found:
    """What a reader found."""

    rows: Sequence[Row]
    """Evaluations of one name (data, learner, config, fidelity) are repetitions, of which the mean is taken."""
    measure: Measure
    aliases: Mapping[str, Alias] = field(default_factory=dict)
    """Learners that may be ours; those of our names always may."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What was not taken over, and how often."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """File -> SHA-256."""


def csv_lines(path: Path) -> tuple[list[str], list[list[str]]]:
    """The first line of a CSV file and all others that are not blank, each of as many entries. UserError for another
    file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            head = next(reader, None)
            lines = [(reader.line_num, line) for line in reader if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    if head is None:
        raise UserError(f"{path}: expected CSV with the names of columns in its first line, got an empty file")
    for number, line in lines:
        if len(line) != len(head):
            raise UserError(
                f"{path}, line {number}: expected {len(head)} entries, as in the first line, got {len(line)}; put an "
                "entry with commas in quotes"
            )
    return head, [line for _, line in lines]


def value_of(cell: Any) -> Value | None:
    """A cell as a parameter: a finite number (3.0 is 3), true, false or text, None where it is empty."""
    if hasattr(cell, "item"):
        cell = cell.item()
    if cell is None or isinstance(cell, bool | int):
        return cell
    text = str(cell).strip()
    if text in ("True", "False", "true", "false"):
        return text.lower() == "true"
    if not _NUMBER.fullmatch(text):
        return None if isinstance(cell, float) and math.isnan(cell) else text or None
    if text.lstrip("+-").isdigit():
        return int(text)
    found = float(text)
    if not math.isfinite(found):
        return text
    return int(found) if found.is_integer() and abs(found) < EXACT else found


def name_of(cell: Any) -> str:
    """A cell as a name: text as it stands, so that 007 is not 7; empty where there is none."""
    found = cell.strip() if isinstance(cell, str) else value_of(cell)
    return "" if found is None else str(found)


def number_of(cell: Any, what: str, where: str) -> float | None:
    """A cell as a finite number, None where it is empty. UserError for anything else."""
    found = value_of(cell)
    if found is None or str(found).lower() in ("nan", "na", "none", "null"):
        return None
    if isinstance(found, bool | str):
        raise UserError(f"{where}: expected {what} to be a finite number, or empty, got {cell!r}")
    return float(found)


def named(rows: Sequence[Row], index: Path | None) -> list[Row]:
    """``rows`` with the names that the data sets have in a store: ``index`` is its CSV file with the columns
    ``openml_id`` and ``name``. UserError if it names none of them, or two alike."""
    import pandas as pd

    if index is None:
        return list(rows)
    try:
        frame = pd.read_csv(index, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{index}: expected the index of a data store, got: {error}") from error
    if lacking := {"openml_id", "name"} - set(frame):
        raise UserError(f"{index}: expected the columns openml_id and name, got no {', '.join(sorted(lacking))}")
    names = {key.lstrip("0"): name for key, name in zip(frame["openml_id"], frame["name"], strict=True) if key}
    if not {row.data.lstrip("0") for row in rows} & names.keys():
        raise UserError(
            f"{index}: expected the openml_id of a data set that was evaluated, got none; leave out --names"
        )
    new = {row.data: names.get(row.data.lstrip("0"), row.data) for row in rows}
    old: dict[str, str] = {}
    for data, name in new.items():
        if old.setdefault(name, data) != data:
            raise UserError(
                f"{index}: expected a name for each data set, got {name} for both {old[name]} and {data}; name another"
            )
    return [replace(row, data=new[row.data]) for row in rows]


def table(found: Found) -> pd.DataFrame:
    """The table: the columns EVALUATIONS, then the validation and test loss.

    Fidelities are shares of the learner's highest; repetitions are averaged over those that succeeded; configurations
    are numbered by learner, from 1 in the order in which they come, and 0 is the default of one of ours.
    UserError if there is nothing, or a name cannot be used."""
    import pandas as pd

    if not found.rows:
        left = "; ".join(f"{what}: {count:,}" for what, count in found.left_out.items())
        raise UserError(f"expected at least one evaluation, got none{left and f'; left out: {left}'}")
    for name in sorted({row.data for row in found.rows} | {row.learner for row in found.rows}):
        if not _NAME.fullmatch(name) or name.startswith("neural_"):
            raise UserError(
                "expected names of data sets and learners of letters, digits, blanks and -_.,=+ that do not begin "
                f"with neural_, got {name!r}"
            )
    loss, kind = found.measure.loss, found.measure.kind
    translated: dict[tuple[str, str], tuple[str, Config]] = {}
    lines: list[dict[str, Any]] = []
    for row in found.rows:
        key = row.learner, json.dumps(dict(row.config), sort_keys=True)
        if key not in translated:
            translated[key] = _translated(row.learner, row.config, found.aliases, kind)
    texts = _texts(translated.values())
    for row in found.rows:
        learner, config = translated[row.learner, json.dumps(dict(row.config), sort_keys=True)]
        try:
            measured = [None if one is None else found.measure(one) for one in (row.validation, row.test)]
        except UserError as error:
            raise UserError(f"{row.learner} on {row.data}: {error}") from error
        lines.append({
            "data": row.data, "learner": learner, "given": row.learner, "fidelity": row.fidelity,
            "config": json.dumps({n: str(v) if (learner, n) in texts else v for n, v in config.items()}),
            "validation": measured[0], "test": measured[1] if measured[0] is not None else None,
            "cost": row.seconds, "cpu": row.cpu,
        })  # fmt: skip
    frame = pd.DataFrame(lines)
    numbers = ["fidelity", "validation", "test", "cost", "cpu"]
    frame[numbers] = frame[numbers].astype(float)
    if not (frame["fidelity"].isna().all() or frame["fidelity"].gt(0).all()):
        raise UserError("expected a fidelity above 0 in each row, or in none")
    if (least := frame[["cost", "cpu"]].min().min()) < 0:
        raise UserError(f"expected times of 0 seconds at least, or none, got {least:g}")
    highest = frame.groupby("given")["fidelity"].transform("max")
    frame["fidelity"] = (frame["fidelity"] / highest).fillna(1.0)
    frame["configuration"] = _numbers(frame, kind)
    keys = ["data", "learner", "configuration", "fidelity"]
    frame = frame.groupby([*keys, "config"], as_index=False)[["validation", "test", "cost", "cpu"]].mean()
    out = pd.DataFrame({
        "data": frame["data"].astype("category"), "learner": frame["learner"].astype("category"),
        "configuration": frame["configuration"].astype("Int32"), "fidelity": frame["fidelity"].astype("float32"),
        "status": frame["validation"].map(lambda one: "failed" if math.isnan(one) else "ok").astype("category"),
        "cost": frame["cost"].astype("float32"), "cpu": frame["cpu"].astype("float32"),
        "memory": pd.Series(math.nan, frame.index, "float32"), "split": pd.array([0] * len(frame), dtype="Int64"),
        "config": frame["config"].astype("category"),
        f"validation_{loss}": frame["validation"].astype("Float32"), f"test_{loss}": frame["test"].astype("Float32"),
    })  # fmt: skip
    assert list(out)[: len(EVALUATIONS)] == [column.name for column in EVALUATIONS]
    return out


def _translated(name: str, config: Config, aliases: Mapping[str, Alias], kind: TaskType) -> tuple[str, Config]:
    """Learner and configuration as ours if they can be, else as they are."""
    alias = aliases.get(name) or (Alias(name) if name in learners() else None)
    if alias and kind in find_learner(alias.learner).spaces:
        given = {key: value for key, value in config.items() if alias.fixed.get(key, math.nan) != value}
        renamed = {alias.renamed.get(key, key): value for key, value in given.items()}
        if (ours := _completed(packaged_space(find_learner(alias.learner).spaces[kind]), renamed)) is not None:
            return alias.learner, ours
    return (_OWN + name if name in learners() else name), dict(sorted(config.items()))


def _texts(translated: Collection[tuple[str, Config]]) -> set[tuple[str, str]]:
    """Learners and their parameters that are now a number, now a name: these are names throughout."""
    kinds: dict[tuple[str, str], set[str]] = {}
    for learner, config in translated:
        for name, value in config.items() if learner not in learners() else ():
            what = "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
            kinds.setdefault((learner, name), set()).add(what)
    return {key for key, several in kinds.items() if len(several) > 1}


def _completed(space: Space, config: Config) -> Config | None:
    """``config`` with the defaults of what it leaves open, without what is inactive; None if it does not lie in
    ``space``."""
    whole = {**_defaults(space), **config}
    try:
        kept = space.canonical(whole) if config.keys() <= _defaults(space).keys() else None
    except UserError:
        return None
    if kept is None or not space.legal(space.encode([kept]))[0]:
        return None
    return {name: _typed(space, name, value) for name, value in kept.items()}


def _typed(space: Space, name: str, value: Value) -> Value:
    """``value`` with the type that the space gives it, so that equal configurations have equal texts."""
    if levels := space.levels(name):
        return next(one for one in levels if one == value)
    return int(value) if isinstance(space.configspace[name], IntegerHyperparameter) else float(value)


@cache
def _defaults(space: Space) -> Mapping[str, Value]:
    """Of all parameters, those that are inactive by default, too."""
    return {str(name): space.configspace[name].default_value for name in space.names}


def _numbers(frame: pd.DataFrame, kind: TaskType) -> list[int]:
    """(rows,) of configurations, by learner."""
    numbers: dict[tuple[str, str], int] = {}
    for learner, configs in frame.groupby("learner", sort=False)["config"]:
        ours = str(learner) in learners()
        default = packaged_space(find_learner(str(learner)).spaces[kind]).default() if ours else None
        texts = [text for text in configs.unique() if not ours or json.loads(text) != default]
        numbers |= {(str(learner), text): i + 1 for i, text in enumerate(texts)}
    return [numbers.get(key, 0) for key in zip(frame["learner"], frame["config"], strict=True)]


def uses(frame: pd.DataFrame) -> list[tuple[str, int, int, int, str]]:
    """By learner: its configurations, data sets, data sets with all configurations at full fidelity, and what can use
    them."""
    out = []
    for learner, rows in frame.groupby("learner", observed=True):
        configs = rows["configuration"].nunique()
        full = rows[(rows["fidelity"] == 1) & (rows["status"] == "ok")]
        counts = full.groupby("data", observed=True)["configuration"].nunique()
        whole = int((counts == configs).sum())
        known = str(learner) in learners() and whole >= FEWEST and configs > 1
        measured = bool(rows.loc[rows["status"] == "ok", ["cpu", str(frame.columns[-1])]].notna().all(axis=None))
        can = ["evaluated"] if set(rows["config"]) != {"{}"} and _looked_up(rows[rows["status"] == "ok"]) else []
        can += ["meta train"] if known and 0 in set(full["configuration"]) else []
        can += ["surrogate fit"] if known and measured and rows["fidelity"].nunique() > 1 else []
        out.append((str(learner), configs, rows["data"].nunique(), whole, ", ".join(can) or "none"))
    return out


def _looked_up(rows: pd.DataFrame) -> bool:
    """Whether a data set has two configurations at every fidelity, with test losses of all or of none."""
    for _, some in rows.groupby("data", observed=True):
        levels = some.groupby("configuration")["fidelity"].transform("nunique")
        whole = some[levels == some["fidelity"].nunique()]
        if whole["configuration"].nunique() > 1 and whole.iloc[:, -1].notna().nunique() == 1:
            return True
    return False


def card(frame: pd.DataFrame, found: Found, name: str, command: str) -> str:
    """What one has to know of the table before using it."""
    loss = found.measure.loss
    without = "" if frame[f"test_{loss}"].notna().any() else " There are no test losses."
    failed = int((frame["status"] != "ok").sum())
    return "\n".join([
        f"# Evaluations made elsewhere: {name}", "", f"    {command}", "",
        f"- **From** {', '.join(f'{file} (SHA-256 {digest})' for file, digest in found.origin.items())}.",
        f"- **Rows**: {len(frame):,} of {len(found.rows):,} evaluations (repetitions are averaged); {failed:,} failed.",
        f"- **Loss**: {loss}, read as {found.measure.how}.{without}",
        f"- **Left out**: {'; '.join(f'{what}: {n:,}' for what, n in found.left_out.items()) or 'nothing'}.",
        "- **Configurations** that lie in the space of one of our learners are told as its own, what they leave open as"
        " its default. Full fidelity is whatever was trained elsewhere, which may be other than here.",
        "- What was done on which machine, with which versions and under which licence is not known.", "",
        "| learner | configurations | data sets | of these with all configurations | what can use it |",
        "|---|---|---|---|---|",
        *("| " + " | ".join(map(str, line)) + " |" for line in uses(frame)),
    ]) + "\n"  # fmt: skip


def write(found: Found, path: Path, command: str) -> pd.DataFrame:
    """Write the new table ``path`` and its card beside it. UserError if one of them is there."""
    if path.suffix != ".parquet":
        raise UserError(f"expected --out to be a new file *.parquet, got {path}")
    for file in (path, path.with_suffix(".md")):
        if file.exists():
            raise UserError(f"expected --out to be new, but {file} is there; name another, or delete it")
    frame = table(found)
    if path.parent.exists() and not path.parent.is_dir():
        raise UserError(f"expected --out to be in a folder, but {path.parent} is a file; name another")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda part: frame.to_parquet(part, compression="zstd", compression_level=19, index=False))
    text = card(frame, found, path.stem, command)
    write_whole(path.with_suffix(".md"), lambda part: part.write_text(text, encoding="utf-8"))
    return frame
