"""Simulated annealing.

S. Kirkpatrick, C. D. Gelatt and M. P. Vecchi, "Optimization by simulated annealing", Science 220, 1983,
doi:10.1126/science.220.4598.671: a step that makes the loss worse by D is taken with probability exp(-D / T)
(Metropolis et al., 1953), while the temperature T falls geometrically. The paper leaves the schedule to the problem;
here

- the first evaluations are uniform draws, the best of which is the start;
- the first temperature is the one at which a step as bad as the mean difference D among these draws would be taken
  with probability ``acceptance`` (D. S. Johnson et al., Operations Research 37(6), 1989, doi:10.1287/opre.37.6.865,
  who measure D on steps): T = -D / ln(acceptance);
- T = T_0 cooling^s, where s is the share of the budget that has been spent since. It ends with the budget.

The paper begins where nearly all steps are accepted. With a few hundred evaluations that is time lost: of acceptances
of 0.1, 0.3 and 0.5 and coolings of 1e-2 and 1e-4, the lowest did best on six test functions.

The neighbourhood is :func:`hptbench.methods._moves.one_exchange`: one active parameter changes, a number to a draw
from a normal around its value, a category to another level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._moves import one_exchange
from hptbench.methods._population import Evolution, Individual, genotypes
from hptbench.protocol import Problem, Traits
from hptbench.registry import method


@method("simulated_annealing")
@dataclass(frozen=True)
class SimulatedAnnealing:
    """Simulated annealing: steps to neighbours, worse ones with a probability that falls with the budget.

    Several workers try neighbours of the current configuration at once; each is accepted or not, when it has been
    evaluated, against what is then the current one. Failed jobs (+inf) are never accepted but from a failed one.
    Reports of jobs that it did not propose are steps like any others."""

    initial: int = 10
    """Uniform draws in the beginning."""
    acceptance: float = 0.1
    """Probability of accepting a step of mean size at the first temperature."""
    cooling: float = 1e-4
    """Last temperature, as a share of the first."""
    std: float = 0.2
    """Standard deviation of a step of a number, in the unit interval."""
    traits: ClassVar[Traits] = Traits()

    def __post_init__(self) -> None:
        for name, allowed, ok in (
            ("initial", ">= 2", self.initial >= 2),
            ("acceptance", "in (0, 1)", 0 < self.acceptance < 1),
            ("cooling", "in (0, 1]", 0 < self.cooling <= 1),
            ("std", "> 0", self.std > 0),
        ):
            if not ok:
                raise UserError(f"expected simulated_annealing.{name} {allowed}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Evolution):
    def __init__(self, method: SimulatedAnnealing, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng)
        self._method = method
        self._first: list[float] = []
        """Losses of the first evaluations."""
        self._current: Individual | None = None
        self._hot, self._began = 0.0, 0.0
        """The first temperature, and the share of the budget spent when it was set."""

    def _breed(self) -> Individual:
        if self._current is None or len(self._first) < self._method.initial:
            u = genotypes(self._space, 1, self._rng)
            return Individual(u[0], self._space.decode(u)[0])
        here = self._current
        return Individual(*one_exchange(self._space, here.u, here.config, self._method.std, self._rng))

    def _learn(self, individual: Individual) -> None:
        loss = individual.values[0]
        if len(self._first) < self._method.initial:
            self._first.append(loss)
            if len(self._first) == self._method.initial:
                self._hot, self._began = first_temperature(self._first, self._method.acceptance), self._spent
            if self._current is None or loss < self._current.values[0]:
                self._current = individual
        elif self._accepts(loss):
            self._current = individual

    def _accepts(self, loss: float) -> bool:
        assert self._current is not None  # the first evaluations have been told
        chance = self._rng.random()
        if loss <= self._current.values[0]:
            return True
        spent = (self._spent - self._began) / (1 - self._began) if self._began < 1 else 1.0
        temperature = self._hot * self._method.cooling**spent
        if math.isinf(loss) or temperature == 0:
            return False
        return chance < math.exp((self._current.values[0] - loss) / temperature)


def first_temperature(losses: list[float], acceptance: float) -> float:
    """The temperature at which the mean absolute difference of the finite ``losses`` is accepted with probability
    ``acceptance``; 0, at which nothing worse is accepted, if they do not differ."""
    finite = np.array([loss for loss in losses if math.isfinite(loss)])
    if len(finite) < 2:
        return 0.0
    with np.errstate(over="ignore"):  # of losses of diverged trainings: nearly all is accepted
        mean = np.abs(finite[:, None] - finite).sum() / (len(finite) * (len(finite) - 1))
    return float(-mean / math.log(acceptance))
