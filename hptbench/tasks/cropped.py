"""The wrapper ``cropped``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ConfigSpace as CS

from hptbench.rng import entropy, stream
from hptbench.space import Config
from hptbench.tasks._around import AroundOptimum
from hptbench.tasks._wrapper import wrapper


@wrapper("cropped")
@dataclass(frozen=True)
class Cropped(AroundOptimum):
    """Shows a part of a test function, in which its optimum lies anywhere with equal chance.

    Each parameter's range is half as long; it contains the optimum at a place drawn uniformly from ``seed``, as far as
    it does not leave the range that there was: it never does where the optimum was the centre. So the optimum is moved
    and the function left as it is, unlike by ``shifted``. UserError unless all parameters are floats on a linear scale
    and the optimum is known."""

    seed: int

    @property
    def optimal_configs(self) -> tuple[Config, ...]:
        return super().optimal_configs[:1]  # the others may be out of range

    def parameters(self) -> list[Any]:
        rng, out = stream(entropy("cropped", self.seed)), []
        for name, low, high, best in self.ranges():
            half = (high - low) / 2
            start = min(max(best - half * rng.random(), low), high - half)
            out.append(CS.Float(name, (start, start + half)))
        return out
