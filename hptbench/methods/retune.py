"""Tuning again and again while data arrive: block after block, warm from the block before or cold.

No method of one paper. The ways to maintain a tuned model are among those that B. Celik and J. Vanschoren, "Adaptation
strategies for automated machine learning on evolving data", IEEE TPAMI 43(9), 2021, arXiv:2006.06480, compare: warm
start (``warm``), periodic restart (``warm=false``) and tuning once (``until=1``, here with the model, not the
configuration, kept up to date). Theirs start where a drift is detected, or once in a while; here with every block.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np

from hptbench import registry
from hptbench.errors import UserError
from hptbench.protocol import Budget, Point, Problem, Proposal, Report, Search, Traits
from hptbench.registry import method
from hptbench.space import Config, Space

_ROUNDING = 1e-9


@method("retune")
@dataclass(frozen=True)
class Retune:
    """Tuning again for every block of data that arrives, warm from the block before or cold, with an inner method.

    For tasks whose fidelity is time (the family ``drifting``): every level, from the lowest to the highest, is a block.
    A block is a fresh search of the inner method, and ends when its share of evaluations has ended: values of
    different blocks are never compared, and no worker is at work in two blocks.

    Each block gets the same number of evaluations, up to one where the budget does not divide: the i-th block
    ends with evaluation ceil(i x), where x fills the tighter of ``max_jobs`` and ``max_full_evals`` (level / high per
    evaluation). So the last block is reached with its share left, whatever the number of workers, and what rounding
    leaves is spent there. With x < 1 some blocks are passed over. A budget of time alone is shared out as time.
    Failed evaluations count. Reports of jobs that it did not propose are ignored.
    """

    inner: str = "random"
    """Method that tunes a block; one that needs no fidelity."""
    warm: bool = True
    """Begin each block with the best configurations of the last block in which any succeeded, evaluated anew and
    told to the inner method; false: each block knows nothing of the others."""
    carry: int = 1
    """How many, if warm."""
    until: int | None = None
    """Tune the first so many blocks with the whole budget but one evaluation for each later block, which trains
    the best configuration again: 1 is tuning once. None: all blocks."""
    traits: ClassVar[Traits] = Traits(fidelity=True)

    def __post_init__(self) -> None:
        if self.carry < 1:
            raise UserError(f"expected retune.carry >= 1, got {self.carry}; set warm=false to carry nothing")
        if self.until is not None and self.until < 1:
            raise UserError(f"expected retune.until >= 1, got {self.until}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        inner: Any = registry.find("method", self.inner)
        if inner.traits.fidelity or inner.traits.min_objectives > 1:
            needs = "a fidelity, which is time here" if inner.traits.fidelity else "several objectives"
            raise UserError(
                f"expected retune.inner to be a method that trains every configuration to the end, got {self.inner!r}, "
                f"which needs {needs}; use inner=random"
            )
        if problem.fidelity is None or not problem.fidelity.integer:
            raise UserError("expected a task with a fidelity in whole steps (blocks of data); choose suite=drifting")
        return _Search(self, inner(), problem, rng)


class _Entry(NamedTuple):
    """A proposal that was handed out, as the inner method knows it, and when."""

    outer: Proposal
    inner: Proposal
    began: float


class _Search:
    def __init__(self, method: Retune, inner: Any, problem: Problem, rng: np.random.Generator) -> None:
        fidelity = problem.fidelity
        assert fidelity is not None  # begin has seen to it
        self._method, self._inner, self._problem = method, inner, problem
        self._levels = np.arange(math.ceil(fidelity.low), math.floor(fidelity.high) + 1, dtype=float).tolist()
        self._tuned = min(method.until or len(self._levels), len(self._levels))
        self._shares = _shares(problem.budget, self._levels, self._tuned)
        if method.warm and self._shares and method.carry > max(1, *self._shares[: self._tuned]):
            raise UserError(
                f"expected retune.carry <= {max(self._shares)}, the evaluations of a block, got {method.carry}; "
                "set it lower, or the budget higher"
            )
        self._streams = rng.spawn(len(self._levels))
        """One per block, so that what a block draws does not depend on the blocks before."""
        self._now = 0.0
        """The run's time, as far as reports tell."""
        self._best: list[Config] = []
        self._waiting: list[_Entry] = []
        self._enter(0)

    def _enter(self, block: int) -> None:
        self._block, self._begun, self._over = block, 0, False
        self._told: list[Report] = []
        n = self._method.carry if self._method.warm else 0
        self._carried = self._best[: n if block < self._tuned else 1]
        if self._shares is None:
            assert self._problem.budget.max_time is not None
            share = Budget(max_time=self._problem.budget.max_time / len(self._levels))
        else:
            self._carried = self._carried[: self._shares[block]]
            share = Budget(max_jobs=max(1, self._shares[block] - len(self._carried)))
        problem = replace(self._problem, fidelity=None, budget=share)
        self._search: Search = self._inner.begin(problem, self._streams[block])

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        while True:
            out = self._more(n)
            last = self._block == len(self._levels) - 1
            if out or self._waiting or last:
                return out
            if self._told:
                self._best = best(self._problem.space, self._told, self._method.carry)
            self._enter(self._block + 1)

    def _more(self, n: int) -> list[Proposal]:
        """Proposals of this block; none if it has to wait, or has ended."""
        n = min(n, self._left())
        running = [entry.inner for entry in self._waiting]
        fresh = [Proposal(config) for config in self._carried[:n]]
        carried, self._carried = len(fresh), self._carried[n:]
        if n > carried:
            fresh += self._search.ask(n - carried, [*running, *fresh])
        self._over = not fresh and not running
        out = []
        for i, inner in enumerate(fresh):
            place = {"block": self._block + 1, "number": self._begun, "carried": i < carried}
            outer = replace(inner, fidelity=self._levels[self._block], note={**inner.note, **place})
            self._waiting.append(_Entry(outer, inner, self._now))
            self._begun += 1
            out.append(outer)
        return out

    def _left(self) -> int:
        """How many evaluations this block may still begin."""
        many = self._problem.workers
        if self._over:
            return 0
        if self._block == len(self._levels) - 1 == self._tuned - 1:
            return many  # until the budget ends
        if self._shares is not None:
            return self._shares[self._block] - self._begun
        assert self._problem.budget.max_time is not None
        deadline = self._problem.budget.max_time * (self._block + 1) / len(self._levels)
        return many if self._now < deadline or not self._begun else 0

    def tell(self, reports: Sequence[Report]) -> None:
        mine = []
        for report in reports:
            entry = next((entry for entry in self._waiting if entry.outer == report.proposal), None)
            if entry is None:
                continue
            self._waiting.remove(entry)
            self._now = max(self._now, entry.began + report.cost)
            curve = tuple(Point(1.0, point.values) for point in report.curve[-1:])
            mine.append(replace(report, proposal=entry.inner, fidelity=1.0, curve=curve))
        self._told += [report for report in mine if math.isfinite(report.values[0])]
        if mine:
            self._search.tell(mine)


