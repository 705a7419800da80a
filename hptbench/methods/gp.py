"""Bayesian optimisation with a Gaussian process: the state of the art for few evaluations, in its plain form.

- Expected improvement: D. Jones, M. Schonlau and W. Welch, "Efficient global optimization of expensive black-box
  functions", Journal of Global Optimization 13, 1998; its logarithm: S. Ament et al., "Unexpected improvements to
  expected improvement for Bayesian optimization", NeurIPS 2023, arXiv:2310.20708.
- Matérn-5/2 kernel, hyperparameters at the posterior's mode, the prior of the length scales scaled with the dimension:
  C. Hvarfner, E. O. Hellsten and L. Nardi, "Vanilla Bayesian optimization performs great in high dimensions", ICML
  2024, arXiv:2402.02229.
- Pending jobs by fantasies: J. Snoek, H. Larochelle and R. Adams, "Practical Bayesian optimization of machine learning
  algorithms", NeurIPS 2012.
- Targets are transformed (:mod:`hptbench.methods._surrogate`) and inputs warped (:mod:`hptbench.models.gp`), as in
  HEBO: A. Cowen-Rivers et al., JAIR 74, 2022, arXiv:2012.03826.

Choices that none of the papers makes: the improvement is over the lowest posterior mean among the observed points (with
noise the lowest observation is a matter of luck); categories and conditions as in :mod:`hptbench.models.embedding`;
at most ``max_points`` points (:mod:`hptbench.methods._surrogate`); failed jobs count as the worst value seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.methods._acquisition import ACQUISITIONS, Acquisition, Weighted
from hptbench.methods._maximise import Maximiser
from hptbench.methods._modelled import Modelled
from hptbench.methods._prior import LogPrior
from hptbench.methods._surrogate import Fitted, Surrogate, standardised, transformed, without_failures
from hptbench.models.embedding import Embedding
from hptbench.models.gp import Priors
from hptbench.protocol import Problem, Report, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats

_NEAR = 10
"""Best points around which the acquisition function is looked at more densely."""


@method("gp")
@dataclass(frozen=True)
class GaussianProcess:
    """Bayesian optimisation with a Gaussian process and the logarithm of the expected improvement."""

    initial: int = 8
    """Points of a Sobol sequence before the first model."""
    acquisition: str = "log_ei"
    """log_ei, or ei as it is usually computed."""
    transform: bool = True
    """Bring the targets nearer to a normal distribution; else they are only standardised."""
    warp: bool = True
    """Warp the inputs."""
    by_dimension: bool = True
    """Scale the prior of the length scales with the number of dimensions."""
    candidates: int = 512
    """Points at which the acquisition function is looked at, drawn uniformly; as many near good ones."""
    starts: int = 6
    """The best of them from which it is climbed."""
    fantasies: int = 16
    """Draws of what pending jobs will return."""
    max_points: int = 400
    """The model sees no more: half of them the best, half the latest of the others."""
    traits: ClassVar[Traits] = Traits()

    def __post_init__(self) -> None:
        for name, least in (("initial", 1), ("candidates", 1), ("starts", 1), ("fantasies", 1), ("max_points", 10)):
            if getattr(self, name) < least:
                raise UserError(f"expected gp.{name} >= {least}, got {getattr(self, name)}")
        if self.acquisition not in ACQUISITIONS:
            raise unknown("acquisition function", self.acquisition, ACQUISITIONS)

    def begin(self, problem: Problem, rng: np.random.Generator, log_prior: LogPrior | None = None) -> _Search:
        if log_prior is not None and self.acquisition != "log_ei":
            raise UserError(f"expected gp.acquisition=log_ei with a prior, got {self.acquisition}")
        return _Search(self, problem, rng, log_prior)


class _Search(Modelled):
    def __init__(
        self, method: GaussianProcess, problem: Problem, rng: np.random.Generator, log_prior: LogPrior | None
    ) -> None:
        super().__init__(problem, rng, method.initial)
        self._method, self._log_prior = method, log_prior
        self._embedding = Embedding(problem.space, method.warp)
        self._maximise = Maximiser(problem.space, method.candidates, method.starts)
        priors = Priors(by_dimension=method.by_dimension)
        self._surrogate = Surrogate(self._embedding, priors, method.max_points)
        self._fitted: Fitted | None = None

    def tell(self, reports: Sequence[Report]) -> None:
        super().tell(reports)
        self._fitted = None

    def promising(self, pending: Floats) -> Iterator[Config]:
        if self._fitted is None:
            values = self.history.values[:, 0]
            targets = transformed(values) if self._method.transform else standardised(without_failures(values))
            self._fitted = self._surrogate.fit(self.history.u, targets)
        fitted = self._fitted
        gp, best = fitted.given(self._embedding, pending, self._method.fantasies, self.rng)
        acquisition: Acquisition = ACQUISITIONS[self._method.acquisition](gp, best, self._embedding)
        weighted = acquisition if self._log_prior is None else Weighted(acquisition, self._log_prior, len(self.history))
        for batch in self._maximise(weighted, fitted.best_first[:_NEAR], self.rng):
            yield from self.space.decode(batch)
