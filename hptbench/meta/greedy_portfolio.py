"""The greedy portfolio of auto-sklearn 2 and TabRepo: complements on average, the same for every data set.

M. Feurer, K. Eggensperger, S. Falkner, M. Lindauer and F. Hutter, "Auto-sklearn 2.0: Hands-free AutoML via
meta-learning", JMLR 23(261), 2022, Algorithm 1; D. Salinas and N. Erickson, "TabRepo", AutoML-Conf 2024,
arXiv:2311.02971 (zero-shot configurations). Both add, one after the other, the configuration that most lowers the mean
over past data sets of the best loss so far; here of TabRepo's normalised loss (:func:`hptbench.meta.past.relative`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptbench.meta._recommender import Order, greedy
from hptbench.meta.past import Past
from hptbench.space import Floats


@dataclass(frozen=True)
class GreedyPortfolio:
    """Configurations that complement each other on average over the past."""

    def order(self, past: Past, x: Floats, n: int) -> Order:
        """See :class:`hptbench.meta._recommender.Recommender`."""
        return greedy(past.losses, np.full(len(past), 1 / len(past)), n)
