"""ParEGO.

J. Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective optimization
problems", IEEE Trans. Evolutionary Computation 10(1), 2006, doi:10.1109/TEVC.2005.851274: for each proposal a weight
vector is drawn, the normalised objectives become one by the augmented Tchebycheff function, and the expected
improvement of a Gaussian process of that is maximised.

Deviations from the paper:

- The weights are uniform on the simplex instead of on a lattice of 11 vectors (two objectives) or 15 (three), each of
  which a search of some hundred evaluations sees many times; so in qParEGO (S. Daulton, M. Balandat and E. Bakshy,
  NeurIPS 2020, arXiv:2006.05078). On four problems the lattice was neither better nor worse.
- Objectives are normalised by the ranges observed so far; the paper's are known.
- The process, its targets, the logarithm of the expected improvement, how it is maximised and how pending jobs count
  (by fantasies; the paper has none): as in :mod:`hptbench.methods.gp`, with at most ``max_points`` points.
- ``initial`` points of a Sobol sequence instead of 11 d - 1 of a Latin hypercube.
- Failed jobs count as the worst sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._acquisition import LogEI
from hptbench.methods._maximise import Maximiser
from hptbench.methods._modelled import Modelled
from hptbench.methods._surrogate import Surrogate, standardised, transformed, without_failures
from hptbench.models.embedding import Embedding
from hptbench.models.gp import Priors
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats

_NEAR = 10
"""Best points around which the acquisition function is looked at more densely."""


@method("parego")
@dataclass(frozen=True)
class ParEGO:
    """ParEGO: Bayesian optimisation of randomly weighted sums of several objectives."""

    initial: int = 8
    """Points of a Sobol sequence before the first model."""
    rho: float = 0.05
    """Weight of the sum beside the maximum."""
    transform: bool = True
    """Bring the targets nearer to a normal distribution; else they are only standardised."""
    warp: bool = True
    """Warp the inputs."""
    candidates: int = 512
    """Points at which the acquisition function is looked at, drawn uniformly; as many near good ones."""
    starts: int = 6
    """The best of them from which it is climbed."""
    fantasies: int = 16
    """Draws of what pending jobs will return."""
    max_points: int = 400
    """The model sees no more: half of them the best, half the latest of the others."""
    traits: ClassVar[Traits] = Traits(min_objectives=2, max_objectives=99)

    def __post_init__(self) -> None:
        for name, least in (("initial", 1), ("candidates", 1), ("starts", 1), ("fantasies", 1), ("max_points", 10)):
            if getattr(self, name) < least:
                raise UserError(f"expected parego.{name} >= {least}, got {getattr(self, name)}")
        if not self.rho >= 0:
            raise UserError(f"expected parego.rho >= 0, got {self.rho}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Modelled):
    def __init__(self, method: ParEGO, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng, method.initial)
        self._method = method
        self._embedding = Embedding(problem.space, method.warp)
        self._maximise = Maximiser(problem.space, method.candidates, method.starts)
        self._surrogate = Surrogate(self._embedding, Priors(), method.max_points)

    def promising(self, pending: Floats) -> Iterator[Config]:
        values = self.history.values
        weights = self.rng.dirichlet(np.ones(values.shape[1]))
        costs = without_failures(scalarised(values, weights, self._method.rho))
        transform = transformed if self._method.transform else standardised
        fitted = self._surrogate.fit(self.history.u, transform(costs))
        gp, best = fitted.given(self._embedding, pending, self._method.fantasies, self.rng)
        acquisition = LogEI(gp, best, self._embedding)
        for batch in self._maximise(acquisition, fitted.best_first[:_NEAR], self.rng):
            yield from self.space.decode(batch)


def scalarised(values: Floats, weights: Floats, rho: float) -> Floats:
    """(n,) the augmented Tchebycheff function of (n, m) objectives, each normalised to [0, 1], with (m,) weights
    that sum to 1; +inf for failed jobs, of which not all may be."""
    ok = np.isfinite(values).all(axis=1)
    low, span = values[ok].min(axis=0), np.ptp(values[ok], axis=0)
    weighted = weights * (values[ok] - low) / np.where(span > 0, span, 1.0)
    out = np.full(len(values), np.inf)
    out[ok] = weighted.max(axis=1) + rho * weighted.sum(axis=1)
    return out
