"""Tuning a real learner on a real data set."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from hptbench import rng
from hptbench.errors import UserError, unknown
from hptbench.learners import FRACTION, Learner, Model, Table, TaskType, find_learner, quiet_single_thread
from hptbench.protocol import JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.space import Space
from hptbench.tasks import _data, _metrics, _split
from hptbench.tasks._jobs import hidden_scores, lost_since
from hptbench.tasks._space import resolved

_VALIDATION_SHARE = 1 / 3
"""Of the rows that do not test, with ``validation="holdout"``."""
_AXES = ("own", "rows", "folds")

Fold = tuple[Table, Table]
"""(training rows, validation rows)."""


class Outer(NamedTuple):
    """The outer split."""

    rest: Table
    """What may be learnt from."""
    test: Table


class State(NamedTuple):
    """What a job leaves."""

    split: int
    """Number of the inner split, which stays that of the first segment."""
    models: tuple[Model, ...]
    """One per fold trained so far."""


@task("dataset")
@dataclass(frozen=True)
class DatasetTask:
    """A learner on a data set, with inner validation and a hidden outer test split.

    A job trains one model per fold of the inner split (one for a holdout, which is a third of the rows that do not
    test; ``repeats`` times as many if the split is repeated) and is told their mean score on the validation rows.
    ``hidden`` holds the same models' mean scores in all metrics that can be computed: ``validation_<metric>`` and, on
    the test rows, ``test_<metric>``; ``test``, the first objective's; and ``split``, the number of the inner split.
    Nothing is trained again on training and validation rows. Where the test rows cannot be scored, these are NaN and
    the message says why; the job stays ok.

    Splits are stratified. The outer one depends on the data set's name and ``split`` alone; so does the inner one,
    unless ``reshuffle`` draws another for each trial (Nagler, Schneider, Bischl & Feurer, NeurIPS 2024,
    arXiv:2405.15393). A trial that goes on, or that inherits a state, keeps the inner split on which it began, or it
    would validate on rows that it has learnt from. ``cost`` is the time of training and validation, without making a
    lost state again.
    """

    constraints: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 2
    measured: ClassVar[bool] = True

    data: str
    """Name of a data set bundled with scikit-learn, or of the store."""
    learner: str
    store: str | None = None
    """Folder of a data store; None: scikit-learn's data sets."""
    metric: str | tuple[str, ...] = ""
    """accuracy, balanced_accuracy, log_loss, auc, f1, brier; rmse, mae, r2, pinball; or several, which are then the
    objectives. Scores s are told as 1 - s: accuracy as error, auc as auc_error. Default: log_loss (accuracy without
    probabilities); rmse."""
    validation: str = "holdout"
    """holdout or cv."""
    folds: int = 3
    """Of cross-validation."""
    repeats: int = 1
    """How often the inner split is made, each time another."""
    reshuffle: bool = False
    """Another inner split for each trial."""
    axis: str = "own"
    """What the fidelity counts. own: the learner's (trees, iterations, epochs; rows for learners without); rows: the
    share of the training rows; folds: the folds of all repeats, one after the other."""
    test_share: float = 0.25
    split: int = 0
    """Number of the outer split."""
    max_rows: int | None = None
    """Take about so many rows (stratified), never fewer than 3 of a class."""
    target: str = "target"
    drop_rare: bool = False
    """Leave out classes with fewer than 3 rows instead of refusing the data set."""
    low: float | None = None
    """Lowest fidelity; None: the learner's."""
    high: float | None = None
    space: Space = None  # type: ignore[assignment]
    """Also the parameters of a space as in YAML, or None for the packaged one of the learner. May lack parameters,
    which then keep the learner's defaults."""

    def __post_init__(self) -> None:
        _ = self.objectives  # says what is wrong with metric
        if self.validation not in ("holdout", "cv"):
            raise unknown("validation", self.validation, ("holdout", "cv"))
        if self.axis not in _AXES:
            raise unknown("axis", self.axis, _AXES)
        if self.folds < 2:
            raise UserError(f"expected folds >= 2, got {self.folds}")
        if self.repeats < 1:
            raise UserError(f"expected repeats >= 1, got {self.repeats}")
        if self.axis == "folds" and self._folds < 2:
            raise UserError("axis=folds needs several folds; set validation=cv, or repeats higher")
        if not 0 < self.test_share < 1:
            raise UserError(f"expected 0 < test_share < 1, got {self.test_share}")
        if self.max_rows is not None and self.max_rows < _data.MIN_ROWS:
            raise UserError(f"expected max_rows >= {_data.MIN_ROWS}, got {self.max_rows}")
        fidelity = self.fidelity
        if fidelity.unit == FRACTION.unit and fidelity.high > 1:
            raise UserError(f"expected high <= 1 (all training rows), got {fidelity.high}")
        if self.axis == "folds" and fidelity.high > self._folds:
            raise UserError(f"expected high <= {self._folds} (all folds), got {fidelity.high:g}")
        if fidelity.integer and not (float(fidelity.low).is_integer() and float(fidelity.high).is_integer()):
            raise UserError(f"expected whole numbers ({fidelity.unit}), got low={fidelity.low}, high={fidelity.high}")
        name = self.space_name(self.data, self.learner, self.store)
        object.__setattr__(self, "space", resolved(self.space, name, self.learner))

    # what the task is

    @property
    def name(self) -> str:
        inner = f"cv{self.folds}" if self.validation == "cv" else "holdout"
        inner += f"x{self.repeats}" if self.repeats > 1 else ""
        words = [
            self.data,
            self.learner,
            inner if inner != "holdout" else "",
            "reshuffled" if self.reshuffle else "",
            self.axis if self.axis != "own" else "",
            f"s{self.split}" if self.split else "",
        ]
        return "-".join(filter(None, words))

    @property
    def unit(self) -> str:
        return self.data

    @property
    def licence(self) -> str | None:
        return _data.licence(self.data, self.store)

    @property
    def objectives(self) -> tuple[str, ...]:
        return _metrics.objectives(self._type, self.metric, self.learner, self._learner.probabilities)

    @property
    def fidelity(self) -> Fidelity:
        natural = self._learner.fidelity
        if self.axis == "rows":
            natural = FRACTION
        elif self.axis == "folds":
            natural = Fidelity(1, self._folds, unit="fold", continues=True, inherits=False)
        low = natural.low if self.low is None else self.low
        return replace(natural, low=low, high=natural.high if self.high is None else self.high)

    def identity(self) -> Mapping[str, JSON]:
        settings = (
            "data", "learner", "validation", "folds", "repeats", "reshuffle", "axis", "test_share", "split", "max_rows",
            "target", "drop_rare",
        )  # fmt: skip
        sha256 = _data.fingerprint(self.data, self.store, self.target, self.drop_rare)
        fidelity = {"low": self.fidelity.low, "high": self.fidelity.high}
        return (
            {name: getattr(self, name) for name in settings}
            | fidelity
            | {"metrics": list(self.objectives), "sha256": sha256}
        )

    @classmethod
    def space_name(cls, data: str, learner: str, store: str | None = None, **_: Any) -> str:
        """Which packaged space a task with these fields has: the key under ``spaces`` of a suite."""
        spaces, kind = find_learner(learner).spaces, _data.task_type(data, store)
        if kind not in spaces:
            raise UserError(
                f"expected a learner for the {kind} data set {data!r}, got {learner!r}, which does "
                f"{', '.join(spaces)}; choose another learner"
            )
        return spaces[kind]

    @staticmethod
    def data_sets(store: str) -> Mapping[str, TaskType]:
        """The data sets of a store -> their task type."""
        return _data.read_index(store)

    # the rows

    def outer(self) -> Outer:
        """The outer split. UserError if the data set cannot be used."""
        return _outer(
            self.data, self.store, self.target, self.drop_rare, self.max_rows, self.test_share, self.split
        )  # fmt: skip

    def inner(self, number: int) -> tuple[Fold, ...]:
        """The inner split with this number: the folds of all repeats."""
        # a reshuffled split is one trial's: to keep it would only fill the memory
        make = _inner.__wrapped__ if self.reshuffle else _inner
        return make(self.outer().rest, self.data, number, self._k, self.repeats)

    def _number(self, job: Job) -> int:
        """Of the inner split of a job that starts from nothing."""
        return rng.seed32(rng.entropy(*job.seed, "inner split")) if self.reshuffle else self.split

    # evaluation

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job. UserError if the data set cannot be used; a training that raises, raises."""
        test = self.outer().test
        return [self._evaluate(job, test) for job in jobs]

    def _evaluate(self, job: Job, test: Table) -> Outcome:
        left, lost = lost_since(job)
        state: State = left or State(self._number(lost[0] if lost else job), ())
        folds = self.inner(state.split)
        with quiet_single_thread():
            for earlier in lost:
                state = self._train(earlier, state, folds)
            began = time.perf_counter()
            state = self._train(job, state, folds)
            seen = self._score(state.models, [validation for _, validation in folds[: len(state.models)]])
            cost = time.perf_counter() - began
            tests = [test] * len(state.models)
            hidden, message = hidden_scores(lambda: self._score(state.models, tests), seen, self.objectives[0])
        hidden |= {f"validation_{name}": value for name, value in seen.items()} | {"split": float(state.split)}
        values = tuple(seen[name] for name in self.objectives)
        kept = state if self.fidelity.continues else None
        return Outcome(Status.OK, (Point(job.stop, values),), cost, hidden, kept, message)

    def _train(self, job: Job, state: State, folds: Sequence[Fold]) -> State:
        """The state after the job's segment."""
        config, seed, learner = job.proposal.config, job.seed, self._learner
        fidelity = self.fidelity
        if self.axis == "folds":
            new = folds[len(state.models) : int(job.stop)]
            more = [learner.train(config, seed, rows, 0, learner.fidelity.high, None) for rows, _ in new]
            return State(state.split, (*state.models, *more))
        whole = job.start, job.stop
        if fidelity.unit == FRACTION.unit:
            key = ("dataset", self.data, state.split, "part")
            parts = [rows.take(_split.part(rows, job.stop, (*key, i))) for i, (rows, _) in enumerate(folds)]
            whole = 0, learner.fidelity.high
        else:
            parts = [rows for rows, _ in folds]
        before = state.models or (None,) * len(folds)
        models = (learner.train(config, seed, r, *whole, b) for r, b in zip(parts, before, strict=True))
        return State(state.split, tuple(models))

    def _score(self, models: Sequence[Model], tables: Sequence[Table]) -> dict[str, float]:
        """Mean of every metric over the folds in which it is defined: AUC needs two classes, R² two different numbers
        (which folds lack them, the split decides, not the configuration). NaN if a prediction is no number."""
        losses = [
            _metrics.measured(self._metrics, t.y, self._learner.predict(m, t.X, t.n_classes))
            for m, t in zip(models, tables, strict=True)
        ]
        return {metric.name: self._mean(metric.name, losses, tables) for metric in self._metrics}

    def _mean(self, name: str, losses: Sequence[Mapping[str, float]], tables: Sequence[Table]) -> float:
        defined = [
            loss[name] for loss, table in zip(losses, tables, strict=True) if _metrics.defined(name, table.y)
        ] or [math.nan]
        return math.fsum(defined) / len(defined)

    # what the fields stand for

    @property
    def _metrics(self) -> tuple[_metrics.Metric, ...]:
        """Those that can be computed."""
        return _metrics.computable(self._type, self._learner.probabilities)

    @property
    def _learner(self) -> Learner:
        return find_learner(self.learner)

    @property
    def _type(self) -> TaskType:
        return _data.task_type(self.data, self.store)

    @property
    def _k(self) -> int:
        """Folds of cross-validation; 0 for a holdout."""
        return self.folds if self.validation == "cv" else 0

    @property
    def _folds(self) -> int:
        """All folds of all repeats."""
        return max(self._k, 1) * self.repeats


@lru_cache(maxsize=8)
def _outer(
    data: str, store: str | None, target: str, drop_rare: bool, max_rows: int | None, test_share: float, split: int
) -> Outer:
    table = _data.load(data, store, target, drop_rare)
    if max_rows is not None:
        share = max_rows / len(table)
        table = table.take(_split.part(table, share, ("dataset", data, "rows"), _data.MIN_CLASS_ROWS))
    # two rows of each class, so that no training part of the inner split lacks one
    rest, test = _split.holdout(table, test_share, ("dataset", data, split, "test"), others=2)
    return Outer(table.take(rest), table.take(test))


@lru_cache(maxsize=8)
def _inner(rest: Table, data: str, number: int, k: int, repeats: int) -> tuple[Fold, ...]:
    """``k`` folds of cross-validation, or 0 for a holdout; each repeat with another key."""
    pairs = []
    for repeat in range(repeats):
        key: tuple[str | int, ...] = ("dataset", data, number, "validation", *([repeat] if repeat else []))
        pairs += _split.folds(rest, k, key) if k else [_split.holdout(rest, _VALIDATION_SHARE, key)]
    return tuple((rest.take(train), rest.take(valid)) for train, valid in pairs)
