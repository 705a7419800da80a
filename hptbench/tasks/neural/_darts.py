"""DARTS: the operations of a cell's edges as a mixture, whose shares are learnt by gradient descent.

H. Liu, K. Simonyan and Y. Yang, "DARTS: differentiable architecture search", ICLR 2019, arXiv:1806.09055. An edge gives
the sum of all operations, weighted by a softmax of its alphas (equation 2). Half of the rows is for the weights, the
other half for the alphas, and each has its turn in every step (algorithm 1); the derivative by the alphas is that of
equation 7 with the finite difference of equation 8 (second order), or with xi = 0 (first order). In the end the
strongest operation of each edge stays.

Deviations: in NAS-Bench-201's space every edge stays, and ``none`` may be the strongest (the paper keeps the two
strongest edges into each node, and never ``none``); xi is the learning rate and the step ahead is plain gradient
descent, as in the paper's text (its code adds momentum and weight decay); gradients are not clipped (the authors' code
clips those of the weights at a norm of 5); the first alphas are drawn from a normal distribution of standard deviation
0.001, as in the authors' code (the paper's text says 0); normalisation is that of ``_cells.py``, with
gains and shifts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.rng import entropy, stream
from hptbench.space import Floats
from hptbench.tasks.neural import _streams
from hptbench.tasks.neural._cells import EDGES, KERNELS, OPERATIONS, Cells, Plan
from hptbench.tasks.neural._nets import Tensor
from hptbench.tasks.neural._optimizers import SCHEDULES
from hptbench.tasks.neural._tile import on
from hptbench.tasks.neural._trainer import Data, alone, flops
from hptbench.tasks.neural._wired import Unit, masks

_BEGIN = 1e-3
"""Standard deviation of the first alphas, as in the paper's code."""
_BETAS = (0.5, 0.999)
"""Of Adam on the alphas (section A.1)."""
_SMALL = 0.01
"""How far the weights are moved for the finite difference (footnote 2)."""
_PASSES = {"first": 2, "second": 5}
"""Ways forward and back of a step."""
Rows = NDArray[np.intp]
Loss = Callable[[Sequence[Tensor], Tensor, Rows], Tensor]
"""Of (weights, alphas, rows)."""


@dataclass(frozen=True)
class Mixture(Cells):
    """Cells with all operations on every edge; a stack of one."""

    shares: Any = field(default=None, compare=False, repr=False, kw_only=True)
    """(edges, operations) by which what they give is weighted."""

    @property
    def convolutions(self) -> list[tuple[int, int]]:
        return [(edge, kernel) for edge in range(len(EDGES)) for kernel in KERNELS.values()]

    def placed(self, device: str) -> Mixture:
        """On a device."""
        return replace(self, plan=Plan((), [masks([width], width, device) for width in self.widths]))

    def cell(self, x: Tensor, units: Sequence[Unit], real: Tensor) -> Tensor:
        from hptbench.tasks.neural._operations import convolve, normalise, smooth

        values: list[Any] = [x, 0.0, 0.0, 0.0]
        given = iter(units)
        for (source, target), shares in zip(EDGES, self.shares, strict=True):
            x, own = values[source], {operation: next(given) for operation in KERNELS}
            for operation, share in zip(OPERATIONS[1:], shares[1:], strict=True):
                if operation in own:
                    weights, gain, shift = own[operation]
                    y = normalise(convolve(x.relu(), weights), gain, shift, real)
                else:
                    y = smooth(x) if operation == "avg_pool_3x3" else x
                values[target] = values[target] + share * y
        return values[-1]


class Settings(NamedTuple):
    """How it is searched."""

    order: str
    """first or second."""
    batch_size: int
    learning_rate: float
    """Of the weights, annealed by a cosine."""
    momentum: float
    weight_decay: float
    alpha_learning_rate: float
    alpha_weight_decay: float


class Found(NamedTuple):
    """What a search came to."""

    alphas: Floats
    """(edges, operations); not finite where it diverged."""
    flops: float
    """Floating-point operations."""

    @property
    def operations(self) -> tuple[str, ...]:
        """The strongest operation of each edge."""
        return tuple(OPERATIONS[i] for i in self.alphas.argmax(axis=1))


