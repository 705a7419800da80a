"""Synchronous successive halving in brackets, shared by successive halving, Hyperband and BOHB.

A bracket trains many configurations a little, promotes the best to ``eta`` times as much training, and so
on up to the full fidelity. Rung levels and sizes are counted in whole numbers: logarithms in floating point
lose a rung (eta = 3, R = 243).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from hptbench.errors import UserError, unknown
from hptbench.protocol import JSON, Fidelity, Problem, Proposal, Report
from hptbench.space import Config

Sizes: TypeAlias = tuple[int, ...]
"""Configurations in each rung of a bracket, the lowest rung first."""
_ROUNDING = 1e-9
"""Ten times a lowest fidelity of 0.1 is a highest fidelity of 1."""


def fidelity_of(problem: Problem) -> Fidelity:
    """The problem's fidelity; UserError if it has none."""
    if problem.fidelity is None:
        raise UserError(
            "expected a task with a fidelity, got one without; choose one that trains in epochs or subsets, "
            "or a method that trains to the end, such as method=random"
        )
    return problem.fidelity


def levels(fidelity: Fidelity, eta: int) -> tuple[float, ...]:
    """The rungs' fidelities, rising: high / eta^k for every whole k >= 0 with high / eta^k >= low.

    Each is snapped to a valid fidelity; levels that become equal count once. UserError for an ``eta`` that
    is no whole number >= 2."""
    if not isinstance(eta, int) or eta < 2:
        raise UserError(f"expected a whole number eta >= 2, got {eta}")
    k = 0
    while fidelity.low * eta ** (k + 1) <= fidelity.high * (1 + _ROUNDING):
        k += 1
    return tuple(dict.fromkeys(fidelity.snap(fidelity.high / eta**i) for i in range(k, -1, -1)))


