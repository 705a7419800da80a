"""Architectures found by gradient descent on a mixture of operations: DARTS."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.protocol import JSON, Fidelity, Job, Outcome, Point, Proposal, Status
from hptbench.registry import task
from hptbench.spacefile import packaged_space
from hptbench.tasks.neural._cells import OPERATIONS
from hptbench.tasks.neural._darts import Found, Mixture, Settings, search
from hptbench.tasks.neural._trainer import card_seconds
from hptbench.tasks.neural._trainings import Prepared
from hptbench.tasks.neural.cell import OPS, NeuralCell, check_side

_SIZES = ("stages", "cells", "channels")


@task("neural_darts")
@dataclass(frozen=True)
class NeuralDarts(NeuralCell):
    """DARTS (``_darts.py``: Liu, Simonyan & Yang, ICLR 2019) in the space of ``neural_cell``: a job is a whole search.

    The configuration is that of the search, which sees the training rows only, for as many epochs as the fidelity says.
    The cell that it finds is then trained alone from nothing for ``alone`` epochs, as in ``neural_cell``: what is told
    is its validation score there, what is hidden its test score, so that results can be put beside those of methods on
    ``neural_cell``. ``hidden`` also holds the operation of each edge (``Op0`` …, numbers from 0 in the order none,
    skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3), how many of them are ``skip_connect``, ``flops`` of the
    training alone and ``search_flops``. ``cost`` counts both. A search that diverged is NaN. Classification only."""

    model: ClassVar[str] = "darts"
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {
        "order": ("first", "second"), "stages": range(1, 6), "cells": range(1, 9),
    }  # fmt: skip

    high: int = 50
    """Most epochs of a search."""
    alone: int = 9
    """Epochs of the training alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.curves:
            raise UserError("a search has no learning curve of its own; choose neural_cell")
        _ = self.found_by

    @property
    def fidelity(self) -> Fidelity:
        """A longer search begins anew."""
        return Fidelity(self.low, self.high, unit="epoch")

    @property
    def found_by(self) -> NeuralCell:
        """The task whose trainings are those of cells alone."""
        return NeuralCell(
            self.data, self.store, self.metric, self.test_share, self.split, self.max_rows, self.target, self.drop_rare,
            high=self.alone,
        )  # fmt: skip

    def identity(self) -> Mapping[str, JSON]:
        return {**super().identity(), "alone": self.alone}

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job. UserError if the data set cannot be used."""
        ready = self.ready()
        if ready.trainer.data.outputs == 1:
            raise UserError(f"data set {self.data!r}: expected classes for DARTS, got numbers; choose another data set")
        outcomes = []
        for job in jobs:
            began = time.perf_counter()
            config = {**packaged_space(self.space_name()).default(), **job.proposal.config}
            found = self._search(ready, config, job)
            took = time.perf_counter() - began
            searched = card_seconds(ready.trainer.device, took)
            if not np.isfinite(found.alphas).all():
                nothing = (math.nan,) * len(self.objectives)
                hidden = {"search_flops": found.flops}
                outcomes.append(Outcome(Status.OK, (Point(job.stop, nothing),), took, hidden, gpu=searched))
                continue
            cell = dict(zip(OPS, found.operations, strict=True)) | {name: config[name] for name in _SIZES}
            [own] = self.found_by.evaluate([Job(job.id, job.trial, Proposal(cell), 0.0, self.alone, job.seed)])
            hidden = {op: float(OPERATIONS.index(cell[op])) for op in OPS} | dict(own.hidden)
            hidden |= {"skip_connect": float(found.operations.count("skip_connect")), "search_flops": found.flops}
            curve = (Point(job.stop, own.curve[-1].values),)
            gpu = None if searched is None else searched + (own.gpu or 0.0)
            outcomes.append(Outcome(Status.OK, curve, took + own.cost, hidden, None, own.message, gpu=gpu))
        return outcomes

    def _search(self, ready: Prepared, config: Mapping[str, Any], job: Job) -> Found:
        data = ready.trainer.data
        colours, side, _ = data.X.shape[1:]
        channels, stages, cells = (int(config[name]) for name in ("channels", "stages", "cells"))
        check_side(self.data, side, stages)
        net = Mixture(side, colours, data.outputs, channels, stages, cells)
        how = Settings(**{name: config[name] for name in Settings._fields})
        return search(data, net, how, int(job.stop), self.high, job.seed, ready.trainer.device)
