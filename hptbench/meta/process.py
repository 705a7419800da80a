"""A Gaussian process over data sets that all configurations share: the weights of its posterior mean.

Of the form of E. V. Bonilla, K. M. A. Chai and C. K. I. Williams, "Multi-task Gaussian process prediction", NeurIPS
2007, with data sets as inputs: as every configuration was tried on every data set, the covariance of the configurations
cancels out of the mean (their section 2.3, without noise). So the expected losses are those of kernel ridge regression
around the configurations' means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptbench.errors import UserError
from hptbench.meta._likeness import unlikeness
from hptbench.meta._recommender import Weigher
from hptbench.meta.past import Past
from hptbench.space import Floats


@dataclass(frozen=True)
class Process(Weigher):
    """Kernel regression of all losses on the meta-features."""

    sharpness: float = 0.5
    """Of the kernel exp(-sharpness * squared distance / its median)."""
    noise: float = 0.3
    """Variance of the noise, relative to that of the process."""

    def __post_init__(self) -> None:
        if not (self.sharpness >= 0 and self.noise > 0):
            raise UserError(f"expected process.sharpness >= 0 and noise > 0, got {self.sharpness} and {self.noise}")

    def weights(self, past: Past, x: Floats) -> Floats:
        between, own = unlikeness(past, x)
        return self._solved(np.exp(-self.sharpness * between), np.exp(-self.sharpness * own))

    def crossed(self, past: Past) -> Floats:
        K = np.exp(-self.sharpness * unlikeness(past, past.features[0])[0])
        out = np.zeros_like(K)
        for i, family in enumerate(past.families):
            rest = np.flatnonzero(past.families != family)
            out[i, rest] = self._solved(K[np.ix_(rest, rest)], K[rest, i])
        return out

    def _solved(self, K: Floats, k: Floats) -> Floats:
        """mean + k (K + noise)^-1 (losses - mean) as weights of the losses."""
        own = np.linalg.solve(K + self.noise * np.eye(len(K)), k)
        return np.asarray(own + (1 - own.sum()) / len(K))
