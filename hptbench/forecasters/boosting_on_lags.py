"""Gradient boosting on lagged values, by scikit-learn (after Bontempi, Ben Taieb & Le Borgne, LNBIP 138, 2013)."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench import rng
from hptbench.forecasters._base import Forecaster, Past
from hptbench.space import Config, Floats

_BOOSTING = ("learning_rate", "max_iter", "max_leaf_nodes", "min_samples_leaf", "l2_regularization", "max_features")
_CATEGORIES = 255
"""Most that scikit-learn's boosting can tell apart; longer seasons are a number."""


class BoostingOnLags(Forecaster):
    """Histogram gradient boosting on the latest values, values of earlier seasons, and the place in the season.

    ``recursive`` fits one model of the next value and feeds it its own forecasts; ``direct`` fits one model per step
    of the horizon. Trees cannot leave the range that they have seen, so that the series may be differenced first
    (Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 2021, section 9.1)."""

    space: ClassVar[str] = "boosting_on_lags"

    def forecast(self, config: Config, seed: tuple[int, ...], past: Past, horizon: int) -> Floats:
        """As in :class:`Forecaster`. ValueError if the past is too short for the lags."""
        steps = [past.period] * bool(config.get("seasonal_difference", False)) + [1] * bool(
            config.get("difference", True)
        )
        levels = [past.y]
        for step in steps:
            levels.append(levels[-1][step:] - levels[-1][:-step])
        columns = _Columns.of(config, past.period, offset=sum(steps))
        strategy = _direct if config.get("strategy", "recursive") == "direct" else _recursive
        ahead = strategy(config, seed, columns, levels[-1], horizon)
        for step, level in zip(reversed(steps), reversed(levels[:-1]), strict=True):
            ahead = _summed(ahead, level, step)
        return ahead


class _Columns(NamedTuple):
    """What a row holds: all of it is known before the first step ahead."""

    lags: int
    """Latest values."""
    seasons: int
    """Values that lie whole seasons before the one to be forecast, the latest known ones."""
    period: int
    place: bool
    """Whether there is a column that says the place in the season."""
    offset: int
    """Values that differences have taken from the start of the series."""

    @classmethod
    def of(cls, config: Config, period: int, offset: int) -> _Columns:
        """Those of a configuration; none of a season, if there is no season."""
        seasons = int(config.get("seasonal_lags", 0)) if period > 1 else 0
        place = period > 1 and bool(config.get("season", False))
        return cls(int(config.get("lags", 12)), seasons, period, place, offset)

    def rows(self, z: Floats, at: NDArray[np.int64], step: int) -> Floats:
        """(len(at), columns) to forecast ``z[at + step - 1]`` from ``z[:at]``."""
        target = at + step - 1
        columns = [z[at - lag] for lag in range(1, self.lags + 1)]
        columns += [z[target - back] for back in self._seasons_back(step)]
        if self.place:
            columns.append(((target + self.offset) % self.period).astype(np.float64))
        return np.stack(columns, axis=1)

    def first(self, step: int) -> int:
        """The first position with a whole row."""
        return max([self.lags, *(back - step + 1 for back in self._seasons_back(step))])

    def _seasons_back(self, step: int) -> list[int]:
        beyond = (step - 1) // self.period  # whole seasons that are not known yet
        return [self.period * (beyond + i) for i in range(1, self.seasons + 1)]


def _fitted(config: Config, seed: tuple[int, ...], columns: _Columns, z: Floats, step: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    at = np.arange(columns.first(step), len(z) - step + 1)
    if len(at) < 2:
        raise ValueError(f"{len(z)} values are too few: {columns.first(step)} are needed before the first row")
    rows = columns.rows(z, at, step)
    place = [rows.shape[1] - 1] if columns.place and columns.period <= _CATEGORIES else None
    given = {name: config[name] for name in _BOOSTING if name in config}
    model = HistGradientBoostingRegressor(
        early_stopping=False, categorical_features=place, random_state=rng.seed32(seed), **given
    )
    return model.fit(rows, z[at + step - 1])


def _recursive(config: Config, seed: tuple[int, ...], columns: _Columns, z: Floats, horizon: int) -> Floats:
    model = _fitted(config, seed, columns, z, 1)
    known = np.concatenate([z, np.full(horizon, np.nan)])
    for at in range(len(z), len(known)):
        known[at] = model.predict(columns.rows(known, np.array([at]), 1))[0]
    return known[len(z) :]


def _direct(config: Config, seed: tuple[int, ...], columns: _Columns, z: Floats, horizon: int) -> Floats:
    at = np.array([len(z)])
    models = (_fitted(config, seed, columns, z, step) for step in range(1, horizon + 1))
    return np.array([model.predict(columns.rows(z, at, step))[0] for step, model in enumerate(models, 1)])


def _summed(ahead: Floats, level: Floats, step: int) -> Floats:
    """Undo a difference: (h,) forecasts of ``level[t] - level[t - step]`` as forecasts of ``level``."""
    known = np.concatenate([level, ahead])
    for at in range(len(level), len(known)):
        known[at] += known[at - step]
    return known[len(level) :]
