"""Iterated local search, as in ParamILS.

F. Hutter, H. H. Hoos, K. Leyton-Brown and T. Stützle, "ParamILS: an automatic algorithm configuration framework",
JAIR 36, 2009, doi:10.1613/jair.2861, arXiv:1401.3492, Algorithm 1, with the paper's r, s and p_restart, and one
evaluation per configuration (BasicILS(1)): the best of r random configurations is improved by steps to neighbours,
tried in random order, the first that is no worse taken; from a local optimum, s random steps lead to where the next
descent begins; of two local optima the better is kept, and now and then all begins anew at random.

Deviations from the paper:

- Its parameters take few values each, ours need not: a number has four random neighbours at a time (those of SMAC,
  see :func:`hptbench.methods._moves.neighbours`) instead of all its other values. A neighbourhood is over when all of
  it has been evaluated and none was taken.
- Descents accept ties as Algorithm 1 does, but not a configuration that the descent has accepted before: plateaus
  end.
- Several workers try neighbours of one configuration at once; the first reported that is no worse is taken, and what
  is still running then is compared with the new one. While the rest of a neighbourhood is running, more random
  neighbours are tried, so that no worker waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._history import key_of
from hptbench.methods._moves import neighbours, one_exchange
from hptbench.methods._population import FOREIGN, Evolution, Individual, expressed, genotypes
from hptbench.protocol import Problem, Traits
from hptbench.registry import method


@method("local_search")
@dataclass(frozen=True)
class LocalSearch:
    """Iterated local search as in ParamILS: first improvement among one-exchange neighbours, perturbation, restarts.

    Failed jobs are no better than any other (+inf). Reports of jobs that it did not propose count as neighbours of
    the current configuration."""

    initial: int = 10
    """r, uniform draws in the beginning."""
    strength: int = 3
    """s, random steps away from a local optimum."""
    restart_prob: float = 0.01
    """p_restart, probability of a new beginning after a descent."""
    std: float = 0.2
    """Standard deviation of a step of a number, in the unit interval."""
    traits: ClassVar[Traits] = Traits()

    def __post_init__(self) -> None:
        for name, allowed, ok in (
            ("initial", ">= 1", self.initial >= 1),
            ("strength", ">= 1", self.strength >= 1),
            ("restart_prob", "in [0, 1]", 0 <= self.restart_prob <= 1),
            ("std", "> 0", self.std > 0),
        ):
            if not ok:
                raise UserError(f"expected local_search.{name} {allowed}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Evolution):
    def __init__(self, method: LocalSearch, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng)
        self._method = method
        self._initial = 0
        """Evaluations of the beginning."""
        self._home: Individual | None = None
        """The best of the first draws, then the local optimum that is perturbed next; None: a random start."""
        self._here: Individual | None = None
        """Where the descent is; None until its start has been evaluated."""
        self._accepted: set[object] = set()
        """Keys of the configurations that the descent has been at."""
        self._step = self._descent = 0
        """Number of the step, which is the origin of what it breeds, and of the descent's first one."""
        self._untried: list[Individual] = []
        self._open = 0
        """Individuals of this step that have not been evaluated."""

    def _breed(self) -> Individual:
        if self._initial < self._method.initial:
            return self._random()
        if self._here is None:
            return self._random() if self._home is None else self._perturbed(self._home)
        if self._untried:
            return self._untried.pop()
        self._open += 1
        return self._neighbour(self._here)

    def _learn(self, individual: Individual) -> None:
        loss = individual.values[0]
        if self._initial < self._method.initial:
            self._initial += 1
            if self._home is None or loss < self._home.values[0]:
                self._home = individual
            if self._initial == self._method.initial:
                self._begin(self._home)
            return
        if individual.origin != FOREIGN and individual.origin < self._descent:
            if self._home is not None and loss < self._home.values[0]:
                self._home = individual
            return
        if self._here is None:
            self._begin(individual)
            return
        self._open -= individual.origin == self._step
        if loss <= self._here.values[0] and key_of(individual.config) not in self._accepted:
            self._move(individual)
        elif self._open == 0:
            self._end()

    def _begin(self, individual: Individual) -> None:
        """Begin a descent."""
        self._accepted = set()
        self._move(individual)

    def _move(self, individual: Individual) -> None:
        self._here, self._step = individual, self._step + 1
        self._accepted.add(key_of(individual.config))
        [u] = self._space.deactivate(individual.u[None])
        near = expressed(neighbours(self._space, u, self._rng, std=self._method.std), self._rng)
        near = near[self._rng.permutation(len(near))]
        rows = zip(near, self._space.decode(near), strict=True)
        self._untried = [Individual(row, config, self._step) for row, config in rows]
        self._open = len(self._untried)
        if not self._untried:
            self._end()

    def _end(self) -> None:
        """A local optimum."""
        assert self._here is not None  # the descent had begun
        if self._home is None or self._here.values[0] <= self._home.values[0]:
            self._home = self._here
        if self._rng.random() < self._method.restart_prob:
            self._home = None
        self._here, self._untried, self._open = None, [], 0
        self._step += 1
        self._descent = self._step

    def _random(self) -> Individual:
        u = genotypes(self._space, 1, self._rng)
        return Individual(u[0], self._space.decode(u)[0], self._step)

    def _neighbour(self, of: Individual) -> Individual:
        near = one_exchange(self._space, of.u, of.config, self._method.std, self._rng)
        return Individual(*near, self._step)

    def _perturbed(self, individual: Individual) -> Individual:
        for _ in range(self._method.strength):
            individual = self._neighbour(individual)
        return individual
