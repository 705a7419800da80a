"""Networks on sequences, trained as a stack: at each place they say something of what follows, from what came before.

A sequence is embedded in ``width`` units per place. Then each block adds to them something computed of what they are,
normalised: x + drop(f(norm(x))), and a linear head reads the normalised sum. f is one of

- ``transformer``: causal attention with heads of :data:`HEAD` units, and beside it a layer of 4 ``width`` rectified
  linear units (A. Vaswani et al., NeurIPS 2017; side by side as in A. Chowdhery et al., "PaLM", JMLR 24, 2023, section
  2). Places have embeddings of their own.
- ``gru``: gated recurrent units (K. Cho et al., EMNLP 2014), in PyTorch's form.
- ``tcn``: a causal convolution of kernel :data:`KERNEL`, dilated by 2 to the number of the block, and rectified linear
  units (S. Bai, J. Z. Kolter and V. Koltun, arXiv:1803.01271).

The norm is x gain sqrt(width) / |x| with one number to be learnt (ScaleNorm: T. Nguyen and J. Salazar, IWSLT 2019,
arXiv:1910.05895): unlike a mean over units, it does not see the zeros that widths are padded with. A unit is dropped at
all places of a sequence or at none (Y. Gal and Z. Ghahramani, NeurIPS 2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hptbench.tasks.neural._nets import Drops, Network, Tensor, affine, rung

ARCHITECTURES = ("transformer", "gru", "tcn")
HEAD = 8
"""Units of a head of attention."""
KERNEL = 3
"""Places that a convolution sees."""
_EXPANSION = 4
_DEEPEST = 4
"""Networks with no more blocks share tiles, whatever their depth."""
_INLET = 3
"""Tensors before the blocks: the embedding, that of places (or a bias), the last norm's gain."""
_PLACES = 0.1
"""First embeddings of places, and biases of the first layer, are uniform within it."""
_EPSILON = 1e-6
"""Added to squared lengths."""
Shape = tuple[int, ...]


@dataclass(frozen=True)
class SequenceNet(Network):
    """Blocks of one kind; rows are (length,) whole numbers, or (length, inputs) numbers."""

    architecture: str
    """Of :data:`ARCHITECTURES`."""
    length: int
    """Places of a sequence."""
    inputs: int
    """Symbols; or numbers at each place."""
    width: int
    """Units at each place. Of transformers a multiple of :data:`HEAD`."""
    hidden: tuple[int, ...]
    """``width`` of each block."""
    outputs: int
    """Classes of the next symbol; or numbers said at each place."""
    steps: int = 0
    """Numbers that count among ``outputs``, which may be padded; 0: inputs are symbols, outputs are classes."""

    @property
    def per_row(self) -> int:
        return self.length * (self.steps or 1)

    def rows(self, rng: np.random.Generator, size: Shape) -> np.ndarray[Any, Any]:
        return super().rows(rng, size) if self.steps else rng.integers(self.inputs, size=size)

    def variants(self) -> Sequence[Network]:
        return [replace(self, hidden=self.hidden[:depth]) for depth in range(1, len(self.hidden) + 1)]

    @property
    def _block(self) -> tuple[Shape, ...]:
        """Shapes of a block's tensors, its norm's gain first."""
        d, wide = self.width, _EXPANSION * self.width
        match self.architecture:
            case "transformer":
                return (1,), (d, 3, d), (d, d), (d, wide), (wide,), (wide, d), (d,)
            case "gru":
                return (1,), (d, 3, d), (3, d), (d, 3, d), (3, d)
            case _:
                return (1,), (KERNEL, d, d), (d,)

    @property
    def tensors(self) -> tuple[Shape, ...]:
        places = self.length if self.architecture == "transformer" else 1
        inlet = (self.inputs, self.width), (places, self.width), (1,)
        return (*inlet, *self._block * len(self.hidden), (self.width, self.outputs), (self.outputs,))

    @property
    def flops(self) -> float:
        block = sum(math.prod(shape) for shape in self._block if len(shape) > 1)
        if self.architecture == "transformer":
            block += 2 * self.width * self.length
        embedding = self.inputs * self.width if self.steps else 0
        return 2.0 * self.length * (embedding + block * len(self.hidden) + self.width * self.outputs)

    def initial(self, rng: np.random.Generator) -> list[np.ndarray[Any, Any]]:
        """First parameters as PyTorch draws them, uniform within 1 / sqrt(inputs of the layer); symbols within 1, so
        that what blocks add is of the size of what it is added to. Gains are sqrt(width)."""
        heads = 1 / math.sqrt(self.width)
        inlet = (1.0 if not self.steps else 1 / math.sqrt(self.inputs), _PLACES, 0.0)
        wide = 1 / math.sqrt(_EXPANSION * self.width)
        block = {
            "transformer": (0.0, heads, heads, heads, heads, wide, wide),
            "gru": (0.0, heads, heads, heads, heads),
            "tcn": (0.0, *(1 / math.sqrt(KERNEL * self.width),) * 2),
        }[self.architecture]
        bounds = (*inlet, *block * len(self.hidden), heads, heads)
        return [
            (rng.uniform(-bound, bound, shape) if bound else np.full(shape, math.sqrt(self.width))).astype(np.float32)
            for shape, bound in zip(self.tensors, bounds, strict=True)
        ]

    def parts(self, rows: Tensor, views: Callable[[Tensor], list[Tensor]], counts: Sequence[int]) -> list[Tensor]:
        whole, each = views(rows), len(self._block)
        blocks = [
            tensor[:count]
            for i, count in enumerate(counts)
            for tensor in whole[_INLET + i * each : _INLET + (i + 1) * each]
        ]
        return [*whole[:_INLET], *blocks, *whole[-2:]]

    def forward(self, parts: Sequence[Tensor], x: Tensor, drops: Drops, counts: Sequence[int]) -> Tensor:
        import torch

        embedding, places, gain, *blocks = parts
        members, rows, each = len(x), x.shape[1], len(self._block)
        if not self.steps:  # a product instead of a look-up, whose way back would add up in any order on a GPU
            x = (x.unsqueeze(3) == torch.arange(self.inputs, device=x.device)).to(embedding.dtype)
        x = torch.bmm(x.reshape(members, rows * self.length, -1), embedding)
        x = x.view(members, rows, self.length, -1) + places.unsqueeze(1)
        for i, count in enumerate(counts):
            first, *own = blocks[i * each : (i + 1) * each]
            some = x[:count]
            more = _UPDATES[self.architecture](_norm(some, first), own, i)
            if drops:
                more = drops[i](more.transpose(2, 3)).transpose(2, 3)
            some = some + more
            x = torch.cat([some, x[count:]]) if count < members else some
        said = affine(_norm(x, gain).reshape(members, rows * self.length, -1), *blocks[-2:])
        return said[..., : self.steps].reshape(members, -1, 1) if self.steps else said


