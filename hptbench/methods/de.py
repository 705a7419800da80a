"""Differential evolution.

R. Storn and K. Price, "Differential evolution: a simple and efficient heuristic for global optimization over
continuous spaces", J. Global Optimization 11, 1997, doi:10.1023/A:1008202821328: DE/rand/1/bin. Search spaces with
integers, categories and conditions, F, Cr and what happens at the bounds are those of N. Awad, N. Mallik and F.
Hutter, "DEHB: Evolutionary hyperband for scalable, robust and efficient hyperparameter optimization", IJCAI 2021,
arXiv:2105.09821, and the class ``DE`` of the authors' code: the population lives in the unit cube, whose points are
turned into configurations only to be evaluated, and what a mutation takes out of the cube is drawn anew.

Deviations from both:

- The population, 20 there, is smaller on small budgets: with 20, a budget of 100 evaluations is five generations
  (with 10, the regret after 100 and after 300 evaluations was lower on each of six test functions).
- A trial vector competes as soon as it has been evaluated, not at the end of a generation (DEHB's asynchronous DE
  with immediate replacement), with whoever then holds its target's place. So no worker waits.
- Until four members of the population have been evaluated, trial vectors are uniform draws.
- Trial vectors that a forbidden clause excludes are bred again.
- Reports of jobs that it did not propose compete for the place of the worst member, or fill the population up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._population import FOREIGN, Evolution, Individual, fitting, genotypes
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Floats

_REDRAWS = 100


@method("de")
@dataclass(frozen=True)
class DE:
    """Differential evolution: a population whose members are challenged by crosses with differences of others.

    Failed jobs are worse than all others (+inf); a tie replaces the member."""

    population: int | None = None
    """NP, members of the population. None: a thirtieth of the budget's evaluations, but at least 10 and at most 20; 20
    for a budget of time alone."""
    mutation_factor: float = 0.5
    """F, weight of the difference."""
    crossover_prob: float = 0.5
    """Cr, probability that a gene comes from the mutant."""
    traits: ClassVar[Traits] = Traits()

    def __post_init__(self) -> None:
        for name, allowed, ok in (
            ("population", ">= 4", self.population is None or self.population >= 4),
            ("mutation_factor", "in (0, 2]", 0 < self.mutation_factor <= 2),
            ("crossover_prob", "in [0, 1]", 0 <= self.crossover_prob <= 1),
        ):
            if not ok:
                raise UserError(f"expected de.{name} {allowed}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Evolution):
    def __init__(self, method: DE, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng)
        self._method, self._np = method, method.population or fitting(problem.budget, 30, 10, 20)
        self._u = genotypes(problem.space, self._np, rng)
        """(NP, d) the population."""
        self._losses = np.full(self._np, math.inf)
        self._there = np.zeros(self._np, dtype=bool)
        """Which members have been evaluated."""
        self._bred = 0

    def _breed(self) -> Individual:
        target, self._bred = self._bred % self._np, self._bred + 1
        first = self._bred <= self._np
        # A copy: others may take the place before it has been evaluated.
        u = self._u[target].copy() if first and not self._there[target] else self._trial(target)
        [config] = self._space.decode(u[None])
        return Individual(u, config, target)

    def _trial(self, target: int) -> Floats:
        """(d,) a legal trial vector for the member ``target``."""
        others = np.flatnonzero(self._there)
        others = others[others != target]
        for _ in range(_REDRAWS if len(others) >= 3 else 0):
            a, b, c = self._u[self._rng.choice(others, 3, replace=False)]
            mutant = a + self._method.mutation_factor * (b - c)
            outside = (mutant < 0) | (mutant > 1)
            mutant = np.where(outside, self._rng.random(mutant.shape), mutant)
            crossed = self._rng.random(mutant.shape) <= self._method.crossover_prob
            crossed[self._rng.integers(len(mutant))] = True
            trial: Floats = np.where(crossed, mutant, self._u[target])
            if self._space.legal(trial[None])[0]:
                return trial
        return np.asarray(genotypes(self._space, 1, self._rng)[0])

    def _learn(self, individual: Individual) -> None:
        loss, place = individual.values[0], individual.origin
        if place == FOREIGN:
            place = int(np.argmax(self._losses))
        if not self._there[place] or loss <= self._losses[place]:
            self._u[place], self._losses[place], self._there[place] = individual.u, loss, True
