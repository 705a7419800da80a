"""Any black-box method on the rungs of ASHA or Hyperband.

No method of one paper: the black-box method draws the configurations, the rungs decide how far each is trained. With
TPE or a Gaussian process on asynchronous rungs, this is the family of A. Klein, L. Tiao, T. Lienart, C. Archambeau and
M. Seeger, "Model-based asynchronous hyperparameter and neural architecture search", 2020, arXiv:2003.10865; which rung
the model is of follows BOHB (S. Falkner, A. Klein and F. Hutter, ICML 2018, arXiv:1807.01774, section 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from hptbench import registry
from hptbench.errors import UserError, unknown
from hptbench.methods._asha import Asha
from hptbench.methods._brackets import Brackets, Sampler, Sizes, fidelity_of, levels, paper, plan
from hptbench.methods._history import key_of
from hptbench.protocol import JSON, Budget, Point, Problem, Proposal, Report, Search, Traits
from hptbench.registry import method
from hptbench.space import Config

SCHEDULERS = ("asha", "asha_stopping", "hyperband")
_DRAWS = 10
"""So many times until the configuration is a new one; then it is taken as it is (the space may be exhausted), and the
next draw is made once only."""
_PAUSED = 200
"""Configurations that wait in lower rungs which the inner method is told of: the latest ones."""


@method("on_rungs")
@dataclass(frozen=True)
class OnRungs:
    """A black-box method made multi-fidelity: it draws the configurations of the rungs of ASHA or Hyperband.

    What the inner method is told:

    - Results of one rung only, as results of full evaluations, so that no values of different fidelities are ever
      compared. The rung is the highest fidelity with at least 2 (d + 1) finished jobs, failed ones included, d the
      number of parameters that are not constant (as in BOHB); before there is one, the lowest fidelity.
    - When a higher rung has that many, a new search of the inner method begins, and is told all results there.
    - As running: what it drew itself and has no result in that rung, be it in training or paused in a lower one (the
      latest 200 of these, so that it draws elsewhere); and all else that is in training and has no result there.
    - Reports of others at that fidelity, as reports of jobs that it did not propose.
    - A budget in jobs: the number of configurations that the run's budget pays for; a budget of time alone as it is.

    A draw that is no new configuration is made again, up to ten draws. If the inner method draws nothing, workers
    wait; the search ends where nothing is running (a grid has ended)."""

    inner: str = "tpe"
    """Method that draws; one that needs no fidelity."""
    scheduler: str = "asha"
    """``asha`` (promotion), ``asha_stopping`` or ``hyperband`` (synchronous, with the brackets of the paper)."""
    eta: int = 3
    """A rung trains eta times as far as the one below; 1/eta of its configurations go on."""
    traits: ClassVar[Traits] = Traits(fidelity=True)

    def begin(self, problem: Problem, rng: np.random.Generator) -> Asha | Brackets:
        if self.scheduler not in SCHEDULERS:
            raise unknown("scheduler", self.scheduler, SCHEDULERS)
        inner: Any = registry.find("method", self.inner)
        if inner.traits.fidelity or inner.traits.min_objectives > 1:
            needs = "a fidelity" if inner.traits.fidelity else "several objectives"
            raise UserError(
                f"expected on_rungs.inner to be a method that trains every configuration to the end, got "
                f"{self.inner!r}, which needs {needs}; use inner=tpe"
            )
        fidelity = fidelity_of(problem)
        fidelities = levels(fidelity, self.eta)
        s_max = len(fidelities) - 1
        brackets = plan("paper", s_max, self.eta) if self.scheduler == "hyperband" else [paper(s_max, s_max, self.eta)]
        budget = share(problem.budget, brackets, fidelities, fidelity.continues)
        sampler = Drawer(inner(), replace(problem, fidelity=None, budget=budget), fidelities, rng)
        if self.scheduler == "hyperband":
            return Brackets(brackets, fidelities, sampler)
        return Asha(fidelities, self.eta, sampler, "promotion" if self.scheduler == "asha" else "stopping")


def share(budget: Budget, brackets: Sequence[Sizes], fidelities: Sequence[float], continues: bool) -> Budget:
    """The configurations that a budget pays for, as ``max_jobs``, if brackets of these sizes are run over and over; a
    budget of time alone as it is."""
    configurations = jobs = training = 0.0
    for sizes in brackets:
        reached = (0.0, *fidelities[-len(sizes) :])
        configurations, jobs = configurations + sizes[0], jobs + sum(sizes)
        for size, (start, stop) in zip(sizes, pairwise(reached), strict=True):
            training += size * (stop - start if continues else stop) / fidelities[-1]
    limits = ((budget.max_jobs, jobs), (budget.max_full_evals, training))
    most = [limit * configurations / each for limit, each in limits if limit is not None]
    return Budget(max_jobs=max(1, round(min(most)))) if most else budget


class Drawer(Sampler):
    """Draws of an inner method, which is told the results of one rung."""

    def __init__(self, inner: Any, problem: Problem, fidelities: Sequence[float], rng: np.random.Generator) -> None:
        self._inner, self._problem, self._rng = inner, problem, rng
        self._enough = 2 * (int(np.sum(problem.space.sizes != 1)) + 1)
        self._told: dict[float, list[Report]] = {fidelity: [] for fidelity in fidelities}
        """Results by rung, whoever proposed them."""
        self._running: Sequence[Proposal] = ()
        self._known: set[frozenset[tuple[str, object]]] = set()
        """Configurations that were drawn or told, whatever their fidelity."""
        self._exhausted = False
        """The last draw was no new configuration, however often it was made again."""
        self._draws = 0
        self._enter(fidelities[0])

    def _enter(self, level: float) -> None:
        self.level = level
        self._search: Search = self._inner.begin(self._problem, self._rng.spawn(1)[0])
        self._open: dict[int, Proposal] = {}
        """What this search drew and has not been told of, by number of the draw: in training for the first time."""
        self._paused: dict[int, Proposal] = {}
        """The same, after a result in a lower rung."""
        self._there: set[frozenset[tuple[str, object]]] = set()
        """Configurations with a result in the rung."""
        self._tell(self._told[level])

    def learn(self, reports: Sequence[Report]) -> None:
        self._known.update(key_of(report.proposal.config) for report in reports)
        for report in reports:
            if report.fidelity in self._told:
                self._told[report.fidelity].append(report)
        full = [level for level, told in self._told.items() if len(told) >= self._enough]
        if full and full[-1] > self.level:
            self._enter(full[-1])
            return
        self._tell([report for report in reports if report.fidelity == self.level])
        for report in reports:
            if report.fidelity < self.level and (proposal := self._mine(report.proposal)) is not None:
                draw = report.proposal.note["draw"]
                self._open.pop(draw, None)
                self._paused.pop(draw, None)
                self._paused[draw] = proposal
                if len(self._paused) > _PAUSED:
                    del self._paused[next(iter(self._paused))]

    def _tell(self, reports: Sequence[Report]) -> None:
        """Results in the rung, to the search."""
        told = []
        for report in reports:
            proposal = self._mine(report.proposal)
            curve = tuple(Point(1.0, point.values, point.constraints) for point in report.curve[-1:])
            known = proposal or Proposal(report.proposal.config)
            told.append(replace(report, proposal=known, fidelity=1.0, curve=curve))
            self._there.add(key_of(report.proposal.config))
            if proposal is not None:
                self._open.pop(report.proposal.note["draw"], None)
                self._paused.pop(report.proposal.note["draw"], None)
        if told:
            self._search.tell(told)

    def _mine(self, proposal: Proposal) -> Proposal | None:
        """As the search at work knows it; None if it drew no such, or has been told."""
        draw = proposal.note.get("draw")
        found = (self._open.get(draw) or self._paused.get(draw)) if isinstance(draw, int) else None
        return found if found is not None and found.config == proposal.config else None

    def pending(self, running: Sequence[Proposal]) -> None:
        self._running = running

    def draw(self) -> tuple[Config, Mapping[str, JSON]] | None:
        others = [p for p in self._running if self._mine(p) is None and key_of(p.config) not in self._there]
        pending = [*self._paused.values(), *self._open.values(), *(Proposal(p.config) for p in others)]
        for _ in range(1 if self._exhausted else _DRAWS):
            proposals = self._search.ask(1, pending)
            if not proposals:
                return None
            config, key = proposals[0].config, key_of(proposals[0].config)
            pending.append(proposals[0])
            if key not in self._known:
                break
        self._exhausted = key in self._known
        self._known.add(key)
        self._open[self._draws] = proposals[0]
        self._draws += 1
        return config, {"draw": self._draws - 1, "by": self.level}
