"""TPE: the tree-structured Parzen estimator.

J. Bergstra, R. Bardenet, Y. Bengio and B. Kegl, "Algorithms for hyper-parameter optimization", NeurIPS 2011, section 4:
the best observations (equation 2, below the quantile gamma) and the others have a density each, l and g; of the draws
from l the one with the largest l(x) / g(x) is evaluated. Multivariate kernels and the default settings are those that
S. Watanabe, "Tree-structured Parzen estimator: understanding its algorithm components and their roles for better
empirical performance", 2023, arXiv:2304.11127, recommends (section 5). hyperopt's settings are method=tpe_hyperopt.

Conditional parameters. Multivariate: where an observation's parameter is inactive, its kernel is the prior's; a
candidate's inactive parameters are integrated out. So all observations count in all branches, by how far they agree in
what is active (Optuna models each group of parameters by itself, Watanabe no conditions at all).
Univariate, as in hyperopt: each density is made of the observations in which its parameter is active.

Pending jobs are bad observations (constant liar). Failed jobs are the worst: never good, so that with fewer successes
than good ones are wanted, only those are good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._prior import LogPrior
from hptbench.methods._tpe import Search, check_settings, decayed, improvements, number_of_good
from hptbench.models.tpe_density import Rules
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Floats, Mask


@method("tpe")
@dataclass(frozen=True)
class TPE:
    """Tree-structured Parzen estimator: the ratio of the densities of good and of bad configurations, multivariate."""

    startup: int = 10
    """Random configurations before the first by the model."""
    candidates: int = 24
    """Draws from the density of the good, of which the best is evaluated."""
    gamma: str = "linear"
    """How many are good: ``linear`` ceil(beta n), ``sqrt`` ceil(beta sqrt(n)); at most 25."""
    beta: float = 0.15
    weights: str = "ei"
    """Of observations: ``ei`` (the good by their improvement on the best of the bad), ``uniform``, or ``old_decay``
    (less for all but the last 25 of either group)."""
    multivariate: bool = True
    """Kernels are products over all parameters; else every parameter is modelled and chosen by itself."""
    bandwidth: str = "hyperopt"
    """``hyperopt`` (the larger distance to a neighbour), ``neighbours``, ``scott`` or ``optuna``: see
    :class:`hptbench.models.tpe_density.Rules`."""
    min_bandwidth: float = 0.03
    """Least bandwidth of a number, in the unit interval."""
    magic_exponent: float = 2.0
    """Bandwidths are at least (1 + kernels)^-exponent, too; inf: no such bound."""
    categorical_bandwidth: float | None = None
    """Probability of all other categories in a kernel; None: Optuna's rule, which falls with the number of kernels."""
    prior_weight: float = 1.0
    """Weight of the prior, in mean weights of observations; 0: none."""
    traits: ClassVar[Traits] = Traits()

    def __post_init__(self) -> None:
        check_settings("tpe", self)
        if self.weights not in ("ei", "uniform", "old_decay"):
            raise UserError(f"expected tpe.weights to be ei, uniform or old_decay, got {self.weights}")

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
    _method: TPE

    def _candidates(self, pending: Floats) -> tuple[Floats, Floats]:
        method, losses = self._method, self._history.values[:, 0]
        good = best(losses, number_of_good(method.gamma, method.beta, len(losses)))
        weights = np.ones(len(losses) + len(pending))
        prior = 1.0
        if method.weights == "ei" and good.any():
            weights[: len(good)][good] = improvements(losses[good], losses[~good].min(initial=np.inf))
            prior = float(weights[: len(good)][good].mean())
        good = np.concatenate([good, np.zeros(len(pending), dtype=bool)])
        if method.weights == "old_decay":
            weights[good], weights[~good] = decayed(int(good.sum())), decayed(int((~good).sum()))
        u = np.concatenate([self._history.u, pending])
        self._densities.fit(u, good, weights, (prior * method.prior_weight, method.prior_weight))
        return self._best_of()


def best(losses: Floats, n: int) -> Mask:
    """Which of ``losses`` are the ``n`` smallest, the earlier of equal ones, and finite."""
    good = np.zeros(len(losses), dtype=bool)
    good[np.argsort(losses, kind="stable")[:n]] = True
    return good & np.isfinite(losses)
