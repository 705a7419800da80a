"""Forecasters by name: what a task of the family ``forecasting`` fits. One file per family of models."""

from __future__ import annotations

from functools import cache

from hptbench.errors import unknown
from hptbench.forecasters._base import Forecaster, Past

__all__ = ["Forecaster", "Past", "find_forecaster", "forecasters"]


@cache
def forecasters() -> dict[str, Forecaster]:
    """All forecasters by name."""
    from hptbench.forecasters.arima import ARIMA
    from hptbench.forecasters.boosting_on_lags import BoostingOnLags
    from hptbench.forecasters.ets import ETS

    return {"arima": ARIMA(), "boosting_on_lags": BoostingOnLags(), "ets": ETS()}


def find_forecaster(name: str) -> Forecaster:
    """The forecaster of a name; UserError with the nearest spelling if there is none."""
    if name not in forecasters():
        raise unknown("forecaster", name, forecasters())
    return forecasters()[name]
