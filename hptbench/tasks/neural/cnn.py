"""Small convolutional networks on images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.learners import Table
from hptbench.registry import task
from hptbench.space import Floats
from hptbench.tasks.neural._family import Neural
from hptbench.tasks.neural._nets import CNN, GRAIN, Network, up

_DEEPEST = 3
"""Networks with no more blocks share tiles, whatever their depth."""
_SMALLEST = 4
"""Pixels on a side."""
_COLOURS = (1, 3)


@task("neural_cnn")
@dataclass(frozen=True)
class NeuralCNN(Neural):
    """Small convolutional networks on square images, grey or of three colours, many configurations trained at once.

    ``blocks`` times a 3 x 3 convolution, rectified linear units, dropout of whole channels and the maximum over 2 x 2
    pixels (as long as there are 2), each with twice the channels of the one before; then the mean over all pixels and a
    linear layer. A row of the data set is an image, line by line, one colour after the other (CIFAR-10's order);
    scikit-learn's ``digits`` are 8 x 8 and grey. Pixels are standardised by the mean and the deviation of all pixels
    of the training rows."""

    model: ClassVar[str] = "cnn"
    tile: ClassVar[int] = 16

    @staticmethod
    def inputs(training: Table, data: str) -> Callable[[Floats], Floats]:
        columns = training.X.shape[1]
        shapes = [(colours, math.isqrt(columns // colours)) for colours in _COLOURS]
        found = [(colours, side) for colours, side in shapes if colours * side**2 == columns and side >= _SMALLEST]
        if not found:
            raise UserError(
                f"data set {data!r}: expected square images of at least {_SMALLEST} x {_SMALLEST} pixels, got "
                f"{columns} columns; choose another data set (digits)"
            )
        [(colours, side)] = found
        if training.categorical.any() or np.isnan(training.X).any():
            raise UserError(
                f"data set {data!r}: expected pixels, got categories or missing values; choose another data set"
            )
        mean, deviation = float(training.X.mean()), float(training.X.std()) or 1.0
        return lambda X: np.asarray((np.nan_to_num(X, nan=mean) - mean) / deviation).reshape(-1, colours, side, side)

    def networks(self, config: Mapping[str, Any], shape: tuple[int, ...], outputs: int) -> tuple[Network, Network]:
        channels, blocks, (colours, side, _) = int(config["channels"]), int(config["blocks"]), shape
        net = CNN(side, colours, tuple(channels << i for i in range(blocks)), outputs)
        most = tuple(up(channels) << i for i in range(max(blocks, _DEEPEST)))
        return net, CNN(side, colours, most, up(outputs, 2 * GRAIN), shallow=True)

    def dropout(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        return (config["dropout"],) * int(config["blocks"])
