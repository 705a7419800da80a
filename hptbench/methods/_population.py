"""Asking and telling for methods that evolve configurations: workers, duplicates, failures, foreign reports.

A method breeds one individual after the other and learns of each what it was worth; in which order they come back,
and whether they are still of use, is its own rule. The rest is here, the same for all:

- An individual whose configuration is known already (two genotypes may stand for one configuration) is told at once
  what is known, and nothing is evaluated; one whose configuration is running is told with it.
- Where 32 individuals in a row bring nothing new, a uniform draw is evaluated, and where 1024 of these bring nothing
  new either, the space counts as exhausted: from then on configurations come again.
- Reports of jobs that were not asked for are individuals, too (``origin`` FOREIGN, as are those uniform draws), one
  per configuration. Reports below the full fidelity are left out.
- No worker ever waits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from hptbench.methods._draws import Uniform
from hptbench.methods._history import key_of
from hptbench.protocol import Budget, Problem, Proposal, Report
from hptbench.space import Config, Floats, Space

FOREIGN = -1
"""Origin of an individual that the method did not breed."""
_TRIES = 32
_DRAWS = 1024
_REDRAWS = 100
_Key: TypeAlias = frozenset[tuple[str, object]]


@dataclass(slots=True, eq=False)
class Individual:
    """A genotype, the configuration that it stands for, and what that was worth."""

    u: Floats
    """(d,) the genes: a point of the unit cube. Those of inactive parameters are silent: carried and inherited, but
    not expressed; drawn in foreign ones."""
    config: Config
    origin: int = 0
    """The method's own number for where it comes from."""
    values: tuple[float, ...] = ()
    """The objectives; +inf each if the job failed."""
    violation: float = 0.0
    """Sum of the violated constraints; 0 if feasible (or if there are none), +inf if the job failed."""


class Evolution(ABC):
    """A search that breeds and learns."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self._problem, self._space, self._rng = problem, problem.space, rng
        self._high = problem.fidelity.high if problem.fidelity else None
        self._uniform = Uniform(problem.space, rng)
        self._known: dict[_Key, Report] = {}
        self._waiting: dict[_Key, list[Individual]] = {}
        self._exhausted = False
        self._jobs, self._cost = 0, 0.0

    @abstractmethod
    def _breed(self) -> Individual:
        """The next individual, legal, not necessarily new."""

    @abstractmethod
    def _learn(self, individual: Individual) -> None:
        """Take in an individual that has been evaluated."""

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        pending = {key_of(proposal.config) for proposal in running}
        return [Proposal(self._next(pending)) for _ in range(n)]

    def tell(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if self._high is not None and report.fidelity != self._high:
                continue
            key = key_of(report.proposal.config)
            waiting = self._waiting.pop(key, [])
            if waiting:
                self._jobs, self._cost = self._jobs + 1, self._cost + report.cost
            elif key not in self._known:
                waiting = [self._foreign(report.proposal.config)]
            self._known.setdefault(key, report)
            for individual in waiting:
                self._evaluated(individual, report)

    @property
    def _spent(self) -> float:
        """Share of the budget that the search's own jobs have spent so far, in [0, 1]; of a budget of time it is
        the workers' time."""
        budget = self._problem.budget
        jobs = [self._jobs / limit for limit in (budget.max_jobs, budget.max_full_evals) if limit is not None]
        time = [self._cost / (limit * self._problem.workers) for limit in (budget.max_time,) if limit is not None]
        return min(1.0, max(jobs + time))

    def _next(self, pending: set[_Key]) -> Config:
        """The next configuration to evaluate, added to ``pending``."""
        for _ in range(_TRIES):
            individual = self._breed()
            key = key_of(individual.config)
            if self._exhausted or (key not in self._known and key not in pending):
                return self._sent(individual, key, pending)
            if key in pending:
                self._waiting.setdefault(key, []).append(individual)
            else:
                self._evaluated(individual, self._known[key])
        for _ in range(_DRAWS):
            config, _ = self._uniform.draw()
            key = key_of(config)
            if key not in self._known and key not in pending:
                return self._sent(self._foreign(config), key, pending)
        self._exhausted = True
        return self._next(pending)

    def _foreign(self, config: Config) -> Individual:
        return Individual(expressed(self._space.encode([config]), self._rng)[0], config, FOREIGN)

    def _sent(self, individual: Individual, key: _Key, pending: set[_Key]) -> Config:
        self._waiting.setdefault(key, []).append(individual)
        pending.add(key)
        return individual.config

    def _evaluated(self, individual: Individual, report: Report) -> None:
        individual.values = report.values
        individual.violation = sum(max(0.0, c) for c in report.constraints)
        self._learn(individual)


class Generations(Evolution):
    """An evolution in generations that no worker waits for.

    Offspring are bred from the current parents, more than a generation if more are asked for. When as many
    individuals as a generation holds have been told since the last one ended, whenever they were bred and by whom, it
    ends: offspring that nobody has been sent are forgotten, those still running count for the next one."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng)
        self._told: list[Individual] = []
        self._brood: list[Individual] = []
        """Bred and not yet sent, the next one last."""
        self._generation = 0

    @property
    @abstractmethod
    def _size(self) -> int:
        """How many individuals make a generation."""

    @abstractmethod
    def _offspring(self) -> Floats:
        """(n, d) genotypes bred from the current parents, legal or not, n >= 1."""

    @abstractmethod
    def _select(self, told: list[Individual]) -> None:
        """End a generation."""

    def _breed(self) -> Individual:
        if not self._brood:
            u = self._legal_offspring()
            rows = zip(u, self._space.decode(u), strict=True)
            self._brood = [Individual(row, config, self._generation) for row, config in rows][::-1]
        return self._brood.pop()

    def _legal_offspring(self) -> Floats:
        for _ in range(_REDRAWS):
            u = self._offspring()
            legal = self._space.legal(u)
            if legal.any():
                return u[legal]
        return genotypes(self._space, self._size, self._rng)

    def _learn(self, individual: Individual) -> None:
        self._told.append(individual)
        if len(self._told) >= self._size:
            told, self._told, self._brood = self._told, [], []
            self._generation += 1
            self._select(told)


def fitting(budget: Budget, generations: int, least: int, most: int) -> int:
    """The size of a population that lives for so many generations, from ``least`` to ``most``; ``most`` if the budget
    is one of time alone."""
    limits = [limit for limit in (budget.max_jobs, budget.max_full_evals) if limit is not None]
    return min(most, max(least, int(min(limits) // generations))) if limits else most


def genotypes(space: Space, n: int, rng: np.random.Generator) -> Floats:
    """(n, d) uniform draws, none of them forbidden, the silent genes included."""
    return expressed(space.sample(rng, n), rng)


def expressed(u: Floats, rng: np.random.Generator) -> Floats:
    """``u`` with a uniform draw for every NaN."""
    missing = np.isnan(u)
    return np.where(missing, rng.random(u.shape), u) if missing.any() else u
