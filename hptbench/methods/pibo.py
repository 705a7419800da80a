"""piBO: an expert's prior for Bayesian optimisation.

C. Hvarfner, D. Stoll, A. Souza, M. Lindauer, F. Hutter and L. Nardi, "piBO: Augmenting acquisition functions with user
beliefs for Bayesian optimization", ICLR 2022, arXiv:2204.11051: the acquisition function is multiplied by
prior^(beta / n), beta a tenth of the number of evaluations. The first configuration is the prior's mode, the next ones
are drawn from it, as in the authors' code (PiBO-Spearmint).

Deviations from it:

- parameters + 1 configurations before the first model, there two: a forest of two observations has nothing to say.
- n is the number of finished evaluations, the initial ones included (there, of the iterations).
- Densities are on the unit interval of each parameter's own scale and truncated to it, as everywhere here.
- With a forest the densities of numbers take ceil(10 beta / n) different values only, as in the same authors' piBO for
  SMAC 2.4: between its steps a forest's acquisition function is flat, and a smooth prior alone would say where to go.
  On Hartmann's function of six arguments with a wrong prior, the log10 regret after 100 evaluations was -0.9 with this
  and 0.1 without; with a good prior it made no difference.
- Where several parameters are inactive in a branch, their priors do not count (the papers have no conditions).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hptbench import registry
from hptbench.errors import UserError, unknown
from hptbench.methods._belief import Belief
from hptbench.methods._history import History
from hptbench.protocol import Problem, Proposal, Report, Search, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats

_INNER = {"gp": "initial", "rf": "initial", "tpe": "startup"}
"""Methods that take a prior, and which of their fields is the size of their own initial design."""
_FLOOR = 1e-12
"""Of the prior (the authors' codes): nothing is excluded."""
_STEPS = 10
_SHARE, _BETA = 0.1, 10.0
_TRIES = 64
"""Draws from the prior that may be known already before one is evaluated again."""


@method("pibo")
@dataclass(frozen=True)
class PiBO:
    """piBO: multiplies an acquisition function by an expert's prior, which counts less with every evaluation.

    A prior is a mapping: ``'method.pibo.prior={x: {mean: 3, std: 0.1}, kernel: {rbf: 0.8}}'``, or parameter by
    parameter ``'+method.pibo.prior.x={mean: 3, std: 0.1}'``. Numbers and ordinals have a normal distribution with that
    mean, truncated; std is in units of the parameter's range, on its own scale. Categories have probabilities; levels
    that are not named share the rest evenly."""

    inner: str = "gp"
    """Method whose acquisition function is multiplied: gp, rf or tpe."""
    prior: Any = None
    """What is believed of each parameter. What is left out: the problem's advice; or else, near the task's default."""
    std: float = 0.25
    """Standard deviation of numbers about the default (and where a belief names none), in units of their range."""
    confidence: float = 0.75
    """Probability of the default's level of a category without a belief of its own. Both: "medium" in NePS."""
    beta: float | None = None
    """The prior's exponent is beta / n after n evaluations. None: a tenth of the evaluations in the budget; 10 where
    they are not limited."""
    initial: int | None = None
    """Configurations before the first model: the prior's mode, then draws. None: as many as parameters, and one."""
    traits: ClassVar[Traits] = Traits(advice=True)

    def __post_init__(self) -> None:
        if self.inner not in _INNER:
            raise unknown("pibo.inner", self.inner, _INNER)
        if self.prior is not None and not isinstance(self.prior, Mapping):
            raise UserError(f"expected pibo.prior={{parameter: {{mean: ..., std: ...}}}}, got {self.prior!r}")
        for name, allowed, ok in (
            ("std", "> 0", 0 < self.std < math.inf),
            ("confidence", "in [0, 1]", 0 <= self.confidence <= 1),
            ("beta", ">= 0", self.beta is None or 0 <= self.beta < math.inf),
            ("initial", ">= 1", self.initial is None or self.initial >= 1),
        ):
            if not ok:
                raise UserError(f"expected pibo.{name} {allowed}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search:
    def __init__(self, method: PiBO, problem: Problem, rng: np.random.Generator) -> None:
        self._space, self._rng = problem.space, rng
        self._history = History(problem)
        prior = {**problem.advice.prior, **(method.prior or {})}
        self._belief = Belief(problem.space, prior, method.std, method.confidence)
        limits = [limit for limit in (problem.budget.max_full_evals, problem.budget.max_jobs) if limit is not None]
        self._beta = (_SHARE * min(limits) if limits else _BETA) if method.beta is None else method.beta
        self._initial = method.initial or int((problem.space.sizes != 1).sum()) + 1
        self._in_steps = method.inner == "rf"
        inner: Any = registry.find("method", method.inner)(**{_INNER[method.inner]: 1})
        self._inner: Search = inner.begin(problem, rng.spawn(1)[0], self._log_prior)

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out: list[Proposal] = []
        while len(out) < n and len(self._history) + len(running) + len(out) < self._initial:
            out.append(Proposal(self._drawn([*running, *out])))
        return out + list(self._inner.ask(n - len(out), [*running, *out])) if len(out) < n else out

    def tell(self, reports: Sequence[Report]) -> None:
        self._history.add(reports)
        self._inner.tell(reports)

    def _drawn(self, pending: Sequence[Proposal]) -> Config:
        """The prior's mode, or the first draw from it that is new; any draw if none is."""
        mode = self._belief.mode()
        configs = self._space.decode(mode[self._space.legal(mode)])
        configs += self._space.decode(self._belief.sample(self._rng, _TRIES))
        return self._history.first_new(configs, pending) or configs[-1]

    def _log_prior(self, u: Floats, n: int) -> Floats:
        """(m,) what is added to the logarithm of the acquisition function after ``n`` evaluations."""
        exponent = self._beta / max(n, 1)
        density = self._belief.log_density(u, max(1, math.ceil(_STEPS * exponent)) if self._in_steps else None)
        return exponent * np.logaddexp(density, math.log(_FLOOR))
