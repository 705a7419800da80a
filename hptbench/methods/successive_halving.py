"""Successive halving, synchronous.

K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization",
AISTATS 2016, arXiv:1502.07943, in the form that L. Li et al., "Hyperband", JMLR 18(185), 2018, arXiv:1603.06560,
give it: the inner loop of their Algorithm 1 with s = s_max, the bracket that begins with most configurations.

Deviations from the former: a reduction factor eta in place of 2; a bracket's size follows from the fidelity's range,
and when it ends before the budget does, another begins with new configurations; see
:class:`hptbench.methods._brackets.Brackets` for parallel workers and failures. With several workers a bracket still
promotes whole rungs, and where all that are at work wait for one to fill up, the next bracket begins; what promotes
without waiting is :mod:`hptbench.methods.asha`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.methods._brackets import Brackets, fidelity_of, levels, paper
from hptbench.methods._draws import Uniform
from hptbench.protocol import Problem, Traits
from hptbench.registry import method


@method("successive_halving")
@dataclass(frozen=True)
class SuccessiveHalving:
    """Successive halving: many random configurations trained a little, again and again the best 1/eta of them more."""

    eta: int = 3
    """A rung trains eta times as far as the one below, with 1/eta of its configurations."""
    traits: ClassVar[Traits] = Traits(fidelity=True)

    def begin(self, problem: Problem, rng: np.random.Generator) -> Brackets:
        fidelities = levels(fidelity_of(problem), self.eta)
        s_max = len(fidelities) - 1
        return Brackets([paper(s_max, s_max, self.eta)], fidelities, Uniform(problem.space, rng))
