"""What all families of networks share: trainings in tiles, scores of every epoch, states, hidden scores."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError
from hptbench.protocol import Fidelity, Job, Outcome, Point, Status
from hptbench.space import Floats, Space
from hptbench.spacefile import packaged_space
from hptbench.tasks._jobs import hidden_scores, lost_since
from hptbench.tasks._space import resolved
from hptbench.tasks.neural._nets import Network
from hptbench.tasks.neural._optimizers import OPTIMIZERS, SCHEDULES, Optimizer
from hptbench.tasks.neural._tile import Snapshot
from hptbench.tasks.neural._trainer import Member, Recipe, Trained, Trainer, Watch, card_seconds, flops

LIMITS: Mapping[str, tuple[float, float]] = {
    "batch_size": (1, math.inf), "learning_rate": (0, math.inf), "momentum": (0, 0.9999), "decay": (0, 0.999999),
    "weight_decay": (0, math.inf), "num_layers": (1, 64), "max_units": (1, 1 << 16), "max_dropout": (0, 1),
    "blocks": (1, 16), "channels": (1, 1 << 12), "dropout": (0, 1), "label_smoothing": (0, 1), "layers": (1, 64),
    "heads": (1, 256), "units": (1, 1 << 16), "discount": (0, 1), "trace": (0, 1), "entropy": (0, math.inf),
    "value_weight": (0, math.inf), "clip": (0, math.inf), "exploration": (0, 1), "final_epsilon": (0, 1),
    "follow": (0, 1), "warmup": (0, math.inf), "alpha_learning_rate": (0, math.inf),
    "alpha_weight_decay": (0, math.inf),
}  # fmt: skip
"""What parameters of a network can be."""
WHOLE = {"batch_size", "num_layers", "max_units", "blocks", "channels", "layers", "heads", "units"}
"""Those that count something."""
WORDS: dict[str, Sequence[Any]] = {"optimizer": OPTIMIZERS, "schedule": tuple(SCHEDULES)}


class Prepared(NamedTuple):
    """The rows of a task as networks take them."""

    trainer: Trainer
    X_test: NDArray[Any]
    validation: Any
    """What is told of validation rows is compared with, in the words of the family."""
    test: Any
    """The same of test rows."""
    asked: NDArray[np.int64] | None = None
    """Of test rows, as :attr:`Data.asked` of validation rows."""
    watched: Sequence[Watched] = ()
    """What becomes learning curves."""


class Watched(NamedTuple):
    """Scores of some rows after every epoch."""

    part: str
    """training, validation or test."""
    rows: slice
    """Among those that something is said of."""
    actual: Any
    names: tuple[str, ...]
    """Of the losses."""


class Trainings:
    """Networks, many configurations trained as one program.

    A job trains epoch by epoch and is told the scores after each; ``hidden`` holds all metrics at its end, and
    ``flops``: floating-point operations of training and validating this configuration from nothing to there, counted
    from the sizes of the network. ``cost`` is the job's share, by such operations, of the seconds in which it and those
    beside it were trained and validated: the more are trained together, the less each costs. A training that has
    diverged ends with the epoch, for itself alone. The schedule is for ``high`` epochs, wherever a segment ends.

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

    low: int
    """Fewest epochs."""
    high: int
    """Most epochs."""
    space: Space
    """Also the parameters of a space as in YAML, or None for the packaged one. May lack parameters, which then have the
    packaged one's default."""

    def __post_init__(self) -> None:
        check_torch()
        check_whole(self)
        _ = self.objectives
        object.__setattr__(self, "space", resolved(self.space, self.space_name(), self.model))
        check_space(self.space, {**WORDS, **self.choices})

    # what a family adds

    @property
    @abstractmethod
    def objectives(self) -> tuple[str, ...]: ...

    @abstractmethod
    def ready(self) -> Prepared:
        """The rows, encoded and on the device. UserError if they cannot be used."""

    @abstractmethod
    def networks(self, config: Mapping[str, Any], shape: tuple[int, ...], outputs: int) -> tuple[Network, Network]:
        """The network of a (complete) configuration, and that within which it is trained."""

    @abstractmethod
    def dropout(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        """Of each layer before the head."""

    @abstractmethod
    def scores(self, ready: Prepared, said: Floats, actual: Any, names: Sequence[str] | None) -> dict[str, float]:
        """Losses by name; None: all that can be computed. ``actual``: what ``ready`` holds of the rows."""

    @property
    def fidelity(self) -> Fidelity:
        return Fidelity(self.low, self.high, unit="epoch", continues=True)

    @classmethod
    def space_name(cls, **_: Any) -> str:
        """Which packaged space its tasks have."""
        return f"neural_{cls.model}"

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
        curves: list[dict[int, Point]] = [{} for _ in jobs]  # by epoch: short of memory, some are trained again
        last: dict[int, dict[str, float]] = {}
        watched: list[dict[str, float]] = [{} for _ in jobs]

        def watch(i: int, epoch: int, said: Floats) -> None:
            own = said[: ready.trainer.data.judged]
            final = epoch == jobs[i].stop or not np.isfinite(own).all()
            seen = self.scores(ready, own, ready.validation, None if final else self.objectives)
            curves[i][epoch] = Point(float(jobs[i].stop if final else epoch), tuple(seen[o] for o in self.objectives))
            last[i] = seen
            for part, rows, actual, names in ready.watched:
                scores = self.scores(ready, said[rows], actual, names)
                watched[i] |= {f"{part}_{name}@{epoch}": value for name, value in scores.items()}

        trained = self._train(ready, jobs, states, watch)
        within = [self.recipe(ready, job).within for job in jobs]
        said = ready.trainer.predict([one.snapshot for one in trained], within, ready.X_test, ready.asked)
        outcomes = []
        for i, (one, test) in enumerate(zip(trained, said, strict=True)):
            seen = last[i]
            hidden, message = hidden_scores(
                lambda test=test: self.scores(ready, test, ready.test, None), seen, self.objectives[0]  # type: ignore[misc]
            )  # fmt: skip
            hidden |= (
                {f"validation_{name}": value for name, value in seen.items()}
                | {"flops": self._flops(ready, jobs[i])}
                | watched[i]
            )
            gpu, curve = card_seconds(ready.trainer.device, one.seconds), tuple(curves[i].values())
            outcomes.append(Outcome(Status.OK, curve, one.seconds, hidden, one.snapshot, message, gpu=gpu))
        return outcomes

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


def check_torch() -> None:
    """UserError where it is not installed."""
    if find_spec("torch") is None:
        raise UserError('this task needs torch, which is not installed; pip install "hptbench[neural]"')


def check_whole(task: Any) -> None:
    """UserError unless ``low`` and ``high`` are a fidelity of whole epochs."""
    unit = task.fidelity.unit
    for name in ("low", "high"):
        if not float(getattr(task, name)).is_integer():
            raise UserError(f"expected whole {unit}s, got {name}={getattr(task, name)}")


def check_space(space: Space, words: Mapping[str, Sequence[Any]] = WORDS) -> None:
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
        kind, said = (int | np.integer, "a whole number") if name in WHOLE else (int | float | np.number, "a number")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
                raise UserError(f"space: expected {name} to be {said} in [{low:g}, {high:g}], got {value!r}")
