"""DEHB: evolutionary Hyperband.

N. Awad, N. Mallik and F. Hutter, "DEHB: Evolutionary hyperband for scalable, robust and efficient hyperparameter
optimization", IJCAI 2021, arXiv:2105.09821, with the defaults and the details of the authors' code (package dehb):
Hyperband's brackets, with a subpopulation of differential evolution per fidelity in place of random draws.

Every fidelity has a subpopulation, as large as the largest rung that any bracket has there, initially random. While
the brackets are gone through for the first time, the rungs above a bracket's lowest one are filled by promotion: the
best of the subpopulation below. Afterwards, and in lowest rungs always, they are bred: a member is the target, in turn;
mutation is rand/1 on the parent pool, the best of the subpopulation of the rung below, as many as this rung takes (in a
lowest rung: of the subpopulation itself); a pool of fewer than three is filled up with mutants of the global
population, which is all subpopulations together; crossover is binomial; what leaves the cube is drawn anew. The
trial takes its target's place if it is not worse, as soon as it has been evaluated (asynchronous DE with immediate
replacement), and a bracket that waits for a rung lets the next one begin.

A configuration that was trained to a lower fidelity before, by promotion or by chance, goes on from there (``source``).
The authors' code trains all from zero, and counts so; what a run consumed is kept in both ways.

Deviations from the authors' code:

- The random members are evaluated themselves, as the paper has it, before they are bred from (there, the first rung
  consists of trials bred from members without a value).
- Bracket sizes and rungs are counted in whole numbers (see :mod:`hptbench.methods._brackets`).
- Promotions belong to the first brackets themselves, not to what happens while they are the latest.
- What was evaluated at a fidelity is not evaluated there again as long as the space holds anything else: such trials
  are bred anew, after 32 they are drawn. For members too similar to promote, a trial is bred.
- Integers live in cells of equal width; trials that a forbidden clause excludes are bred again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._brackets import Sizes, fidelity_of, levels, plan
from hptbench.methods._differential import Differential, Subpopulation
from hptbench.methods._history import key_of
from hptbench.methods._population import expressed, genotypes
from hptbench.protocol import Problem, Proposal, Report, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats

_TRIES, _DRAWS = 32, 256


@method("dehb")
@dataclass(frozen=True)
class DEHB:
    """DEHB: Hyperband whose configurations are bred by differential evolution, a subpopulation per fidelity.

    Failed jobs are worse than all others (+inf) and never promoted; they use up their place in the rung. Reports of
    jobs that it did not propose compete for the place of the worst member of the subpopulation of their fidelity."""

    eta: int = 3
    """A rung trains eta times as far as the one below, with 1/eta of its configurations."""
    table: str = "hpbandster"
    """Sizes of the brackets: ``hpbandster`` (as the authors' code) or ``paper`` (Hyperband's Algorithm 1)."""
    mutation_factor: float = 0.5
    """F, weight of the difference."""
    crossover_prob: float = 0.5
    """Cr, probability that a gene comes from the mutant."""
    traits: ClassVar[Traits] = Traits(fidelity=True)

    def __post_init__(self) -> None:
        for name, allowed, ok in (
            ("mutation_factor", "in (0, 2]", 0 < self.mutation_factor <= 2),
            ("crossover_prob", "in [0, 1]", 0 <= self.crossover_prob <= 1),
        ):
            if not ok:
                raise UserError(f"expected dehb.{name} {allowed}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


@dataclass(slots=True)
class _Bracket:
    number: int
    sizes: Sizes
    rung: int = 0
    sent: int = 0
    done: int = 0
    """Of this rung."""

    def open(self) -> bool:
        """Whether there is something to hand out; goes to the next rung if this one is complete."""
        if self.done == self.sizes[self.rung] and not self.over:
            self.rung, self.sent, self.done = self.rung + 1, 0, 0
        return self.sent < self.sizes[self.rung]

    @property
    def over(self) -> bool:
        return self.rung == len(self.sizes) - 1 and self.done == self.sizes[-1]


class _Sent(NamedTuple):
    proposal: Proposal
    bracket: _Bracket
    level: int
    target: int
    u: Floats


class _Search:
    def __init__(self, method: DEHB, problem: Problem, rng: np.random.Generator) -> None:
        self._space, self._rng = problem.space, rng
        self._evolution = Differential(problem.space, method.mutation_factor, method.crossover_prob, rng)
        self._levels = levels(fidelity_of(problem), method.eta)
        self._plan = plan(method.table, len(self._levels) - 1, method.eta)
        tops = range(-len(self._levels), 0)
        sizes = [max(rungs[i] for rungs in self._plan if len(rungs) >= -i) for i in tops]
        self._populations = [Subpopulation(genotypes(problem.space, n, rng)) for n in sizes]
        self._active: list[_Bracket] = []
        self._begun = 0
        self._waiting: list[_Sent] = []
        self._known: list[set[frozenset[tuple[str, object]]]] = [set() for _ in sizes]
        """Per level what has been evaluated or is running there."""
        self._exhausted = [False] * len(sizes)
        self._trained: dict[frozenset[tuple[str, object]], Report] = {}
        """The latest successful own job of each configuration."""

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        for proposal in running:
            self._know(proposal.config, proposal.fidelity)
        return [self._next() for _ in range(n)]

    def tell(self, reports: Sequence[Report]) -> None:
        for report in reports:
            i = next((i for i, sent in enumerate(self._waiting) if sent.proposal == report.proposal), None)
            if i is None:
                self._take_in(report)
                continue
            sent = self._waiting.pop(i)
            sent.bracket.done += 1
            self._populations[sent.level].compete(sent.target, sent.u, report.values[0])
            if math.isfinite(report.values[0]):
                self._trained[key_of(report.proposal.config)] = report
        self._active = [bracket for bracket in self._active if not bracket.over]

    def _take_in(self, report: Report) -> None:
        self._know(report.proposal.config, report.fidelity)
        if report.fidelity in self._levels and math.isfinite(report.values[0]):
            population = self._populations[self._levels.index(report.fidelity)]
            u = expressed(self._space.encode([report.proposal.config]), self._rng)[0]
            population.compete(int(np.argmax(population.losses)), u, report.values[0])

    def _know(self, config: Config, fidelity: float | None) -> None:
        fidelity = self._levels[-1] if fidelity is None else fidelity
        if fidelity in self._levels:
            self._known[self._levels.index(fidelity)].add(key_of(config))

    def _next(self) -> Proposal:
        bracket = next((bracket for bracket in self._active if bracket.open()), None)
        if bracket is None:
            bracket = _Bracket(self._begun, self._plan[self._begun % len(self._plan)])
            self._begun += 1
            self._active.append(bracket)
        level = len(self._levels) - len(bracket.sizes) + bracket.rung
        population = self._populations[level]
        target, population.turn = population.turn, (population.turn + 1) % len(population.u)
        u, config = self._chosen(bracket, level, target)
        population.seen[target] = True
        self._known[level].add(key_of(config))
        before = self._trained.get(key_of(config))
        source = before.job if before is not None and before.fidelity < self._levels[level] else None
        note = {"bracket": bracket.number, "rung": bracket.rung, "slot": bracket.sent, "member": target}
        proposal = Proposal(config, self._levels[level], source, note)
        bracket.sent += 1
        self._waiting.append(_Sent(proposal, bracket, level, target, u))
        return proposal

    def _chosen(self, bracket: _Bracket, level: int, target: int) -> tuple[Floats, Config]:
        """Genes and configuration: promoted, a random member itself, or bred; new at this level if possible."""
        population, known, first = self._populations[level], self._known[level], bracket.rung == 0
        if not first and bracket.number < len(self._plan):
            below = self._populations[level - 1]
            best = below.best(int(np.isfinite(below.losses).sum()))
            for u, config in zip(below.u[best], self._space.decode(below.u[best]), strict=True):
                if key_of(config) not in known:
                    return u, config
        parents = population if first else self._populations[level - 1]
        pool = parents.u[parents.best(bracket.sizes[bracket.rung])]
        u = population.u[target]
        for i in range(1 if self._exhausted[level] else _TRIES):
            if i or not first or population.seen[target]:
                u = self._evolution.trial(population.u[target], pool, [p.u for p in self._populations])
            [config] = self._space.decode(u[None])
            if self._exhausted[level] or key_of(config) not in known:
                return u, config
        drawn = genotypes(self._space, _DRAWS, self._rng)
        for u, config in zip(drawn, self._space.decode(drawn), strict=True):
            if key_of(config) not in known:
                return u, config
        self._exhausted[level] = True
        return u, config
