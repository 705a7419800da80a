"""Hyperband.

L. Li, K. Jamieson, G. DeSalvo, A. Rostamizadeh and A. Talwalkar, "Hyperband: A novel bandit-based approach to
hyperparameter optimization", JMLR 18(185), 2018, arXiv:1603.06560, Algorithm 1.

Deviations: the loop over brackets begins again until the budget ends (the paper's infinite horizon, where R grows, is
another scheme); the paper's unit of resource is the task's lowest fidelity; see
:class:`hptbench.methods._brackets.Brackets` for parallel workers and failures. With several workers a bracket still
promotes whole rungs, and where all that are at work wait for one to fill up, the next bracket begins; what promotes
without waiting is :mod:`hptbench.methods.asha` with ``brackets=null``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.methods._brackets import Brackets, fidelity_of, levels, plan
from hptbench.methods._draws import Uniform
from hptbench.protocol import Problem, Traits
from hptbench.registry import method


@method("hyperband")
@dataclass(frozen=True)
class Hyperband:
    """Hyperband: brackets of successive halving, from many configurations trained little to few trained fully."""

    eta: int = 3
    """A rung trains eta times as far as the one below, with 1/eta of its configurations."""
    table: str = "paper"
    """Sizes of the brackets: ``paper`` (Algorithm 1) or ``hpbandster`` (the BOHB authors' code)."""
    traits: ClassVar[Traits] = Traits(fidelity=True)

    def begin(self, problem: Problem, rng: np.random.Generator) -> Brackets:
        fidelities = levels(fidelity_of(problem), self.eta)
        return Brackets(plan(self.table, len(fidelities) - 1, self.eta), fidelities, Uniform(problem.space, rng))
