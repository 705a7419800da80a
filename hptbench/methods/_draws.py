"""Independent uniform draws, shared by random search and the methods that halve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hptbench.protocol import JSON, Report
from hptbench.space import Config, Space

_BLOCK = 64
"""Configurations drawn at a time: the draws do not depend on how many are asked for."""


class Uniform:
    """Independent uniform draws; a sampler of brackets."""

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self._space, self._rng = space, rng
        self._drawn: list[Config] = []

    def draw(self) -> tuple[Config, Mapping[str, JSON]]:
        """The next draw."""
        if not self._drawn:
            self._drawn += reversed(self._space.decode(self._space.sample(self._rng, _BLOCK)))
        return self._drawn.pop(), {}

    def learn(self, reports: Sequence[Report]) -> None:
        """Nothing."""
