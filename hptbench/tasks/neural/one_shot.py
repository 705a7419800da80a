"""Architectures judged by the weights that they share in a supernet: one-shot architecture search."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.protocol import JSON, Fidelity, Job, Outcome, Point, Proposal, Status
from hptbench.registry import task
from hptbench.tasks.neural._supernet import Supernet
from hptbench.tasks.neural._trainer import card_seconds, flops
from hptbench.tasks.neural.cell import OPS, NeuralCell


@task("neural_one_shot")
@dataclass(frozen=True)
class NeuralOneShot(NeuralCell):
    """Networks of cells, each judged by the weights that it shares with all others in a supernet, and tested alone.

    The supernet (``_supernet.py``: Guo et al., ECCV 2020) is trained once per task, by uniformly drawn paths. What a
    method is told of an architecture is its validation score with the shared weights after so many of the supernet's
    epochs (the fidelity): a job trains nothing, and can be done for every architecture. So ``random`` on this task is
    random search with weight sharing (Li & Talwalkar, UAI 2019), an evolution the search of Guo et al.

    ``hidden``: ``test`` is that of the architecture trained alone from nothing for ``alone`` epochs, as in
    ``neural_cell``, and ``alone_<metric>`` its validation score there, so that the two judgements can be compared;
    ``supernet_flops`` is what the supernet has taken, which all architectures share. Neither is in ``cost``, which is
    the job's share of the time of validation.

    The space is that of ``neural_cell``, of which only the operations may vary; the supernet is trained by Nesterov's
    momentum with the other parameters' values. Classification only."""

    model: ClassVar[str] = "one_shot"

    alone: int = 9
    """Epochs of each training alone."""
    supernet: int = 0
    """Which of several supernets."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, size in zip(self.space.names, self.space.sizes, strict=True):
            if name not in OPS and size != 1:
                raise UserError(
                    f"space: weights can be shared by operations only, but {name} is a parameter, too; make it a "
                    "constant, or choose the family neural_cell"
                )
        if (optimizer := self.space.default().get("optimizer", "nesterov")) != "nesterov":
            raise UserError(f"expected a supernet to be trained with nesterov, got optimizer {optimizer!r}")
        if self.curves:
            raise UserError("an architecture judged by shared weights has no learning curve; choose neural_cell")
        _ = self.cell

    @classmethod
    def space_name(cls, **_: Any) -> str:
        return NeuralCell.space_name()

    @property
    def fidelity(self) -> Fidelity:
        """A job leaves nothing that an architecture could inherit from another."""
        return replace(super().fidelity, inherits=False)

    @property
    def name(self) -> str:
        return super().name + (f"-n{self.supernet}" if self.supernet else "")

    @property
    def cell(self) -> NeuralCell:
        """The task whose trainings are those of architectures alone."""
        return NeuralCell(
            self.data, self.store, self.metric, self.test_share, self.split, self.max_rows, self.target, self.drop_rare,
            high=self.alone, space=self.space,
        )  # fmt: skip

    def identity(self) -> Mapping[str, JSON]:
        return {**super().identity(), "alone": self.alone, "supernet": self.supernet}

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job. UserError if the data set cannot be used."""
        ready, shared = self.ready(), _supernet(self)
        recipes = [self.recipe(ready, job) for job in jobs]
        epochs = [int(job.stop) for job in jobs]
        snapshots = shared.snapshots([recipe.net for recipe in recipes], epochs)  # type: ignore[misc]
        began = time.perf_counter()
        said = ready.trainer.predict(snapshots, [recipe.within for recipe in recipes], ready.trainer.data.held)
        took, work = time.perf_counter() - began, [flops(r.net, 0, len(ready.trainer.data.held)) for r in recipes]
        fresh = [Job(job.id, job.trial, Proposal(job.proposal.config), 0.0, self.alone, job.seed) for job in jobs]
        outcomes = []
        for i, own in enumerate(self.cell.evaluate(fresh)):
            seen = self.scores(ready, np.asarray(said[i]), ready.validation, None)
            hidden = {name: value for name, value in own.hidden.items() if name.startswith("test")}
            hidden |= {f"alone_{name}": own.hidden[f"validation_{name}"] for name in seen}
            hidden |= {f"validation_{name}": value for name, value in seen.items()}
            hidden |= {"flops": work[i], "supernet_flops": shared.flops(epochs[i])}
            curve = (Point(jobs[i].stop, tuple(seen[o] for o in self.objectives)),)
            cost = took * work[i] / sum(work)
            gpu = card_seconds(ready.trainer.device, cost)
            outcomes.append(Outcome(Status.OK, curve, cost, hidden, None, own.message, gpu=gpu))
        return outcomes


@lru_cache(maxsize=4)
def _supernet(task: NeuralOneShot) -> Supernet:
    ready, default = task.ready(), task.space.default()
    if ready.trainer.data.outputs == 1:
        raise UserError(
            f"data set {task.data!r}: expected classes for a supernet, got numbers; choose another data set"
        )
    recipe = task.recipe(ready, Job(0, 0, Proposal(default), 0.0, task.high, ()))
    net: Any = recipe.net
    choices = [task.space.levels(op) if op in default else (own,) for op, own in zip(OPS, net.operations, strict=True)]
    return Supernet(ready.trainer, recipe, net, choices, task.supernet)
