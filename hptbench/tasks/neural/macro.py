"""Networks of stages on images: a search space of depths, widths, kernels, skipping and pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hptbench.registry import task
from hptbench.tasks.neural._family import Neural
from hptbench.tasks.neural._macro import POOLS, Macro, Stage
from hptbench.tasks.neural._nets import GRAIN, Network, up
from hptbench.tasks.neural.cell import check_side
from hptbench.tasks.neural.cnn import NeuralCNN

_STAGES = (1, 2, 3)
_MOST = 3
"""Layers of a stage."""
_WIDEST = 64
_KERNELS = (1, 3, 5)
_CHOICES: Mapping[str, Sequence[Any]] = {
    "depth": range(1, _MOST + 1), "width": range(1, _WIDEST + 1), "kernel": _KERNELS, "skip": (True, False),
    "pool": POOLS,
}  # fmt: skip


@task("neural_macro")
@dataclass(frozen=True)
class NeuralMacro(Neural):
    """Networks of three stages on square images of one channel, many architectures trained at once.

    Each stage has a depth, a width, a kernel, and skips or not; what comes between two stages is a choice, too (see
    ``_macro.py``). Optimiser and learning rate are parameters from the beginning. Data as of ``neural_cnn``; the side
    of an image has to be a multiple of 4."""

    model: ClassVar[str] = "macro"
    tile: ClassVar[int] = 16
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {
        f"{name}_{i}": values for name, values in _CHOICES.items() for i in _STAGES
    }
    inputs = staticmethod(NeuralCNN.inputs)

    def networks(self, config: Mapping[str, Any], shape: tuple[int, ...], outputs: int) -> tuple[Network, Network]:
        colours, side, _ = shape
        check_side(self.data, side, len(_STAGES))
        path = tuple(
            Stage(
                int(config[f"depth_{i}"]), int(config[f"width_{i}"]), int(config[f"kernel_{i}"]),
                bool(config[f"skip_{i}"]), config.get(f"pool_{i}", POOLS[0]),
            )
            for i in _STAGES
        )  # fmt: skip
        width = max(1 << (max(stage.width for stage in path) - 1).bit_length(), GRAIN)
        largest = (Stage(_MOST, width, _KERNELS[-1], True, POOLS[0]),) * len(_STAGES)
        return Macro(side, colours, outputs, _MOST, path), Macro(side, colours, up(outputs, 2 * GRAIN), _MOST, largest)

    def dropout(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        return ()
