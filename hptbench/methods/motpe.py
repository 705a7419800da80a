"""MOTPE: the multiobjective tree-structured Parzen estimator.

Y. Ozaki, Y. Tanigaki, S. Watanabe and M. Onishi, "Multiobjective tree-structured Parzen estimator for computationally
expensive optimization problems", GECCO 2020, doi:10.1145/3377930.3389817; with M. Nomura in J. Artificial Intelligence
Research 73, 2022, doi:10.1613/jair.1.13188. As TPE, with another split and other weights: good are whole fronts of
non-dominated sorting, as far as they fit, and of the next front the subset of the largest hypervolume, chosen greedily.
A good observation weighs what it contributes to the hypervolume of the good. Parameters are modelled and chosen each by
itself (Optuna 5 weighs all good ones alike). Reference points are those of the authors' code in Optuna: of each
objective's worst value y among the points concerned, max(1.1 y, 0.9 y).

Deviations: the start-up is 10 configurations, as in Optuna (the paper's experiments take 11 d - 1, more than many
budgets here hold). Failed jobs are never good; pending jobs are bad (constant liar). Conditional parameters as in
:mod:`hptbench.methods.tpe`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hptbench.methods._prior import LogPrior
from hptbench.methods._tpe import Search, check_settings, number_of_good
from hptbench.models.tpe_density import Rules
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Floats, Mask

_TINY, _HUGE = 1e-12, 1e300


@method("motpe")
@dataclass(frozen=True)
class MOTPE:
    """Multiobjective TPE: good are the first fronts, weighted by what they contribute to the hypervolume."""

    startup: int = 10
    """Random configurations before the first by the model."""
    candidates: int = 24
    """Draws from the density of the good, of which the best is evaluated."""
    gamma: str = "linear"
    """How many are good: ``linear`` ceil(beta n), ``sqrt`` ceil(beta sqrt(n))."""
    beta: float = 0.1
    multivariate: bool = False
    """Kernels are products over all parameters; else every parameter is modelled and chosen by itself."""
    bandwidth: str = "neighbours"
    """``hyperopt``, ``neighbours``, ``scott`` or ``optuna``, as of tpe."""
    min_bandwidth: float = 0.01
    """Least bandwidth of a number, in the unit interval."""
    magic_exponent: float = 1.0
    """Bandwidths are at least (1 + kernels)^-exponent, too; inf: no such bound."""
    categorical_bandwidth: float | None = None
    """Probability of all other categories in a kernel; None: Optuna's rule, which falls with the number of kernels."""
    prior_weight: float = 1.0
    """Weight of the prior; the good observation that contributes most, and each of the others, weighs 1; 0: none."""
    traits: ClassVar[Traits] = Traits(min_objectives=2, max_objectives=99)

    def __post_init__(self) -> None:
        check_settings("motpe", self)

    @property
    def rules(self) -> Rules:
        """How kernels are made."""
        return Rules(
            multivariate=self.multivariate,
            bandwidth=self.bandwidth,
            min_bandwidth=self.min_bandwidth,
            magic_exponent=self.magic_exponent,
            categorical_bandwidth=self.categorical_bandwidth,
        )

    def begin(self, problem: Problem, rng: np.random.Generator, log_prior: LogPrior | None = None) -> Search:
        """``log_prior`` is added to log l(x) - log g(x)."""
        return _Search(self, problem, rng, log_prior)


class _Search(Search):
    _method: MOTPE

    def _candidates(self, pending: Floats) -> tuple[Floats, Floats]:
        method, values = self._method, self._history.values
        n_good = number_of_good(method.gamma, method.beta, len(values), len(values))
        good = first_fronts(values, n_good)
        weights = np.ones(len(values) + len(pending))
        if good.any():
            weights[: len(good)][good] = contributions(values[good])
        u = np.concatenate([self._history.u, pending])
        good = np.concatenate([good, np.zeros(len(pending), dtype=bool)])
        self._densities.fit(u, good, weights, (method.prior_weight,) * 2)
        return self._best_of()


def first_fronts(values: Floats, n: int) -> Mask:
    """(N,) which ``n`` of the finite rows of ``values``, (N, k), are in the first fronts; of the front that does not
    fit whole, the rows whose hypervolume is largest. All finite ones if there are no more."""
    import moocore

    good = np.zeros(len(values), dtype=bool)
    finite = np.flatnonzero(np.isfinite(values).all(axis=1))
    if len(finite) <= n:
        good[finite] = True
        return good
    ranks = moocore.pareto_rank(values[finite])
    counts = np.cumsum(np.bincount(ranks))
    cut = int(np.searchsorted(counts, n, side="right"))  # the first front that does not fit
    good[finite[ranks < cut]] = True
    front = finite[ranks == cut]
    room = n - int(good.sum())
    if room:
        good[front[largest_subset(values[front], room)]] = True
    return good


def largest_subset(values: Floats, n: int) -> NDArray[np.intp]:
    """Positions of ``n`` rows of ``values``, (N, k), n <= N, one after the other that which adds most to the
    hypervolume of those before (A. P. Guerreiro, C. M. Fonseca and L. Paquete, Evolutionary Computation 24(3), 2016,
    doi:10.1162/EVCO_a_00188): at least 1 - 1/e of the largest hypervolume."""
    import moocore

    values, reference = scaled(values), np.zeros(values.shape[1])
    gains = np.prod(-values, axis=1)
    chosen: list[int] = []
    volume = 0.0
    for _ in range(n):
        # What a point adds only falls as others are chosen: a gain that stays the largest ends the round.
        fresh = np.zeros(len(values), dtype=bool)
        while not fresh[i := int(np.argmax(gains))]:
            gains[i] = moocore.hypervolume(values[[*chosen, i]], ref=reference) - volume
            fresh[i] = True
        chosen.append(i)
        volume += gains[i]
        gains[i] = -np.inf
    return np.array(chosen, dtype=np.intp)


def contributions(values: Floats) -> Floats:
    """(N,) weights in (0, 1] of the good: what each adds to the hypervolume of all, over the largest. 1 each if none
    adds anything (all are equal)."""
    import moocore

    found = moocore.hv_contributions(scaled(values), ref=np.zeros(values.shape[1]), ignore_dominated=False)
    top = float(found.max())
    return np.asarray(np.clip(found / top, _TINY, 1.0)) if top > 0 else np.ones(len(values))


def scaled(values: Floats) -> Floats:
    """``values``, (N, k), in [-1, 0]: from the reference point, in units of the best of each objective. Hypervolumes
    keep their ratios, and neither vanish nor overflow, whatever the objectives' units."""
    values = np.clip(values, -_HUGE, _HUGE)
    reference = reference_point(values)
    return np.asarray((values - reference) / (reference - values.min(axis=0)))


def reference_point(values: Floats) -> Floats:
    """(k,) a little worse than the worst of each objective."""
    worst = values.max(axis=0)
    point = np.maximum(1.1 * worst, 0.9 * worst)
    return np.where(point == 0, _TINY, point)
