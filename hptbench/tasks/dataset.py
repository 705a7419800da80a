"""Tuning a real learner on a real data set."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown
from hptbench.learners import Learner, Model, Table, TaskType, find_learner, quiet_single_thread
from hptbench.protocol import JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.space import Floats, Space
from hptbench.spacefile import packaged_space, space_from_yaml
from hptbench.tasks import _data, _split

_CLIP = 1e-15
"""Smallest probability in the logarithmic loss."""
_VALIDATION_SHARE = 1 / 3
"""Of the rows that do not test, with ``validation="holdout"``."""


class Parts(NamedTuple):
    """The rows of a task."""

    inner: tuple[tuple[Table, Table], ...]
    """(training, validation) per fold; one fold for a holdout."""
    test: Table


@task("dataset")
@dataclass(frozen=True)
class DatasetTask:
    """A learner of scikit-learn on a data set, with inner validation and a hidden outer test split.

    A job trains one model per fold of the inner split (one for a holdout, which is a third of the rows that do
    not test) and is told their mean score on the validation rows. ``hidden`` holds the same models' mean score
    on the test rows: ``test`` in the task's metric, ``test_<metric>`` in all that can be computed. Nothing is
    trained again on training and validation rows. Where the test rows cannot be scored, these are NaN and the message
    says why; the job stays ok. Both splits are stratified and depend on the data set's name
    and ``split`` alone. ``cost`` is the time of training and validation, without making a lost state again.
    """

    version: ClassVar[int] = 1
    measured: ClassVar[bool] = True

    data: str
    """Name of a data set bundled with scikit-learn, or of the store."""
    learner: str
    store: str | None = None
    """Folder of a data store; None: scikit-learn's data sets."""
    metric: str = ""
    """error, balanced_error, log_loss; rmse, mae. Default: log_loss (error without probabilities); rmse."""
    validation: str = "holdout"
    """holdout or cv."""
    folds: int = 3
    """Of cross-validation."""
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
    which then keep scikit-learn's defaults."""

    def __post_init__(self) -> None:
        allowed = _METRICS[self._type]
        if self.metric and self.metric not in allowed:
            raise unknown(f"metric of a {self._type} task", self.metric, allowed)
        if self.metric == "log_loss" and not self._learner.probabilities:
            raise UserError(f"metric log_loss needs probabilities, which {self.learner} has not; set metric=error")
        if self.validation not in ("holdout", "cv"):
            raise unknown("validation", self.validation, ("holdout", "cv"))
        if self.folds < 2:
            raise UserError(f"expected folds >= 2, got {self.folds}")
        if not 0 < self.test_share < 1:
            raise UserError(f"expected 0 < test_share < 1, got {self.test_share}")
        if self.max_rows is not None and self.max_rows < _data.MIN_ROWS:
            raise UserError(f"expected max_rows >= {_data.MIN_ROWS}, got {self.max_rows}")
        fidelity = self.fidelity
        if fidelity.unit == "fraction" and fidelity.high > 1:
            raise UserError(f"expected high <= 1 (all training rows), got {fidelity.high}")
        if fidelity.integer and not (float(fidelity.low).is_integer() and float(fidelity.high).is_integer()):
            raise UserError(f"expected whole numbers ({fidelity.unit}), got low={fidelity.low}, high={fidelity.high}")
        object.__setattr__(self, "space", self._space())

    # what the task is

    @property
    def name(self) -> str:
        return f"{self.data}-{self.learner}" + (f"-s{self.split}" if self.split else "")

    @property
    def unit(self) -> str:
        return self.data

    @property
    def objectives(self) -> tuple[str, ...]:
        if self.metric:
            return (self.metric,)
        if self._type == "regression":
            return ("rmse",)
        return ("log_loss" if self._learner.probabilities else "error",)

    @property
    def fidelity(self) -> Fidelity:
        natural = self._learner.fidelity
        low = natural.low if self.low is None else self.low
        return replace(natural, low=low, high=natural.high if self.high is None else self.high)

    def identity(self) -> Mapping[str, JSON]:
        settings = ("data", "learner", "validation", "folds", "test_share", "split", "max_rows", "target", "drop_rare")
        sha256 = _data.fingerprint(self.data, self.store, self.target, self.drop_rare)
        fidelity = {"low": self.fidelity.low, "high": self.fidelity.high}
        return (
            {name: getattr(self, name) for name in settings}
            | fidelity
            | {"metric": self.objectives[0], "sha256": sha256}
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

    # evaluation

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job. UserError if the data set cannot be used; a training that raises, raises."""
        parts = _parts(self._row_key)
        return [self._evaluate(job, parts) for job in jobs]

    def _evaluate(self, job: Job, parts: Parts) -> Outcome:
        models, lost = self._source(job, parts)
        with quiet_single_thread():
            for earlier in lost:
                models = self._train(earlier, models, parts)
            began = time.perf_counter()
            models = self._train(job, models, parts)
            value = self._score(models, [validation for _, validation in parts.inner])[self.objectives[0]]
            cost = time.perf_counter() - began
            hidden, message = self._hidden(models, parts.test)
        state = models if self.fidelity.continues else None
        return Outcome(Status.OK, (Point(job.stop, (value,)),), cost, hidden, state, message)

    def _hidden(self, models: Sequence[Model], test: Table) -> tuple[dict[str, float], str]:
        """The scores on the test rows, NaN if they cannot be computed; then also why, in one line."""
        message = ""
        try:
            scores = self._score(models, [test] * len(models))
        except Exception as error:
            # A method sees the status of a job: it must not tell anything of the test rows.
            scores = dict.fromkeys(self._metrics, math.nan)
            message = " ".join(f"test score failed: {type(error).__name__}: {error}".split())
        return {"test": scores[self.objectives[0]]} | {f"test_{name}": s for name, s in scores.items()}, message

    def _source(self, job: Job, parts: Parts) -> tuple[Sequence[Model | None], list[Job]]:
        """(the latest state before the job that is there, one model per fold; the jobs since then, whose states
        are lost)."""
        lost: list[Job] = []
        while job.start > 0 and job.state is None:
            if job.before is None:
                raise ValueError(f"job {job.id} starts at {job.start:g}, but has neither a state nor a job before")
            job = job.before
            lost.append(job)
        return (job.state if job.start > 0 else [None] * len(parts.inner)), lost[::-1]

    def _train(self, job: Job, before: Sequence[Model | None], parts: Parts) -> list[Model]:
        models: list[Model] = []
        for fold, (training, _) in enumerate(parts.inner):
            rows = training
            if not self.fidelity.continues:
                rows = training.take(_split.part(training, job.stop, ("dataset", self.data, self.split, "part", fold)))
            models.append(self._learner.train(job.proposal.config, job.seed, rows, job.start, job.stop, before[fold]))
        return models

    def _score(self, models: Sequence[Model], tables: Sequence[Table]) -> dict[str, float]:
        """Mean over the folds of every metric that can be computed."""
        predictions = [self._learner.predict(m, t.X, t.n_classes) for m, t in zip(models, tables, strict=True)]
        return {
            name: float(np.mean([metric(t.y, p) for t, p in zip(tables, predictions, strict=True)]))
            for name, metric in self._metrics.items()
        }

    # what the fields stand for

    @property
    def _metrics(self) -> dict[str, Callable[[NDArray[Any], Floats], float]]:
        """Those that can be computed."""
        lacking = set() if self._learner.probabilities else {"log_loss"}
        return {name: metric for name, metric in _METRICS[self._type].items() if name not in lacking}

    @property
    def _learner(self) -> Learner:
        return find_learner(self.learner)

    @property
    def _type(self) -> TaskType:
        return _data.task_type(self.data, self.store)

    @property
    def _row_key(self) -> tuple[Any, ...]:
        inner = self.folds if self.validation == "cv" else 0
        return self.data, self.store, self.target, self.drop_rare, self.max_rows, self.test_share, self.split, inner

    def _space(self) -> Space:
        name = self.space_name(self.data, self.learner, self.store)
        packaged = packaged_space(name)
        given: Any = self.space
        if given is None:
            return packaged
        space = given if isinstance(given, Space) else space_from_yaml(given, where=f"space.{name}")
        for parameter in space.names:
            if parameter not in packaged.names:
                raise unknown(f"parameter of {self.learner}", parameter, packaged.names)
        return space


@lru_cache(maxsize=32)
def _parts(key: tuple[Any, ...]) -> Parts:
    data, store, target, drop_rare, max_rows, test_share, split, folds = key
    table = _data.load(data, store, target, drop_rare)
    if max_rows is not None:
        share = max_rows / len(table)
        table = table.take(_split.part(table, share, ("dataset", data, "rows"), _data.MIN_CLASS_ROWS))
    # two rows of each class, so that no training part of the inner split lacks one
    rest, test = _split.holdout(table, test_share, ("dataset", data, split, "test"), others=2)
    return inner_parts(table.take(rest), table.take(test), data, split, folds)


def inner_parts(outer: Table, test: Table, data: str, split: int, folds: int) -> Parts:
    """The inner split of the rows that do not test: ``folds`` of cross-validation, or 0 for a holdout."""
    key = ("dataset", data, split, "validation")
    pairs = _split.folds(outer, folds, key) if folds else [_split.holdout(outer, _VALIDATION_SHARE, key)]
    return Parts(tuple((outer.take(train), outer.take(valid)) for train, valid in pairs), test)


def _error(y: NDArray[Any], p: Floats) -> float:
    return float(np.mean(p.argmax(axis=1) != y))


def _balanced_error(y: NDArray[Any], p: Floats) -> float:
    """One minus the mean recall of the classes that occur in ``y``."""
    right = p.argmax(axis=1) == y
    return 1.0 - float(np.mean([right[y == label].mean() for label in np.unique(y)]))


def _log_loss(y: NDArray[Any], p: Floats) -> float:
    return float(-np.mean(np.log(np.clip(p[np.arange(len(y)), y], _CLIP, 1.0))))


def _rmse(y: NDArray[Any], p: Floats) -> float:
    return float(np.sqrt(np.mean((y - p) ** 2)))


def _mae(y: NDArray[Any], p: Floats) -> float:
    return float(np.mean(np.abs(y - p)))


_METRICS: Mapping[TaskType, Mapping[str, Callable[[NDArray[Any], Floats], float]]] = {
    "classification": {"error": _error, "balanced_error": _balanced_error, "log_loss": _log_loss},
    "regression": {"rmse": _rmse, "mae": _mae},
}
"""All minimised. ``p`` is (n, n_classes) probabilities, or (n,) predicted numbers."""
