"""What a number of data sets, or of seeds, can show.

An effect is the mean difference of two methods over data sets, divided by its standard deviation over data sets
(Cohen's d of pairs). For Gaussian differences the Wilcoxon signed-rank test has the power of a t test with 3/pi = 0.955
times as many units (its asymptotic relative efficiency; Lehmann, Nonparametrics, 1975, sec. 4.3), which is what is
computed here; for heavier tails it has more. With several comparisons the power is that of Holm's first step, alpha /
comparisons."""

from __future__ import annotations

import math

_EFFICIENCY = 3 / math.pi
_MOST = 100_000
"""Units beyond which no answer is looked for."""


def smallest_p(units: int) -> float:
    """The smallest two-sided p that a Wilcoxon signed-rank (or sign) test of ``units`` pairs can reach:
    all differ in one direction."""
    return min(1.0, 2.0 ** (1 - units))


def units_needed(comparisons: int = 1, alpha: float = 0.05) -> int:
    """The least number of units with which one of ``comparisons`` tests can reach ``alpha`` after Holm."""
    units = 1
    while comparisons * smallest_p(units) > alpha:
        units += 1
    return units


def power(units: int, effect: float, comparisons: int = 1, alpha: float = 0.05) -> float:
    """Chance that the test over ``units`` finds an ``effect``; 0 if so few cannot show any."""
    from scipy.stats import nct, t

    if units < units_needed(comparisons, alpha):
        return 0.0
    size = units * _EFFICIENCY
    df = size - 1
    critical = t.ppf(1 - alpha / comparisons / 2, df)
    shift = abs(effect) * math.sqrt(size)
    if shift > 30:
        return 1.0
    return float(nct.sf(critical, df, shift) + nct.cdf(-critical, df, shift))


def units_for(effect: float, chance: float = 0.8, comparisons: int = 1, alpha: float = 0.05) -> int:
    """The least number of units with which an ``effect`` is found with this ``chance``. ValueError for an effect so
    small that 100,000 are not enough."""
    low, high = 1, units_needed(comparisons, alpha)
    while power(high, effect, comparisons, alpha) < chance:
        low, high = high, 2 * high
        if high > _MOST:
            raise ValueError(f"expected an effect that {_MOST:,} data sets can show, got {effect}")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle, effect, comparisons, alpha) >= chance else (middle, high)
    return high


def detectable(units: int, chance: float = 0.8, comparisons: int = 1, alpha: float = 0.05) -> float:
    """The least effect that ``units`` find with this ``chance``; inf if they cannot show any."""
    if units < units_needed(comparisons, alpha):
        return math.inf
    low, high = 0.0, 1.0
    while power(units, high, comparisons, alpha) < chance:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if power(units, middle, comparisons, alpha) >= chance else (middle, high)
    return high


def effect_of(difference: float, interaction: float, noise: float, seeds: int) -> float:
    """The effect that a mean ``difference`` of losses is with ``seeds`` repeats on each data set, given the variances
    of :class:`hptbench.stats.mixed.Mixed`: difference / sqrt(2 (interaction + noise / seeds)). More seeds help only
    against the noise."""
    spread = math.sqrt(2 * (interaction + noise / seeds))
    return abs(difference) / spread if spread else math.inf


def seeds_for(chance_better: float, chance: float = 0.8, comparisons: int = 1, alpha: float = 0.05) -> int:
    """Seeds per method with which a rank-sum test on one task finds that one is better in ``chance_better`` (A12) of
    all pairs of runs: Noether, JASA 82, 1987, equation 11 with equal sizes."""
    from scipy.special import ndtri

    if chance_better == 0.5 or not 0 <= chance_better <= 1:
        raise ValueError(f"expected a chance from 0 to 1 that is not 0.5, got {chance_better}")
    z = ndtri(1 - alpha / comparisons / 2) + ndtri(chance)
    return math.ceil(z**2 / (6 * (chance_better - 0.5) ** 2))
