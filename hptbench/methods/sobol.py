"""Quasi-random search: a scrambled Sobol sequence.

I. M. Sobol', USSR Comput. Math. Math. Phys. 7(4), 1967, doi:10.1016/0041-5553(67)90144-9; direction numbers of
S. Joe and F. Y. Kuo, SIAM J. Sci. Comput. 30(5), 2008, doi:10.1137/070709359; scrambling of A. B. Owen, J. Complexity
14(4), 1998, doi:10.1006/jcom.1998.0487 (scipy's: a random linear matrix and a digital shift). Recommended over grids
by J. Bergstra and Y. Bengio, JMLR 13, 2012, Section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.protocol import Problem, Proposal, Report, Traits
from hptbench.registry import method
from hptbench.space import Config, Space

if TYPE_CHECKING:
    from scipy.stats import qmc

_BLOCK = 64
"""Points drawn at a time: a power of two, which keeps the sequence's balance."""
_BARREN = 1000
"""Blocks without a single legal point after which the space counts as forbidden."""


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
        from scipy.stats import qmc

        if len(problem.space) > qmc.Sobol.MAXDIM:
            raise UserError(
                f"expected at most {qmc.Sobol.MAXDIM} parameters for a Sobol sequence, got {len(problem.space)}; "
                "use method=random"
            )
        self._configs = _configs(problem.space, qmc.Sobol(len(problem.space), seed=rng))

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        return [Proposal(config) for config in islice(self._configs, n)]

    def tell(self, reports: Sequence[Report]) -> None:
        """A sequence learns nothing."""


def _configs(space: Space, sequence: qmc.Sobol) -> Iterator[Config]:
    barren = 0
    while barren < _BARREN:
        u = sequence.random(_BLOCK)
        legal = space.decode(u[space.legal(u)])
        yield from legal
        barren = 0 if legal else barren + 1
    raise UserError(f"the forbidden clauses exclude nearly all of the space: no legal point in {_BARREN * _BLOCK}")
