"""PB2: population based bandits.

J. Parker-Holder, V. Nguyen and S. J. Roberts, "Provably efficient online hyperparameter optimization with
population-based bandits", NeurIPS 2020, arXiv:2002.02518: PBT whose worst members, after they have copied the state of
one of the best, get the hyperparameters that maximise the upper confidence bound of a Gaussian process with a
time-varying covariance (:mod:`hptbench.models.time_varying_gp`). It predicts how much a reward grows in the next
interval; its variance is that of the process which has also seen what other members are being trained with.

Where the paper is silent, as in Ray Tune's PB2, which the authors wrote: a quarter of the population is replaced; the
inputs also hold the value before the interval, between its extremes in the data; growth is per unit of training,
standardised and clipped to [-2, 2]; beta = 0.2 log(0.4 n) after n intervals. There is a growth only where there is a
value before: the first interval of a training tells nothing.

Deviations from either:

- The bound is mean + sqrt(beta) times the standard deviation (the paper; Ray takes the variance), beta at least 0.
- Time counts intervals (the paper; Ray scales it to the unit interval). All that is being trained is conditioned on,
  with its own time and value (Ray: what has been replaced in this round, with those of the member in question).
- The process's own hyperparameters are fitted when there are 8 more intervals, and a fifth more, not every time.
- The last 200 intervals count, as in Ray, which then tries longer windows up to 1000 and keeps the most likely.
- The process's length is at most 10 in exp(-d^2 / length) (Ray: at most 1, clipped after the fit).
- The bound is maximised over 128 draws, and steps from the best of these, not by gradients from 10 starts.
- Without any growth known, hyperparameters are drawn uniformly (Ray keeps those of the best).
- Ray takes numbers only. Here ordinals are numbers; categories are drawn uniformly, which J. Parker-Holder et al.,
  "Tuning mixed input hyperparameters on the fly for efficient population based AutoRL", NeurIPS 2021, arXiv:2106.15883,
  call PB2-Rand; inactive hyperparameters count as 0.5.
- Members are looked at, finished and replaced as in :mod:`hptbench.methods._members`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._members import Member, Population, Sent, check_population
from hptbench.methods._moves import complete, truncated_normal
from hptbench.models.time_varying_gp import START, TimeVaryingGP, fit
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats, Kind

_C1, _C2 = 0.2, 0.4
_DRAWS, _BEST, _NEAR, _STEPS = 128, 8, 8, (0.1, 0.02)


@method("pb2")
@dataclass(frozen=True)
class PB2:
    """PB2: a population in training whose worst members copy the best and get hyperparameters from a GP bandit.

    For tasks whose training goes on from the state that another configuration left. The growth of a failed interval
    counts as the least one so far."""

    population: int = 4
    """Members."""
    interval: float | None = None
    """Fidelity between two looks at a member. None: a twentieth of a full training, or the lowest fidelity."""
    truncation: float = 0.25
    """Share of the population that counts as worst, and as best."""
    window: int = 200
    """How many of the last intervals the process is given."""
    traits: ClassVar[Traits] = Traits(fidelity=True, costly=True)

    def __post_init__(self) -> None:
        check_population("pb2", self.population, self.truncation)
        if self.window < 2:
            raise UserError(f"expected pb2.window >= 2, got {self.window}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class Growth(NamedTuple):
    """What an interval brought."""

    time: int
    """Intervals before it."""
    before: float
    """The value before it."""
    u: Floats
    """(c,) its hyperparameters."""
    growth: float
    """How much the value fell, per unit of training."""


class _Search(Population):
    def __init__(self, method: PB2, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng, method.population, method.interval, method.truncation)
        kinds = np.array([kind is not Kind.CATEGORICAL for kind in problem.space.kinds], dtype=bool)
        self._columns = np.flatnonzero(kinds & (problem.space.sizes != 1))
        """What the process sees of a configuration."""
        self._growths: deque[Growth] = deque(maxlen=method.window)
        self._seen = 0
        self._fitted: TimeVaryingGP | None = None
        """To the growths; None: not yet to the latest."""
        self._theta, self._due = START, 0
        """Hyperparameters of the process, and after how many intervals they are fitted again."""

    def _learn(self, sent: Sent, value: float) -> None:
        if not sent.before:
            return
        n, before = len(sent.before), sent.before[-1]
        growth = (before - value) / (self.levels[n] - self.levels[n - 1])
        if not math.isfinite(value):
            if not self._growths:
                return
            growth = min(row.growth for row in self._growths)
        self._growths.append(Growth(n, before, self._seen_of([sent.proposal.config])[0], growth))
        self._seen, self._fitted = self._seen + 1, None

    def _seen_of(self, configs: list[Config]) -> Floats:
        """(n, c) of the configurations what the process sees."""
        return np.asarray(np.nan_to_num(self._space.encode(configs)[:, self._columns], nan=0.5))

    def _explore(self, donor: Member) -> Config:
        u = self._space.sample(self._rng, _DRAWS)
        if len(self._growths) < 2 or not len(self._columns):
            return self._space.decode(u[:1])[0]
        process, value = self._process(donor)
        beta = max(0.0, _C1 * math.log(_C2 * self._seen))

        def bounds(u: Floats) -> Floats:
            x = np.column_stack([np.full(len(u), value), np.nan_to_num(u[:, self._columns], nan=0.5)])
            mean, variance = process.predict(x, float(len(donor.values)))
            return mean + math.sqrt(beta) * np.sqrt(variance)

        for std in (None, *_STEPS):
            if std is not None:
                near = np.repeat(u, _NEAR, axis=0)
                numbers = near[:, self._columns]
                near[:, self._columns] = np.where(
                    np.isnan(numbers), np.nan, truncated_normal(np.nan_to_num(numbers, nan=0.5), std, self._rng)
                )
                near = complete(self._space, near, self._rng)
                u = np.concatenate([u, near[self._space.legal(near)]])
            u = self._space.snap(u)
            u = u[np.argsort(-bounds(u), kind="stable")[:_BEST]]
        return self._space.decode(u[:1])[0]

    def _process(self, donor: Member) -> tuple[TimeVaryingGP, float]:
        """The process that has seen what is pending, and the donor's value between the extremes of the data."""
        before = np.array([row.before for row in self._growths])
        low, spread = before.min(), np.ptp(before) or 1.0

        def scaled(values: Sequence[float]) -> Floats:
            return np.asarray((np.clip(values, low, low + spread) - low) / spread)

        if self._fitted is None:
            x = np.column_stack([scaled(before.tolist()), np.array([row.u for row in self._growths])])
            growth = np.array([row.growth for row in self._growths])
            y = np.clip((growth - growth.mean()) / (growth.std() + 1e-8), -2.0, 2.0)
            times = np.array([float(row.time) for row in self._growths])
            if self._seen >= self._due:
                self._theta = fit(x, times, y, self._theta).theta
                self._due = self._seen + max(8, len(times) // 5)
            self._fitted = TimeVaryingGP(x, times, y, self._theta)
        [value] = scaled(donor.values[-1:])
        pending = [sent for sent in self.waiting if sent.before]
        if not pending:
            return self._fitted, float(value)
        configs = self._seen_of([sent.proposal.config for sent in pending])
        lies = np.column_stack([scaled([sent.before[-1] for sent in pending]), configs])
        times = np.array([float(len(sent.before)) for sent in pending])
        return self._fitted.given(lies, times), float(value)
