"""What a search has been told of full evaluations, as arrays: for methods that train every configuration to the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hptbench.protocol import Problem, Proposal, Report
from hptbench.space import Config, Floats, Mask


class History:
    """Finished jobs at full fidelity, whoever proposed them, in the order in which they were told.

    Reports of lower fidelities are left out: their values do not compare."""

    def __init__(self, problem: Problem) -> None:
        self._space = problem.space
        self._high = problem.fidelity.high if problem.fidelity else None
        self._u = Rows(len(problem.space))
        self._values = Rows(len(problem.objectives))
        self._constraints = Rows(len(problem.constraints))
        self._keys: set[frozenset[tuple[str, object]]] = set()

    def __len__(self) -> int:
        return len(self._u)

    @property
    def u(self) -> Floats:
        """(n, d) the configurations in the unit cube, NaN where inactive; a view."""
        return self._u.array

    @property
    def values(self) -> Floats:
        """(n, k) the objectives, +inf where the job failed; a view."""
        return self._values.array

    @property
    def constraints(self) -> Floats:
        """(n, c) the constraints, kept where <= 0, +inf where the job failed; a view."""
        return self._constraints.array

    @property
    def feasible(self) -> Mask:
        """(n,) whether the job succeeded and all constraints are kept."""
        return np.asarray(np.isfinite(self.values).all(axis=1) & (self.constraints <= 0).all(axis=1))

    def add(self, reports: Sequence[Report]) -> None:
        """Take in the reports at full fidelity."""
        full = [report for report in reports if self._high is None or report.fidelity == self._high]
        if not full:
            return
        self._u.append(self._space.encode([report.proposal.config for report in full]))
        self._values.append(np.array([report.values for report in full], dtype=float))
        self._constraints.append(np.array([report.constraints for report in full], dtype=float))
        self._keys.update(key_of(report.proposal.config) for report in full)

    def first_new(self, configs: Iterable[Config], running: Sequence[Proposal]) -> Config | None:
        """The first of ``configs`` that is neither finished nor running; None if there is none."""
        pending = {key_of(proposal.config) for proposal in running}
        return next((c for c in configs if (key := key_of(c)) not in self._keys and key not in pending), None)


def key_of(config: Config) -> frozenset[tuple[str, object]]:
    """The same for the same configuration."""
    return frozenset(config.items())


class Rows:
    """A growing array: twice the room whenever it is full, so that n appends cost O(n)."""

    def __init__(self, width: int) -> None:
        self._room = np.empty((64, width))
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def array(self) -> Floats:
        return self._room[: self._n]

    def append(self, rows: Floats) -> None:
        n = self._n + len(rows)
        while n > len(self._room):
            self._room = np.concatenate([self._room, np.empty_like(self._room)])
        self._room[self._n : n] = rows
        self._n = n
