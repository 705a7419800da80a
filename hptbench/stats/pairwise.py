"""Every pair of methods compared over data sets: Wilcoxon signed-rank tests with Holm's correction.

Not Nemenyi's test: its verdict on two methods depends on which others are in the pool (Benavoli, Corani
& Mangili, JMLR 17(5), 2016)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hptbench.stats.ranks import checked, rounded

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pair:
    """Methods ``a`` and ``b`` over the same units; lower scores are better."""

    a: str
    b: str
    wins: int
    """Units on which ``a`` is better."""
    ties: int
    losses: int
    difference: float
    """Hodges–Lehmann estimate of a's score minus b's, negative if ``a`` is better: the pseudo-median, which is
    the median if the differences are symmetric."""
    low: float
    high: float
    """Bounds of its 95 % interval; NaN with fewer than 6 units. It inverts the test without ties and is not
    corrected by Holm, so that it can disagree with ``p`` and ``p_holm``."""
    rank_biserial: float
    """Matched-pairs rank-biserial correlation with Pratt's ranks, -1 to 1: positive if ``a`` is better."""
    p: float
    """Two-sided Wilcoxon signed-rank test, exact."""
    p_holm: float
    """``p`` after Holm's correction over the family."""
    family: int
    """Comparisons in the family."""

    @property
    def units(self) -> int:
        """Data sets compared."""
        return self.wins + self.ties + self.losses

    @property
    def a12(self) -> float:
        """P(better), the chance that ``a`` is better on a unit, ties counted half: the paired version of Vargha and
        Delaney's A."""
        return (self.wins + self.ties / 2) / self.units

    def swapped(self) -> Pair:
        """The same comparison, seen from ``b``."""
        return replace(
            self, a=self.b, b=self.a, wins=self.losses, losses=self.wins, difference=-self.difference,
            low=-self.high, high=-self.low, rank_biserial=-self.rank_biserial,
        )  # fmt: skip


def pairwise(scores: ArrayLike, methods: Sequence[str]) -> list[Pair]:
    """All pairs of ``methods`` on ``scores`` (units, methods), corrected as one family.

    Raises ValueError if scores are not finite or do not fit the methods."""
    return corrected(_pairs(scores, methods, list(itertools.combinations(range(len(methods)), 2))))


def against(scores: ArrayLike, methods: Sequence[str], reference: str) -> list[Pair]:
    """``reference`` with each other of ``methods`` on ``scores`` (units, methods), corrected as one family.

    Raises ValueError if scores are not finite or do not fit the methods."""
    one = list(methods).index(reference)
    return corrected(_pairs(scores, methods, [(one, j) for j in range(len(methods)) if j != one]))


def corrected(pairs: Sequence[Pair], family: int | None = None) -> list[Pair]:
    """``pairs`` as one family, of so many comparisons if some could not be made: they count as p = 1."""
    family = len(pairs) if family is None else family
    adjusted = holm([*(pair.p for pair in pairs), *[1.0] * (family - len(pairs))])[: len(pairs)]
    return [replace(pair, p_holm=float(p), family=family) for pair, p in zip(pairs, adjusted, strict=True)]


def _pairs(scores: ArrayLike, methods: Sequence[str], columns: Sequence[tuple[int, int]]) -> list[Pair]:
    scores = checked(scores)
    if scores.shape[1] != len(methods):
        raise ValueError(f"expected scores of {len(methods)} methods, got {scores.shape[1]} columns")
    raw = []
    for i, j in columns:
        d = rounded(scores[:, i] - scores[:, j], np.abs(scores[:, [i, j]]).max(axis=1))
        p, effect = signed_rank(-d)
        wins, losses = int((d < 0).sum()), int((d > 0).sum())
        counts = wins, len(d) - wins - losses, losses
        raw.append(Pair(methods[i], methods[j], *counts, *hodges_lehmann(d), effect, p, math.nan, 0))
    return raw


def holm(p: ArrayLike) -> Array:
    """The p-values ``p`` (comparisons,) of a family after the correction of Holm (Scand. J. Stat. 6, 1979)."""
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    out = np.empty_like(p)
    out[order] = np.minimum(1, np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order]))
    return out


def signed_rank(differences: ArrayLike) -> tuple[float, float]:
    """Wilcoxon signed-rank test of ``differences`` (units,): its exact two-sided p, and the matched-pairs
    rank-biserial correlation, positive if positive differences prevail.

    Zeros are ranked, then left out (Pratt, JASA 54, 1959), so that they weaken the evidence. Hence with zeros
    the correlation is not exactly that of Kerby (Compr. Psychol. 3, 2014), who leaves them out first. The p-value
    is that of the permutation test which flips the signs of the ranks as they are, hence exact with ties
    and zeros as well, for any number of units: the distribution of the rank sum is summed up, not
    enumerated. No difference at all: p = 1, correlation 0."""
    from scipy.stats import rankdata

    d = np.asarray(differences, dtype=np.float64)
    ranks = rankdata(np.abs(d))
    ranks, positive = ranks[d != 0], d[d != 0] > 0
    if len(ranks) == 0:
        return 1.0, 0.0
    plus, total = float(ranks[positive].sum()), float(ranks.sum())
    tail = _rank_sums(ranks)[: round(2 * min(plus, total - plus)) + 1]
    return min(1.0, 2 * float(tail.sum())), (2 * plus - total) / total


def hodges_lehmann(differences: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """The Hodges–Lehmann estimate (pseudo-median) of ``differences`` (units,) and its interval of at least
    ``level``, got by inverting the signed-rank test without ties (Hollander & Wolfe, 1999, sec. 3.2 and 3.3).

    Ties make it longer than needed, never shorter. NaN bounds if there are too few units for the level
    (fewer than 6 for 95 %)."""
    d = np.asarray(differences, dtype=np.float64)
    n = len(d)
    first, second = np.triu_indices(n)
    walsh = np.sort((d[first] + d[second]) / 2)
    below = np.cumsum(_rank_sums(np.arange(1.0, n + 1)))[::2]
    cut = int((below <= (1 - level) / 2 + 1e-12).sum())
    bounds = (float(walsh[cut - 1]), float(walsh[-cut])) if cut else (math.nan, math.nan)
    return float(np.median(walsh)), *bounds


def _rank_sums(ranks: Array) -> Array:
    """Probability that the ranks with random signs that are positive sum to 0, 1/2, 1, …, their total."""
    chance = np.zeros(round(2 * float(ranks.sum())) + 1)
    chance[0] = 1.0
    for step in np.rint(2 * ranks).astype(int):
        half = chance / 2
        chance = half.copy()
        chance[step:] += half[:-step]
    return chance
