"""Multi-layer perceptrons on tabular data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hptbench.learners import Table
from hptbench.learners._encode import Dense, Encoder
from hptbench.registry import task
from hptbench.tasks.neural._family import Neural
from hptbench.tasks.neural._nets import GRAIN, MLP, Network, funnel, funnels, up

_DEEPEST = 5
"""Networks with no more layers share tiles, whatever their depth."""


@task("neural_mlp")
@dataclass(frozen=True)
class NeuralMLP(Neural):
    """Multi-layer perceptrons on a data set, many configurations trained at once, in the search space of LCBench.

    L. Zimmer, M. Lindauer and F. Hutter, "Auto-PyTorch Tabular", TPAMI 43(9), 2021, section 5.1, and its code
    (``ShapedMlpNet``): hidden layers of rectified linear units shaped as a funnel from ``max_units`` to the outputs,
    dropout likewise from ``max_dropout`` to 0, SGD with momentum, the learning rate annealed by a cosine without
    restarts. Deviations: the first layer is not widened to the number of inputs, widths are an eighth of LCBench's
    unless the space says otherwise, and there are 27 epochs instead of 52.

    Numbers are standardised, missing ones are the median, categories have a column each, all learnt from the training
    rows; targets of regression are standardised."""

    model: ClassVar[str] = "mlp"
    tile: ClassVar[int] = 64

    @staticmethod
    def inputs(training: Table, data: str) -> Encoder:
        return Dense.fit(training)

    def networks(self, config: Mapping[str, Any], shape: tuple[int, ...], outputs: int) -> tuple[Network, Network]:
        widest, layers = int(config["max_units"]), int(config["num_layers"])
        most = funnels(widest, outputs, max(layers, _DEEPEST))
        net = MLP(shape[0], funnel(widest, outputs, layers)[:-1], outputs)
        return net, MLP(shape[0], most, up(outputs, 2 * GRAIN), shallow=True)

    def dropout(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        shape = funnel(1000, 0, int(config["num_layers"]))[:-1]
        return tuple(config["max_dropout"] * part / 1000 for part in shape)
