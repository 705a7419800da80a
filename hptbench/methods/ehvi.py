"""Expected hypervolume improvement.

- The criterion: M. Emmerich, K. Giannakoglou and B. Naujoks, "Single- and multiobjective evolutionary optimization
  assisted by Gaussian random field metamodels", IEEE Trans. Evolutionary Computation 10(4), 2006,
  doi:10.1109/TEVC.2005.859463; computed exactly, see :class:`hptbench.methods._hypervolume.LogEHVI`.
- Independent Gaussian processes, one per objective, and the gradient of the criterion: S. Daulton, M. Balandat and
  E. Bakshy, "Differentiable expected hypervolume improvement for parallel multi-objective Bayesian optimization",
  NeurIPS 2020, arXiv:2006.05078; its logarithm: S. Ament et al., NeurIPS 2023, arXiv:2310.20708.
- Processes, targets, and how the criterion is maximised: as in :mod:`hptbench.methods.gp`.

Choices and deviations:

- No reference point is given: the problem does not say how bad is too bad. It lies a tenth of a range behind the worst
  of the front, as in BoTorch, for one half of the proposals, and a tenth behind the worst of all that was observed for
  the other. The nearer one alone leads nowhere once a front of few points has collapsed, the farther one alone spends
  too much on the ends of the front.
- The front is that of the posterior means at the observed points, since with noise the best observations are a matter
  of luck (S. Daulton, M. Balandat and E. Bakshy, NeurIPS 2021, arXiv:2105.08195, integrate over it instead).
- Pending jobs count as if they had returned their posterior means (D. Ginsbourger, R. Le Riche and L. Carraro,
  "Kriging is well-suited to parallelize optimization", 2010: the believer), instead of being integrated over.
- Exact for two and three objectives; more are refused, as the boxes become too many.
- Failed jobs count as the worst value seen in every objective, and are on no front. At most ``max_points`` points, the
  same for all objectives: half of them the nearest to the front, half the latest of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._hypervolume import LogEHVI, behind, nondominated
from hptbench.methods._maximise import Maximiser
from hptbench.methods._modelled import Modelled
from hptbench.methods._surrogate import Surrogate, kept, standardised, transformed, without_failures
from hptbench.models.embedding import Embedding
from hptbench.models.gp import GP, Priors
from hptbench.protocol import Problem, Report, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats, Mask

_MARGIN = 0.1
"""How far the reference point lies behind, in ranges of the front; and the least of these, in ranges of all that was
observed."""


@method("ehvi")
@dataclass(frozen=True)
class EHVI:
    """Bayesian optimisation of two or three objectives by the expected hypervolume improvement."""

    initial: int = 8
    """Points of a Sobol sequence before the first model."""
    far: float = 0.5
    """Share of proposals whose reference point lies behind all that was observed; else, behind the front."""
    transform: bool = True
    """Bring the targets nearer to a normal distribution; else they are only standardised."""
    warp: bool = True
    """Warp the inputs."""
    candidates: int = 512
    """Points at which the acquisition function is looked at, drawn uniformly; as many near points of the front."""
    starts: int = 6
    """The best of them from which it is climbed."""
    max_points: int = 400
    """The models see no more."""
    traits: ClassVar[Traits] = Traits(min_objectives=2, max_objectives=3)

    def __post_init__(self) -> None:
        for name, least in (("initial", 1), ("candidates", 1), ("starts", 1), ("max_points", 10)):
            if getattr(self, name) < least:
                raise UserError(f"expected ehvi.{name} >= {least}, got {getattr(self, name)}")
        if not 0 <= self.far <= 1:
            raise UserError(f"expected ehvi.far in [0, 1], got {self.far}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Modelled):
    def __init__(self, method: EHVI, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng, method.initial)
        self._method = method
        self._embedding = Embedding(problem.space, method.warp)
        self._maximise = Maximiser(problem.space, method.candidates, method.starts)
        self._surrogates = [Surrogate(self._embedding, Priors(), method.max_points) for _ in problem.objectives]
        self._fitted: tuple[Floats, Sequence[GP]] | None = None
        """Points whose jobs succeeded, and a process per objective."""

    def tell(self, reports: Sequence[Report]) -> None:
        super().tell(reports)
        self._fitted = None

    def promising(self, pending: Floats) -> Iterator[Config]:
        if self._fitted is None:
            self._fitted = self._fit()
        u, gps = self._fitted
        if len(pending):
            x, u = self._embedding(pending), np.concatenate([u, pending])
            gps = [gp.given(x, gp.predict(x)[0]) for gp in gps]
        means = np.column_stack([gp.predict(self._embedding(u))[0] for gp in gps])
        on_front = nondominated(means)
        reference = reference_point(means, on_front, bool(self.rng.random() < self._method.far))
        acquisition = LogEHVI(gps, means[on_front], reference, self._embedding)
        near = self.rng.permutation(u[on_front])
        for batch in self._maximise(acquisition, near, self.rng):
            yield from self.space.decode(batch)

    def _fit(self) -> tuple[Floats, Sequence[GP]]:
        u, values = self.history.u, self.history.values
        ok = np.asarray(np.isfinite(values).all(axis=1))
        front = values[ok][nondominated(values[ok])]
        complete = np.column_stack([without_failures(column) for column in values.T])
        keep = kept(np.where(ok, behind(complete, front), np.inf), self._method.max_points)
        transform = transformed if self._method.transform else standardised
        targets = [transform(column) for column in complete[keep].T]
        fits = [surrogate.fit(u[keep], y) for surrogate, y in zip(self._surrogates, targets, strict=True)]
        return u[keep][ok[keep]], [fitted.gp for fitted in fits]


def reference_point(means: Floats, on_front: Mask, far: bool) -> Floats:
    """(m,) for (n, m) predicted values, of which some are on the front: see above."""
    best, worst = means.min(axis=0), means.max(axis=0)
    nadir = means[on_front].max(axis=0)
    everything = np.where(worst > best, worst - best, 1.0)
    width = np.maximum(nadir - best, _MARGIN * everything)
    return np.asarray((worst if far else nadir) + _MARGIN * width)
