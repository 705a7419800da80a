"""A genetic algorithm.

J. H. Holland, "Adaptation in natural and artificial systems", 1975, with the operators that became usual: tournament
selection (D. E. Goldberg and K. Deb, "A comparative analysis of selection schemes used in genetic algorithms", FOGA
1990, doi:10.1016/B978-0-08-050684-5.50008-2), uniform crossover (G. Syswerda, ICGA 1989), elitism (K. A. De Jong,
1975) and a mutation rate of one gene in d (H. Mühlenbein, PPSN 1992). There is no canonical version for
hyperparameters. Here

- genes are the coordinates of the unit cube, one per parameter that is not constant; those of inactive parameters are
  inherited, but not expressed;
- a generation is ``elites`` survivors, the best of the one before, and otherwise children;
- each parent is the best of ``tournament`` members, drawn with replacement;
- with probability ``crossover_prob`` each gene of a child comes from either parent with equal probability, else all
  from the first;
- each gene mutates with probability 1 / d: a category becomes any level, a number (integers and ordinals too) moves
  by a normal step with standard deviation ``std``, truncated to the interval;
- a child whose configuration has been evaluated before joins with its known value, at no cost.

The settings are for budgets of a few hundred evaluations: of populations of 10 and 20, tournaments of 2 and 4 and
steps of 0.1 and 0.2, these did best on six test functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._moves import truncated_normal
from hptbench.methods._population import Generations, Individual, genotypes
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Floats


@method("genetic")
@dataclass(frozen=True)
class Genetic:
    """A genetic algorithm: tournament selection, uniform crossover, mutation of one gene in d, elitism.

    Failed jobs are the worst (+inf). With several workers children are bred from the current generation until enough
    have been told for the next one, see :class:`hptbench.methods._population.Generations`; reports of jobs that it
    did not propose count as children."""

    population: int = 10
    """Members of a generation."""
    elites: int = 1
    """Of them survivors of the one before."""
    tournament: int = 4
    """Members that compete to be a parent."""
    crossover_prob: float = 0.9
    """Probability that a child has two parents."""
    std: float = 0.2
    """Standard deviation of a number's mutation, in the unit interval."""
    traits: ClassVar[Traits] = Traits()

    def __post_init__(self) -> None:
        for name, allowed, ok in (
            ("population", ">= 2", self.population >= 2),
            ("elites", "in 0 .. population - 1", 0 <= self.elites < self.population),
            ("tournament", ">= 1", self.tournament >= 1),
            ("crossover_prob", "in [0, 1]", 0 <= self.crossover_prob <= 1),
            ("std", "> 0", self.std > 0),
        ):
            if not ok:
                raise UserError(f"expected genetic.{name} {allowed}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Generations):
    def __init__(self, method: Genetic, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng)
        self._method = method
        self._parents: list[Individual] = []
        """The current generation, the best first."""
        self._categorical = problem.space.categorical
        self._rate = 1 / max(1, int((problem.space.sizes != 1).sum()))

    @property
    def _size(self) -> int:
        return self._method.population - (self._method.elites if self._parents else 0)

    def _offspring(self) -> Floats:
        if not self._parents:
            return genotypes(self._space, self._size, self._rng)
        u, n = np.array([parent.u for parent in self._parents]), self._size
        # The best first: the winner of a tournament is the one with the lowest number.
        mothers, fathers = self._rng.integers(len(u), size=(2, n, self._method.tournament)).min(axis=2)
        crossed = self._rng.random((n, 1)) < self._method.crossover_prob
        children = np.where(crossed & (self._rng.random((n, u.shape[1])) < 0.5), u[fathers], u[mothers])
        moved = truncated_normal(children, self._method.std, self._rng)
        mutants = np.where(self._categorical, self._rng.random(children.shape), moved)
        return np.where(self._rng.random(children.shape) < self._rate, mutants, children)

    def _select(self, told: list[Individual]) -> None:
        alive = self._parents[: self._method.elites] + told
        self._parents = sorted(alive, key=lambda individual: individual.values[0])
