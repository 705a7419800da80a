"""A fixed design: the same configurations on every task, at several levels of fidelity. For tables of evaluations.

As in TabRepo (D. Salinas and N. Erickson, AutoML-Conf 2024, arXiv:2311.02971), whose configurations are the default and
random ones, at full fidelity only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._draws import sobol
from hptbench.protocol import Problem, Proposal, Report, Status, Traits
from hptbench.registry import method
from hptbench.rng import entropy, stream
from hptbench.space import Config, Space

_VAIN = 1000
"""Points in a row that were there before, after which a space counts as exhausted."""


@method("design")
@dataclass(frozen=True)
class Design:
    """A fixed design: the default configuration and a Sobol sequence, each at several levels of fidelity.

    The configurations depend on the space and ``number`` alone, neither on the task nor on the run's seed, so that
    tasks with one space are evaluated at the same points, each once; those of a smaller design are the first of a
    larger one, and ``first`` leaves out those that are there already. A configuration is trained to its next level when
    it has reached the one before (it goes on where the task can), and no further once it has failed: what took too long
    will take longer. Tasks without fidelity have one level. Notes hold the configuration's number (0 is the default)
    and the level.
    """

    configs: int = 64
    """How many."""
    first: int = 0
    """Number of the first of them: the default is 0. A table grows by designs that begin where another ended."""
    levels: tuple[float, ...] = (1 / 9, 1 / 3, 1.0)
    """Shares of the highest fidelity."""
    number: int = 0
    """Of the design: another one has other configurations, but for the default."""
    traits: ClassVar[Traits] = Traits(max_objectives=99, finite=True)

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        if self.configs < 1:
            raise UserError(f"expected design.configs >= 1, got {self.configs}")
        if self.first < 0:
            raise UserError(f"expected design.first >= 0, got {self.first}")
        levels = list(self.levels)
        if not levels or levels != sorted(set(levels)) or not 0 < levels[0] <= levels[-1] <= 1:
            raise UserError(f"expected design.levels to be rising shares in (0, 1], got {levels}")
        return _Search(self, problem)


class _Search:
    def __init__(self, design: Design, problem: Problem) -> None:
        fidelity = problem.fidelity
        self._levels: list[float | None] = [None]
        if fidelity:
            self._levels = list(dict.fromkeys(fidelity.snap(share * fidelity.high) for share in design.levels))
        self._fresh = islice(enumerate(_points(problem.space, design)), design.first, None)
        self._next: deque[Proposal] = deque()
        self._out: set[tuple[int, int]] = set()
        """(configuration, level) of what has been asked for: reports of others' proposals look alike."""

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out = [self._next.popleft() for _ in range(min(n, len(self._next)))]
        fresh = islice(self._fresh, n - len(out))
        out += [Proposal(c, self._levels[0], note={"config": i, "level": 0}) for i, c in fresh]
        self._out |= {_place(proposal) for proposal in out}
        return out

    def tell(self, reports: Sequence[Report]) -> None:
        for report in reports:
            place = _place(report.proposal)
            if place not in self._out:
                continue
            self._out.remove(place)
            number, level = place[0], place[1] + 1
            if report.status is Status.OK and level < len(self._levels):
                note = {"config": number, "level": level}
                self._next.append(Proposal(report.proposal.config, self._levels[level], report.job, note))


def _place(proposal: Proposal) -> tuple[int, int]:
    return proposal.note.get("config", -1), proposal.note.get("level", -1)


def _points(space: Space, design: Design) -> Iterator[Config]:
    """The default and the points that follow, each once; fewer than asked for if the space holds no more."""
    points = sobol(space, stream(entropy("design", design.number)))
    seen = [space.default()]
    yield seen[0]
    vain = 0
    while len(seen) < design.first + design.configs and vain < _VAIN:
        config = next(points)
        if config in seen:
            vain += 1
            continue
        vain = 0
        seen.append(config)
        yield config
