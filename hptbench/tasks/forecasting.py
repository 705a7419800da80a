"""Tuning a model of a time series by rolling-origin evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.forecasters import Forecaster, Past, find_forecaster
from hptbench.learners import quiet_single_thread
from hptbench.protocol import JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.space import Floats, Space
from hptbench.tasks import _series
from hptbench.tasks._accuracy import METRICS
from hptbench.tasks._jobs import hidden_scores
from hptbench.tasks._space import resolved

_HORIZONS = {1: 6, 4: 8, 12: 18}
"""Of years, quarters and months in the M4 competition (Makridakis, Spiliotis & Assimakopoulos, IJF 36, 2020)."""
_LEAST, _LEAST_SEASONS = 20, 3
"""Values and seasons before the first origin."""

Scores: TypeAlias = tuple[float, ...]
"""The errors of one origin, in the order of ``METRICS``."""


class Origins(NamedTuple):
    """How many values are known at each origin."""

    validation: tuple[int, ...]
    """In the order in which they are evaluated."""
    test: tuple[int, ...]


class _State(NamedTuple):
    """What a job leaves: the errors so far. They are of use only to the configuration that made them."""

    of: tuple[Any, ...]
    validation: tuple[Scores, ...]
    hidden: Mapping[str, float]
    message: str


@task("forecasting")
@dataclass(frozen=True)
class ForecastingTask:
    """A model of a time series (ETS, ARIMA, boosting), evaluated from rolling origins, with a hidden test period.

    At each origin the model is fitted anew to all values before it (Tashman, Int. J. Forecasting 16, 2000), forecasts
    ``horizon`` values and is scored on them; it never sees a later value. What is told is the mean over ``origins``
    validation origins. ``hidden`` holds the mean over the ``test_origins`` last origins, refitted in the same way:
    ``test`` in the task's metric, ``test_<metric>`` in all, and ``validation_<metric>``. No validation forecast
    reaches into the test period. Where the test period cannot be scored, its scores are NaN and the message says why;
    the job stays ok.

    The fidelity is the number of validation origins. It is cheap in proportion, leaves the model its whole history
    (a share of it would take away seasons, and with them the best model), and goes on truly: errors of earlier
    origins are the state. The origins come in an order that spreads over the validation period, the latest first. An
    inherited state of another configuration is of no use, so that its origins are evaluated again. ``cost`` is the
    time of the validation origins, without those of a lost state.
    """

    constraints: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    measured: ClassVar[bool] = True

    data: str
    """Name of a series bundled with statsmodels (``hptbench/tasks/_series.py``), or of the one in ``path``."""
    model: str
    path: str | None = None
    """A parquet file with a column ``value``, in the order of time; its content counts, not its place."""
    period: int | None = None
    """Values per season, 1 for none; None: the series' own. To be given with ``path``."""
    horizon: int | None = None
    """Steps ahead; None: as in the M4 competition, 6, 8 and 18 for years, quarters and months."""
    metric: str = "mase"
    """mase, smape, rmse, mae: the mean over horizon, then over origins."""
    origins: int = 9
    test_origins: int = 3
    step: int | None = None
    """Values between origins; None: a third of the horizon."""
    low: int = 1
    """Fewest origins that a job evaluates."""
    space: Space = None  # type: ignore[assignment]
    """Also the parameters of a space as in YAML, or None for the packaged one of the model. May lack parameters,
    which then keep the library's defaults."""

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise unknown("metric of forecasts", self.metric, METRICS)
        for name in ("period", "horizon", "origins", "test_origins", "step"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"expected {name} >= 1, got {value}")
        object.__setattr__(self, "space", resolved(self.space, self.space_name(**self._where), self.model))
        if self.horizon is None and self.season not in _HORIZONS:
            raise UserError(f"expected a horizon for a series with {self.season} values per season, got none; set it")
        if not 1 <= self.low <= self.origins:
            raise UserError(f"expected 1 <= low <= origins, got low={self.low}, origins={self.origins}")

    # what the task is

    @property
    def name(self) -> str:
        return f"{self.data}-{self.model}" + (f"-h{self.horizon}" if self.horizon else "")

    @property
    def unit(self) -> str:
        return self.data

    @property
    def licence(self) -> str | None:
        return _series.licence(self.data, self.path)

    @property
    def objectives(self) -> tuple[str, ...]:
        return (self.metric,)

    @property
    def fidelity(self) -> Fidelity:
        return Fidelity(self.low, self.origins, unit="origin", continues=True, inherits=False)

    def identity(self) -> Mapping[str, JSON]:
        """UserError if the series cannot be used."""
        self.known()
        settings = ("data", "model", "metric", "origins", "test_origins", "low")
        derived = {"period": self.season, "horizon": self.ahead, "step": self._step}
        sha256 = _series.fingerprint(self.data, self.path)
        return {name: getattr(self, name) for name in settings} | derived | {"sha256": sha256}

    @classmethod
    def space_name(cls, data: str, model: str, path: str | None = None, period: int | None = None, **_: Any) -> str:
        """Which packaged space a task with these fields has: the key under ``spaces`` of a suite."""
        own = _series.period_of(data, path)
        period = own if period is None else period
        if period is None:
            raise UserError(
                f"expected the period of the series {data!r} in {path}, got none; set period (1: no season)"
            )
        return find_forecaster(model).space_name(period)

    # evaluation

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job. UserError if the series cannot be used; a fit that raises, raises."""
        # it sets filters of warnings when it is first imported, which must not come after the quiet ones
        import statsmodels.tools.sm_exceptions  # noqa: F401

        y, origins = _series.load(self.data, self.path), self.known()
        with quiet_single_thread():
            return [self._evaluate(job, y, origins) for job in jobs]

    def _evaluate(self, job: Job, y: Floats, origins: Origins) -> Outcome:
        of = (tuple(sorted(job.proposal.config.items())), job.seed)
        state, known = self._left(job, of), int(job.start)
        if state is None and known and job.before is not None and job.before.proposal.config != job.proposal.config:
            known = 0  # of another configuration: this job's own work, and its own time
        scores = list(state.validation) if state else [self._score(job, y, n) for n in origins.validation[:known]]
        began = time.perf_counter()
        scores += [self._score(job, y, n) for n in origins.validation[len(scores) : int(job.stop)]]
        cost = time.perf_counter() - began
        hidden, message = (state.hidden, state.message) if state else self._hidden(job, y, origins.test)
        objective = list(METRICS).index(self.metric)
        curve = [Point(float(n), (_mean(scores[:n])[objective],)) for n in range(int(job.start) + 1, len(scores) + 1)]
        validation = {f"validation_{name}": s for name, s in zip(METRICS, _mean(scores), strict=True)}
        left = _State(of, tuple(scores), hidden, message)
        return Outcome(Status.OK, tuple(curve), cost, {**hidden, **validation}, left, message)

    def _left(self, job: Job, of: tuple[Any, ...]) -> _State | None:
        """The errors that the job before left, if they are there and this configuration's own."""
        if job.start == 0:
            return None
        if job.state is None and job.before is None:
            raise ValueError(f"job {job.id} starts at {job.start:g}, but has neither a state nor a job before")
        return job.state if job.state is not None and job.state.of == of else None

    def _score(self, job: Job, y: Floats, origin: int) -> Scores:
        """The errors of the forecast from one origin, by a model that is given nothing after it."""
        past, ahead = Past(y[:origin], self.season), y[origin : origin + self.ahead]
        forecast = self._model.forecast(job.proposal.config, job.seed, past, self.ahead)
        return tuple(metric(ahead, forecast, past) for metric in METRICS.values())

    def _hidden(self, job: Job, y: Floats, origins: Sequence[int]) -> tuple[dict[str, float], str]:
        """The mean scores of the test period, NaN if they cannot be computed; then also why, in one line."""
        return hidden_scores(
            lambda: dict(zip(METRICS, _mean([self._score(job, y, origin) for origin in origins]), strict=True)),
            METRICS,
            self.metric,
        )

    # what the fields stand for

    @property
    def _model(self) -> Forecaster:
        return find_forecaster(self.model)

    @property
    def _where(self) -> dict[str, Any]:
        return {"data": self.data, "model": self.model, "path": self.path, "period": self.period}

    @property
    def season(self) -> int:
        """Values per season."""
        period = _series.period_of(self.data, self.path) if self.period is None else self.period
        assert period is not None, "checked when the task was made"
        return period

    @property
    def ahead(self) -> int:
        """Steps that are forecast."""
        return self.horizon or _HORIZONS[self.season]

    @property
    def _step(self) -> int:
        return self.step or math.ceil(self.ahead / 3)

    def known(self) -> Origins:
        """Where forecasts are made from. UserError if the series is too short."""
        n = len(_series.load(self.data, self.path))
        test = n - self.ahead - self._step * np.arange(self.test_origins)
        validation = test[-1] - self.ahead - self._step * np.arange(self.origins)
        least = max(_LEAST, _LEAST_SEASONS * self.season)
        if validation[-1] < least:
            raise UserError(
                f"series {self.data!r}: expected at least {least} values before the first origin, got "
                f"{max(validation[-1], 0)} of {n}; set origins, test_origins, horizon or step lower"
            )
        order = np.argsort(np.argsort(np.arange(self.origins) * _GOLDEN % 1))
        return Origins(tuple(validation[order].tolist()), tuple(test[::-1].tolist()))


def _mean(scores: Sequence[Scores]) -> Scores:
    return tuple(np.mean(np.array(scores), axis=0).tolist())


_GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it, modulo 1, are spread evenly however many there are (Kronecker's sequence): 0 comes first."""
