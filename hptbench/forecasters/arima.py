"""Seasonal ARIMA models (Box & Jenkins, Holden-Day 1970), fitted by statsmodels' Kalman filter."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hptbench.forecasters._base import Forecaster, Past, window
from hptbench.space import Config, Floats

_ITERATIONS = 50
"""Of L-BFGS, statsmodels' default; where they end before it has converged, what it has reached forecasts."""


class ARIMA(Forecaster):
    """ARIMA (p, d, q) with a season (P, D, Q), fitted by maximum likelihood in at most 50 iterations."""

    space: ClassVar[str] = "arima"

    def forecast(self, config: Config, seed: tuple[int, ...], past: Past, horizon: int) -> Floats:
        """As in :class:`Forecaster`; nothing is random."""
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        past = window(past, float(config.get("window", 1.0)))
        P, D, Q = (config.get(order, 0) for order in ("P", "D", "Q"))
        model = SARIMAX(
            past.y,
            order=(config.get("p", 1), config.get("d", 0), config.get("q", 0)),
            seasonal_order=(P, D, Q, past.period) if P or D or Q else (0, 0, 0, 0),
            trend=config.get("trend", "n"),
        )
        return np.asarray(model.fit(disp=False, maxiter=_ITERATIONS).forecast(horizon), np.float64)
