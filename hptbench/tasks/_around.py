"""What wrappers share that change a test function's space around its optimum, but no configuration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ConfigSpace as CS

from hptbench.errors import UserError
from hptbench.space import Config, Space
from hptbench.tasks._wrapper import Translated


@dataclass(frozen=True)
class AroundOptimum(Translated):
    """A wrapper with other parameters of the same names; a subclass says which.

    UserError unless all parameters are floats on a linear scale and the optimum is known."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for parameter in self.inner.space.configspace.values():
            if not isinstance(parameter, CS.UniformFloatHyperparameter) or parameter.log:
                raise UserError(f"expected floats on a linear scale, got {parameter.name} of {self.inner.name}")
        if not getattr(self.inner, "optimal_configs", ()):
            raise UserError(f"expected a test function whose optimum is known, got {self.inner.name}")

    @property
    def optimal_configs(self) -> tuple[Config, ...]:
        """Configurations that reach the optimum; the space changes around the first."""
        inner: Any = self.inner
        return tuple(inner.optimal_configs)

    @property
    def space(self) -> Space:
        return self._changed

    @cached_property
    def _changed(self) -> Space:
        configspace = CS.ConfigurationSpace()
        configspace.add(self.parameters())
        return Space(configspace)

    def parameters(self) -> list[Any]:
        """The parameters, in order."""
        raise NotImplementedError

    def ranges(self) -> list[tuple[str, float, float, float]]:
        """Of each parameter of ``inner`` its name, lower and upper bound, and its value at the optimum."""
        configspace: Any = self.inner.space.configspace
        best = self.optimal_configs[0]
        return [(name, p.lower, p.upper, float(best[name])) for name, p in configspace.items()]

    def inner_config(self, config: Config) -> Config:
        return config
