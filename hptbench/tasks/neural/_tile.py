"""A tile: the parameters of some members as one stack, and what is done to all of them at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.tasks.neural._nets import Network, Of, Tensor, up
from hptbench.tasks.neural._optimizers import Coefficients, update

Floats32 = NDArray[np.float32]
_LEAST_LENGTH = 1e-6
"""Added to the length of a gradient that may be too long, as in PyTorch."""
_ALIGN = 16
"""Tensors begin at multiples of so many numbers (64 bytes): products may depend on where their operands lie."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a training has come to. Never changed in place."""

    net: Network
    parameters: Floats32
    """(size,) all tensors of ``net`` one after the other."""
    first: Floats32
    """(size,) moments."""
    second: Floats32 | None
    """(size,) second moments; None if there were none."""
    updates: int


@lru_cache(maxsize=256)
def layout_of(net: Network) -> Layout:
    """That of a network, made once."""
    return Layout(net)


class Layout:
    """Where the tensors of a network lie in a row of numbers, and those of a smaller one within them."""

    def __init__(self, net: Network) -> None:
        self.net, self.shapes = net, net.tensors
        sizes = [up(math.prod(shape), _ALIGN) for shape in self.shapes]
        self.starts = [0, *np.cumsum(sizes).tolist()]
        self.size = self.starts[-1]

    def spread(self, net: Network, vector: Floats32) -> Floats32:
        """(size,) the numbers of the smaller ``net``, padded with zeros."""
        out, at = np.zeros(self.size, np.float32), 0
        for place in self._within(net, out):
            place[...] = vector[at : at + place.size].reshape(place.shape)
            at += place.size
        return out

    def gather(self, net: Network, row: Floats32) -> Floats32:
        """The numbers of the smaller ``net`` in a row: the inverse of :meth:`spread`."""
        return np.concatenate([place.ravel() for place in self._within(net, row)])

    def _within(self, net: Network, row: Floats32) -> list[Floats32]:
        """Where the tensors of a smaller network lie in a row: its layers in the first ones, its head in the head."""
        mine, own = self.shapes, net.tensors
        places = []
        for j, shape in zip([*range(len(own) - 2), len(mine) - 2, len(mine) - 1], own, strict=True):
            whole = row[self.starts[j] : self.starts[j] + math.prod(mine[j])].reshape(mine[j])
            places.append(whole[tuple(map(slice, shape))])
        return places

    def views(self, rows: Tensor) -> list[Tensor]:
        """(T, size) as the tensors of the network, (T, *shape) each, without a copy."""
        return [
            rows[:, start : start + math.prod(shape)].view(len(rows), *shape)
            for shape, start in zip(self.shapes, self.starts, strict=False)
        ]


class Drops(NamedTuple):
    """Dropout of one layer in one pass, of the T members that have it."""

    rows: Tensor
    """(T, rows) keys."""
    units: Tensor
    """(T, 2, width) factors and summands, 0 for padding."""
    least: Tensor
    """(T, 1, 1) a unit with a lower hash is dropped."""
    scale: Tensor
    """(T, 1, 1) what the others are multiplied by."""

    def __call__(self, x: Tensor) -> Tensor:
        """``x`` (T, rows, width, …) with units dropped; of images whole channels."""
        import torch

        hashes = torch.addcmul(self.units[:, 1:], self.rows.unsqueeze(2), self.units[:, :1])
        factors = torch.where(hashes >= self.least, self.scale, 0.0)
        return x * factors.view(*factors.shape, *(1,) * (x.ndim - 3))


class Pass(NamedTuple):
    """What all members do in one pass: some rows each, of one batch each."""

    x: Tensor
    """(T, rows, inputs)."""
    y: Tensor
    """(T, rows) classes, or numbers."""
    weights: Tensor
    """(T, rows) 1 / rows of the batch; 0 for rows that are none."""
    smoothing: Tensor
    """(T, 1, 1) of labels."""
    drops: Sequence[Drops]
    ending: Tensor | None
    """(k,) the members whose batch ends with the pass; None: that of all."""
    coefficients: Coefficients
    """(k, 1) each."""