def search(
    data: Data, net: Mixture, how: Settings, epochs: int, whole: int, seed: tuple[int, ...], device: str
) -> Found:
    """Search for so many of ``whole`` epochs, which the schedule is for, on the training rows of ``data``."""
    import torch
    import torch.nn.functional as F

    net, there = net.placed(device), on(device, {"X": data.X, "y": data.y})

    def loss(weights: Sequence[Tensor], alphas: Tensor, rows: Rows) -> Tensor:
        mixture = replace(net, shares=alphas.softmax(dim=1))
        said = mixture.forward(weights, there["X"][rows].unsqueeze(0), (), ())[0]
        return F.cross_entropy(said, there["y"][rows])

    first = _BEGIN * stream(entropy(*seed, "alphas")).normal(size=(len(EDGES), len(OPERATIONS)))
    alphas = torch.tensor(first, dtype=torch.float32, device=device, requires_grad=True)
    begun = net.initial(_streams.initial(seed))
    weights = [torch.tensor(part[None], device=device, requires_grad=True) for part in begun]
    adam = torch.optim.Adam([alphas], how.alpha_learning_rate, _BETAS, weight_decay=how.alpha_weight_decay)
    sgd = torch.optim.SGD(weights, how.learning_rate, how.momentum, weight_decay=how.weight_decay)
    halves, work = split(len(data.X), seed), 0.0
    with alone():
        for epoch in range(epochs):
            rate = how.learning_rate * SCHEDULES["cosine"](epoch / whole)
            sgd.param_groups[0]["lr"] = rate
            for training, held in pairs(halves, how.batch_size, stream(entropy(*seed, "epoch", epoch))):
                ahead = rate if how.order == "second" else 0.0
                alphas.grad = slope(loss, weights, alphas, training, held, ahead)
                adam.step()
                gradients = torch.autograd.grad(loss(weights, alphas, training), weights)
                for part, gradient in zip(weights, gradients, strict=True):
                    part.grad = gradient
                sgd.step()
                work += _PASSES[how.order] * flops(net, len(training), 0)
    return Found(alphas.detach().cpu().numpy().astype(np.float64), work)


def split(n: int, seed: tuple[int, ...]) -> tuple[Rows, Rows]:
    """The rows for the weights and those for the alphas, which are as many or one more."""
    alphas, weights = np.array_split(stream(entropy(*seed, "halves")).permutation(n), 2)
    return weights, alphas


def pairs(halves: tuple[Rows, Rows], size: int, rng: np.random.Generator) -> Iterator[tuple[Rows, Rows]]:
    """(rows for the weights, rows for the alphas) of the steps of an epoch."""
    weights, alphas = (rng.permutation(half) for half in halves)
    for start in range(0, len(weights), size):
        yield weights[start : start + size], alphas[start : start + size]


def slope(loss: Loss, weights: Sequence[Tensor], alphas: Tensor, training: Rows, held: Rows, ahead: float) -> Tensor:
    """The derivative by the alphas of the loss of the rows ``held``, with the weights as a step of ``ahead`` down the
    loss of ``training`` would leave them (equations 7 and 8); 0: as they are."""
    import torch

    if not ahead:
        return torch.autograd.grad(loss(weights, alphas, held), alphas)[0]
    down = torch.autograd.grad(loss(weights, alphas, training), weights)
    moved = [(w - ahead * g).detach().requires_grad_() for w, g in zip(weights, down, strict=True)]
    own, *by_weights = torch.autograd.grad(loss(moved, alphas, held), [alphas, *moved])
    step = _SMALL / torch.stack([g.square().sum() for g in by_weights]).sum().sqrt()
    sides = []
    for way in (step, -step):
        aside = [(w + way * g).detach() for w, g in zip(weights, by_weights, strict=True)]
        sides.append(torch.autograd.grad(loss(aside, alphas, training), alphas)[0])
    return own - ahead * (sides[0] - sides[1]) / (2 * step)
