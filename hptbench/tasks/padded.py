"""The wrapper ``padded``."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import ConfigSpace as CS

from hptbench.errors import UserError
from hptbench.rng import entropy, stream
from hptbench.space import Config, Space
from hptbench.tasks._wrapper import Translated, wrapper


@wrapper("padded")
@dataclass(frozen=True)
class Padded(Translated):
    """Adds parameters without any effect, floats in [0, 1], so that there are ``dimensions`` of them.

    The parameters that have one keep their order at places drawn from ``seed``; names tell none from the other."""

    dimensions: int
    seed: int

    def __post_init__(self) -> None:
        super().__post_init__()
        least = len(self.inner.space)
        if not isinstance(self.dimensions, int) or isinstance(self.dimensions, bool) or self.dimensions < least:
            raise UserError(f"expected dimensions >= {least}, which {self.inner.name} has, got {self.dimensions!r}")

    @property
    def space(self) -> Space:
        return self._padding[0]

    @cached_property
    def _padding(self) -> tuple[Space, tuple[tuple[str, str], ...]]:
        """The space, and (name, the inner parameter that it stands for) of those with an effect."""
        inner, rng = self.inner.space, stream(entropy("padded", self.seed))
        places = sorted(rng.choice(self.dimensions, len(inner), replace=False).tolist())
        source = dict(zip(places, inner.names, strict=True))
        width = len(str(self.dimensions - 1))  # ConfigSpace sorts names as text
        names = [f"x{i:0{width}}" for i in range(self.dimensions)]
        configspace = CS.ConfigurationSpace()
        for i, name in enumerate(names):
            parameter = copy.copy(inner.configspace[source[i]]) if i in source else CS.Float(name, (0.0, 1.0))
            parameter.name = name
            configspace.add(parameter)
        return Space(configspace), tuple((names[i], inner_name) for i, inner_name in source.items())

    def inner_config(self, config: Config) -> Config:
        return {inner_name: config[name] for name, inner_name in self._padding[1]}
