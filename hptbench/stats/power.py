"""What a number of data sets can show at best."""

from __future__ import annotations


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
