"""Asynchronous successive halving, shared by ASHA and all that build on its rungs.

L. Li, K. Jamieson, A. Rostamizadeh, E. Gonina, J. Ben-tzur, M. Hardt, B. Recht and A. Talwalkar, "A system for
massively parallel hyperparameter tuning", MLSys 2020, arXiv:1810.05934, Algorithm 2, and the stopping variant of Ray
and Syne Tune. No rung ever waits to be full: a configuration goes on as soon as it is among the best 1/eta of those
that have reached its rung so far. Rungs of different brackets share nothing.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence

from hptbench.errors import UserError, unknown
from hptbench.methods._brackets import Sampler, drawn
from hptbench.protocol import Proposal, Report

RULES = ("promotion", "stopping")


class Rung:
    """Who has reached one fidelity of one bracket. Failed jobs count, as worse than all others; they never go on."""

    def __init__(self) -> None:
        self._order: list[tuple[float, int]] = []
        """(value, job), the best first; equal values in order of job."""
        self._paused: list[tuple[float, int, Report]] = []
        """A heap: the successful ones that have not been promoted."""

    def add(self, report: Report) -> None:
        """Take in a job that ended here."""
        value = value_of(report)
        insort(self._order, (value, report.job))
        if value < math.inf:
            heapq.heappush(self._paused, (value, report.job, report))

    def promotable(self, eta: int) -> Report | None:
        """The best that is not promoted yet, if it is among the best floor(n / eta) of the rung
        (``promotable`` of Algorithm 2); else None."""
        if not self._paused:
            return None
        value, job, report = self._paused[0]
        return report if bisect_left(self._order, (value, job)) < len(self._order) // eta else None

    def promote(self, report: Report) -> None:
        """Take out what ``promotable`` returned."""
        assert heapq.heappop(self._paused)[2] is report

    def continues(self, report: Report, eta: int) -> bool:
        """Whether at most 1/eta of the rung is better than this member of it: the stopping rule of Syne Tune."""
        value = value_of(report)
        return value < math.inf and bisect_left(self._order, (value,)) * eta <= len(self._order)


class Bracket:
    """The rungs of one bracket, the lowest first, and what has been trained in them."""

    def __init__(self, fidelities: Sequence[float], rung: Callable[[], Rung]) -> None:
        self.fidelities = tuple(fidelities)
        self.rungs = [rung() for _ in fidelities]
        self.spent = 0.0
        """Fidelity handed out, counted from zero for every job, as Hyperband counts."""


class Asha:
    """A search on asynchronous rungs.

    ``rule`` is ``promotion`` (Algorithm 2: a trial pauses at every rung; a free worker promotes the best that may be,
    looking from the top rung down, else it begins a new configuration in the lowest) or ``stopping`` (a trial that
    reaches a rung among its best goes on at once, before anything new begins; any other never does).

    ``brackets``: how many, 1 to the number of rungs (None: all of them, asynchronous Hyperband). Bracket s leaves the
    lowest s rungs out. A free worker works in the bracket in which least has been trained, all jobs counted from zero:
    like Hyperband's, they get equal shares of the budget. ``rung`` makes the rungs, for orders of other kinds.

    Every note says ``bracket``, ``trial`` (a number of its own for each configuration) and ``rung`` (0 is the lowest
    of the bracket), which together are unique. Reports of jobs that this search is not waiting for only go to the
    sampler. Where the sampler has nothing to draw, and no bracket anything to promote, workers wait."""

    def __init__(
        self,
        fidelities: Sequence[float],
        eta: int,
        sampler: Sampler,
        rule: str = "promotion",
        brackets: int | None = 1,
        rung: Callable[[], Rung] = Rung,
    ) -> None:
        n = len(fidelities) if brackets is None else brackets
        if not 1 <= n <= len(fidelities):
            raise UserError(f"expected 1 to {len(fidelities)} brackets, as many as there are rungs, got {brackets}")
        if rule not in RULES:
            raise unknown("rule of asynchronous halving", rule, RULES)
        self.eta, self.sampler, self.rule = eta, sampler, rule
        self.brackets = [Bracket(fidelities[s:], rung) for s in range(n)]
        self._trials = 0
        self._waiting: dict[tuple[int, int], Proposal] = {}
        """By (trial, rung)."""
        self._going_on: deque[Report] = deque()
        """Trials that the stopping rule lets go on, first come, first served."""

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out: list[Proposal] = []
        while len(out) < n and (proposal := self._next([*running, *out])) is not None:
            out.append(proposal)
        return out

    def tell(self, reports: Sequence[Report]) -> None:
        self.sampler.learn(reports)
        for report in reports:
            if self._is_mine(report):
                self.reached(report)

    # for subclasses

    def enters(self) -> int:
        """The bracket that the next job belongs to."""
        return min(range(len(self.brackets)), key=lambda s: (self.brackets[s].spent, s))

    def begins(self) -> int:
        """The rung of its bracket at which a new configuration begins."""
        return 0

    def promotable(self, bracket: Bracket, rung: int) -> Report | None:
        """What may be promoted out of a rung that is not the top one; the best paused one, or None."""
        return bracket.rungs[rung].promotable(self.eta)

    def continues(self, bracket: Bracket, rung: int, report: Report) -> bool:
        """Whether a trial that has just reached a rung that is not the top one goes on at once."""
        return bracket.rungs[rung].continues(report, self.eta)

    def reached(self, report: Report) -> None:
        """A job of this search has ended."""
        bracket, rung = self.brackets[report.proposal.note["bracket"]], report.proposal.note["rung"]
        bracket.rungs[rung].add(report)
        if self.rule == "stopping" and rung < len(bracket.rungs) - 1 and self.continues(bracket, rung, report):
            self._going_on.append(report)

    # the rest

    def _is_mine(self, report: Report) -> bool:
        note = report.proposal.note
        trial, rung = note.get("trial"), note.get("rung")
        if not (isinstance(trial, int) and isinstance(rung, int)):
            return False
        if self._waiting.get((trial, rung)) != report.proposal:
            return False
        del self._waiting[trial, rung]
        return True

    def _next(self, running: Sequence[Proposal]) -> Proposal | None:
        if self._going_on:
            return self._upwards(self._going_on.popleft())
        s = self.enters()
        bracket = self.brackets[s]
        if (promotion := self._promotion(bracket)) is not None:
            return promotion
        if (fresh := drawn(self.sampler, running)) is None:
            return next((p for other in self.brackets if (p := self._promotion(other)) is not None), None)
        config, origin = fresh
        self._trials += 1
        rung = self.begins()
        note = {**origin, "bracket": s, "trial": self._trials - 1, "rung": rung}
        return self._hand_out(Proposal(config, bracket.fidelities[rung], note=note))

    def _promotion(self, bracket: Bracket) -> Proposal | None:
        """The first half of Algorithm 2's ``get_job``."""
        for rung in range(len(bracket.rungs) - 2, -1, -1):
            if self.rule == "promotion" and (report := self.promotable(bracket, rung)) is not None:
                bracket.rungs[rung].promote(report)
                return self._upwards(report)
        return None

    def _upwards(self, report: Report) -> Proposal:
        note = report.proposal.note
        bracket, rung = self.brackets[note["bracket"]], note["rung"] + 1
        proposal = Proposal(report.proposal.config, bracket.fidelities[rung], report.job, {**note, "rung": rung})
        return self._hand_out(proposal)

    def _hand_out(self, proposal: Proposal) -> Proposal:
        assert proposal.fidelity is not None
        self._waiting[proposal.note["trial"], proposal.note["rung"]] = proposal
        self.brackets[proposal.note["bracket"]].spent += proposal.fidelity
        return proposal


def value_of(report: Report) -> float:
    """The first objective; +inf of a failed job, whatever it was told as."""
    return report.values[0] if math.isfinite(report.values[0]) else math.inf
