"""A supernet: one set of weights that all architectures of a cell share, trained one random path at a time.

Z. Guo, X. Zhang, H. Mu, W. Heng, Z. Liu, Y. Wei and J. Sun, "Single path one-shot neural architecture search with
uniform sampling", ECCV 2020, arXiv:1904.00420, section 3.2: each batch is for one architecture, every operation drawn
with equal probability, and changes the weights of that path alone. There the statistics of batch normalisation are
computed anew for each architecture that is evaluated; here rows are normalised one by one, and have no such statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from hptbench.rng import entropy, stream
from hptbench.tasks.neural import _streams
from hptbench.tasks.neural._cells import EDGES, Cells
from hptbench.tasks.neural._nets import Tensor
from hptbench.tasks.neural._optimizers import SCHEDULES
from hptbench.tasks.neural._tile import Floats32, Snapshot, on
from hptbench.tasks.neural._trainer import Recipe, Trainer, alone, flops

_SHARING = ("nor_conv_3x3", "nor_conv_1x1")
"""The operations with weights. The first one's network also has what belongs to no edge."""


class _Epoch(NamedTuple):
    """What training has come to."""

    weights: dict[str, list[Floats32]]
    """Of a network whose edges are all the one operation, in the order of its tensors."""
    flops: float
    """From the beginning on."""


class Supernet:
    """Shared weights of the architectures of one network; trained as far as somebody asks for, and never again."""

    def __init__(
        self, trainer: Trainer, recipe: Recipe, net: Cells, choices: Sequence[Sequence[Any]], number: int
    ) -> None:
        """``recipe``: how it is trained. ``net``: of any architecture. ``choices``: operations of each edge.
        ``number``: which of several supernets, that begin and are trained with other random numbers."""
        self._trainer, self._recipe, self._seed = trainer, recipe, entropy("supernet", number)
        self._choices = choices
        self._net = net
        self._nets = {o: replace(net, operations=(o,) * len(EDGES)) for o in _SHARING}
        begun = {o: net.initial(_streams.initial(entropy(*self._seed, o))) for o, net in self._nets.items()}
        self._epochs = [_Epoch(begun, 0.0)]
        self._training: Any = None

    def flops(self, epochs: int) -> float:
        """Floating-point operations of so many epochs of its training."""
        return self._after(epochs).flops

    def snapshots(self, nets: Sequence[Cells], epochs: Sequence[int]) -> list[Snapshot]:
        """Architectures with the weights that they share after so many epochs each."""
        return [self._snapshot(net, self._after(after).weights) for net, after in zip(nets, epochs, strict=True)]

    def _snapshot(self, net: Cells, weights: dict[str, list[Floats32]]) -> Snapshot:
        own = [
            np.zeros(0, np.float32) if part is None else part.ravel() for part in self._path(net.operations, weights)
        ]
        vector = np.concatenate(own)
        return Snapshot(net, vector, np.zeros_like(vector), None, 0)

    def _path(self, operations: Sequence[str], weights: dict[str, list[Any]]) -> list[Any]:
        """The tensors of an architecture among the shared ones; None where it has none."""
        out = weights[_SHARING[0]].copy()
        for place, edge in self._nets[_SHARING[0]].places:
            shared = weights.get(operations[edge])
            out[place] = None if shared is None else shared[place]
        return out

    def _after(self, epochs: int) -> _Epoch:
        import torch

        if self._training is None and epochs:
            device = self._trainer.device
            first = self._epochs[0].weights
            tensors = {
                o: [torch.tensor(p, device=device, requires_grad=True) for p in parts] for o, parts in first.items()
            }
            o = self._recipe.optimizer
            parameters = [p for parts in tensors.values() for p in parts]
            how = {"momentum": o.momentum, "weight_decay": o.weight_decay, "nesterov": True}
            self._training = tensors, torch.optim.SGD(parameters, o.learning_rate, **how)
        with alone():
            while len(self._epochs) <= epochs:
                self._train(*self._training)
        return self._epochs[epochs]

    def _train(self, tensors: dict[str, list[Tensor]], optimizer: Any) -> None:
        """One more epoch."""
        import torch.nn.functional as F

        epoch, recipe, data = len(self._epochs) - 1, self._recipe, self._trainer.data
        rate = recipe.optimizer.learning_rate * SCHEDULES[recipe.optimizer.schedule](epoch / recipe.epochs)
        for group in optimizer.param_groups:
            group["lr"] = rate
        there = on(self._trainer.device, {"X": data.X, "y": data.y})
        order, work = _streams.epoch(self._seed, epoch, len(data.X), ()).order, self._epochs[-1].flops
        drawn = stream(entropy(*self._seed, "paths", epoch))
        for start in range(0, len(order), recipe.batch_size):
            rows = order[start : start + recipe.batch_size]
            path = tuple(some[int(drawn.integers(len(some)))] for some in self._choices)
            net = replace(self._net, operations=path)
            parts = [None if part is None else part.unsqueeze(0) for part in self._path(path, tensors)]
            said = net.of([net], self._trainer.device).forward(parts, there["X"][rows].unsqueeze(0), (), ())[0]
            optimizer.zero_grad()
            F.cross_entropy(said, there["y"][rows], label_smoothing=recipe.smoothing).backward()
            optimizer.step()
            work += flops(net, len(rows), 0)
        weights = {o: [p.detach().cpu().numpy().copy() for p in parts] for o, parts in tensors.items()}
        self._epochs.append(_Epoch(weights, work))
