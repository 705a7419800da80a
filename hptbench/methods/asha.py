"""ASHA: asynchronous successive halving by promotion.

L. Li, K. Jamieson, A. Rostamizadeh, E. Gonina, J. Ben-tzur, M. Hardt, B. Recht and A. Talwalkar, "A system for
massively parallel hyperparameter tuning", MLSys 2020, arXiv:1810.05934, Algorithm 2, with its eta = 4. With
``brackets`` > 1 it is the asynchronous Hyperband of the same paper. Its variant that stops trials instead of pausing
them is :mod:`hptbench.methods.asha_stopping`.

Deviations: rungs are counted down from the task's highest fidelity R, R / eta, R / eta^2, ... (the paper counts up from
its lowest, r eta^k, so that the top rung may lie below R); brackets are not looped over one by one, but each free
worker works in the one that has had least training (the same shares of the budget, and no bracket waits for its turn).
Failed jobs count in their rung as worst, and are never promoted. Details: :class:`hptbench.methods._asha.Asha`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.methods._asha import Asha
from hptbench.methods._brackets import fidelity_of, levels
from hptbench.methods._draws import Uniform
from hptbench.protocol import Problem, Traits
from hptbench.registry import method


@method("asha")
@dataclass(frozen=True)
class ASHA:
    """ASHA: successive halving that promotes a configuration as soon as it is among the best 1/eta so far."""

    eta: int = 4
    """A rung trains eta times as far as the one below; 1/eta of its configurations are promoted."""
    brackets: int | None = 1
    """Brackets with 0, 1, ... of the lowest rungs left out. None: one per rung, which is asynchronous Hyperband."""
    traits: ClassVar[Traits] = Traits(fidelity=True)

    def begin(self, problem: Problem, rng: np.random.Generator) -> Asha:
        fidelities = levels(fidelity_of(problem), self.eta)
        return Asha(fidelities, self.eta, Uniform(problem.space, rng), "promotion", self.brackets)
