"""Tuning a learner on data that arrive in blocks and drift: production maintenance."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from hptbench.errors import UserError
from hptbench.learners import FRACTION, Learner, Model, Table, TaskType, find_learner, quiet_single_thread
from hptbench.protocol import COMPUTED, JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.space import Space
from hptbench.tasks import _data, _metrics
from hptbench.tasks._jobs import hidden_scores
from hptbench.tasks._space import resolved
from hptbench.tasks._streams import ROWS, blocks, find_stream, stream

UNIT = "block"
"""The fidelity's unit; by it the results of this family are known."""
_LEAST = 20
"""Rows of a block, at least."""


@task("drifting")
@dataclass(frozen=True)
class DriftingTask:
    """A learner on a stream of rows that arrive in blocks, whose concept may drift: tuned again block after block.

    The rows, in time order, are ``blocks`` + 2 blocks of equal size: block 0, whose labels are there from the start;
    1 .. B, the fidelities; B + 1. A job at block b trains on the rows that came before it (blocks 0 .. b - 1, or the
    last ``window`` of them) and is validated on block b, the newest with labels. Its hidden ``test`` is the same
    model's score on block b + 1: what it would have got had it been deployed (prequential evaluation, test then train;
    Gama et al., ACM Computing Surveys 46(4), 2014, Section 5.1). Nothing of block b + 1 or later reaches the model or
    the validation, and nothing is trained again on block b.

    The fidelity is time, not effort, and no training continues into the next block. In full evaluations a job at
    block b is charged b / B: its share of the training rows if ``window`` is None. With a window every job costs
    about the same; then count jobs (``budget.max_jobs``).

    Where the newest rows cannot be scored, ``hidden`` is NaN and the message says why; the job stays ok.
    """

    constraints: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    measured: ClassVar[bool] = True

    learner: str
    stream: str | None = None
    """A generator: sea, hyperplane, friedman. None: a data set."""
    drift: str = "gradual"
    """Of the generator: abrupt, gradual, none."""
    number: int = 0
    """Which realisation of the generator."""
    data: str | None = None
    """Name of a data set whose rows are in time order."""
    store: str | None = None
    """Folder of a data store; None: scikit-learn's data sets."""
    target: str = "target"
    """Column of the data set."""
    blocks: int = 9
    """B: how often the learner is tuned."""
    block_rows: int | None = None
    """Rows of a block. None: 200 of a generator; all rows of a data set, of which so many are drawn otherwise."""
    window: int | None = None
    """Train on the last so many blocks; None: on all."""
    length: float | None = None
    """Trees, iterations or epochs that a job trains, for learners that have them; None: the learner's highest."""
    metric: str | tuple[str, ...] = ""
    """As in the family ``dataset``."""
    space: Space = None  # type: ignore[assignment]
    """As in the family ``dataset``."""

    def __post_init__(self) -> None:
        _ = self.objectives  # says what is wrong with metric
        for name, least in (("blocks", 2), ("block_rows", _LEAST), ("window", 1), ("number", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"expected {name} >= {least}, got {value}")
        self._check_length()
        name = self.space_name(self.learner, self.stream, self.drift, self.data, self.store)
        object.__setattr__(self, "space", resolved(self.space, name, self.learner))

    def _check_length(self) -> None:
        natural = self._learner.fidelity
        if self.length is None:
            return
        if natural.unit == FRACTION.unit:
            raise UserError(f"expected no length for {self.learner}, which trains at once, got {self.length}")
        if natural.snap(self.length) != self.length:
            raise UserError(
                f"expected length to be a whole number of {natural.unit}s from {natural.low:g} to {natural.high:g}, "
                f"got {self.length}"
            )

    # what the task is

    @property
    def name(self) -> str:
        window = "" if self.window is None else f"-w{self.window}"
        number = f"-r{self.number}" if self.number else ""
        return f"{self.unit}-b{self.blocks}{window}-{self.learner}{number}"

    @property
    def unit(self) -> str:
        return f"{self.stream}_{self.drift}" if self.data is None else self.data

    @property
    def licence(self) -> str | None:
        return COMPUTED if self.data is None else _data.licence(self.data, self.store)

    @property
    def objectives(self) -> tuple[str, ...]:
        return _metrics.objectives(self._type, self.metric, self.learner, self._learner.probabilities)

    @property
    def fidelity(self) -> Fidelity:
        return Fidelity(1, self.blocks, UNIT)

    def identity(self) -> Mapping[str, JSON]:
        settings = (
            "learner", "stream", "drift", "number", "data", "target", "blocks", "block_rows", "window", "length",
        )  # fmt: skip
        digest = hashlib.sha256()  # of all that learners can see
        for block in _blocks(self._row_key):
            for part in (block.X, block.y, block.categorical):
                digest.update(np.ascontiguousarray(part).tobytes())
        return {name: getattr(self, name) for name in settings} | {
            "metrics": list(self.objectives),
            "sha256": digest.hexdigest(),
        }

    @classmethod
    def space_name(
        cls,
        learner: str,
        stream: str | None = None,
        drift: str = "none",
        data: str | None = None,
        store: str | None = None,
        **_: Any,
    ) -> str:
        """Which packaged space a task with these fields has: the key under ``spaces`` of a suite."""
        kind = _kind(stream, drift, data, store)
        spaces = find_learner(learner).spaces
        if kind not in spaces:
            raise UserError(
                f"expected a learner for {stream or data}, a {kind} task, got {learner!r}, which does "
                f"{', '.join(spaces)}; choose another learner"
            )
        return spaces[kind]

    # evaluation

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job. UserError if the data cannot be used; a training that raises, raises."""
        parts = _blocks(self._row_key)
        return [self._evaluate(job, parts) for job in jobs]

    def _evaluate(self, job: Job, parts: Sequence[Table]) -> Outcome:
        b = int(job.stop)
        past = _joined(_before(parts, b, self.window))
        with quiet_single_thread():
            began = time.perf_counter()
            stop = self.length or self._learner.fidelity.high
            model = self._learner.train(job.proposal.config, job.seed, past, 0.0, stop, None)
            seen = self._score(model, parts[b])
            cost = time.perf_counter() - began
            hidden, message = hidden_scores(lambda: self._score(model, parts[b + 1]), seen, self.objectives[0])
        hidden |= {f"validation_{name}": value for name, value in seen.items()}
        values = tuple(seen[name] for name in self.objectives)
        return Outcome(Status.OK, (Point(job.stop, values),), cost, hidden, message=message)

    def _score(self, model: Model, table: Table) -> dict[str, float]:
        predicted = self._learner.predict(model, table.X, table.n_classes)
        return _metrics.measured(self._metrics, table.y, predicted)

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
        return _kind(self.stream, self.drift, self.data, self.store)

    @property
    def _row_key(self) -> _Key:
        return _Key(
            self.stream, self.drift, self.number, self.data, self.store, self.target, self.blocks, self.block_rows,
            self.window,
        )  # fmt: skip


class _Key(NamedTuple):
    """What the rows of a task depend on: fields of :class:`DriftingTask`."""

    stream: str | None
    drift: str
    number: int
    data: str | None
    store: str | None
    target: str
    blocks: int
    block_rows: int | None
    window: int | None


def _kind(name: str | None, drift: str, data: str | None, store: str | None) -> TaskType:
    if name is not None and data is None:
        return find_stream(name, drift).kind
    if name is None and data is not None:
        return _data.task_type(data, store)
    raise UserError(f"expected either stream or data, got stream={name} and data={data}")


@lru_cache(maxsize=32)
def _blocks(key: _Key) -> Sequence[Table]:
    """Blocks 0 .. B + 1, the oldest first. UserError if they cannot be learnt from."""
    n = key.blocks + 2
    if key.stream is not None:
        parts = blocks(stream(key.stream, key.drift, n * (key.block_rows or ROWS), key.number), n, None)
    else:
        parts = blocks(_rows(key, n), n, key.block_rows)
    for b in range(1, key.blocks + 1):
        known = set().union(*(part.y.tolist() for part in _before(parts, b, key.window)))
        # a learner cannot give a probability to a class that it has never seen
        if missing := set(range(parts[0].n_classes)) - known:
            raise UserError(
                f"{key.stream or key.data}: expected rows of every class to train on before block {b}, got none of "
                f"class(es) {', '.join(map(str, sorted(missing)))}; set blocks lower, or window or block_rows higher"
            )
    return parts


def _rows(key: _Key, n: int) -> Table:
    """The data set, which has enough rows."""
    if key.data is None:
        raise ValueError("expected a stream or a data set")
    table, rows = _data.load(key.data, key.store, key.target, False), key.block_rows or _LEAST
    if len(table) < n * rows:
        raise UserError(
            f"data set {key.data!r}: expected at least {n * rows} rows for {key.blocks} + 2 blocks of {rows}, "
            f"got {len(table)}; set blocks or block_rows lower"
        )
    return table


def _before(parts: Sequence[Table], b: int, window: int | None) -> Sequence[Table]:
    """The blocks that are trained on at block ``b``."""
    return parts[0 if window is None else max(0, b - window) : b]


def _joined(parts: Sequence[Table]) -> Table:
    X, y = np.concatenate([part.X for part in parts]), np.concatenate([part.y for part in parts])
    return Table(X, y, parts[0].categorical, parts[0].n_classes)
