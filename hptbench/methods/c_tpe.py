"""c-TPE: the tree-structured Parzen estimator with inequality constraints.

S. Watanabe and F. Hutter, "c-TPE: tree-structured Parzen estimator with inequality constraints for expensive
hyperparameter optimization", IJCAI 2023, arXiv:2211.14411: expected constraint improvement as the product over the
objective and all constraints of relative density ratios (equation 6)

    r_i(x) = 1 / (gamma_i + (1 - gamma_i) g_i(x) / l_i(x))

each from a split of the observations of its own. For a constraint, l holds those that keep it, or, if none does, the
one that violates it least (as in the authors' code). For the objective, l holds the best, be they feasible or not, down
to where ceil(beta sqrt(n)) feasible ones are among them (section 4.2), and all of them as long as there are fewer.
gamma_i is the share of l. So a constraint that is nearly always kept has r near 1, and so has the objective until
something feasible is known. As many candidates come from each l. Without constraints this is TPE.

Settings are those of the authors' ``ctpe`` for OptunaHub. Differences: failed jobs keep no constraint and are never
good; pending jobs are bad in the split of the objective (constant liar), and in no split of a constraint. Conditional
parameters as in :mod:`hptbench.methods.tpe`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.methods._prior import LogPrior
from hptbench.methods._tpe import Search, check_settings, number_of_good
from hptbench.models.tpe_density import Densities, Rules
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Floats, Mask

_EPS = 1e-12


@method("c_tpe")
@dataclass(frozen=True)
class CTPE:
    """Constrained TPE: the product of the density ratios of the objective and of all constraints."""

    startup: int = 10
    """Random configurations before the first by the model."""
    candidates: int = 24
    """Draws from the density of the good in each split."""
    gamma: str = "sqrt"
    """How many feasible ones are good: ``linear`` ceil(beta n), ``sqrt`` ceil(beta sqrt(n)); at most 25."""
    beta: float = 0.25
    bandwidth: str = "scott"
    """``hyperopt``, ``neighbours``, ``scott`` or ``optuna``, as of tpe."""
    min_bandwidth: float = 0.01
    """Least bandwidth of a number, in the unit interval; integers and ordinals: also one cell."""
    magic_exponent: float = math.inf
    """Bandwidths are at least (1 + kernels)^-exponent, too; inf: no such bound."""
    categorical_bandwidth: float | None = 0.2
    """Probability of all other categories in a kernel; None: Optuna's rule, which falls with the number of kernels."""
    prior_weight: float = 1.0
    """Weight of the prior, in weights of observations; 0: none."""
    traits: ClassVar[Traits] = Traits(constraints=True)

    def __post_init__(self) -> None:
        check_settings("c_tpe", self)

    @property
    def rules(self) -> Rules:
        """How kernels are made."""
        return Rules(
            bandwidth=self.bandwidth,
            min_bandwidth=self.min_bandwidth,
            magic_exponent=self.magic_exponent,
            whole_cells=True,
            categorical_bandwidth=self.categorical_bandwidth,
        )

    def begin(self, problem: Problem, rng: np.random.Generator, log_prior: LogPrior | None = None) -> Search:
        """``log_prior`` is added to the sum of the log r_i(x)."""
        return _Search(self, problem, rng, log_prior)


class _Search(Search):
    def __init__(self, method: CTPE, problem: Problem, rng: np.random.Generator, log_prior: LogPrior | None) -> None:
        super().__init__(method, problem, rng, log_prior)
        of_constraints = [Densities(problem.space, method.rules) for _ in problem.constraints]
        self._splits = [self._densities, *of_constraints]

    def _candidates(self, pending: Floats) -> tuple[Floats, Floats]:
        method, history = self._method, self._history
        n_good = number_of_good(method.gamma, method.beta, len(history))
        objective = best_with_feasible(history.values[:, 0], history.feasible, n_good)
        goods = [np.concatenate([objective, np.zeros(len(pending), dtype=bool)])]
        goods += [kept(column) for column in history.constraints.T]
        everything = np.concatenate([history.u, pending])
        for densities, good in zip(self._splits, goods, strict=True):
            densities.fit(everything[: len(good)], good, np.ones(len(good)), (method.prior_weight,) * 2)
        u = np.concatenate([densities.sample(self._rng, method.candidates) for densities in self._splits])
        u = self._space.deactivate(u)
        worth = np.zeros(len(u))
        for densities, good in zip(self._splits, goods, strict=True):
            worth += log_relative_ratio(float(good.mean()) if len(good) else 0.0, *densities.logpdf(u))
        return u, worth


def best_with_feasible(losses: Floats, feasible: Mask, n: int) -> Mask:
    """The smallest of the finite ``losses`` down to the ``n``-th feasible one; all of them if there are fewer."""
    good = np.isfinite(losses)
    order = np.argsort(losses, kind="stable")
    reached = np.flatnonzero(np.cumsum(feasible[order]) >= n)
    if len(reached):
        good[order[reached[0] + 1 :]] = False
    return good


def kept(constraint: Floats) -> Mask:
    """Where a constraint is kept, or, if it is nowhere, where it is violated least, but for failed jobs."""
    good = constraint <= 0
    if not good.any() and np.isfinite(constraint).any():
        good[np.argmin(constraint)] = True
    return good


def log_relative_ratio(gamma: float, log_l: Floats, log_g: Floats) -> Floats:
    """Logarithm of equation 6 for the share ``gamma`` of good observations, from both log densities."""
    return np.asarray(-np.logaddexp(np.log(gamma + _EPS), np.log(1 - gamma + _EPS) + log_g - log_l))
