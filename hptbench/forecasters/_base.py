"""What a forecaster is: how one configuration is fitted to the past of a series, and continues it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from hptbench.space import Config, Floats


class Past(NamedTuple):
    """All that a forecaster may see of a series at an origin: nothing after it."""

    y: Floats
    """(n,) values at equal distances, finite, the oldest first."""
    period: int
    """Values per season; 1: no season."""


class Forecaster(ABC):
    """A family of models that can be fitted to any series. Stateless."""

    space: ClassVar[str]
    """The name of its search space; with ``_seasonal`` behind it for a series with a season."""

    @abstractmethod
    def forecast(self, config: Config, seed: tuple[int, ...], past: Past, horizon: int) -> Floats:
        """(horizon,) forecasts of the values after the origin, by a model fitted to ``past``.

        Parameters that a configuration lacks keep the library's default. What the library raises is raised; a
        forecast that it cannot compute is NaN. ``past`` stays as it is."""

    def space_name(self, period: int) -> str:
        """The packaged space for a series of this period: one without the parameters of a season, if there is none."""
        return f"{self.space}_seasonal" if period > 1 else self.space


def window(past: Past, share: float, seasons: int = 2) -> Past:
    """The latest ``share`` of the past, of no fewer than ``seasons`` seasons and 10 values (all, if it has fewer)."""
    least = max(seasons * past.period, 10)
    return past._replace(y=past.y[-max(math.ceil(share * len(past.y)), least) :])


class BoxCox(NamedTuple):
    """The transformation of Box & Cox (J. R. Stat. Soc. B 26, 1964, eq. 1): ``(y^lam - 1) / lam``, ``log y`` for 0."""

    lam: float

    def __call__(self, y: Floats) -> Floats:
        """Of positive values; ValueError if there are others."""
        if not (y > 0).all():
            raise ValueError(f"the Box-Cox transformation needs positive values, got {y.min():g}")
        return np.log(y) if self.lam == 0 else np.asarray((y**self.lam - 1) / self.lam)

    def inverse(self, z: Floats) -> Floats:
        """Back to the scale of the series (the median of a forecast, not its mean); NaN where there is no way back."""
        if self.lam == 0:
            return np.exp(z)
        base = self.lam * z + 1
        return np.where(base > 0, np.abs(base) ** (1 / self.lam), np.nan)
