"""Driving members in training by hand: what the tests of PBT and PB2 share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hptbench.protocol import Budget, Fidelity, Method, Problem, Proposal, Report, Status
from hptbench.space import Space

STEPS = Fidelity(1, 4, "step", continues=True)


def begin(method: Method, space: Space, fidelity: Fidelity = STEPS, seed: int = 0) -> Any:
    """A search with a budget that never ends."""
    return method.begin(Problem(space, ("loss",), fidelity, Budget(max_jobs=10_000)), np.random.default_rng(seed))


class Jobs:
    """Numbers jobs as a run does, and tells the search of them."""

    def __init__(self, search: Any) -> None:
        self.search, self.proposals = search, list[Proposal]()

    def ask(self, n: int) -> list[int]:
        """The numbers of the jobs that begin."""
        begun = self.search.ask(n, [])
        self.proposals += begun
        return list(range(len(self.proposals) - len(begun), len(self.proposals)))

    def tell(self, values: dict[int, float]) -> None:
        """Job -> value."""
        self.search.tell([
            Report(
                job, job, self.proposals[job], float(self.proposals[job].fidelity or 0),
                Status.OK if math.isfinite(value) else Status.FAILED, (value,), (), 1.0,
            )
            for job, value in values.items()
        ])  # fmt: skip

    def shown(self, job: int) -> tuple[Any, ...]:
        """Member, fidelity and source of a job."""
        proposal = self.proposals[job]
        return proposal.note["member"], proposal.fidelity, proposal.source
