"""Quasi-random search: a scrambled Sobol sequence.

I. M. Sobol', USSR Comput. Math. Math. Phys. 7(4), 1967, doi:10.1016/0041-5553(67)90144-9; direction numbers of
S. Joe and F. Y. Kuo, SIAM J. Sci. Comput. 30(5), 2008, doi:10.1137/070709359; scrambling of A. B. Owen, J. Complexity
14(4), 1998, doi:10.1006/jcom.1998.0487 (scipy's: a random linear matrix and a digital shift). Recommended over grids
by J. Bergstra and Y. Bengio, JMLR 13, 2012, Section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import numpy as np

from hptbench.methods._draws import sobol
from hptbench.protocol import Problem, Proposal, Report, Traits
from hptbench.registry import method


@method("sobol")
@dataclass(frozen=True)
class Sobol:
    """Quasi-random search: a scrambled Sobol sequence over the unit cube, each point trained to the end.

    Points that a forbidden clause excludes are left out. Inactive parameters have their dimension,
    so what is active is spread evenly within each branch, but less so than in a cube of its own.
    UserError for more than 21201 parameters, as far as the direction numbers go.
    """

    traits: ClassVar[Traits] = Traits(max_objectives=99)

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(problem, rng)


class _Search:
    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self._configs = sobol(problem.space, rng)

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        return [Proposal(config) for config in islice(self._configs, n)]

    def tell(self, reports: Sequence[Report]) -> None:
        """A sequence learns nothing."""
