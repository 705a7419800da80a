"""What the families of networks share: data and splits of ``dataset``, trainings in tiles, scores of every epoch."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError
from hptbench.learners import Table, TaskType
from hptbench.protocol import JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.space import Floats, Space
from hptbench.spacefile import packaged_space
from hptbench.tasks import _metrics
from hptbench.tasks._jobs import hidden_scores, lost_since
from hptbench.tasks._space import resolved
from hptbench.tasks.dataset import DatasetTask
from hptbench.tasks.neural._nets import Network
from hptbench.tasks.neural._optimizers import OPTIMIZERS, SCHEDULES, Optimizer
from hptbench.tasks.neural._tile import Snapshot
from hptbench.tasks.neural._trainer import Data, Member, Recipe, Trained, Trainer, Watch, flops

LIMITS: Mapping[str, tuple[float, float]] = {
    "batch_size": (1, math.inf), "learning_rate": (0, math.inf), "momentum": (0, 0.9999), "decay": (0, 0.999999),
    "weight_decay": (0, math.inf), "num_layers": (1, 64), "max_units": (1, 1 << 16), "max_dropout": (0, 1),
    "blocks": (1, 16), "channels": (1, 1 << 12), "dropout": (0, 1), "label_smoothing": (0, 1),
}  # fmt: skip
"""What parameters of a network can be."""
WORDS: dict[str, Sequence[Any]] = {"optimizer": OPTIMIZERS, "schedule": tuple(SCHEDULES)}


class Prepared(NamedTuple):
    """The rows of a task as networks take them."""

    trainer: Trainer
    X_test: NDArray[np.float32]
    y_valid: NDArray[Any]
    y_test: NDArray[Any]
    shift: float
    scale: float
    """Numbers to be predicted are ``shift + scale *`` what a network says."""


@dataclass(frozen=True)
class Neural:
    """Networks on a data set, many configurations trained as one program.

    Splits, metrics and hidden test scores are those of ``dataset`` with a holdout: a quarter of the rows tests, a third
    of the others validates. A job trains epoch by epoch and is told the scores after each; ``hidden`` holds all metrics
    at its end, as in ``dataset``, and ``flops``: floating-point operations of training and validating this
    configuration from nothing to there, counted from the sizes of the network. ``cost`` is the job's share, by such
    operations, of the seconds in which it and those beside it were trained and validated: the more are trained
    together, the less each costs. A training that has diverged ends with the epoch, for itself alone. The schedule is
    for ``high`` epochs, wherever a segment ends.

    A training that goes on under another configuration keeps its weights and moments; if the sizes of the network
    differ, it begins anew.
    """

    constraints: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    measured: ClassVar[bool] = True
    together: ClassVar[int] = 256
    """How many jobs a worker process is given at once, at most."""
    model: ClassVar[str]
    """Its name in names of tasks and of spaces."""
    tile: ClassVar[int]
    """Members trained at once, at most."""
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {}
    """What parameters can be that this family alone has, all of them."""

    data: str
    """Name of a data set bundled with scikit-learn, or of the store."""
    store: str | None = None
    """Folder of a data store; None: scikit-learn's data sets."""
    metric: str | tuple[str, ...] = ""
    """As in ``dataset``."""
    test_share: float = 0.25
    split: int = 0
    max_rows: int | None = None
    target: str = "target"
    drop_rare: bool = False
    low: int = 1
    """Fewest epochs."""
    high: int = 27
    """Most epochs."""
    space: Space = None  # type: ignore[assignment]
    """Also the parameters of a space as in YAML, or None for the packaged one. May lack parameters, which then have the
    packaged one's default."""

    def __post_init__(self) -> None:
        if find_spec("torch") is None:
            raise UserError('this task needs torch, which is not installed; pip install "hptbench[neural]"')
        _ = self.fidelity
        for name in ("low", "high"):
            if not float(getattr(self, name)).is_integer():
                raise UserError(f"expected whole epochs, got {name}={getattr(self, name)}")
        _ = self.objectives
        object.__setattr__(self, "space", resolved(self.space, self.space_name(), self.model))
        _check_space(self.space, {**WORDS, **self.choices})

    # what the task is

    @property
    def name(self) -> str:
        return f"{self.data}-{self.model}" + (f"-s{self.split}" if self.split else "")

    @property
    def unit(self) -> str:
        return self.data

    @property
    def objectives(self) -> tuple[str, ...]:
        return self.rows.objectives

    @property
    def fidelity(self) -> Fidelity:
        return Fidelity(self.low, self.high, unit="epoch", continues=True)

    def identity(self) -> Mapping[str, JSON]:
        """UserError if the data set cannot be used."""
        rows = self.rows.identity()
        names = ("data", "test_share", "split", "max_rows", "target", "drop_rare", "metrics", "sha256")
        return {name: rows[name] for name in names} | {"model": self.model, "low": self.low, "high": self.high}

    @classmethod
    def space_name(cls, **_: Any) -> str:
        """Which packaged space its tasks have."""
        return f"neural_{cls.model}"

    @property
    def rows(self) -> DatasetTask:
        """The task on the same rows from which splits and metrics are taken."""
        return DatasetTask(
            self.data, "mlp", self.store, self.metric, test_share=self.test_share, split=self.split,
            max_rows=self.max_rows, target=self.target, drop_rare=self.drop_rare,
        )  # fmt: skip

    # what a family adds

    @staticmethod
    @abstractmethod
    def inputs(training: Table, data: str) -> Any:
        """Function from (n, d) rows to what the network takes, learnt from the training rows. UserError for rows that
        it cannot take."""

    @abstractmethod
    def networks(self, config: Mapping[str, Any], shape: tuple[int, ...], outputs: int) -> tuple[Network, Network]:
        """The network of a (complete) configuration, and that within which it is trained."""

    @abstractmethod
    def dropout(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        """Of each layer before the head."""

    # evaluation

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job. UserError if the data set cannot be used; MemoryError if not one training fits."""
        ready = self.ready()
        states: list[Snapshot | None] = []
        chains: list[list[Job]] = []
        for job in jobs:
            state, lost = lost_since(job)
            states.append(state)
            chains.append([*lost, job])
        while again := [i for i, chain in enumerate(chains) if len(chain) > 1]:
            made = self._train(ready, [chains[i].pop(0) for i in again], [states[i] for i in again], None)
            for i, one in zip(again, made, strict=True):
                states[i] = one.snapshot
        curves: list[list[Point]] = [[] for _ in jobs]
        last: dict[int, dict[str, float]] = {}

        def watch(i: int, epoch: int, said: Floats) -> None:
            final = epoch == jobs[i].stop or not np.isfinite(said).all()
            seen = self._scores(ready, said, ready.y_valid, None if final else self.objectives)
            curves[i].append(Point(float(jobs[i].stop if final else epoch), tuple(seen[o] for o in self.objectives)))
            last[i] = seen

        trained = self._train(ready, jobs, states, watch)
        within = [self.recipe(ready, job).within for job in jobs]
        said = ready.trainer.predict([one.snapshot for one in trained], within, ready.X_test)
        outcomes = []
        for i, (one, test) in enumerate(zip(trained, said, strict=True)):
            seen = last[i]
            hidden, message = hidden_scores(
                lambda test=test: self._scores(ready, test, ready.y_test, None), seen, self.objectives[0]  # type: ignore[misc]
            )  # fmt: skip
            hidden |= {f"validation_{name}": value for name, value in seen.items()} | {
                "flops": self._flops(ready, jobs[i])
            }
            outcomes.append(Outcome(Status.OK, tuple(curves[i]), one.seconds, hidden, one.snapshot, message))
        return outcomes

    def ready(self) -> Prepared:
        """The rows, encoded and on the device. UserError if the data set cannot be used."""
        return _prepared(type(self).inputs, self.tile, self.rows)

    def _train(self, ready: Prepared, jobs: Sequence[Job], states: Sequence[Any], watch: Watch | None) -> list[Trained]:
        members = [
            Member(self.recipe(ready, job), job.seed, int(job.start), int(job.stop), state)
            for job, state in zip(jobs, states, strict=True)
        ]
        return ready.trainer.train(members, watch or (lambda *_: None))

    def recipe(self, ready: Prepared, job: Job) -> Recipe:
        """The job's configuration in the words of the trainer."""
        data = ready.trainer.data
        config: dict[str, Any] = {**packaged_space(self.space_name()).default(), **job.proposal.config}
        net, within = self.networks(config, data.X.shape[1:], data.outputs)
        optimizer = Optimizer(
            config["optimizer"], config["learning_rate"], config["weight_decay"], config["momentum"], config["decay"],
            config["schedule"],
        )  # fmt: skip
        dropout, smoothing = self.dropout(config), config["label_smoothing"]
        batch_size = min(int(config["batch_size"]), len(data.X))
        return Recipe(net, within, optimizer, batch_size, self.high, dropout, smoothing)

    def _flops(self, ready: Prepared, job: Job) -> float:
        data = ready.trainer.data
        return flops(self.recipe(ready, job).net, len(data.X), len(data.held)) * job.stop

    def _scores(self, ready: Prepared, said: Floats, y: NDArray[Any], names: Sequence[str] | None) -> dict[str, float]:
        """Losses by name; None: all that can be computed."""
        kind: TaskType = "classification" if ready.trainer.data.outputs > 1 else "regression"
        metrics = [m for m in _metrics.computable(kind, True) if names is None or m.name in names]
        return _metrics.measured(metrics, y, said if kind == "classification" else ready.shift + ready.scale * said)


@lru_cache(maxsize=4)
def _prepared(inputs: Callable[[Table, str], Any], tile: int, rows: DatasetTask) -> Prepared:
    [(training, validation)], test = rows.inner(rows.split), rows.outer().test
    takes = inputs(training, rows.data)
    shift, scale = 0.0, 1.0
    if not training.n_classes:
        shift, scale = float(training.y.mean()), float(training.y.std()) or 1.0
    y = training.y if training.n_classes else (training.y - shift) / scale
    X, held, X_test = (takes(table.X).astype(np.float32) for table in (training, validation, test))
    trainer = Trainer(Data(X, y, held, training.n_classes or 1), tile=tile)
    return Prepared(trainer, X_test, validation.y, test.y, shift, scale)


def _check_space(space: Space, words: Mapping[str, Sequence[Any]]) -> None:
    """UserError for values that no network can have."""
    parameters: Mapping[str, Any] = dict(space.configspace)
    for name, parameter in parameters.items():
        values = getattr(parameter, "choices", None) or getattr(parameter, "sequence", None)
        if values is None:
            values = (parameter.value,) if hasattr(parameter, "value") else (parameter.lower, parameter.upper)
        if name in words:
            if wrong := [value for value in values if value not in words[name]]:
                some = words[name]
                spelt = f"{some[0]} to {some[-1]}" if isinstance(some, range) else ", ".join(map(str, some))
                raise UserError(f"space: expected {name} to be of {spelt}, got {wrong[0]!r}")
            continue
        low, high = LIMITS[name]
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not low <= value <= high:
                raise UserError(f"space: expected {name} to be a number in [{low:g}, {high:g}], got {value!r}")
