"""Populations in training with truncation selection, shared by PBT and PB2.

Members train one interval at a time, each in a segment of its own; nobody waits for a generation to end. Before a
member's next segment it is looked at where it stands: if it is among the worst, it is given the state of one of the
best, and other hyperparameters (exploit and explore), in one proposal: ``source`` is the latest finished job of that
other member. So one trial is one configuration, and a member is a path through trials, which their sources tell.

- Members are compared by their values after as many intervals as the one that is looked at has trained, or the last
  ones of members that have trained less. With as many workers as members and equal costs that is the latest value of
  each (the papers); with fewer workers, nobody is among the worst only because the others have had their turn already.
- Who has trained least comes next; equal ones in order of their numbers.
- A member that has reached the highest fidelity is done: nobody can go on from its state. If only such are among the
  best, a bad member goes on by itself.
- A failed segment leaves no state: its member takes one of the best members' places in any case, or, without any,
  begins anew with a new configuration. Failures count as +inf.
- When all members of a population have been sent into their last interval, another population begins, until the budget
  ends. Until then workers in excess of the members wait: PBT has no more work than members.
- The configurations of jobs that were not asked for (warm starts) are the first members of the next population, the
  best first; their values and states are not used.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._brackets import fidelity_of
from hptbench.methods._draws import Uniform
from hptbench.protocol import Fidelity, Problem, Proposal, Report
from hptbench.space import Config

_ROUNDING = 1e-9
_INTERVALS = 20
"""Of a training, unless told otherwise."""


@dataclass(slots=True, eq=False)
class Member:
    """One of a population."""

    number: int
    values: list[float] = field(default_factory=list)
    """After each interval of the training that led to its state, whoever it was that trained."""
    report: Report | None = None
    """Of its latest finished job."""
    away: bool = False
    """It is being trained."""

    @property
    def ok(self) -> bool:
        """Whether there is a state to go on from."""
        return bool(self.values) and math.isfinite(self.values[-1])

    def after(self, intervals: int) -> float:
        """Its value after so many intervals, or the last one before."""
        return self.values[min(intervals, len(self.values)) - 1]


class Sent(NamedTuple):
    """A proposal that was handed out."""

    proposal: Proposal
    member: Member
    before: tuple[float, ...]
    """The values up to the state it starts from."""


class Population(ABC):
    """A search by members in training; a subclass explores."""

    def __init__(
        self, problem: Problem, rng: np.random.Generator, size: int | None, interval: float | None, truncation: float
    ) -> None:
        fidelity = fidelity_of(problem)
        if not (fidelity.continues and fidelity.inherits):
            raise UserError(
                "expected a task whose training goes on from the state that another configuration left, got one that "
                "cannot; choose suite=training or another task that keeps a state, or a method such as asha"
            )
        self._space, self._rng = problem.space, rng
        self._uniform = Uniform(problem.space, rng.spawn(1)[0])
        self._truncation = truncation
        self.levels = intervals(fidelity, interval)
        """Fidelities at which an interval ends, rising."""
        self._size = size or affordable(problem, len(self.levels))
        self._begun = 0
        self._given: list[tuple[float, Config]] = []
        self.waiting: list[Sent] = []
        """What is being trained, in the order in which it was handed out."""
        self._members: list[Member] = []
        self._new_population()

    @property
    def in_training(self) -> int:
        """As many as there are members."""
        return self._size

    @abstractmethod
    def _explore(self, donor: Member) -> Config:
        """Hyperparameters with which to go on from the state of ``donor``."""

    @abstractmethod
    def _learn(self, sent: Sent, value: float) -> None:
        """Take in a finished segment of this search; +inf if it failed."""

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out: list[Proposal] = []
        while len(out) < n:
            free = [m for m in self._members if not m.away and len(m.values) < len(self.levels)]
            if free:
                out.append(self._send(min(free, key=lambda m: (len(m.values), m.number))))
            elif all(sent.proposal.fidelity == self.levels[-1] for sent in self._own()):
                self._new_population()
            else:
                break
        return out

    def tell(self, reports: Sequence[Report]) -> None:
        for report in reports:
            i = next((i for i, sent in enumerate(self.waiting) if sent.proposal == report.proposal), None)
            if i is None:
                if math.isfinite(report.values[0]):
                    self._given.append((report.values[0], report.proposal.config))
                continue
            sent = self.waiting.pop(i)
            value = report.values[0]
            sent.member.values, sent.member.report, sent.member.away = [*sent.before, value], report, False
            self._learn(sent, value)

    def _own(self) -> list[Sent]:
        """Those of this population that are being trained."""
        return [sent for sent in self.waiting if sent.member in self._members]

    def _new_population(self) -> None:
        self._members = [Member(i) for i in range(self._size)]
        self._begun += 1
        self._given.sort(key=lambda pair: pair[0], reverse=True)

    def _send(self, member: Member) -> Proposal:
        note = {"population": self._begun - 1, "member": member.number}
        donor = self._donor(member)
        if donor is not None and donor.report is not None:
            before, source, config = donor.values, donor.report.job, self._explore(donor)
            note["from"] = donor.number
        elif member.ok and member.report is not None:
            before, source, config = member.values, member.report.job, dict(member.report.proposal.config)
        else:
            before, source, config = [], None, self._first()
        note["interval"] = len(before)
        proposal = Proposal(config, self.levels[len(before)], source, note)
        member.away = True
        self.waiting.append(Sent(proposal, member, tuple(before)))
        return proposal

    def _first(self) -> Config:
        return self._given.pop()[1] if self._given else self._uniform.draw()[0]

    def _donor(self, member: Member) -> Member | None:
        """Whose state ``member`` goes on from, if not from its own."""
        n = len(member.values)
        ranked = sorted((m for m in self._members if m.values), key=lambda m: (m.after(max(n, 1)), m.number))
        k = min(math.ceil(self._truncation * len(ranked) - _ROUNDING), len(ranked) // 2)
        if not member.values or (member.ok and member not in ranked[len(ranked) - k :]):
            return None
        donors = [m for m in ranked[: max(k, 1)] if m.ok and m is not member and len(m.values) < len(self.levels)]
        return donors[self._rng.integers(len(donors))] if donors else None


def intervals(fidelity: Fidelity, interval: float | None) -> tuple[float, ...]:
    """The fidelities at which an interval ends: its multiples, and the highest fidelity. None: a twentieth of it.

    Each is snapped to a valid fidelity, so the first may be longer; equal ones count once. UserError unless it is
    above 0 and at most the highest fidelity."""
    step = fidelity.high / _INTERVALS if interval is None else interval
    if not 0 < step <= fidelity.high:
        raise UserError(f"expected an interval above 0 and at most {fidelity.high:g} ({fidelity.unit}), got {interval}")
    if interval is None and fidelity.integer:
        step = max(1.0, round(step))
    n = math.ceil(fidelity.high / step - _ROUNDING)
    return tuple(dict.fromkeys([*(fidelity.snap(i * step) for i in range(1, n)), float(fidelity.high)]))


def affordable(problem: Problem, segments: int) -> int:
    """Members that the budget can train to the end, from 4 to 20; 20 for a budget of time alone."""
    budget = problem.budget
    limits = [budget.max_full_evals, None if budget.max_jobs is None else budget.max_jobs / segments]
    return min(20, max(4, int(min((limit for limit in limits if limit is not None), default=20))))


def check_population(name: str, size: int | None, truncation: float) -> None:
    """UserError for settings that make no population."""
    if size is not None and size < 2:
        raise UserError(f"expected {name}.population >= 2, got {size}")
    if not 0 <= truncation <= 0.5:
        raise UserError(f"expected {name}.truncation in [0, 0.5], got {truncation}")
