"""The wrapper ``cropped``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ConfigSpace as CS

from hptbench.errors import UserError
from hptbench.rng import entropy, stream
from hptbench.space import Config, Space
from hptbench.tasks._wrapper import Translated, wrapper


@wrapper("cropped")
@dataclass(frozen=True)
class Cropped(Translated):
    """Shows a part of a test function, in which its optimum lies anywhere with equal chance.

    Each parameter's range is half as long; it contains the optimum at a place drawn uniformly from ``seed``, as far as
    it does not leave the range that there was: it never does where the optimum was the centre. So the optimum is moved
    and the function left as it is, unlike by ``shifted``. UserError unless all parameters are floats on a linear scale
    and the optimum is known."""

    seed: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for parameter in self.inner.space.configspace.values():
            if not isinstance(parameter, CS.UniformFloatHyperparameter) or parameter.log:
                raise UserError(f"expected floats on a linear scale, got {parameter.name} of {self.inner.name}")
        if not getattr(self.inner, "optimal_configs", ()):
            raise UserError(f"expected a test function whose optimum is known, got {self.inner.name}")

    @property
    def space(self) -> Space:
        return self._part

    @cached_property
    def _part(self) -> Space:
        inner: Any = self.inner
        best, rng = inner.optimal_configs[0], stream(entropy("cropped", self.seed))
        configspace = CS.ConfigurationSpace()
        for name in inner.space.names:
            whole = inner.space.configspace[name]
            half = (whole.upper - whole.lower) / 2
            low = min(max(best[name] - half * rng.random(), whole.lower), whole.upper - half)
            configspace.add(CS.Float(name, (low, low + half)))
        return Space(configspace)

    def inner_config(self, config: Config) -> Config:
        return config
