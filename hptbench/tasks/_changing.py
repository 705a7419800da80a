"""What wrappers share whose configurations stand for several of the inner task, one after the other in one training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hptbench.errors import UserError
from hptbench.protocol import Job, Outcome, Status
from hptbench.space import Config
from hptbench.tasks._jobs import on_card
from hptbench.tasks._wrapper import Wrapper


@dataclass(frozen=True)
class Changing(Wrapper):
    """A wrapper that trains a segment in pieces, each with a configuration of its own; a subclass says which.

    Every piece goes on from the state of the one before, as when a method exploits a state with another configuration:
    the task needs no more than that. UserError for a task whose training cannot."""

    def __post_init__(self) -> None:
        fidelity = self.inner.fidelity
        if fidelity is None or not (fidelity.continues and fidelity.inherits):
            raise UserError(
                f"expected a task whose training goes on with other hyperparameters, got {self.inner.name}, which "
                "cannot; choose one that keeps a state, such as those of suite=training"
            )

    def pieces(self, config: Config, start: float, stop: float) -> list[tuple[float, Config]]:
        """(where a piece ends, its configuration of ``inner``) from ``start`` to ``stop``, rising. Two segments must
        give the pieces of one, but for a cut where they meet."""
        raise NotImplementedError

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        todo = [self._inner_jobs(job)[::-1] for job in jobs]
        done: list[list[Outcome]] = [[] for _ in jobs]
        while places := [i for i, pieces in enumerate(todo) if pieces]:
            batch = []
            for i in places:
                piece = todo[i].pop()
                batch.append(replace(piece, state=done[i][-1].state) if done[i] else piece)
            for i, outcome in zip(places, self.inner.evaluate(batch), strict=True):
                done[i].append(outcome)
                if outcome.status is not Status.OK:
                    todo[i] = []
        return [_whole(outcomes) for outcomes in done]

    def _inner_jobs(self, job: Job) -> list[Job]:
        """The pieces of ``job``, the first with its state; each knows what it goes on from, back to the beginning."""
        chain = [job]
        while chain[-1].before is not None:
            chain.append(chain[-1].before)
        before: Job | None = None
        pieces: list[Job] = []
        for link in reversed(chain):
            pieces, start, state = [], link.start, link.state
            for stop, config in self.pieces(link.proposal.config, link.start, link.stop):
                proposal = replace(link.proposal, config=config, fidelity=stop)
                before = replace(link, proposal=proposal, start=start, stop=stop, state=state, before=before)
                pieces.append(before)
                start, state = stop, None
        return pieces


def _whole(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of all pieces as that of one segment."""
    cpu = [o.cpu for o in outcomes if o.cpu is not None]
    memory = [o.memory for o in outcomes if o.memory is not None]
    return replace(
        outcomes[-1],
        curve=tuple(point for outcome in outcomes for point in outcome.curve),
        cost=math.fsum(outcome.cost for outcome in outcomes),
        cpu=math.fsum(cpu) if cpu else None,
        gpu=on_card(outcomes),
        memory=max(memory) if memory else None,
    )
