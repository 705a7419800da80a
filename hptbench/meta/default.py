"""The library's default first, then the design's configurations in their order: what costs nothing to know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptbench.meta._recommender import Order
from hptbench.meta.past import Past
from hptbench.space import Floats


@dataclass(frozen=True)
class Default:
    """The default configuration, then the table's others as they come."""

    def order(self, past: Past, x: Floats, n: int) -> Order:
        """See :class:`hptbench.meta._recommender.Recommender`."""
        return np.arange(min(n, len(past.configs)))
