"""Bayesian signed-rank test: how probable is it that one method is better, equivalent or worse, for practical purposes?

Own code: ``baycomp`` (1.0.3) draws the same numbers, one at a time in Python; its hierarchical test needs a compiler,
and reads the answer from a file of an earlier call, whatever the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
DRAWS = 50_000
"""Of the posterior: the standard error of a probability is at most 0.0022."""
_CHUNK = 2_000_000
"""Numbers in memory at a time."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """Of two methods, how probable it is that the first is better, equivalent or worse; the three sum to 1.

    What is meant: that among all data sets the first is better by more than the ROPE more often than it is equivalent,
    and more often than it is worse; and so on (Benavoli et al., 2017)."""

    better: float
    equivalent: float
    worse: float
    rope: float
    """Region of practical equivalence: differences from -rope to rope, in the unit of the scores."""
    better_least: float
    """``better`` with the prior's mass on the side of the second method."""
    better_most: float
    """``better`` with it on the side of the first: how much the prior matters."""
    worse_least: float
    """``worse`` with the prior's mass on the side of the first method."""
    worse_most: float
    note: str = ""
    """What was special about the data."""


def checked_differences(differences: ArrayLike, dimensions: int = 1) -> Array:
    """As an array of so many dimensions. ValueError unless it is one, not empty and finite."""
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != dimensions or d.size == 0 or not np.isfinite(d).all():
        raise ValueError(f"expected finite differences in {dimensions} dimension(s), got shape {d.shape}")
    return d


def checked_rope(rope: float) -> float:
    """ValueError unless it is a width."""
    if not 0 <= rope < np.inf:
        raise ValueError(f"expected a region of practical equivalence >= 0, got {rope}")
    return float(rope)


def most_probable(shares: Array) -> tuple[float, float, float]:
    """(better, equivalent, worse): how often each share is the largest in ``shares`` (draws, 3); ties go in parts."""
    largest = shares == shares.max(axis=1, keepdims=True)
    better, equivalent, worse = (largest / largest.sum(axis=1, keepdims=True)).mean(axis=0)
    return float(better), float(equivalent), float(worse)


def signed_rank_posterior(
    differences: ArrayLike, rope: float, rng: np.random.Generator, *, prior: float = 0.5, draws: int = DRAWS
) -> Posterior:
    """Bayesian signed-rank test of ``differences`` (units,), the first method's score minus the second's, lower is
    better.

    Benavoli, Corani, Demšar & Zaffalon, JMLR 18(77), 2017, section 4.2.2: the distribution of differences has a
    Dirichlet process as its prior, with strength ``prior`` and all its mass at 0. A draw of the posterior weighs the
    observations and that at 0 by w ~ Dirichlet(prior, 1, …, 1); with r = ``rope`` it says "better" with the share
    sum_ij w_i w_j [d_i + d_j < -2 r], "worse" with that of d_i + d_j > 2 r, "equivalent" with the rest; a sum of just
    ±2 r counts half. With r = 0 nothing is equivalent.

    The least and most of them put the prior's mass at +infinity and at -infinity, with the same draws."""
    d, rope = checked_differences(differences), checked_rope(rope)
    values = np.concatenate([[0.0], d])
    sums = values[:, None] + values
    below, above = _step(-sums - 2 * rope), _step(sums - 2 * rope)
    strengths = np.ones(len(values))
    strengths[0] = prior
    shares, against, in_favour = [], [], []
    per_chunk = max(1, _CHUNK // len(values))
    for start in range(0, draws, per_chunk):
        w = rng.dirichlet(strengths, min(per_chunk, draws - start))
        better, worse = (np.einsum("ni,ni->n", w @ a, w) for a in (below, above))
        shares.append(np.stack([better, 1 - better - worse, worse], axis=1))
        rest = w[:, 1:]
        better, worse = (np.einsum("ni,ni->n", rest @ a[1:, 1:], rest) for a in (below, above))
        of_prior = 1 - (1 - w[:, 0]) ** 2  # pairs of which one observation is the prior's
        against.append(np.stack([better, 1 - better - worse - of_prior, worse + of_prior], axis=1))
        in_favour.append(np.stack([better + of_prior, 1 - better - worse - of_prior, worse], axis=1))
    if rope == 0:
        for chunk in (*shares, *against, *in_favour):
            chunk[:, 1] = 0.0  # but for rounding
    better, equivalent, worse = most_probable(np.concatenate(shares))
    (least, _, worse_most), (most, _, worse_least) = (most_probable(np.concatenate(x)) for x in (against, in_favour))
    return Posterior(better, equivalent, worse, rope, least, most, worse_least, worse_most)


def _step(x: Array) -> Array:
    return np.asarray((np.sign(x) + 1) / 2)
