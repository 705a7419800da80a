"""What the families of networks on a data set share: data and splits of ``dataset``, and its metrics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.learners import Table, TaskType
from hptbench.protocol import JSON
from hptbench.space import Floats, Space
from hptbench.tasks import _metrics
from hptbench.tasks.dataset import DatasetTask
from hptbench.tasks.neural._trainer import Data, Trainer
from hptbench.tasks.neural._trainings import Prepared, Trainings, Watched

_CURVES: Mapping[TaskType, tuple[str, ...]] = {"classification": ("error", "log_loss"), "regression": ("rmse", "mae")}
"""What learning curves are of."""


class Targets(NamedTuple):
    """Those of some rows."""

    y: NDArray[Any]
    shift: float
    scale: float
    """Numbers to be predicted are ``shift + scale *`` what a network says."""


@dataclass(frozen=True)
class Neural(Trainings):
    """Networks on a data set, many configurations trained as one program.

    Splits, metrics and hidden test scores are those of ``dataset`` with a holdout: a quarter of the rows tests, a third
    of the others validates; all else is as in :class:`Trainings`."""

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
    curves: bool = False
    """Also score training, validation and test rows after every epoch, without dropout. ``hidden`` then holds
    ``<part>_<loss>@<epoch>`` of the epochs of the segment: error and log_loss, or rmse and mae. Time and ``flops``
    count it. What is told is of validation rows alone, also whether a training has diverged."""

    # what the task is

    @property
    def name(self) -> str:
        return f"{self.data}-{self.model}" + (f"-s{self.split}" if self.split else "")

    @property
    def unit(self) -> str:
        return self.data

    @property
    def licence(self) -> str | None:
        return self.rows.licence

    @property
    def objectives(self) -> tuple[str, ...]:
        return self.rows.objectives

    def identity(self) -> Mapping[str, JSON]:
        """UserError if the data set cannot be used."""
        rows = self.rows.identity()
        names = ("data", "test_share", "split", "max_rows", "target", "drop_rare", "metrics", "sha256")
        own: dict[str, JSON] = {"model": self.model, "low": self.low, "high": self.high}
        return {name: rows[name] for name in names} | own | ({"curves": True} if self.curves else {})

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

    # evaluation

    def ready(self) -> Prepared:
        """UserError if the data set cannot be used."""
        return _prepared(type(self).inputs, self.tile, self.rows, self.curves)

    def scores(self, ready: Prepared, said: Floats, actual: Targets, names: Sequence[str] | None) -> dict[str, float]:
        kind: TaskType = "classification" if ready.trainer.data.outputs > 1 else "regression"
        metrics = [m for m in _metrics.computable(kind, True) if names is None or m.name in names]
        said = said if kind == "classification" else actual.shift + actual.scale * said
        return _metrics.measured(metrics, actual.y, said)


@lru_cache(maxsize=4)
def _prepared(inputs: Callable[[Table, str], Any], tile: int, rows: DatasetTask, curves: bool) -> Prepared:
    [(training, validation)], test = rows.inner(rows.split), rows.outer().test
    takes = inputs(training, rows.data)
    shift, scale = 0.0, 1.0
    if not training.n_classes:
        shift, scale = float(training.y.mean()), float(training.y.std()) or 1.0
    y = training.y if training.n_classes else (training.y - shift) / scale
    X, held, X_test = (takes(table.X).astype(np.float32) for table in (training, validation, test))
    parts = {"validation": (held, validation.y), "test": (X_test, test.y), "training": (X, training.y)}
    ends = np.cumsum([len(rows) for rows, _ in parts.values()])
    names = _CURVES["classification" if training.n_classes else "regression"]
    watched = [
        Watched(part, slice(end - len(actual), end), Targets(actual, shift, scale), names)
        for (part, (_, actual)), end in zip(parts.items(), ends, strict=True)
    ]
    said_of = np.concatenate([rows for rows, _ in parts.values()]) if curves else held
    trainer = Trainer(Data(X, y, said_of, training.n_classes or 1, judged=len(held)), tile=tile)
    own = Targets(validation.y, shift, scale), Targets(test.y, shift, scale)
    return Prepared(trainer, X_test, *own, None, watched if curves else ())
