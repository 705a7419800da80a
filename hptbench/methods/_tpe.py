"""What the methods of the TPE family share: the split, the weights, and the way from densities to a proposal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._draws import Uniform
from hptbench.methods._history import History
from hptbench.methods._prior import LogPrior
from hptbench.models.tpe_density import Densities, Rules
from hptbench.protocol import Problem, Proposal, Report
from hptbench.space import Config, Floats

_RECENT = 25
"""Observations that ``old_decay`` does not yet take as old."""
_REDRAWS = 1000
"""Random draws in search of a new configuration before a space counts as exhausted."""
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-12, 1e300
_RULES = ("hyperopt", "neighbours", "scott", "optuna")


class Settings(Protocol):
    """The hyperparameters that all of them have."""

    @property
    def startup(self) -> int: ...
    @property
    def candidates(self) -> int: ...
    @property
    def gamma(self) -> str: ...
    @property
    def beta(self) -> float: ...
    @property
    def prior_weight(self) -> float: ...
    @property
    def rules(self) -> Rules: ...


def check_settings(name: str, method: Settings) -> None:
    """UserError for what is out of range."""
    rules = method.rules
    b = rules.categorical_bandwidth
    for field, allowed, ok, value in (
        ("startup", ">= 0", method.startup >= 0, method.startup),
        ("candidates", ">= 1", method.candidates >= 1, method.candidates),
        ("gamma", "linear or sqrt", method.gamma in ("linear", "sqrt"), method.gamma),
        ("beta", "> 0", method.beta > 0, method.beta),
        ("prior_weight", ">= 0", method.prior_weight >= 0, method.prior_weight),
        ("bandwidth", f"to be one of {', '.join(_RULES)}", rules.bandwidth in _RULES, rules.bandwidth),
        ("min_bandwidth", "in (0, 1]", 0 < rules.min_bandwidth <= 1, rules.min_bandwidth),
        ("magic_exponent", "> 0", rules.magic_exponent > 0, rules.magic_exponent),
        ("categorical_bandwidth", "in (0, 0.5]", b is None or 0 < b <= 0.5, b),
    ):
        if not ok:
            raise UserError(f"expected {name}.{field} {allowed}, got {value}")


def number_of_good(rule: str, beta: float, n: int, most: int = 25) -> int:
    """How many of ``n`` observations are good: ``linear`` ceil(beta n), ``sqrt`` ceil(beta sqrt(n)); at most 25 in
    hyperopt, Optuna and Watanabe 2023."""
    return min(math.ceil(beta * (n if rule == "linear" else math.sqrt(n))), most)


def decayed(n: int) -> Floats:
    """(n,) weights of hyperopt, the oldest first: 1 for the last 25, falling linearly to 1 / n before."""
    ramp = np.linspace(1 / max(n, 1), 1.0, num=max(n - _RECENT, 0))
    return np.concatenate([ramp, np.ones(min(n, _RECENT))])


def improvements(losses: Floats, threshold: float) -> Floats:
    """Weights of good observations by how far they are below ``threshold``, the best of the bad (EI; Watanabe 2023,
    section 3.2); equal ones where that is infinite."""
    if not math.isfinite(threshold):
        return np.ones(len(losses))
    with np.errstate(over="ignore"):  # of losses of diverged trainings
        return np.clip(threshold - losses, _LEAST_WEIGHT, _MOST_WEIGHT)


class Search:
    """Asks and tells; a subclass says which candidates there are and what they are worth."""

    def __init__(
        self, method: Settings, problem: Problem, rng: np.random.Generator, log_prior: LogPrior | None
    ) -> None:
        self._space, self._rng, self._log_prior = problem.space, rng, log_prior
        self._method, self._rules = method, method.rules
        self._history = History(problem)
        self._uniform = Uniform(problem.space, rng)
        self._densities = Densities(problem.space, method.rules)

    def tell(self, reports: Sequence[Report]) -> None:
        self._history.add(reports)

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out: list[Proposal] = []
        for _ in range(n):
            out.append(Proposal(self._next([*running, *out])))
        return out

    def _next(self, running: Sequence[Proposal]) -> Config:
        """The best candidate that is new; else a random configuration that is; else, in an exhausted space, any."""
        if len(self._history) < self._method.startup:
            ranked = np.empty((0, len(self._space)))
        else:
            pending = self._space.encode([p.config for p in running]) if running else np.empty((0, len(self._space)))
            ranked = self._ranked(pending)
        configs = self._in_order(ranked)
        first = next(configs)
        if (new := self._history.first_new([first], running)) is None:
            new = self._history.first_new(configs, running)
        return first if new is None else new

    def _in_order(self, ranked: Floats) -> Iterator[Config]:
        for i in range(len(ranked)):
            yield self._space.decode(ranked[i : i + 1])[0]
        for _ in range(_REDRAWS):
            yield self._uniform.draw()[0]

    def _ranked(self, pending: Floats) -> Floats:
        """(m, d) legal candidates, the best first, given pending configurations (p, d)."""
        u, worth = self._candidates(pending)
        if self._log_prior is not None:
            worth = worth + self._log_prior(u, len(self._history))
        u = u[np.argsort(-worth, kind="stable")]
        return u[self._space.legal(u)]

    def _candidates(self, pending: Floats) -> tuple[Floats, Floats]:
        """(m, d) candidates, deactivated, and their log acquisition, (m,)."""
        raise NotImplementedError

    def _best_of(self) -> tuple[Floats, Floats]:
        """Candidates drawn from the density of the good, and log good / others.

        Independent parameters (univariate) are chosen each by itself: the first candidate has each parameter's best
        draw, the second the second best."""
        densities = self._densities
        u = densities.sample(self._rng, self._method.candidates)
        if self._rules.multivariate:
            u = self._space.deactivate(u)
            good, others = densities.logpdf(u)
            return u, good - others
        good, others = densities.logpdfs(u)
        ratios, columns = good - others, densities.columns
        order = np.argsort(-ratios, axis=0, kind="stable")
        u[:, columns] = np.take_along_axis(u[:, columns], order, axis=0)
        u = self._space.deactivate(u)
        worth = np.where(np.isnan(u[:, columns]), 0.0, np.take_along_axis(ratios, order, axis=0))
        return u, worth.sum(axis=1)
