"""Planted truth: simulated studies whose answer is known, for levels, powers and coverages of ``hptbench.stats``.

The tests run each with 2,000 studies and assert its bounds; ``scripts/planted.py`` runs more of them and writes what
was measured to docs/PLANTED.md."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hptbench.rng import entropy, stream
from hptbench.stats.aggregate import AGGREGATES, bootstrap, performance_profile, probability_of_improvement
from hptbench.stats.bayes import signed_rank_posterior
from hptbench.stats.intervals import median_interval, t_interval
from hptbench.stats.mixed import horizon_effect, informative_units, mixed_model, seed_effect
from hptbench.stats.pairwise import pairwise, signed_rank
from hptbench.stats.power import power
from hptbench.stats.ranks import friedman
from hptbench.stats.resampled import corrected_t

Array = NDArray[np.float64]
STUDIES = 2000
ALPHA = 0.05
_DRAWS = 1000
"""Resamples of each simulated study; real ones have 50,000, whose bounds are less noisy."""


@dataclass(frozen=True)
class Case:
    """A way to make studies, and a question to each of them."""

    what: str
    """Level, power or coverage of what, under what."""
    asks: Callable[[np.random.Generator, int], Iterator[bool] | NDArray[np.bool_]]
    """So many studies -> whether each rejects, or covers."""
    low: float
    high: float
    """What the share of them lies between, with 2,000 studies."""
    nominal: float

    def measured(self, studies: int = STUDIES) -> tuple[float, float]:
        """The share, and its standard error."""
        found = np.fromiter(self.asks(stream(entropy("planted", self.what)), studies), dtype=bool)
        share = float(found.mean())
        return share, math.sqrt(share * (1 - share) / len(found))


def grid(
    rng: np.random.Generator, units: int, effects: list[float], seeds: int, suits: float = 0.5, noise: float = 0.3
) -> Array:
    """Losses (units, methods, seeds): data sets differ, suit methods differently, and are noisy."""
    shape = (units, len(effects))
    cells = rng.normal(size=(units, 1)) + np.array(effects) + suits * rng.normal(size=shape)
    return np.asarray(cells[:, :, None] + noise * rng.normal(size=(*shape, seeds)))


def _level(p: Callable[[np.random.Generator], float], rng: np.random.Generator, n: int) -> Iterator[bool]:
    """Whether the p of each study is at most ALPHA."""
    return (p(rng) <= ALPHA for _ in range(n))


def _family(rng: np.random.Generator) -> float:
    return min(pair.p_holm for pair in pairwise(rng.normal(size=(10, 4)).round(1), "abcd"))


def _friedman(rng: np.random.Generator, levels: int) -> float:
    return friedman(rng.integers(levels, size=(10, 4))).p


def _uniform(rng: np.random.Generator, spread: int) -> float:
    return signed_rank(rng.integers(-spread, spread + 1, size=12).astype(float))[0]


def _heavy(rng: np.random.Generator, ties: bool) -> float:
    d = rng.standard_t(2, size=10)
    return signed_rank(np.rint(d) if ties else d)[0]


def _folds(rng: np.random.Generator, rho: float) -> float:
    """10 folds of correlation 1/10."""
    return corrected_t(rng.normal(size=10) * math.sqrt(0.9) + rng.normal() * math.sqrt(0.1), rho).p


def _horizons(rng: np.random.Generator) -> float:
    """3 horizons, 8 data sets, 3 methods, 2 seeds."""
    return horizon_effect(rng.normal(size=(3, 8, 3, 2)) + rng.normal(size=(1, 8, 3, 1))).p


def _posterior(rng: np.random.Generator) -> float:
    """1 - P(better), of equal methods on 12 data sets."""
    return 1 - signed_rank_posterior(rng.normal(size=12), 0.0, rng, draws=_DRAWS).better


def _found(rng: np.random.Generator, n: int, units: int, effect: float, comparisons: int) -> Iterator[bool]:
    return (signed_rank(d)[0] <= ALPHA / comparisons for d in rng.normal(effect, 1, size=(n, units)))


def _aggregates(rng: np.random.Generator, n: int, statistic: str, seeds: int) -> NDArray[np.bool_]:
    """6 data sets of different centres and spreads, studies in the place of methods; truth: a very long study."""
    centre, spread = np.linspace(0, 1, 6)[:, None], np.linspace(0.1, 0.4, 6)[:, None]
    truth = float(AGGREGATES[statistic](centre + spread * rng.normal(size=(6, 100_000))))
    y = centre[:, None] + spread[:, None] * rng.normal(size=(6, n, seeds))
    found = bootstrap(y, AGGREGATES[statistic], rng, draws=_DRAWS)
    return (found.low <= truth) & (truth <= found.high)


def _improvement(rng: np.random.Generator, n: int, seeds: int) -> Iterator[bool]:
    """6 data sets on which the methods differ by 0.5 standard deviations."""
    truth = 0.5 * math.erfc(-0.5 / 2)
    for _ in range(n):
        y = rng.normal(size=(6, 2, seeds)) + np.array([0.0, 0.5])[:, None]
        found = probability_of_improvement(y, rng, draws=_DRAWS)
        yield bool(found.low[0, 1] <= truth <= found.high[0, 1])


def _profile(rng: np.random.Generator, n: int) -> NDArray[np.bool_]:
    """The share of runs below 0.4 of 6 data sets with 10 seeds of uniform scores, studies in the place of methods."""
    found = performance_profile(rng.uniform(size=(6, n, 10)), [0.4], rng, draws=_DRAWS)
    return ((found.low <= 0.4) & (found.high >= 0.4))[:, 0]


def _hodges_lehmann(rng: np.random.Generator, n: int) -> Iterator[bool]:
    """Differences of 12 data sets, of heavy tails around 0.3."""
    for d in 0.3 + rng.standard_t(3, size=(n, 12)):
        [pair] = pairwise(np.stack([d, np.zeros(12)], axis=1), "ab")
        yield pair.low <= 0.3 <= pair.high


def _t(rng: np.random.Generator, n: int) -> NDArray[np.bool_]:
    _, low, high = t_interval(rng.normal(size=(5, n)))
    return (low < 0) & (high > 0)


def _median(rng: np.random.Generator, n: int) -> NDArray[np.bool_]:
    """10 repeats that are not symmetric."""
    found = median_interval(rng.exponential(size=(10, n)))
    return (found.low <= math.log(2)) & (found.high >= math.log(2))


def _cases() -> Iterator[Case]:
    def level(what: str, p: Callable[[np.random.Generator], float], low: float = 0.03, high: float = 0.06) -> Case:
        return Case(f"level: {what}", partial(_level, p), low, high, ALPHA)

    for ties, levels, spread in (("", 10**6, 10**6), (", ties", 3, 2)):
        yield level(f"Friedman, 10 data sets, 4 methods{ties}", partial(_friedman, levels=levels))
        yield level(f"signed-rank, 10 data sets, heavy tails{ties}", partial(_heavy, ties=bool(ties)), 0.01)
        yield level(f"signed-rank, 12 data sets, uniform{ties}", partial(_uniform, spread=spread))
    yield level("some pair after Holm, 10 data sets, 4 methods", _family, 0.01)
    yield level("mixed model, F, 5 data sets, 3 methods, 4 seeds", lambda r: mixed_model(grid(r, 5, [0, 0, 0], 4)).p)
    yield level("mixed model, effect of seeds, 6 data sets", lambda r: seed_effect(grid(r, 6, [0, 0], 5)).p)
    yield level("mixed model, effect of the horizon, 8 data sets", _horizons)
    yield level(
        "informative data sets, some of 6 after Holm",
        lambda r: float(informative_units(r.normal(size=(6, 3, 4))).min()),
    )
    yield level("corrected t, 10 folds of one data set", partial(_folds, rho=0.1))
    yield level("P(better) > 0.95, signed-rank posterior, 12 data sets", _posterior, 0.03, 0.08)
    yield Case("level, not used: mixed model, likelihood ratio with χ², 5 data sets",
               partial(_level, lambda r: mixed_model(grid(r, 5, [0, 0, 0], 4)).p_lr), 0.07, 0.5, ALPHA)  # fmt: skip
    yield Case("level, not used: mixed model without the interaction, 5 data sets",
               partial(_level, lambda r: mixed_model(grid(r, 5, [0, 0, 0], 4), interaction=False).p),
               0.3, 1, ALPHA)  # fmt: skip
    yield Case("level, not used: uncorrected t, 10 folds of one data set",
               partial(_level, partial(_folds, rho=0.0)), 0.1, 0.5, ALPHA)  # fmt: skip
    for units, effect, comparisons in ((8, 1.2, 1), (12, 0.8, 1), (20, 0.7, 1), (30, 0.5, 1), (20, 1.0, 6)):
        predicted = power(units, effect, comparisons)
        of = f", first of {comparisons} comparisons" if comparisons > 1 else ""
        yield Case(f"power: signed-rank, {units} data sets, effect {effect:g}{of}",
                   partial(_found, units=units, effect=effect, comparisons=comparisons),
                   predicted - 0.05, predicted + 0.05, predicted)  # fmt: skip
    for seeds in (5, 10):
        for statistic in ("iqm", "mean", "median"):
            yield Case(f"coverage: bootstrap of the {statistic}, 6 data sets, {seeds} seeds",
                       partial(_aggregates, statistic=statistic, seeds=seeds), 0.92, 0.98, 0.95)  # fmt: skip
        yield Case(f"coverage: bootstrap of P(better run), 6 data sets, {seeds} seeds",
                   partial(_improvement, seeds=seeds), 0.92, 0.98, 0.95)  # fmt: skip
    yield Case("coverage: bootstrap of a profile's point, 6 data sets, 10 seeds", _profile, 0.92, 0.98, 0.95)
    yield Case("coverage: Hodges–Lehmann, 12 data sets, heavy tails", _hodges_lehmann, 0.94, 0.98, 0.95)
    yield Case("coverage: t interval, 5 seeds", _t, 0.94, 0.96, 0.95)
    yield Case("coverage: median interval (at least 0.95), 10 seeds, exponential", _median, 0.95, 0.99, 0.95)


CASES = {case.what: case for case in _cases()}
