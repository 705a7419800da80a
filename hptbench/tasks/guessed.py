"""The wrapper ``guessed``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ConfigSpace as CS

from hptbench.errors import UserError
from hptbench.rng import entropy, stream
from hptbench.tasks._around import AroundOptimum
from hptbench.tasks._wrapper import wrapper


@wrapper("guessed")
@dataclass(frozen=True)
class Guessed(AroundOptimum):
    """Makes the default configuration an expert's guess of the optimum, as good or bad as ``distance`` says.

    In each parameter the default misses the optimum by ``distance``, in units of its range: to the side drawn from
    ``seed``, or to the other if that would leave the range. It is for methods that take beliefs about where good
    configurations are, and begin with the default. UserError unless all parameters are floats on a linear scale and the
    optimum is known."""

    distance: float
    """0 to 0.5, which fits wherever the optimum is."""
    seed: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.distance, bool) or not 0 <= self.distance <= 0.5:
            raise UserError(f"expected a distance from 0 to 0.5, got {self.distance!r}")

    def parameters(self) -> list[Any]:
        rng, out = stream(entropy("guessed", self.seed)), []
        for name, low, high, best in self.ranges():
            step = self.distance * (high - low) * (1 if rng.random() < 0.5 else -1)
            guess = best + step if low <= best + step <= high else best - step
            guess = min(max(guess, low), high)  # of rounding
            out.append(CS.Float(name, (low, high), default=guess))
        return out
