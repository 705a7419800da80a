"""Regularised (ageing) evolution.

E. Real, A. Aggarwal, Y. Huang and Q. V. Le, "Regularized evolution for image classifier architecture search", AAAI
2019, arXiv:1802.01548, Algorithm 1, with the P and S of the paper's large experiments.

P = 100 means that the first hundred evaluations are random search, whatever the budget: on a smaller one this method
*is* random search. P and S are kept as in the paper, which evaluates 20,000 architectures; others use 100 / 10
(NAS-Bench-101, Syne Tune) or 20 / 5 (NePS).

Deviations from the paper, whose space is one of architectures:

- A mutation gives one active parameter, any of them with equal probability, another value, drawn uniformly: a
  category another level, a number from its whole range (on its scale). The identity is no mutation (there, one in
  twenty).
- Parameters that a mutation makes active have the value that they last had among the ancestors.
- A child whose configuration has been evaluated before joins the population with its known value, at no cost.
- Reports of jobs that it did not propose join the population; of the first P, as many fewer are random.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._moves import one_exchange
from hptbench.methods._population import FOREIGN, Evolution, Individual, genotypes
from hptbench.protocol import Problem, Traits
from hptbench.registry import method


@method("regularized_evolution")
@dataclass(frozen=True)
class RegularizedEvolution:
    """Regularised evolution: mutants of tournament winners replace the oldest, not the worst.

    As in the paper it is asynchronous: a child is bred from whoever has been evaluated, and joins the population when
    it has. Failed jobs join it, too, as the worst (+inf), and are never parents but of an all-failed tournament."""

    population: int = 100
    """P, individuals alive."""
    sample: int = 25
    """S, size of a tournament; drawn with replacement, as in the paper."""
    traits: ClassVar[Traits] = Traits()

    def __post_init__(self) -> None:
        for name in ("population", "sample"):
            if getattr(self, name) < 1:
                raise UserError(f"expected regularized_evolution.{name} >= 1, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Evolution):
    def __init__(self, method: RegularizedEvolution, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng)
        self._sample = method.sample
        self._alive: deque[Individual] = deque(maxlen=method.population)
        """The oldest first: when it is full, who joins pushes out the oldest."""
        self._founders = method.population
        """Random individuals still to be bred."""

    def _breed(self) -> Individual:
        if self._founders > 0 or not self._alive:
            self._founders -= 1
            u = genotypes(self._space, 1, self._rng)
            return Individual(u[0], self._space.decode(u)[0])
        tournament = self._rng.integers(len(self._alive), size=self._sample).tolist()
        parent = min((self._alive[i] for i in tournament), key=lambda individual: individual.values[0])
        return Individual(*one_exchange(self._space, parent.u, parent.config, None, self._rng))

    def _learn(self, individual: Individual) -> None:
        self._founders -= individual.origin == FOREIGN
        self._alive.append(individual)
