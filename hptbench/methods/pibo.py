"""piBO: expert priors for Bayesian optimisation.

C. Hvarfner, D. Stoll, A. Souza, M. Lindauer, F. Hutter and L. Nardi, "πBO: Augmenting acquisition functions with user
beliefs for Bayesian optimization", ICLR 2022, arXiv:2204.11051, Algorithm 1 and equation 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
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
"""Methods that take a prior, and their field for the size of their own initial design."""
_FLOOR = 1e-12
_TRIES = 64


@method("pibo")
@dataclass(frozen=True)
class PiBO:
    """piBO: multiplies an acquisition function by an expert's prior, which matters less with every evaluation."""

    inner: str = "gp"
    """Method whose acquisition function is multiplied: gp, rf or tpe."""
    prior: Any = None
    """Beliefs by parameter: ``{x: {mean: 3, std: 0.1}, kernel: {rbf: 0.8}}``; what is left out as below."""
    beta: float | None = None
    """The prior's exponent is beta / n after n evaluations. None: a tenth of the budget's evaluations; 10 without."""
    initial: int | None = None
    """Configurations before the first model: the prior's mode, then draws from the prior. None: parameters + 1."""
    std: float = 0.25
    """Standard deviation about the default of numbers without a belief of their own, in units of their range."""
    confidence: float = 0.75
    """Probability of the default's level of categories without a belief of their own."""
    bins: bool = True
    traits: ClassVar[Traits] = Traits()

    def begin(self, problem, rng):
        inner = registry.find("method", self.inner)(**{_INNER[self.inner]: 1})
        return _Search(self, inner, problem, rng)

class _Search:
    def __init__(self, method, inner, problem, rng):
        self._bins = method.bins
        self._space, self._rng = problem.space, rng
        self._history = History(problem)
        self._belief = Belief(problem.space, method.prior or {}, method.std, method.confidence)
        b=problem.budget
        lim=[x for x in (b.max_full_evals,b.max_jobs) if x is not None]
        self._beta = method.beta if method.beta is not None else min(lim)/10 if lim else 10.0
        self._initial = method.initial or int((problem.space.sizes!=1).sum())+1
        self._inner = inner.begin(problem, rng.spawn(1)[0], self._log_prior)

    def _log_prior(self, u, n):
        return self._beta/max(n,1)*np.logaddexp(self._belief.log_density(u, int(np.ceil(10*self._beta/max(n,1))) if self._bins else None), np.log(_FLOOR))

    def ask(self, n, running):
        out=[]
        while len(out)<n and len(self._history)+len(running)+len(out)<self._initial:
            pending=[*running,*out]
            c=self._history.first_new(self._designs(), pending)
            out.append(Proposal(c if c is not None else self._space.decode(self._belief.sample(self._rng,1))[0]))
        if len(out)<n:
            out += self._inner.ask(n-len(out),[*running,*out])
        return out
    def _designs(self):
        m=self._belief.mode()
        yield from self._space.decode(m[self._space.legal(m)])
        yield from self._space.decode(self._belief.sample(self._rng,_TRIES))
    def tell(self, reports):
        self._history.add(reports)
        self._inner.tell(reports)
