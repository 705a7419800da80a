"""Networks of cells on images: architecture search in the space of NAS-Bench-201."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hptbench.errors import UserError
from hptbench.registry import task
from hptbench.tasks.neural._cells import EDGES, OPERATIONS, Cells
from hptbench.tasks.neural._family import Neural
from hptbench.tasks.neural._nets import GRAIN, Network, up
from hptbench.tasks.neural.cnn import NeuralCNN

OPS = tuple(f"Op{i}" for i in range(len(EDGES)))
"""Names of the parameters that are the architecture, as in the table of NAS-Bench-201 (``tabular``)."""


@task("neural_cell")
@dataclass(frozen=True)
class NeuralCell(Neural):
    """Networks of cells on square images of one channel, many architectures trained at once: NAS-Bench-201's space.

    The architecture is the operation of each of six edges, ``Op0`` … ``Op5`` (0-1, 0-2, 1-2, 0-3, 1-3, 2-3); the
    structure, and what differs from the paper, is in ``_cells.py``. By default the other parameters are constants;
    with bounds of their own architecture and hyperparameters are searched together. Data as of ``neural_cnn``; the
    side of an image has to be a multiple of 2 for each stage after the first."""

    model: ClassVar[str] = "cell"
    tile: ClassVar[int] = 16
    choices: ClassVar[Mapping[str, Sequence[Any]]] = dict.fromkeys(OPS, OPERATIONS) | {
        "stages": range(1, 6),
        "cells": range(1, 9),
    }
    inputs = staticmethod(NeuralCNN.inputs)

    def networks(self, config: Mapping[str, Any], shape: tuple[int, ...], outputs: int) -> tuple[Network, Network]:
        colours, side, _ = shape
        channels, stages, cells = (int(config[name]) for name in ("channels", "stages", "cells"))
        check_side(self.data, side, stages)
        net = Cells(side, colours, outputs, channels, stages, cells, tuple(config[op] for op in OPS))
        return net, Cells(side, colours, up(outputs, 2 * GRAIN), up(channels), stages, cells)

    def dropout(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        return ()


def check_side(data: str, side: int, stages: int) -> None:
    """UserError unless images can be halved after each stage but the last."""
    if side % (1 << (stages - 1)):
        raise UserError(
            f"data set {data!r}: expected sides that can be halved {stages - 1} times for {stages} stages, got {side} "
            "pixels; choose fewer stages"
        )
