"""Networks that can be trained as a stack: each member has its own width and depth within those of the stack.

A network is its sizes: some layers, one after the other, and a linear head; for sequences see ``_sequences.py``.
Tensors of a stack have the member as first axis, and products are batched ones, each of which is one member's alone.
Widths are padded with zeros, which is exact: a unit whose weights are 0 gives 0, hands back no gradient and stays 0, as
its activation has f(0) = 0. Depths are a matter of order: the deepest members come first, and a layer is computed for
those that have it.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

Tensor = Any
"""A torch tensor."""


class Dropping(Protocol):
    """Dropout of one layer."""

    @property
    def scale(self) -> Tensor:
        """(T, 1, 1) what units that are kept are multiplied by."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """(T, rows, width, …) with units dropped; of images whole channels."""
        ...


Drops = Sequence[Dropping]
"""Of each layer, for the members that have it; none at all: without dropout."""
GRAIN = 8
"""Widths of stacks are multiples of it, outputs of twice that: narrower products take as long or longer."""

_BLOCK = 256
"""What is said at once, unless a row has more."""

_KERNEL = 3
"""Pixels on a side of a convolution's kernel."""

Of = Callable[[Tensor], Tensor]
"""From the outputs of a stack to the derivative of the loss by them."""


class Network(ABC):
    """Sizes of a network. Frozen; equal sizes are equal networks."""

    hidden: tuple[int, ...]
    """Widths of the layers before the head, all of which dropout can be applied to."""
    outputs: int

    @property
    @abstractmethod
    def tensors(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the parameters: whatever comes first, those of each layer, weights and bias of the head."""

    @property
    @abstractmethod
    def flops(self) -> float:
        """Floating-point operations of a row's way forward, multiplications and additions; activations do not count."""

    @property
    def kind(self) -> Hashable:
        """Members of one kind are worked on alike in a stack."""
        return len(self.hidden)

    def variants(self) -> Sequence[Network]:
        """Networks of several kinds that fit within this one, to try a device on."""
        return [replace(self, hidden=self.hidden[:depth]) for depth in range(len(self.hidden) + 1)]  # type: ignore[type-var]

    def of(self, members: Sequence[Network], device: str) -> Network:
        """What computes a stack of these members."""
        return self

    @abstractmethod
    def parts(self, rows: Tensor, views: Callable[[Tensor], list[Tensor]], counts: Sequence[int]) -> list[Tensor]:
        """What :meth:`forward` needs of the parameters (T, size), without a copy. ``views`` gives their tensors."""

    @abstractmethod
    def forward(self, parts: Sequence[Tensor], x: Tensor, drops: Drops, counts: Sequence[int]) -> Tensor:
        """(T, rows * per_row, outputs) of a stack for ``x`` (T, rows, …). ``counts``: how many members have more than
        0, 1, … layers; these are the first ones."""

    def back(
        self, parts: Sequence[Tensor], slopes: Sequence[Tensor], x: Tensor, drops: Drops, counts: Sequence[int], of: Of
    ) -> None:
        """Add to ``slopes``, of the shapes of ``parts``, the derivative of a loss whose derivative by the outputs is
        ``of(outputs)``."""
        import torch

        leaves = [part.detach().requires_grad_() for part in parts]
        outputs = self.forward(leaves, x, drops, counts)
        gradients = torch.autograd.grad(outputs, leaves, of(outputs.detach()))
        for slope, gradient in zip(slopes, gradients, strict=True):
            slope.add_(gradient)

    @abstractmethod
    def initial(self, rng: np.random.Generator) -> list[np.ndarray[Any, Any]]:
        """First parameters."""

    @property
    def per_row(self) -> int:
        """How much is said of a row: once, or of a sequence at each place."""
        return 1

    @property
    def block(self) -> int:
        """How many rows are predicted at once."""
        return max(_BLOCK // self.per_row, 2 * GRAIN)

    def rows(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Made-up rows, to try a device on."""
        return rng.normal(size=size).astype(np.float32)


class Layered(Network):
    """One layer after the other, each of weights and a bias, and a linear head."""

    @property
    @abstractmethod
    def layers(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the weights of the layers before the head: (inputs, …, outputs)."""

    @property
    @abstractmethod
    def features(self) -> int:
        """What the head takes at most: more than the last layer gives where members may have fewer layers."""

    @abstractmethod
    def layer(self, x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        """A layer of some members: (T, rows, …) to (T, rows, …)."""

    def pool(self, x: Tensor) -> Tensor:
        """What the head takes of what the last layer gives, or of the input: (T, rows, features)."""
        return x

    @property
    def tensors(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the parameters: weights (inputs, …, outputs) and bias (outputs,) of each layer and of the head."""
        weights = (*self.layers, (self.features, self.outputs))
        return tuple(shape for one in weights for shape in (one, one[-1:]))

    def parts(self, rows: Tensor, views: Callable[[Tensor], list[Tensor]], counts: Sequence[int]) -> list[Tensor]:
        whole, parts, sizes = views(rows), [], (len(rows), *counts, 0)
        for i, (size, deeper) in enumerate(itertools.pairwise(sizes)):
            if size > deeper:
                width = self.hidden[i - 1] if i else self.inlet
                parts += [whole[-2][deeper:size, :width], whole[-1][deeper:size]]
            if deeper:
                parts += [whole[2 * i][:deeper], whole[2 * i + 1][:deeper]]
        return parts

    @property
    @abstractmethod
    def inlet(self) -> int:
        """What the head takes of a member without layers."""

    def forward(self, parts: Sequence[Tensor], x: Tensor, drops: Drops, counts: Sequence[int]) -> Tensor:
        import torch

        sizes, given, heads = (len(x), *counts, 0), iter(parts), []
        for i, (size, deeper) in enumerate(itertools.pairwise(sizes)):
            rest = x
            if 0 < deeper < size:
                x, rest = x.split((deeper, size - deeper))
            if size > deeper:
                weights, bias = next(given), next(given)
                heads.append(affine(self.pool(rest), weights, bias))
            if not deeper:
                break
            x = self.layer(x, next(given), next(given))
            x = drops[i](x) if drops else x
        return heads[0] if len(heads) == 1 else torch.cat(heads[::-1])

    def initial(self, rng: np.random.Generator) -> list[np.ndarray[Any, Any]]:
        """First parameters as PyTorch draws them: uniform within 1 / sqrt(inputs of the layer)."""
        parameters = []
        for weights, bias in zip(self.tensors[::2], self.tensors[1::2], strict=True):
            bound = 1 / math.sqrt(math.prod(weights[:-1]))
            parameters += [rng.uniform(-bound, bound, shape).astype(np.float32) for shape in (weights, bias)]
        return parameters


def _descend(x: Tensor, layer: Sequence[Tensor], above: Tensor, below: Tensor | None) -> None:
    """Add the derivatives by a layer's (weights, bias) to its (…, slopes of weights, of bias), given that by what it
    gives, and write that by what it takes, ``x``."""
    import torch

    weights, _, by_weights, by_bias = layer
    by_weights.baddbmm_(x.transpose(1, 2), above)
    by_bias.add_(above.sum(dim=1))
    if below is not None:
        torch.bmm(above, weights.transpose(1, 2), out=below)


def affine(x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """(T, rows, outputs) of ``x`` (T, rows, inputs)."""
    import torch

    return torch.baddbmm(bias.unsqueeze(1), x, weights)


def up(n: float, grain: int = GRAIN) -> int:
    """The least multiple of ``grain`` that is not below ``n``."""
    return grain * math.ceil(n / grain)


def rung(n: int) -> int:
    """The least of 32, 64, 96, 128, 192, 256, 384, 512, … that is not below ``n``: few sizes, little padding."""
    top = max(1 << (n - 1).bit_length(), 4 * GRAIN)
    return 3 * top // 4 if n <= 3 * top // 4 and top > 8 * GRAIN else top


@dataclass(frozen=True)
class MLP(Layered):
    """Layers of rectified linear units, and a linear one."""

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    shallow: bool = False
    """Its head also fits members with fewer layers."""

    @property
    def layers(self) -> tuple[tuple[int, ...], ...]:
        return tuple(zip((self.inputs, *self.hidden), self.hidden, strict=False))

    @property
    def features(self) -> int:
        sizes = (self.inputs, *self.hidden)
        return max(sizes) if self.shallow else sizes[-1]

    @property
    def inlet(self) -> int:
        return self.inputs

    @property
    def flops(self) -> float:
        return 2.0 * sum(math.prod(shape) for shape in self.tensors[::2])

    def layer(self, x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        return affine(x, weights, bias).relu_()

    def back(
        self, parts: Sequence[Tensor], slopes: Sequence[Tensor], x: Tensor, drops: Drops, counts: Sequence[int], of: Of
    ) -> None:
        """Written out: for small layers the bookkeeping of automatic differentiation takes longer than they do."""
        import torch

        sizes, pairs = (len(x), *counts, 0), list(zip(parts[::2], parts[1::2], slopes[::2], slopes[1::2], strict=True))
        with torch.no_grad():
            at, levels, outputs = 0, [], []
            for i, (size, deeper) in enumerate(itertools.pairwise(sizes)):
                head = pairs[at] if size > deeper else None
                if head is not None:
                    outputs.append(affine(x[deeper:], *head[:2]))
                    at += 1
                levels.append((x, head, pairs[at] if deeper else None, deeper))
                if not deeper:
                    break
                x = affine(x[:deeper], *pairs[at][:2]).relu_()
                x = drops[i](x) if drops else x
                at += 1
            by_output = of(outputs[0] if len(outputs) == 1 else torch.cat(outputs[::-1]))
            above: Tensor = None
            for i in reversed(range(len(levels))):
                x, head, layer, deeper = levels[i]
                below = torch.empty_like(x) if i else None
                if head is not None:
                    _descend(x[deeper:], head, by_output[deeper : len(x)], None if below is None else below[deeper:])
                if layer is not None:
                    _descend(x[:deeper], layer, above, None if below is None else below[:deeper])
                if below is not None:  # a unit that is 0 was not active, or was dropped
                    above = torch.ops.aten.threshold_backward(below, x, 0.0)
                    above = above.mul_(drops[i - 1].scale) if drops else above


@dataclass(frozen=True)
class CNN(Layered):
    """Blocks of a 3 x 3 convolution, rectified linear units and a 2 x 2 maximum; the mean over pixels, and a linear
    layer. Rows are (channels, side, side)."""

    side: int
    colours: int
    hidden: tuple[int, ...]
    """Channels of each block."""
    outputs: int
    shallow: bool = False
    """Its head also fits members with fewer blocks."""

    @property
    def layers(self) -> tuple[tuple[int, ...], ...]:
        sizes = (self.colours, *self.hidden)
        return tuple((a, _KERNEL**2, b) for a, b in zip(sizes, self.hidden, strict=False))

    @property
    def features(self) -> int:
        sizes = (self.colours, *self.hidden)
        return max(sizes) if self.shallow else sizes[-1]

    @property
    def inlet(self) -> int:
        return self.colours

    @property
    def flops(self) -> float:
        sides = [self.side]
        for _ in self.layers:
            sides.append(max(sides[-1] // 2, 1))
        convolutions = sum(math.prod(shape) * side**2 for shape, side in zip(self.layers, sides, strict=False))
        return 2.0 * (convolutions + self.features * self.outputs)

    def layer(self, x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        import torch.nn.functional as F

        members, rows, channels, side, _ = x.shape
        patches = F.unfold(x.reshape(-1, channels, side, side), _KERNEL, padding=_KERNEL // 2)
        patches = patches.view(members, rows, -1, side**2).transpose(2, 3).reshape(members, rows * side**2, -1)
        y = affine(patches, weights.reshape(members, patches.shape[2], -1), bias).relu_()
        y = y.view(members * rows, side, side, -1).permute(0, 3, 1, 2)
        y = F.max_pool2d(y, 2) if side > 1 else y
        return y.reshape(members, rows, *y.shape[1:])

    def pool(self, x: Tensor) -> Tensor:
        return x.mean(dim=(3, 4))


def funnel(widest: int, outputs: int, layers: int) -> tuple[int, ...]:
    """Widths of ``layers`` layers, from the widest in equal whole steps to the outputs.

    As in Auto-PyTorch (Zimmer, Lindauer & Hutter, TPAMI 43(9), 2021; ``get_shaped_neuron_counts``), where the first
    layer is also at least as wide as there are inputs: not here, or ``widest`` would often not count."""
    if layers == 1:
        return (outputs,)
    step = max(int((widest - outputs) / (layers - 1)), 0)
    return (*(widest - i * step for i in range(layers - 1)), outputs)


def funnels(widest: int, outputs: int, layers: int) -> tuple[int, ...]:
    """Widths that hold the hidden layers of every funnel no wider than ``rung(widest)`` with at most so many layers."""
    top = rung(widest)
    step = (top - min(outputs, top)) / max(layers - 1, 1)
    # steps are whole numbers, so that a funnel can be one unit wider with each
    return tuple(min(up(top - i * step + i), top) for i in range(layers - 1))
