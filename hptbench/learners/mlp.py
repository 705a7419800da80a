"""Multi-layer perceptrons, epoch by epoch."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from hptbench import rng
from hptbench.learners._base import Learner, Segment, Spaces, pick
from hptbench.learners._encode import Dense
from hptbench.protocol import Fidelity


class MLP(Learner):
    """Equal hidden layers trained by Adam, without early stopping.

    A training that goes on under another configuration (population-based training) keeps its weights and
    moments; if the shape of the network differs it begins anew, for nothing could be kept."""

    spaces: ClassVar[Spaces] = {"classification": "mlp", "regression": "mlp"}
    fidelity = Fidelity(3, 81, unit="epoch", continues=True)
    encoder = Dense
    standardises_target = True

    def fit(self, segment: Segment, before: Any) -> Any:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        config, n = segment.config, len(segment.y)
        arguments = pick(config, "activation", "alpha", "learning_rate_init")
        arguments["batch_size"] = min(int(config.get("batch_size", 200)), n)
        layers = (int(config.get("num_nodes_per_layer", 100)),) * int(config.get("hidden_layer_depth", 1))
        if before is None or before.hidden_layer_sizes != layers:
            # rows are shuffled here, by epoch, so that no stream of random numbers has to be carried along
            before = (MLPClassifier if segment.n_classes else MLPRegressor)(
                hidden_layer_sizes=layers, shuffle=False, random_state=rng.seed32(segment.seed), **arguments
            )
            extra = {"classes": np.arange(segment.n_classes)} if segment.n_classes else {}
        else:
            before.set_params(**arguments)
            before._optimizer.learning_rate_init = before.learning_rate_init  # it holds a copy
            extra = {}
        for epoch in range(segment.start, segment.stop):
            order = rng.stream(rng.entropy(*segment.seed, "epoch", epoch)).permutation(n)
            before.partial_fit(segment.X[order], segment.y[order], **extra)
        return before
