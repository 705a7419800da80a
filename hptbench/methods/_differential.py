"""Differential evolution's operators on subpopulations, as DEHB uses them: rand/1 mutation, binomial crossover."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hptbench.methods._population import genotypes
from hptbench.space import Floats, Space

_PARENTS = 3
"""That rand/1 needs."""
_REDRAWS = 32


class Subpopulation:
    """The members at one fidelity, each challenged in turn."""

    def __init__(self, u: Floats) -> None:
        self.u = u
        """(n, d) their genes, none NaN."""
        self.losses = np.full(len(u), math.inf)
        """(n,) +inf: not evaluated, or failed."""
        self.seen = np.zeros(len(u), dtype=bool)
        """(n,) which have been targets or replaced, so that they need no evaluation as they were drawn."""
        self.turn = 0
        """The next target."""

    def best(self, n: int) -> NDArray[np.intp]:
        """The ``n`` best members, the best first; equal ones in order of their places."""
        return np.argsort(self.losses, kind="stable")[:n]

    def compete(self, place: int, u: Floats, loss: float) -> None:
        """Put ``u`` in the place of a member that is not better."""
        if loss <= self.losses[place]:
            self.u[place], self.losses[place], self.seen[place] = u, loss, True


class Differential:
    """Breeds trial vectors by rand/1/bin from a pool of parents."""

    def __init__(self, space: Space, factor: float, crossover: float, rng: np.random.Generator) -> None:
        self._space, self._factor, self._crossover, self._rng = space, factor, crossover, rng

    def trial(self, target: Floats, pool: Floats, everyone: Sequence[Floats]) -> Floats:
        """(d,) a legal trial vector for ``target``; a uniform draw where there seems to be none.

        A pool, (n, d), of fewer than three is filled up with mutants of ``everyone``, so that there are four."""
        if len(pool) < _PARENTS:
            whole = np.concatenate(everyone)
            mutants = [self.mutant(target, whole) for _ in range(_PARENTS + 1 - len(pool))]
            pool = np.concatenate([pool, mutants])
        for _ in range(_REDRAWS):
            mutant = self.mutant(target, pool)
            crossed = self._rng.random(len(target)) < self._crossover
            if not crossed.any():
                crossed[self._rng.integers(len(target))] = True
            trial = np.where(crossed, mutant, target)
            trial = np.where((trial < 0) | (trial > 1), self._rng.random(len(trial)), trial)
            if self._space.legal(trial[None])[0]:
                return trial
        return np.asarray(genotypes(self._space, 1, self._rng)[0])

    def mutant(self, target: Floats, pool: Floats) -> Floats:
        """(d,) a + F (b - c) of three different rows of ``pool`` that are not the target; where there are fewer,
        uniform draws take part. It may lie outside the cube."""
        pool = pool[(pool != target).any(axis=1)]
        if len(pool) < _PARENTS:
            pool = np.concatenate([pool, self._rng.random((_PARENTS - len(pool), len(target)))])
        a, b, c = pool[self._rng.choice(len(pool), _PARENTS, replace=False)]
        return np.asarray(a + self._factor * (b - c))