def best(space: Space, reports: Sequence[Report], n: int) -> list[Config]:
    """The ``n`` best different configurations, the best first."""
    found: dict[str, Config] = {}
    for report in sorted(reports, key=lambda report: (report.values[0], report.job)):
        found.setdefault(space.key(report.proposal.config), report.proposal.config)
    return list(found.values())[:n]


def _shares(budget: Budget, levels: Sequence[float], tuned: int) -> list[int] | None:
    """Evaluations of each block; None for a budget of time alone."""
    limits = ((budget.max_jobs, [1.0] * len(levels)), (budget.max_full_evals, [b / levels[-1] for b in levels]))
    most = [(limit - sum(costs[tuned:])) / sum(costs[:tuned]) for limit, costs in limits if limit is not None]
    if not most and tuned < len(levels):
        raise UserError("retune.until needs a budget in evaluations: set budget.max_jobs or budget.max_full_evals")
    if not most:
        return None
    if (x := min(most)) <= 0:
        raise UserError(
            f"retune: the budget is too small to train again in each of the {len(levels) - tuned} blocks after "
            f"block {tuned}; set the budget or retune.until higher"
        )
    ends = [math.ceil(i * x - _ROUNDING) for i in range(tuned + 1)]
    return [b - a for a, b in pairwise(ends)] + [1] * (len(levels) - tuned)
