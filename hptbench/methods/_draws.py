"""Draws that learn nothing, shared by methods: independent uniform ones, and a Sobol sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hptbench.errors import UserError
from hptbench.protocol import JSON, Report
from hptbench.space import Config, Space

if TYPE_CHECKING:
    from scipy.stats import qmc

_BLOCK = 64
"""Configurations drawn at a time: the draws do not depend on how many are asked for. A power of two, which keeps the
balance of a Sobol sequence."""
_BARREN = 1000
"""Blocks without a single legal point after which the space counts as forbidden."""


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


def sobol(space: Space, rng: np.random.Generator) -> Iterator[Config]:
    """The legal points of a scrambled Sobol sequence (:mod:`hptbench.methods.sobol`), without end. UserError for more
    parameters than it has direction numbers, and if nearly all of the space is forbidden."""
    return _legal(space, sobol_sequence(space, rng))


def sobol_sequence(space: Space, rng: np.random.Generator) -> qmc.Sobol:
    """A scrambled Sobol sequence with a dimension per parameter; UserError for more than it has direction numbers."""
    from scipy.stats import qmc

    if len(space) > qmc.Sobol.MAXDIM:
        raise UserError(
            f"expected at most {qmc.Sobol.MAXDIM} parameters for a Sobol sequence, got {len(space)}; use method=random"
        )
    return qmc.Sobol(len(space), seed=rng)


def _legal(space: Space, sequence: qmc.Sobol) -> Iterator[Config]:
    barren = 0
    while barren < _BARREN:
        u = sequence.random(_BLOCK)
        legal = space.decode(u[space.legal(u)])
        yield from legal
        barren = 0 if legal else barren + 1
    raise UserError(f"the forbidden clauses exclude nearly all of the space: no legal point in {_BARREN * _BLOCK}")
