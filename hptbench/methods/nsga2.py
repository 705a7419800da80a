"""NSGA-II.

K. Deb, A. Pratap, S. Agarwal and T. Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
Trans. Evolutionary Computation 6(2), 2002, doi:10.1109/4235.996017: fast non-dominated sorting (section III-A),
crowding distance (III-B), the main loop (III-C) and constrained domination (section VI, Definition 1), with the
operators and the settings of section V for real-coded genes: simulated binary crossover and polynomial mutation in
the form that respects bounds (K. Deb and R. B. Agrawal, Complex Systems 9, 1995; the authors' C code), one gene in d
mutated.

Deviations from the paper:

- Genes are the coordinates of the unit cube, one per parameter that is not constant; integers and ordinals are cells
  of [0, 1]. Those of inactive parameters are inherited, but not expressed. Categories change places between the
  children of a crossed pair with probability 1/4, as numbers do (one gene in two is crossed, and the results of one
  in two of these are swapped), and mutate to any level.
- The population is 20 to 50 instead of 100, as budgets are smaller here than the paper's 25,000: with 50, a budget of
  100 evaluations does no better than random search on ZDT1 to ZDT3 and DTLZ2.
- A child whose configuration has been evaluated before joins with its known values, at no cost.
- A generation ends when as many as it holds have been told, see :class:`hptbench.methods._population.Generations`; so
  no worker waits, and with one worker it is the paper's.
- Individuals of equal rank and crowding are told apart at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError
from hptbench.methods._nsga2 import crowding, polynomial, sbx
from hptbench.methods._population import Generations, Individual, fitting, genotypes
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Floats


@method("nsga2")
@dataclass(frozen=True)
class NSGA2:
    """NSGA-II: a genetic algorithm for several objectives, by non-dominated sorting and crowding.

    Feasible individuals come before infeasible ones, these in the order of their summed violations. Failed jobs are
    the worst (+inf throughout). Reports of jobs that it did not propose count as offspring."""

    population: int | None = None
    """N, parents and offspring each. None: a fifteenth of the budget's evaluations, but at least 20 and at most 50
    (Optuna's default); 50 for a budget of time alone."""
    crossover_prob: float = 0.9
    """p_c, per pair of parents."""
    crossover_eta: float = 20.0
    """Distribution index of simulated binary crossover: large means children near their parents."""
    mutation_eta: float = 20.0
    """Distribution index of polynomial mutation."""
    traits: ClassVar[Traits] = Traits(min_objectives=2, max_objectives=99, constraints=True)

    def __post_init__(self) -> None:
        for name, allowed, ok in (
            ("population", ">= 2", self.population is None or self.population >= 2),
            ("crossover_prob", "in [0, 1]", 0 <= self.crossover_prob <= 1),
            ("crossover_eta", ">= 0", self.crossover_eta >= 0),
            ("mutation_eta", ">= 0", self.mutation_eta >= 0),
        ):
            if not ok:
                raise UserError(f"expected nsga2.{name} {allowed}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Generations):
    def __init__(self, method: NSGA2, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng)
        self._method, self._n = method, method.population or fitting(problem.budget, 15, 20, 50)
        self._parents: list[Individual] = []
        """In the order of crowded comparison, the best first."""
        self._categorical = problem.space.categorical
        self._rate = 1 / max(1, int((problem.space.sizes != 1).sum()))

    @property
    def _size(self) -> int:
        return self._n

    def _offspring(self) -> Floats:
        if not self._parents:
            return genotypes(self._space, self._size, self._rng)
        rng, u = self._rng, np.array([parent.u for parent in self._parents])
        # Binary tournaments in which all compete twice, as in the authors' code; the lower number wins.
        rivals = rng.permuted(np.tile(np.arange(len(u)), (2, 1)), axis=1).reshape(-1, 2)
        pairs = (self._size + 1) // 2
        a, b = u[np.resize(rivals.min(axis=1), (2, pairs))]
        crossed = (rng.random((pairs, 1)) < self._method.crossover_prob) & (rng.random(a.shape) < 0.5)
        swapped = rng.random(a.shape) < 0.5
        low, high = sbx(np.minimum(a, b), np.maximum(a, b), rng.random(a.shape), self._method.crossover_eta)
        low, high = (np.where(self._categorical, gene, child) for gene, child in ((a, low), (b, high)))
        one, two = np.where(swapped, high, low), np.where(swapped, low, high)
        children = np.concatenate([np.where(crossed, one, a), np.where(crossed, two, b)])[: self._size]
        moved = polynomial(children, rng.random(children.shape), self._method.mutation_eta)
        mutants = np.where(self._categorical, rng.random(children.shape), moved)
        return np.where(rng.random(children.shape) < self._rate, mutants, children)

    def _select(self, told: list[Individual]) -> None:
        alive = self._parents + told
        values = np.array([individual.values for individual in alive])
        rank = ranks(values, np.array([individual.violation for individual in alive]))
        distance = np.empty(len(alive))
        for front in range(rank.max() + 1):
            distance[rank == front] = crowding(values[rank == front])
        order = np.lexsort((self._rng.random(len(alive)), -distance, rank))
        self._parents = [alive[i] for i in order[: self._size]]


def ranks(values: Floats, violation: Floats) -> NDArray[np.intp]:
    """(n,) the number of the front, from 0, of (n, k) objectives with (n,) sums of violated constraints."""
    feasible = violation == 0
    pareto = (values[:, None] <= values).all(axis=2) & (values[:, None] < values).any(axis=2)
    dominates = np.where(feasible[:, None] & feasible, pareto, violation[:, None] < violation)
    rank, left, front = np.zeros(len(values), dtype=np.intp), dominates.sum(axis=0), 0
    while (now := left == 0).any():
        rank[now] = front
        left = left - dominates[now].sum(axis=0)
        left[now], front = -1, front + 1
    return rank
