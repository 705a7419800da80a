"""Measures of forecasts from one origin (Hyndman & Koehler, Int. J. Forecasting 22, 2006). All minimised.

Each takes ``actual`` and ``forecast``, both (horizon,), and the past that the forecast was made from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from hptbench.forecasters import Past
from hptbench.space import Floats


def mase(actual: Floats, forecast: Floats, past: Past) -> float:
    """Mean absolute error, in units of the naive forecast's one-step error within the past (section 3).

    With a season it is the seasonal naive forecast (Hyndman & Athanasopoulos, Forecasting: Principles and Practice,
    2021, section 5.8). 1: as good as that, on average. Not finite, if the past repeats itself exactly."""
    scale = np.abs(past.y[past.period :] - past.y[: -past.period]).mean()
    return float(np.abs(actual - forecast).mean() / scale)


def smape(actual: Floats, forecast: Floats, past: Past) -> float:
    """Mean of ``200 |a - f| / (|a| + |f|)``, per cent, 0 where both are 0 (Makridakis & Hibon, IJF 16, 2000)."""
    size = np.abs(actual) + np.abs(forecast)
    return float(np.mean(np.where(size == 0, 0.0, 200 * np.abs(actual - forecast) / np.where(size == 0, 1.0, size))))


def rmse(actual: Floats, forecast: Floats, past: Past) -> float:
    """Root of the mean squared error over the horizon, in units of the series."""
    return float(np.sqrt(np.mean((actual - forecast) ** 2)))


def mae(actual: Floats, forecast: Floats, past: Past) -> float:
    """Mean absolute error, in units of the series."""
    return float(np.abs(actual - forecast).mean())


METRICS: Mapping[str, Callable[[Floats, Floats, Past], float]] = {
    "mase": mase,
    "smape": smape,
    "rmse": rmse,
    "mae": mae,
}
