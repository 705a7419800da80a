"""Gaussian copula process with a prior from past tasks: learnt is how losses rank there, not how large they are.

D. Salinas, H. Shen and V. Perrone, "A quantile-based approach for hyperparameter transfer learning", ICML 2020,
arXiv:1909.13595:

- losses of each task are mapped to normal scores, z = Phi^-1(F(y)), F the task's empirical distribution, cut off at
  delta = 1 / (4 n^(1/4) sqrt(pi log n)) (section 4);
- a model of all past tasks together predicts mean mu(x) and standard deviation sigma(x) of z (section 4.1);
- a Gaussian process is fitted to the residuals (z - mu(x)) / sigma(x) of this task's observations, so that z has the
  posterior mean mu + sigma m and the variance sigma^2 v, and the expected improvement in z is maximised (section 4.3);
- before there are three successes, configurations come from Thompson sampling of the prior: of many random ones that
  with the least draw from N(mu, sigma^2) (section 4.2, CTS). ``process=false`` goes on so, which is their CTS.

Deviations from it: mu and sigma are those of a random forest (:mod:`hptbench.models.forest`), not of a neural network
trained by likelihood, which a few hundred past evaluations do not need; sigma is at least ``floor``; F is
the mid-rank, (rank - 1/2) / n. Pending jobs are
fantasies, as in :mod:`hptbench.methods.gp`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import ClassVar

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from hptbench.errors import UserError
from hptbench.methods._acquisition import LogEI
from hptbench.methods._maximise import Maximiser
from hptbench.methods._modelled import Modelled
from hptbench.methods._past import past_of
from hptbench.methods._surrogate import Fitted, Surrogate
from hptbench.models.embedding import Embedding
from hptbench.models.forest import Forest, load
from hptbench.models.gp import GP, Priors
from hptbench.protocol import Problem, Proposal, Report, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats

_FEWEST = 3
"""Observations without which there is no residual process."""
_NEAR = 10
_FEW, _TRIES = 16, 64


@method("quantile_transfer")
@dataclass(frozen=True)
class QuantileTransfer:
    """A Gaussian copula process: how configurations ranked on past tasks is the prior of what they are worth here."""

    process: bool = True
    """Model what this task has other than the past; else Thompson sampling of the prior goes on (CTS)."""
    trees: int = 30
    """In the forest of the past."""
    leaf: int = 3
    """Least past evaluations in a leaf."""
    floor: float = 0.1
    """Least standard deviation of the prior, in normal scores."""
    candidates: int = 512
    """As in ``gp``; for Thompson sampling, four times as many."""
    starts: int = 6
    """As in ``gp``."""
    fantasies: int = 16
    """As in ``gp``."""
    max_points: int = 400
    """As in ``gp``."""
    traits: ClassVar[Traits] = Traits(advice=True, past=True, costly=True)

    def __post_init__(self) -> None:
        least = {"trees": 2, "leaf": 1, "candidates": 1, "starts": 1, "fantasies": 1, "max_points": 10}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise UserError(f"expected quantile_transfer.{name} >= {value}, got {getattr(self, name)}")
        if not 0 < self.floor < math.inf:
            raise UserError(f"expected quantile_transfer.floor > 0, got {self.floor}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        load()
        return _Search(self, problem, rng)


class _Search(Modelled):
    def __init__(self, method: QuantileTransfer, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng, initial=0)
        self._method, self._embed = method, Embedding(problem.space, warp=True)
        self._maximise = Maximiser(problem.space, method.candidates, method.starts)
        self._surrogate = Surrogate(self._embed, Priors(), method.max_points)
        past = past_of(problem, "quantile_transfer")
        u, z = np.concatenate([task.u for task in past]), np.concatenate([scores(task.losses) for task in past])
        forest = Forest(self._embed(u), z, rng.spawn(1)[0], method.trees, min_samples_leaf=method.leaf)
        self._prior = Prior(forest, method.floor)
        self._tried = u[np.argsort(z, kind="stable")[:_NEAR]]
        self._fitted: Fitted | None = None

    def tell(self, reports: Sequence[Report]) -> None:
        super().tell(reports)
        self._fitted = None

    def _candidates(self, pending: Sequence[Proposal]) -> Iterator[Config]:
        succeeded = int(np.isfinite(self.history.values).sum())
        if self._varies and self._method.process and succeeded >= _FEWEST:
            return self.promising(self.space.encode([proposal.config for proposal in pending]))
        return chain(self._thompson() if self._varies else (), islice(self._design, _TRIES))

    def _thompson(self) -> Iterator[Config]:
        u = self.space.snap(self.space.sample(self.rng, 4 * self._method.candidates))
        mean, std = self._prior(self._embed(u))
        u = u[np.argsort(mean + std * self.rng.standard_normal(len(u)), kind="stable")]
        yield from self.space.decode(u[:_FEW])

    def promising(self, pending: Floats) -> Iterator[Config]:
        u = self.history.u
        if self._fitted is None:
            mean, std = self._prior(self._embed(u))
            z = scores(self.history.values[:, 0])
            self._fitted = self._surrogate.fit(u, (z - mean) / std, z)  # the best is kept, whatever was expected of it
        gp, _ = self._fitted.given(self._embed, pending, self._method.fantasies, self.rng)
        copula, known = Copula(gp, self._prior), self._fitted.u
        means = copula.predict(self._embed(np.concatenate([known, pending])))[0]
        first = np.argsort(means[: len(known)].mean(axis=1), kind="stable")[:_NEAR]
        acquisition = LogEI(copula, means.min(axis=0), self._embed)
        for batch in self._maximise(acquisition, np.concatenate([known[first], self._tried]), self.rng):
            yield from self.space.decode(batch)


class Prior:
    """What the past says of normal scores."""

    def __init__(self, forest: Forest, floor: float) -> None:
        self._forest, self._floor = forest, floor

    def __call__(self, x: Floats) -> tuple[Floats, Floats]:
        """(m,) means and (m,) standard deviations at points (m, D)."""
        mean, variance = self._forest.predict(x)
        return mean, np.maximum(np.sqrt(variance), self._floor)


class Copula:
    """Normal scores: the prior, and a process of what this task has other than it."""

    def __init__(self, residuals: GP, prior: Prior) -> None:
        self._residuals, self._prior = residuals, prior

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Means (m, S) and variances (m,)."""
        mu, sigma = self._prior(x)
        mean, variance = self._residuals.predict(x)
        return mu[:, None] + sigma[:, None] * mean, sigma**2 * variance

    def gradients(self, x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """The same, and their derivatives by ``x``, (m, S, D) and (m, D): between its steps a forest is level."""
        mu, sigma = self._prior(x)
        mean, variance, by_mean, by_variance = self._residuals.gradients(x)
        means = mu[:, None] + sigma[:, None] * mean
        return means, sigma**2 * variance, sigma[:, None, None] * by_mean, (sigma**2)[:, None] * by_variance


def scores(losses: Floats) -> Floats:
    """(n,) normal scores of ``losses``, of which failures, +inf, are the greatest: equation 2 there."""
    n = len(losses)
    delta = 1 / (4 * n**0.25 * math.sqrt(math.pi * math.log(max(n, 2))))
    quantiles = (rankdata(losses) - 0.5) / n
    return np.asarray(ndtri(np.clip(quantiles, min(delta, 0.5), max(1 - delta, 0.5))))