class Tile:
    """T members of one padded network on a device, the deepest first."""

    def __init__(self, layout: Layout, members: Sequence[Snapshot], slots: int, adaptive: bool, device: str) -> None:
        """``slots`` >= the number of ``members``: what is left over is blank, and as the last of them."""
        import torch

        self.layout, self.net = layout, layout.net
        self._nets = [member.net for member in members]
        self._nets += self._nets[-1:] * (slots - len(members))

        def stack(vectors: Sequence[Floats32 | None]) -> Tensor:
            out = np.zeros((slots, layout.size), np.float32)
            for i, (member, vector) in enumerate(zip(members, vectors, strict=True)):
                if vector is not None:
                    out[i] = layout.spread(member.net, vector)
            return torch.from_numpy(out).to(device)

        self.p = stack([member.parameters for member in members])
        self.m = stack([member.first for member in members])
        self.v = stack([member.second for member in members]) if adaptive else None
        self._begin()

    def _begin(self) -> None:
        import torch

        depths = [len(net.hidden) for net in self._nets]
        if sorted(depths, reverse=True) != depths:
            raise ValueError(f"expected the deepest members first, got depths {depths}")
        self.counts = [sum(depth > i for depth in depths) for i in range(depths[0])]
        """How many members have more than 0, 1, … layers."""
        self.g = torch.zeros_like(self.p)
        self._stack = self.net.of(self._nets, str(self.p.device))
        self._parts, self._slopes = (
            self._stack.parts(rows, self.layout.views, self.counts) for rows in (self.p, self.g)
        )

    def __len__(self) -> int:
        return len(self.p)

    def keep(self, members: Sequence[int]) -> None:
        """Go on with some members alone; between batches only."""
        chosen = list(members)
        self.p, self.m = self.p[chosen], self.m[chosen]
        self.v = None if self.v is None else self.v[chosen]
        self._nets = [self._nets[i] for i in chosen]
        self._begin()

    def snapshot(self, member: int, net: Network, updates: int) -> Snapshot:
        """What a member, whose own network is ``net``, has come to."""
        parts = [self.p, self.m] + ([] if self.v is None else [self.v])
        parameters, first, *second = (self.layout.gather(net, part[member].cpu().numpy()) for part in parts)
        return Snapshot(net, parameters, first, second[0] if second else None, updates)

    def step(self, work: Pass, outputs: int) -> None:
        """Add up the gradients over the rows of a pass, and update the members whose batch ends."""
        import torch

        def of(logits: Tensor) -> Tensor:
            slope = torch.zeros_like(logits)
            slope[..., :outputs] = _slope(logits[..., :outputs], work)
            return slope

        self.learn(work.x, work.drops, of, work.ending, work.coefficients)

    def learn(
        self,
        x: Tensor,
        drops: Sequence[Drops],
        of: Of,
        ending: Tensor | None,
        c: Coefficients,
        clip: Tensor | None = None,
    ) -> None:
        """Add up the gradients over ``x``, given that by what is said of it, and update the members ``ending`` (None:
        all) by ``c``. ``clip`` (T, 1): the longest a gradient may be."""
        import torch

        self._stack.back(self._parts, self._slopes, x, drops, self.counts, of)
        with torch.no_grad():
            if clip is not None:
                self.g.mul_((clip / (self.g.square().sum(dim=1, keepdim=True).sqrt() + _LEAST_LENGTH)).clamp_max(1.0))
            self._update(ending, c)

    def says(self, x: Tensor, parameters: Tensor | None = None) -> Tensor:
        """(T, rows * per_row, outputs of the padded network) for ``x`` (T, rows, …), without dropout; of other
        ``parameters`` (T, size) where they are given."""
        import torch

        parts = self._parts if parameters is None else self._stack.parts(parameters, self.layout.views, self.counts)
        with torch.no_grad():
            return self._stack.forward(parts, x, (), self.counts)

    def _update(self, ending: Tensor | None, coefficients: Coefficients) -> None:
        if ending is None:
            update(self.p, self.g, self.m, self.v, coefficients)
            self.g.zero_()
        elif len(ending):
            p, g, m = self.p[ending], self.g[ending], self.m[ending]
            v = None if self.v is None else self.v[ending]
            update(p, g, m, v, coefficients)
            self.p.index_copy_(0, ending, p)
            self.m.index_copy_(0, ending, m)
            if self.v is not None:
                self.v.index_copy_(0, ending, v)
            self.g.index_fill_(0, ending, 0.0)

    def outputs(self, x: Tensor, outputs: int) -> Tensor:
        """(T, rows * per_row, outputs) what the members say of rows that are the same for all, (rows, …): probabilities
        of classes, or numbers, if ``outputs`` is 1. Without dropout."""
        import torch

        logits = self.says(x.expand(len(self), *x.shape))[..., :outputs]
        return torch.softmax(logits, dim=2) if outputs > 1 else logits


def _slope(logits: Tensor, work: Pass) -> Tensor:
    """Derivative of the weighted loss by the outputs: cross-entropy with smoothed labels, or for one output half the
    squared error's double, the squared error."""
    import torch

    if logits.shape[2] == 1:
        return 2 * (logits - work.y.unsqueeze(2)) * work.weights.unsqueeze(2)
    slope = torch.softmax(logits, dim=2)
    slope -= work.smoothing / logits.shape[2]
    slope.scatter_add_(2, work.y.unsqueeze(2), (work.smoothing - 1).expand(*work.y.shape, 1))
    return slope.mul_(work.weights.unsqueeze(2))


def on(device: str, arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """Arrays as tensors of a device."""
    import torch

    return {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in arrays.items()}
