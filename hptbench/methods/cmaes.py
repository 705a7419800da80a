"""CMA-ES with margin for integers and categorical distributions for categories.

N. Hansen, "The CMA evolution strategy: a tutorial", 2016, arXiv:1604.00772, with its defaults: lambda = 4 + floor(3
ln d), negative weights (active CMA). Integers, ordinals included: R. Hamano, S. Saito, M. Nomura and S. Shirakawa,
"CMA-ES with margin: lower-bounding marginal probability for mixed-integer black-box optimization", GECCO 2022,
arXiv:2205.13482, with alpha = 1 / (n lambda). Categories: the categorical part of R. Hamano et al., "CatCMA:
stochastic optimization for mixed-category problems", GECCO 2024, arXiv:2405.09962; unlike a one-hot or ordinal code
with margin it supposes no order, and needs no more dimensions. Both are ranked together. The combination is a
baseline of R. Hamano et al., "CatCMA with margin", GECCO 2025, arXiv:2504.07884. Restarts: A. Auger and N. Hansen, "A
restart CMA evolution strategy with increasing population size", CEC 2005, doi:10.1109/CEC.2005.1554902.

Choices that the papers leave open, and deviations:

- Numbers live in the unit cube, on their scale; an integer's cells are those of :class:`hptbench.space.Space`. Points
  outside of the box are drawn again, up to a hundred times, then moved to its edge.
- The first mean is the centre and the first step size a sixth of the box, so that it is m +- 3 sigma, as the tutorial
  asks; after a restart the mean is uniform. A uniform first mean with step size 0.3, which the tutorial suggests too,
  does worse on most of six functions whose minimum is uniform in the box.
- Parameters that are inactive are sampled, too, and drift.
- Points that a forbidden clause excludes are drawn again.
- A generation ends when lambda individuals have been told, see :class:`hptbench.methods._population.Generations`.
  Those drawn from an older distribution, and reports of jobs that it did not propose, count as injected: N. Hansen,
  "Injecting external solutions into CMA-ES", 2011, arXiv:1110.4181. Those of before a restart do not count.
- If reports of others are there before the first ask, the best of them is the first mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._categories import Categories
from hptbench.methods._cma import Gaussian, population_size, recombination_weights
from hptbench.methods._population import FOREIGN, Generations, Individual, genotypes
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Floats


@method("cmaes")
@dataclass(frozen=True)
class CMAES:
    """CMA-ES, with margin for integers and categories, restarted with a larger population when it has converged.

    Failed jobs are the worst of their generation (+inf)."""

    population: int | None = None
    """lambda, individuals per generation. None: 4 + floor(3 ln d), d parameters that are not constant."""
    sigma: float = 1 / 6
    """First step size, as a share of the box."""
    growth: float = 2.0
    """Factor of the population at a restart."""
    traits: ClassVar[Traits] = Traits()

    def __post_init__(self) -> None:
        for name, allowed, ok in (
            ("population", ">= 4", self.population is None or self.population >= 4),
            ("sigma", "> 0", self.sigma > 0),
            ("growth", ">= 1", self.growth >= 1),
        ):
            if not ok:
                raise UserError(f"expected cmaes.{name} {allowed}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Generations):
    def __init__(self, method: CMAES, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng)
        self._method, space = method, problem.space
        categorical = space.categorical
        self._numbers = np.flatnonzero(~categorical & (space.sizes != 1))
        self._levels = np.flatnonzero(categorical & (space.sizes != 1))
        self._whole = space.sizes[self._numbers] > 0
        self._lambda = method.population or population_size(len(self._numbers) + len(self._levels))
        self._gaussian: Gaussian | None = None
        self._categories: Categories | None = None
        self._began: int | None = None
        """The generation in which this run of the restarted search began; None before the first ask."""
        self._best: Individual | None = None
        """Of what others told before the first ask."""

    @property
    def _size(self) -> int:
        return self._lambda

    def _start(self) -> None:
        again, self._began = self._began is not None, self._generation
        if len(self._numbers):
            mean = genotypes(self._space, 1, self._rng)[0] if again else np.full(len(self._space), 0.5)
            mean, self._best = self._best.u if self._best else mean, None
            self._gaussian = Gaussian(mean[self._numbers], self._method.sigma, self._lambda, self._whole, self._cells)
        if len(self._levels):
            self._categories = Categories(self._space.sizes[self._levels].tolist())

    def _cells(self, m: Floats) -> tuple[Floats, Floats]:
        """Edges of the integers' cells, without end at the ends."""
        u = np.full((1, len(self._space)), np.nan)
        columns = self._numbers[self._whole]
        u[0, columns] = np.clip(m, 0.0, 1.0)
        below, above = (edges[0, columns] for edges in self._space.cells_of(u))
        return np.where(below <= 0, -np.inf, below), np.where(above >= 1, np.inf, above)

    def _offspring(self) -> Floats:
        if self._began is None:
            self._start()
        u = np.full((self._lambda, len(self._space)), 0.5)
        if self._gaussian:
            u[:, self._numbers] = self._gaussian.sample(self._lambda, self._rng)
        if self._categories:
            codes = np.zeros(u.shape)
            codes[:, self._levels] = self._categories.sample(self._lambda, self._rng)
            u[:, self._levels] = self._space.from_codes(codes)[:, self._levels]
        return u

    def _learn(self, individual: Individual) -> None:
        if self._began is None:
            if self._best is None or individual.values[0] < self._best.values[0]:
                self._best = individual
        elif individual.origin == FOREIGN or individual.origin >= self._began:
            super()._learn(individual)

    def _select(self, told: list[Individual]) -> None:
        told = sorted(told, key=lambda individual: individual.values[0])
        u = np.array([individual.u for individual in told])
        if self._categories:
            w = np.maximum(recombination_weights(len(told)), 0)
            positions = self._space.codes(np.clip(u, 0.0, 1.0))[:, self._levels].astype(int)
            self._categories.update(positions, w / w.sum())
        if self._gaussian:
            own = np.array([individual.origin == self._generation - 1 for individual in told])
            self._gaussian.update(u[:, self._numbers], told[0].values[0], own)
            if self._gaussian.converged:
                self._lambda = math.ceil(self._lambda * self._method.growth)
                self._start()
