"""Coarse-to-fine search: nested space-filling designs.

C.-M. Huang, Y.-J. Lee, D. K. J. Lin and S.-Y. Huang, "Model selection for support vector machines via uniform
design", Computational Statistics & Data Analysis 52(1), 2007, doi:10.1016/j.csda.2007.02.013: a space-filling design
over the whole box, then one over a box half as wide around the best point so far, and so on. It is the grid that is
coarse first and then finer around the best point of C.-W. Hsu, C.-C. Chang and C.-J. Lin, "A practical guide to
support vector classification", 2003, section 3.2, for more than two or three parameters.

Stage k = 0, 1, ... of ``stages`` begins when k / stages of the budget has been spent. Its box has side shrink^k, in
the unit cube, around the best configuration evaluated until then, moved into the cube where it would leave it. A
category keeps that configuration's level with probability 1 - shrink^k, and is uniform else. The points are those of
a Sobol sequence, scrambled anew in each stage.

Deviations from Huang et al.: Sobol sequences in place of tabulated uniform designs; the number of stages and the
sizes of the designs follow from the settings and the budget (there two or three of 13 and 9 points, in two
dimensions); the box is moved as a whole where it would leave the cube (there points outside are dropped or moved).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._draws import sobol_sequence
from hptbench.methods._population import Evolution, Individual, genotypes
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Floats

_BLOCK = 16
_BARREN = 100
"""Blocks without a single legal point after which a uniform draw is taken."""


@method("coarse_to_fine")
@dataclass(frozen=True)
class CoarseToFine:
    """Coarse-to-fine search: space-filling designs over ever smaller boxes around the best configuration so far.

    Failed jobs are the worst (+inf). A stage begins as soon as enough evaluations have ended; those still running
    count for the boxes after it, as do reports of jobs that it did not propose. UserError for more than 21201
    parameters."""

    stages: int = 5
    """Designs, each with an equal share of the budget."""
    shrink: float = 0.5
    """Side of a box, as a share of the one before."""
    traits: ClassVar[Traits] = Traits()

    def __post_init__(self) -> None:
        if self.stages < 1:
            raise UserError(f"expected coarse_to_fine.stages >= 1, got {self.stages}")
        if not 0 < self.shrink < 1:
            raise UserError(f"expected coarse_to_fine.shrink in (0, 1), got {self.shrink}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Evolution):
    def __init__(self, method: CoarseToFine, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng)
        self._method = method
        self._categorical = problem.space.categorical
        self._best: Individual | None = None
        self._stage, self._centre = 0, np.full(len(problem.space), 0.5)
        self._sequence = sobol_sequence(problem.space, rng)
        self._design: list[Individual] = []
        """Points of this stage that are not yet bred, the next one last."""

    def _breed(self) -> Individual:
        stage = min(self._method.stages - 1, math.floor(self._method.stages * self._spent))
        if stage > self._stage and self._best is not None:
            self._stage, self._centre, self._design = stage, self._best.u, []
            self._sequence = sobol_sequence(self._space, self._rng)
        if not self._design:
            u = self._points()
            rows = zip(u, self._space.decode(u), strict=True)
            self._design = [Individual(row, config) for row, config in rows][::-1]
        return self._design.pop()

    def _points(self) -> Floats:
        """(n, d) the next legal points of the design, n >= 1."""
        side = self._method.shrink**self._stage
        low = np.clip(self._centre - side / 2, 0.0, 1.0 - side)
        for _ in range(_BARREN):
            u = self._sequence.random(_BLOCK)
            levels = np.where(u < side, u / side, self._centre)
            u = np.where(self._categorical, levels, low + side * u)
            legal = self._space.legal(u)
            if legal.any():
                return u[legal]
        return genotypes(self._space, 1, self._rng)

    def _learn(self, individual: Individual) -> None:
        if self._best is None or individual.values[0] < self._best.values[0]:
            self._best = individual
