"""MO-ASHA: asynchronous successive halving for several objectives.

R. Schmucker, M. Donini, M. B. Zafar, D. Salinas and C. Archambeau, "Multi-objective asynchronous successive halving",
2021, arXiv:2106.12639: ASHA (:mod:`hptbench.methods.asha`) in which a rung is ordered by non-dominated sorting, and
every front by an epsilon-net (D. Salinas, V. Perrone, O. Cruchant and C. Archambeau, "A multi-objective perspective on
jointly tuning hardware and hyperparameters", NAS workshop at ICLR 2021, after K. Clarkson): first the best in the
first objective, then again and again the one farthest from those that have been taken. Defaults are Syne Tune's: eta =
3, one bracket.

Deviations from the paper: none in the order of a rung that is known. ``rule=stopping`` is Syne Tune's variant, in which
no trial pauses (see :mod:`hptbench.methods.asha_stopping`).

Deviations from Syne Tune 0.16: there, positions in the sorted list are taken for priorities
(``NonDominatedPriority.priority_unsafe`` returns the order where ranks are expected, and ``nondominated_sort`` indexes
a front by ranks), so that trials are stopped nearly at random; here, ranks are ranks. Distances are in objectives
scaled to [0, 1] by the range of the front (there unscaled, so that the objective with the largest numbers decides).
Rungs are counted down from the highest fidelity. Failed jobs count in their rung as worst, and never go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hptbench.methods._asha import Asha, Rung
from hptbench.methods._brackets import fidelity_of, levels
from hptbench.methods._draws import Uniform
from hptbench.methods._history import Rows
from hptbench.protocol import Problem, Report, Traits
from hptbench.registry import method
from hptbench.space import Floats

Ints: TypeAlias = NDArray[np.intp]


@method("moasha")
@dataclass(frozen=True)
class MOASHA:
    """MO-ASHA: asynchronous halving by non-dominated sorting, and by an epsilon-net within a front."""

    eta: int = 3
    """A rung trains eta times as far as the one below; the best 1/eta go on."""
    brackets: int | None = 1
    """Brackets with 0, 1, ... of the lowest rungs left out. None: as many as there are rungs."""
    rule: str = "promotion"
    """``promotion`` (the paper: trials pause in every rung) or ``stopping`` (Syne Tune)."""
    traits: ClassVar[Traits] = Traits(fidelity=True, min_objectives=2, max_objectives=99)

    def begin(self, problem: Problem, rng: np.random.Generator) -> Asha:
        fidelities = levels(fidelity_of(problem), self.eta)
        n = len(problem.objectives)
        return Asha(fidelities, self.eta, Uniform(problem.space, rng), self.rule, self.brackets, lambda: FrontRung(n))


class FrontRung(Rung):
    """Who has reached one fidelity of one bracket, in order of fronts, and of the epsilon-net of each front."""

    def __init__(self, objectives: int) -> None:
        super().__init__()
        self._reports: list[Report] = []
        self._values = Rows(objectives)
        self._places: dict[int, int] = {}
        """job -> row."""
        self._promoted: set[int] = set()
        """Rows."""
        self._ranks: Ints | None = None
        """(n,) the front of each row, 0 is the best; n of failed jobs; None: not known since the last one came."""
        self._net = self._spread = np.empty(0, dtype=np.intp)
        """Rows of the front that was looked at last, and these in the order of its net: it mostly stays as it is."""
        self._best: tuple[Report | None] | None = None
        """What may be promoted; None: not known."""

    def add(self, report: Report) -> None:
        self._places[report.job] = len(self._reports)
        self._reports.append(report)
        self._values.append(np.array([report.values]))
        self._ranks = self._best = None

    def promotable(self, eta: int) -> Report | None:
        if self._best is None:
            self._best = (self._find(len(self._reports) // eta),)
        return self._best[0]

    def promote(self, report: Report) -> None:
        self._promoted.add(self._places[report.job])
        self._best = None

    def continues(self, report: Report, eta: int) -> bool:
        row, ranks, n = self._places[report.job], self._fronts(), len(self._reports)
        better, front = int(np.sum(ranks < ranks[row])), int(np.sum(ranks == ranks[row]))
        if ranks[row] == n or better * eta > n:
            return False
        return (better + front - 1) * eta <= n or row in self._first(ranks[row], n // eta + 1)

    def _find(self, most: int) -> Report | None:
        """The best of the first ``most`` that has not been promoted."""
        ranks, n = self._fronts(), len(self._reports)
        paused = np.ones(n, dtype=bool)
        paused[list(self._promoted)] = False
        rank = ranks[paused].min(initial=n)
        if rank == n:
            return None
        return next((self._reports[i] for i in self._first(rank, most) if paused[i]), None)

    def _first(self, rank: int, most: int) -> Ints:
        """Rows of a front that are among the first ``most`` of the rung, the best first."""
        ranks = self._fronts()
        front = np.flatnonzero(ranks == rank)
        if not np.array_equal(front, self._net):
            self._net = front
            self._spread = front[epsilon_net(self._values.array[front])]
        return self._spread[: max(0, most - int(np.sum(ranks < rank)))]

    def _fronts(self) -> Ints:
        if self._ranks is None:
            import moocore

            values = self._values.array
            ok = np.isfinite(values).all(axis=1)
            self._ranks = np.full(len(values), len(values))
            if ok.any():
                self._ranks[ok] = moocore.pareto_rank(values[ok])
        return self._ranks


def epsilon_net(points: Floats) -> Ints:
    """(m,) all rows of (m, k) objectives: the least in the first one, then again and again the farthest from all that
    were taken, in objectives scaled to [0, 1]. Ties go to the earlier row."""
    span = np.ptp(points, axis=0)
    scaled = (points - points.min(axis=0)) / np.where(span > 0, span, 1.0)
    distances = np.full(len(points), np.inf)
    taken = np.empty(len(points), dtype=np.intp)
    for i in range(len(points)):
        taken[i] = next_one = int(np.argmax(distances)) if i else int(np.argmin(scaled[:, 0]))
        distances = np.minimum(distances, ((scaled - scaled[next_one]) ** 2).sum(axis=1))
        distances[next_one] = -np.inf  # taken
    return taken