def paper(s_max: int, s: int, eta: int) -> Sizes:
    """Rungs of bracket ``s`` in Li et al. (JMLR 18, 2018), Algorithm 1: n = ceil((s_max + 1) / (s + 1) eta^s)
    configurations, of which floor(n / eta^i) reach rung i. 81, 34, 15, 8, 5 begin for R = 81, eta = 3."""
    n = -((s_max + 1) * eta**s // -(s + 1))
    return tuple(n // eta**i for i in range(s + 1))


def hpbandster(s_max: int, s: int, eta: int) -> Sizes:
    """Rungs of bracket ``s`` in HpBandSter, the BOHB authors' code: n = floor((s_max + 1) / (s + 1)) eta^s, exact
    here, in floating point there. 81, 27, 9, 6, 5 begin for R = 81, eta = 3."""
    n = (s_max + 1) // (s + 1) * eta**s
    return tuple(n // eta**i for i in range(s + 1))


TABLES: Mapping[str, Callable[[int, int, int], Sizes]] = {"paper": paper, "hpbandster": hpbandster}


def plan(table: str, s_max: int, eta: int) -> list[Sizes]:
    """The brackets s_max, s_max - 1, ..., 0 of Hyperband. UserError for an unknown table."""
    if table not in TABLES:
        raise unknown("table of brackets", table, TABLES)
    return [TABLES[table](s_max, s, eta) for s in range(s_max, -1, -1)]


class Sampler(Protocol):
    """Where the configurations of the lowest rungs come from."""

    def draw(self) -> tuple[Config, Mapping[str, JSON]] | None:
        """A configuration and what its note shall say; None: there is none until more has been learned."""
        ...

    def learn(self, reports: Sequence[Report]) -> None:
        """Take in finished jobs, whoever proposed them."""
        ...


@runtime_checkable
class Attentive(Protocol):
    """A sampler that wants to know what is running."""

    def pending(self, running: Sequence[Proposal]) -> None:
        """Called before every draw, with all proposals that are running or about to."""
        ...


def drawn(sampler: Sampler, running: Sequence[Proposal]) -> tuple[Config, Mapping[str, JSON]] | None:
    """A draw of ``sampler``, which is told what is running if it is attentive."""
    if isinstance(sampler, Attentive):
        sampler.pending(running)
    return sampler.draw()


class Brackets:
    """A search by brackets, one after the other in the order of ``plan``, over and over.

    With one worker this is the sequential algorithm. With more, no worker waits for a rung to fill up: where
    the brackets at work have nothing to hand out, the next one begins (as in HpBandSter). Failed
    configurations are never promoted; a rung that lacks candidates is smaller. Reports of jobs that this
    search is not waiting for only go to the sampler. Where the sampler has nothing to draw, workers wait; if nothing is
    running then, the bracket goes on with the configurations that it has."""

    def __init__(self, plan: Sequence[Sizes], fidelities: Sequence[float], sampler: Sampler) -> None:
        self._plan, self._fidelities, self._sampler = plan, fidelities, sampler
        self._begun = 0
        self._active: list[_Bracket] = []

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out: list[Proposal] = []
        while len(out) < n and (proposal := self._next([*running, *out])) is not None:
            out.append(proposal)
        return out

    def tell(self, reports: Sequence[Report]) -> None:
        self._sampler.learn(reports)
        for report in reports:
            any(bracket.take(report) for bracket in self._active)  # the one that waits for it takes it
        self._active = [bracket for bracket in self._active if not bracket.over]

    def _next(self, running: Sequence[Proposal]) -> Proposal | None:
        for bracket in self._active:
            if (proposal := bracket.next(self._sampler, running)) is not None:
                return proposal
            if bracket.starved:
                return None if running or not bracket.go_on() else self._next(running)
        sizes = self._plan[self._begun % len(self._plan)]
        self._active.append(_Bracket(self._begun, sizes, self._fidelities[-len(sizes) :]))
        self._begun += 1
        return self._next(running)


class _Bracket:
    """One bracket: hands out a rung, waits for it, promotes its best."""

    def __init__(self, number: int, sizes: Sizes, fidelities: Sequence[float]) -> None:
        self._number, self._sizes, self._fidelities = number, sizes, fidelities
        self._rung, self._size, self._slot = 0, sizes[0], 0
        """The rung at work, how many it takes, how many of them have been handed out."""
        self._promoted: list[Report] = []
        """Whose configurations fill this rung, the best first; empty in the lowest one."""
        self._waiting: list[Proposal] = []
        self._told: list[Report] = []

    @property
    def over(self) -> bool:
        return self._size == 0

    @property
    def starved(self) -> bool:
        """Whether the lowest rung is short of configurations."""
        return self._rung == 0 and self._slot < self._size

    def go_on(self) -> bool:
        """End a starved rung, whose jobs have all ended, with what it has; False if that is nothing."""
        if self._slot:
            self._size = self._slot
            self._promote()
        return self._rung > 0

    def next(self, sampler: Sampler, running: Sequence[Proposal]) -> Proposal | None:
        """The rung's next proposal; None if all are handed out, or if there is none (see ``starved``)."""
        if self._slot == self._size:
            return None
        place = {"bracket": self._number, "rung": self._rung, "slot": self._slot}
        fidelity = self._fidelities[self._rung]
        if self._rung == 0:
            if (fresh := drawn(sampler, running)) is None:
                return None
            config, origin = fresh
            proposal = Proposal(config, fidelity, note={**origin, **place})
        else:
            below = self._promoted[self._slot]
            proposal = Proposal(below.proposal.config, fidelity, below.job, {**below.proposal.note, **place})
        self._slot += 1
        self._waiting.append(proposal)
        return proposal

    def take(self, report: Report) -> bool:
        """Whether the bracket was waiting for this report. Equal configurations differ in their notes."""
        if report.proposal not in self._waiting:
            return False
        self._waiting.remove(report.proposal)
        self._told.append(report)
        if len(self._told) == self._size:
            self._promote()
        return True

    def _promote(self) -> None:
        self._rung, self._slot = self._rung + 1, 0
        ok = [report for report in self._told if math.isfinite(report.values[0])]
        ok.sort(key=lambda report: (report.values[0], report.job))
        self._promoted = ok[: self._sizes[self._rung]] if self._rung < len(self._sizes) else []
        self._size = len(self._promoted)
        self._told = []
