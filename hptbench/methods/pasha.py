"""PASHA: progressive asynchronous successive halving.

O. Bohdal, L. Balles, M. Wistuba, B. Ermis, C. Archambeau and G. Zappella, "PASHA: Efficient HPO and NAS with
progressive resource allocation", ICLR 2023, arXiv:2207.06940, Algorithm 1: ASHA (:mod:`hptbench.methods.asha`) whose
top rung is the second lowest at first, and is raised by one whenever the ranking in the two top rungs is not stable.
The ranking is soft (their section on soft ranking): a configuration in place i of the top rung must have been, in the
rung below, within epsilon of what was in place i there, both among the members of the top rung. Epsilon is the 90th
percentile of the differences, at the top rung, between configurations whose learning curves cross and cross back
(their estimate of the noise); it keeps its value where there are none, and begins with 0. As in the experiments of the
paper, eta = 3, 256 configurations are drawn, and the best of the highest rung is then trained to the end.

Deviations: that last training goes on from the state that is there (in the paper, it begins anew, on more data). Then,
and wherever a worker would idle, another race begins with new configurations, until the budget ends. Rungs are counted
down from the task's highest fidelity (there up from the lowest). Curves have the points that the task reports, at least
one per rung; equal values cross nothing. Epsilon takes configurations that have ended their training in the top rung
(the authors' code also those on their way there). Failed jobs are in no ranking.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._asha import Asha, Bracket, value_of
from hptbench.methods._brackets import Sampler, fidelity_of, levels
from hptbench.methods._draws import Uniform
from hptbench.protocol import JSON, Problem, Proposal, Report, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats, Mask

_PERCENTILE = 90


@method("pasha")
@dataclass(frozen=True)
class PASHA:
    """PASHA: asynchronous halving that trains no further than the ranking of configurations still changes."""

    eta: int = 3
    """A rung trains eta times as far as the one below; 1/eta of its configurations are promoted."""
    configurations: int = 256
    """Drawn in a race, before its best is trained to the end."""
    traits: ClassVar[Traits] = Traits(fidelity=True)

    def __post_init__(self) -> None:
        if self.configurations < 1:
            raise UserError(f"expected pasha.configurations >= 1, got {self.configurations}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        fidelities = levels(fidelity_of(problem), self.eta)
        return _Search(self, fidelities, Uniform(problem.space, rng))


class _Search:
    """One race after the other; where the ones at work have nothing to hand out, the next one begins."""

    def __init__(self, method: PASHA, fidelities: Sequence[float], sampler: Sampler) -> None:
        self._method, self._fidelities, self._sampler = method, fidelities, sampler
        self._begun = 0
        self._active: list[Race] = []

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out: list[Proposal] = []
        while len(out) < n:
            for race in self._active:
                out += race.ask(n - len(out), [])
            self._active = [race for race in self._active if not race.over]
            if len(out) < n:
                limited = _Limited(self._sampler, self._method.configurations, self._begun)
                self._active.append(Race(self._fidelities, self._method.eta, limited))
                self._begun += 1
        return out

    def tell(self, reports: Sequence[Report]) -> None:
        for race in self._active:
            race.tell(reports)


class _Limited:
    """So many draws of a sampler, for the race of a number."""

    def __init__(self, sampler: Sampler, left: int, race: int) -> None:
        self._sampler, self._left, self._race = sampler, left, race

    def draw(self) -> tuple[Config, Mapping[str, JSON]] | None:
        if not self._left or (fresh := self._sampler.draw()) is None:
            return None
        self._left -= 1
        config, origin = fresh
        return config, {**origin, "race": self._race}

    def learn(self, reports: Sequence[Report]) -> None:
        """Nothing."""


class Race(Asha):
    """Algorithm 1, and the training of its best to the end once the sampler has nothing left."""

    def __init__(self, fidelities: Sequence[float], eta: int, sampler: Sampler) -> None:
        super().__init__(fidelities, eta, sampler)
        self.top = min(1, len(fidelities) - 1)
        """K_t, the highest rung that may be promoted to."""
        self.epsilon = 0.0
        self.over = False
        """Nothing runs, and nothing is left to do."""
        self._distances = np.empty(0)
        """Between configurations in the top rung whose curves cross and cross back, rising."""
        self._curves: dict[int, dict[float, float]] = {}
        """trial -> fidelity -> value."""
        self._members: list[int] = []
        """Trials in the top rung."""
        self._best: Report | None = None
        """Of the highest rung reached."""
        self._final = False

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out = super().ask(n, running)
        if not out and n and not self._waiting:
            best, end = self._best, len(self.brackets[0].fidelities) - 1
            if best is None or self._final or best.proposal.note["rung"] == end:
                self.over = True
                return []
            self._final = True
            note = {**best.proposal.note, "rung": end, "final": True}
            out = [self._hand_out(Proposal(best.proposal.config, self.brackets[0].fidelities[-1], best.job, note))]
        return out

    def promotable(self, bracket: Bracket, rung: int) -> Report | None:
        return super().promotable(bracket, rung) if rung < self.top else None

    def reached(self, report: Report) -> None:
        super().reached(report)
        if value_of(report) == math.inf:
            return
        trial, rung = report.proposal.note["trial"], report.proposal.note["rung"]
        self._curves.setdefault(trial, {}).update((point.fidelity, point.values[0]) for point in report.curve)
        self._curves[trial][report.fidelity] = report.values[0]
        if self._best is None or _place(report) < _place(self._best):
            self._best = report
        if rung == self.top and rung > 0 and not self._final:
            self._update_epsilon(trial)
            self._members.append(trial)
            if not self._is_stable() and self.top < len(self.brackets[0].fidelities) - 1:
                self.top += 1
                self._members, self._distances = [], np.empty(0)

    def _update_epsilon(self, trial: int) -> None:
        """With the pairs of ``trial`` and the members of the top rung before it."""
        curve = self._curves[trial]
        fidelities = sorted(curve)  # a training that began anew may report points between those of the one before
        mine, others = np.array([curve[fidelity] for fidelity in fidelities]), self._table(fidelities)
        noisy = np.abs(others[:, -1] - mine[-1])[crosses_and_returns(mine, others)]
        if len(noisy):
            self._distances = np.sort(np.concatenate([self._distances, noisy]), kind="stable")
        if len(self._distances):
            self.epsilon = float(np.percentile(self._distances, _PERCENTILE))

    def _table(self, fidelities: Sequence[float]) -> Floats:
        """(members, fidelities) their values; NaN where there is none."""
        rows = [[self._curves[trial].get(fidelity, math.nan) for fidelity in fidelities] for trial in self._members]
        return np.array(rows).reshape(len(rows), len(fidelities))

    def _is_stable(self) -> bool:
        fidelities = self.brackets[0].fidelities
        below, top = self._table([fidelities[self.top - 1], fidelities[self.top]]).T
        return same_ranking(below, top, self.epsilon)


def same_ranking(below: Floats, top: Floats, epsilon: float) -> bool:
    """Whether the values of the same n configurations in two rungs, (n,) each, rank them alike: who is in place i above
    was below within ``epsilon`` of who was in place i there."""
    return bool(np.all(np.abs(below[np.argsort(top, kind="stable")] - np.sort(below)) <= epsilon))


def crosses_and_returns(curve: Floats, others: Floats) -> Mask:
    """(m,) whether each of ``others``, (m, points), lies on one side of ``curve``, (points,), at its last point and
    some time before, and strictly on the other side in between. NaN is on no side."""
    side = (others > curve).astype(int) - (others < curve)  # no difference: that of two infinite values is NaN
    last = side[:, -1:]
    same, opposite = (side == last) & (last != 0), (side == -last) & (last != 0)
    first_same = np.argmax(same, axis=1)
    last_opposite = side.shape[1] - 1 - np.argmax(opposite[:, ::-1], axis=1)
    return np.asarray(same.any(axis=1) & opposite.any(axis=1) & (first_same < last_opposite))


def _place(report: Report) -> tuple[int, float, int]:
    return -report.proposal.note["rung"], report.values[0], report.job
