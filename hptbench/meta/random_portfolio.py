"""A portfolio drawn at random: as long a list as any, without having looked at a single result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptbench.meta._recommender import Order
from hptbench.meta.past import Past
from hptbench.rng import entropy, stream
from hptbench.space import Floats


@dataclass(frozen=True)
class RandomPortfolio:
    """The same random order of the table's configurations for every data set."""

    seed: int = 0

    def order(self, past: Past, x: Floats, n: int) -> Order:
        """See :class:`hptbench.meta._recommender.Recommender`."""
        drawn = stream(entropy("random portfolio", self.seed)).permutation(len(past.configs))
        return np.asarray(drawn[:n])