def stacked(net: SequenceNet, blocks: int, outputs: int) -> tuple[SequenceNet, SequenceNet]:
    """``net`` with so many blocks, and the network within which it is trained, with so many (padded) outputs."""
    wide, deepest = rung(net.width), max(blocks, _DEEPEST)
    within = replace(net, width=wide, hidden=(wide,) * deepest, outputs=outputs)
    return replace(net, hidden=(net.width,) * blocks), within


def _norm(x: Tensor, gain: Tensor) -> Tensor:
    """(T, rows, places, width) of length ``gain`` (T, 1) at each place."""
    import torch

    return x * (torch.rsqrt(x.square().sum(dim=3, keepdim=True) + _EPSILON) * gain.view(-1, 1, 1, 1))


def _attention(x: Tensor, block: Sequence[Tensor], number: int) -> Tensor:
    import torch

    inward, outward, up, bias, down, last = block
    members, rows, length, width = x.shape
    flat = x.reshape(members, rows * length, width)
    mixed = torch.bmm(flat, inward.reshape(members, width, -1)).view(members, rows, length, 3, -1, HEAD)
    q, k, v = mixed.permute(3, 0, 1, 4, 2, 5).reshape(3, -1, length, HEAD).unbind(0)
    later = x.new_full((length, length), -math.inf).triu(1)
    scores = torch.baddbmm(later, q, k.transpose(1, 2), alpha=1 / math.sqrt(HEAD))
    seen = torch.bmm(torch.softmax(scores, dim=2), v).view(members, rows, -1, length, HEAD)
    out = torch.bmm(seen.transpose(2, 3).reshape(members, rows * length, width), outward)
    out = out + affine(affine(flat, up, bias).relu(), down, last)
    return out.view(members, rows, length, width)


def _recurrent(x: Tensor, block: Sequence[Tensor], number: int) -> Tensor:
    import torch

    inward, inward_bias, back, back_bias = (part.flatten(-2) for part in block)
    members, rows, length, width = x.shape
    flat = x.reshape(members, rows * length, width)
    given = affine(flat, inward, inward_bias).view(members, rows, length, 3 * width)
    h, said = x.new_zeros(members, rows, width), []
    for now in given.unbind(2):
        own = affine(h, back, back_bias)
        gates = torch.sigmoid(now[..., : 2 * width] + own[..., : 2 * width])
        r, z = gates.split(width, dim=2)
        n = torch.tanh(now[..., 2 * width :] + r * own[..., 2 * width :])
        h = n + z * (h - n)
        said.append(h)
    return torch.stack(said, dim=2)


def _convolution(x: Tensor, block: Sequence[Tensor], number: int) -> Tensor:
    import torch
    import torch.nn.functional as F

    weights, bias = block
    members, rows, length, width = x.shape
    dilation = 1 << number
    before = F.pad(x, (0, 0, (KERNEL - 1) * dilation, 0))
    seen = torch.cat([before[:, :, i * dilation : i * dilation + length] for i in range(KERNEL)], dim=3)
    flat = seen.reshape(members, rows * length, KERNEL * width)
    return affine(flat, weights.reshape(members, KERNEL * width, -1), bias).relu().view(members, rows, length, width)


_UPDATES: dict[str, Callable[[Tensor, Sequence[Tensor], int], Tensor]] = {
    "transformer": _attention,
    "gru": _recurrent,
    "tcn": _convolution,
}
