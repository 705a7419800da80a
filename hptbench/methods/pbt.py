"""PBT: population based training.

M. Jaderberg, V. Dalibard, S. Osindero, W. M. Czarnecki, J. Donahue, A. Razavi, O. Vinyals, T. Green, I. Dunning,
K. Simonyan, C. Fernando and K. Kavukcuoglu, "Population based training of neural networks", 2017, arXiv:1711.09846,
Algorithm 1 with truncation selection, perturbation and resampling: a member among the worst 20 % copies the state and
the hyperparameters of one of the best 20 %, drawn uniformly; then each hyperparameter is multiplied by 0.8 or 1.2, or
with some probability drawn anew. So what is found is not a configuration but a schedule: a path through trials, which
``python -m hptbench schedule`` follows back.

What the paper leaves open:

- When members are compared, and what happens to finished and failed ones: see :mod:`hptbench.methods._members`.
- Resampling has the probability 0.25 (Ray Tune, Syne Tune), for each hyperparameter by itself.
- The number at either end is rounded up, and at most half of the population (Ray Tune, Syne Tune).
- Products are clipped to their range; integers are rounded, and move by one at least. An ordinal moves to the level
  below or above. Categories have no neighbours: they stay as they are unless drawn anew. What becomes active by that is
  drawn uniformly. Products that a forbidden clause excludes are made again.
- An interval is a twentieth of the training, and the population as large as the budget can train to the end, at most
  20: the paper takes 10 to 80 members and intervals by task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._members import Member, Population, Sent, check_population
from hptbench.methods._moves import complete
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats, Kind

_REDRAWS = 100


@method("pbt")
@dataclass(frozen=True)
class PBT:
    """PBT: a population in training whose worst members copy the best and change their hyperparameters.

    For tasks whose training goes on from the state that another configuration left."""

    population: int | None = None
    """Members. None: as many as the budget can train to the end, but at least 4 and at most 20."""
    interval: float | None = None
    """Fidelity between two looks at a member. None: a twentieth of a full training, or the lowest fidelity."""
    truncation: float = 0.2
    """Share of the population that counts as worst, and as best."""
    resample_probability: float = 0.25
    """Of drawing a hyperparameter anew instead of multiplying it."""
    lower_factor: float = 0.8
    """What hyperparameters are multiplied by: this one"""
    upper_factor: float = 1.2
    """or this one, with equal chances."""
    traits: ClassVar[Traits] = Traits(fidelity=True)

    def __post_init__(self) -> None:
        check_population("pbt", self.population, self.truncation)
        for name, allowed, ok in (
            ("resample_probability", "in [0, 1]", 0 <= self.resample_probability <= 1),
            ("lower_factor", "in (0, 1)", 0 < self.lower_factor < 1),
            ("upper_factor", "> 1", self.upper_factor > 1),
        ):
            if not ok:
                raise UserError(f"expected pbt.{name} {allowed}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Population):
    def __init__(self, method: PBT, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng, method.population, method.interval, method.truncation)
        self._method = method
        self._free = [name for name, size in zip(problem.space.names, problem.space.sizes, strict=True) if size != 1]
        self._kinds = dict(zip(problem.space.names, problem.space.kinds, strict=True))

    def _learn(self, sent: Sent, value: float) -> None:
        """Nothing: PBT looks at its members only."""

    def _explore(self, donor: Member) -> Config:
        assert donor.report is not None  # a donor has a state
        config = donor.report.proposal.config
        for _ in range(_REDRAWS):
            u = self._changed(config)
            if self._space.legal(u)[0]:
                return self._space.decode(u)[0]
        return config

    def _changed(self, config: Config) -> Floats:
        """(1, d) each hyperparameter perturbed or drawn anew."""
        u, names = self._space.encode([config]), self._space.names
        for name in self._free:
            j = names.index(name)
            if name not in config:
                continue
            if self._rng.random() < self._method.resample_probability:
                u[0, j] = self._rng.random()
            elif self._kinds[name] is not Kind.CATEGORICAL:
                u[0, j] = self._perturbed(name, config)
        return complete(self._space, u, self._rng)

    def _perturbed(self, name: str, config: Config) -> float:
        """Where the value lies after it has been multiplied, in the unit interval."""
        up = self._rng.random() < 0.5
        if self._kinds[name] is Kind.ORDINAL:
            levels = self._space.levels(name)
            place = levels.index(config[name]) + (1 if up else -1)
            return self._space.place(name, levels[min(max(place, 0), len(levels) - 1)])
        old = float(config[name])
        bounds: Any = self._space.configspace[name]
        new = old * (self._method.upper_factor if up else self._method.lower_factor)
        if self._kinds[name] is Kind.INTEGER:
            new = round(new) if round(new) != old else old + (1 if up == (old >= 0) else -1)
        return self._space.place(name, min(max(new, bounds.lower), bounds.upper))
