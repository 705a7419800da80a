"""Few-shot recommendation: which past data sets count, given what the first configurations were worth on the new one.

A past data set that puts the evaluated configurations in the order that they have on the new one counts more. As in
M. Feurer, B. Letham, F. Hutter and E. Bakshy, "Practical transfer learning for Bayesian optimization" (:mod:`RGPE
<hptbench.methods.rgpe>`), only ranks are compared, as losses of different data sets have different places and scales.
The weights that meta-features give are the prior, and exp(-strength k s) the likelihood of k results, s the share of
their pairs that the past data set has in the wrong order: k, not the number of pairs, which are not independent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hptbench.errors import UserError
from hptbench.meta._recommender import Order, Weigher, ordered
from hptbench.meta.past import Past
from hptbench.space import Floats


def adapted(past: Past, weights: Floats, tried: Sequence[int], losses: Sequence[float], strength: float) -> Floats:
    """(n,) weights of the past data sets after the configurations ``tried``, (k,), had these validation ``losses``,
    (k,), +inf for failures, on the new one. With less than two results ``weights``, (n,), stay; else none is negative.
    """
    if len(tried) < 2:
        return weights
    theirs, own = past.validation[:, list(tried)], np.asarray(losses, float)
    signs = (theirs[:, :, None] > theirs[:, None]) * 1.0 - (theirs[:, :, None] < theirs[:, None])
    mine = (own[:, None] > own) * 1.0 - (own[:, None] < own)
    k = len(own)
    wrong = np.abs(signs - mine).sum(axis=(1, 2)) / (2 * k * (k - 1))  # a tie against none is half a pair
    positive = np.maximum(weights, 0.0) * np.exp(-strength * k * (wrong - wrong.min()))
    return np.asarray(positive / positive.sum())


@dataclass(frozen=True)
class Adaptive:
    """What to try next on a data set, one configuration after the other."""

    strength: float = 1.0
    """How much a result counts against the meta-features; 0: not at all."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength < np.inf:
            raise UserError(f"expected adaptive.strength >= 0, got {self.strength}")

    def replay(self, past: Past, weigher: Weigher, x: Floats, validation: Floats, n: int) -> Order:
        """(n,) the configurations in the order in which they would be tried on a data set with meta-features ``x``,
        (f,), where they have the losses ``validation``, (c,): the next one is chosen when its forerunners are known.
        """
        prior, tried = weigher.weights(past, x), np.zeros(0, np.intp)
        for k in range(min(n, len(validation))):
            weights = adapted(past, prior, tried.tolist(), validation[tried].tolist(), self.strength)
            tried = ordered(past.losses, weights, k + 1, tried=tried)
        return tried
