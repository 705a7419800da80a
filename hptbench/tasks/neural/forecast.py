"""Networks that forecast a time series some steps ahead at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from hptbench.errors import UserError
from hptbench.forecasters import Past
from hptbench.protocol import JSON
from hptbench.registry import task
from hptbench.space import Floats, Space
from hptbench.tasks import _series
from hptbench.tasks._accuracy import METRICS
from hptbench.tasks.forecasting import ForecastingTask
from hptbench.tasks.neural._nets import GRAIN, Network, up
from hptbench.tasks.neural._sequences import ARCHITECTURES, HEAD, SequenceNet, stacked
from hptbench.tasks.neural._tile import Floats32
from hptbench.tasks.neural._trainer import Data, Trainer
from hptbench.tasks.neural._trainings import Prepared, Trainings

_SEASONS, _PLACES = 2, 12
"""Values that a network sees: so many seasons, but no fewer than so many values."""
_INPUTS = 2


class Forecasts(NamedTuple):
    """What forecasts from some origins are compared with."""

    past: Sequence[Past]
    actual: Sequence[Floats]
    """(horizon,) each."""
    scale: float
    """What a network says is, times it, added to the last value."""


@task("neural_forecast")
@dataclass(frozen=True)
class NeuralForecast(Trainings):
    """Networks that forecast a time series, many configurations trained at once.

    Series, origins and metrics are those of ``forecasting``; but a network is trained once, on the values before the
    first validation origin, and forecasts from all origins, each time from the last ``length`` values. At each place it
    is given the value (standardised) and its change, and says how far the next ``horizon`` values will be from it, in
    units of the changes' deviation, all of it learnt from the training values. The loss is the squared error at all
    places of a window; what is told is the mean of the metric over the validation origins; ``hidden`` has the same in
    all metrics, that over test origins, and ``flops``. All else is as in :class:`Trainings`."""

    model: ClassVar[str] = "forecast"
    tile: ClassVar[int] = 16
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {"architecture": ARCHITECTURES}

    data: str
    """Name of a series bundled with statsmodels, or of the one in ``path``."""
    path: str | None = None
    """As in ``forecasting``, like the next six."""
    period: int | None = None
    horizon: int | None = None
    metric: str = "mase"
    origins: int = 9
    test_origins: int = 3
    step: int | None = None
    length: int | None = None
    """Values that a forecast is made from; None: two seasons, at least 12."""
    low: int = 1
    high: int = 27
    space: Space = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.length is not None and self.length < 1:
            raise UserError(f"expected length >= 1, got {self.length}")
        super().__post_init__()

    @property
    def rolling(self) -> ForecastingTask:
        """The task from which series, origins and metrics are taken."""
        return ForecastingTask(
            self.data, "ets", self.path, self.period, self.horizon, self.metric, self.origins, self.test_origins,
            self.step,
        )  # fmt: skip

    @property
    def name(self) -> str:
        return f"{self.data}-{self.model}" + (f"-h{self.horizon}" if self.horizon else "")

    @property
    def unit(self) -> str:
        return self.data

    @property
    def licence(self) -> str | None:
        return self.rolling.licence

    @property
    def objectives(self) -> tuple[str, ...]:
        return self.rolling.objectives

    def identity(self) -> Mapping[str, JSON]:
        """UserError if the series cannot be used."""
        series = self.rolling.identity()
        names = ("data", "metric", "origins", "test_origins", "period", "horizon", "step", "sha256")
        own = {"model": self.model, "length": self._length, "low": self.low, "high": self.high}
        return {name: series[name] for name in names} | own

    @property
    def _length(self) -> int:
        return self.length or max(_SEASONS * self.rolling.season, _PLACES)

    def ready(self) -> Prepared:
        """UserError if the series is too short."""
        return _prepared(self.tile, self.rolling, self._length)

    def networks(self, config: Mapping[str, Any], shape: tuple[int, ...], outputs: int) -> tuple[Network, Network]:
        steps = self.rolling.ahead
        net = SequenceNet(config["architecture"], shape[0], _INPUTS, HEAD * config["heads"], (), steps, steps)
        return stacked(net, int(config["layers"]), up(steps, 2 * GRAIN))

    def dropout(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        return (config["dropout"],) * int(config["layers"])

    def scores(self, ready: Prepared, said: Floats, actual: Forecasts, names: Sequence[str] | None) -> dict[str, float]:
        places = ready.trainer.data.y.shape[1:]
        changes = actual.scale * said.reshape(len(actual.past), *places)[:, -1]
        return {
            name: float(np.mean([
                metric(ahead, past.y[-1] + change, past)
                for ahead, change, past in zip(actual.actual, changes, actual.past, strict=True)
            ]))
            for name, metric in METRICS.items()
            if names is None or name in names
        }  # fmt: skip


@lru_cache(maxsize=16)
def _prepared(tile: int, rolling: ForecastingTask, length: int) -> Prepared:
    y, origins, ahead = _series.load(rolling.data, rolling.path), rolling.known(), rolling.ahead
    known = min(origins.validation)
    if known <= length + ahead:
        raise UserError(
            f"series {rolling.data!r}: expected more than length + horizon = {length + ahead} values before the first "
            f"origin, got {known}; set length, horizon or origins lower"
        )
    changes = np.diff(y[:known])
    level, deviation, scale = y[:known].mean(), y[:known].std() or 1.0, changes.std() or 1.0

    def windows(starts: Sequence[int]) -> Floats32:
        places = np.asarray(starts)[:, None] + np.arange(length)
        return np.stack([(y[places] - level) / deviation, (y[places] - y[places - 1]) / scale], 2).astype(np.float32)

    def forecasts(at: Sequence[int]) -> Forecasts:
        return Forecasts([Past(y[:n], rolling.season) for n in at], [y[n : n + ahead] for n in at], float(scale))

    starts = range(1, known - length - ahead + 1)
    now = np.asarray(starts)[:, None] + np.arange(length)
    targets = (y[now[:, :, None] + np.arange(1, ahead + 1)] - y[now][:, :, None]) / scale
    held = windows([n - length for n in origins.validation])
    trainer = Trainer(Data(windows(starts), targets, held, 1), tile=tile)
    test = windows([n - length for n in origins.test])
    return Prepared(trainer, test, forecasts(origins.validation), forecasts(origins.test))
