"""Exponential smoothing as a state space model (Hyndman, Koehler, Ord & Snyder, Springer 2008), by statsmodels."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hptbench.forecasters._base import BoxCox, Forecaster, Past, window
from hptbench.space import Config, Floats


class ETS(Forecaster):
    """Exponential smoothing: error, trend and season (none, additive, multiplicative), fitted by maximum likelihood.

    Smoothing parameters and initial states are estimated, not tuned. Multiplicative components and the Box-Cox
    transformation need positive values: without, the job fails."""

    space: ClassVar[str] = "ets"

    def forecast(self, config: Config, seed: tuple[int, ...], past: Past, horizon: int) -> Floats:
        """As in :class:`Forecaster`; nothing is random."""
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel

        past = window(past, float(config.get("window", 1.0)))
        transform = BoxCox(float(config.get("box_cox_lambda", 0.0))) if config.get("box_cox", False) else None
        trend, seasonal = (
            None if config.get(part, "none") == "none" else config[part] for part in ("trend", "seasonal")
        )
        model = ETSModel(
            past.y if transform is None else transform(past.y),
            error=config.get("error", "add"),
            trend=trend,
            damped_trend=trend is not None and config.get("damped", False),
            seasonal=seasonal,
            seasonal_periods=past.period if seasonal else None,
            initialization_method=config.get("initialization", "estimated"),
        )
        forecast = np.asarray(model.fit(disp=False).forecast(horizon), np.float64)
        return forecast if transform is None else transform.inverse(forecast)
