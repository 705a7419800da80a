"""ASHA by stopping, the variant that Ray and Syne Tune offer under the name of ASHA.

Not the algorithm of L. Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020,
arXiv:1810.05934, which is :mod:`hptbench.methods.asha`: here no trial pauses. One that reaches a rung goes on at once
if at most 1/eta of those that have reached it, itself included, are better (the rule of Syne Tune 0.16,
``schedulers/asha.py``, with its eta = 3 and one bracket); else it never goes on. The first trial in each rung always
does. So the first trials are favoured, and nothing is ever started again from a checkpoint; see A. Klein, L. Tiao, T.
Lienart, C. Archambeau and M. Seeger, "Model-based asynchronous hyperparameter and neural architecture search", 2020,
arXiv:2003.10865, on both variants.

Deviations: rungs are counted down from the task's highest fidelity (there up from the lowest); with ``brackets`` > 1 a
new trial enters the bracket that has had least training (there a random one, with probabilities of e^rungs, drawn from
global random state); failed jobs count in their rung as worst (there they never appear in it). Ray compares with a
percentile of the earlier trials alone, and earlier versions of Syne Tune with a quantile that is interpolated; in a
rung of n the three rules differ by at most one place. Details: :class:`hptbench.methods._asha.Asha`.
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


@method("asha_stopping")
@dataclass(frozen=True)
class ASHAStopping:
    """ASHA by stopping: a trial trains on for as long as it is among the best 1/eta at every rung that it reaches."""

    eta: int = 3
    """A rung trains eta times as far as the one below; the best 1/eta go on."""
    brackets: int | None = 1
    """Brackets with 0, 1, ... of the lowest rungs left out. None: as many as there are rungs."""
    traits: ClassVar[Traits] = Traits(fidelity=True)

    def begin(self, problem: Problem, rng: np.random.Generator) -> Asha:
        fidelities = levels(fidelity_of(problem), self.eta)
        return Asha(fidelities, self.eta, Uniform(problem.space, rng), "stopping", self.brackets)
