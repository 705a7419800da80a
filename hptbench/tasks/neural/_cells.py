"""Networks made of cells, in the space of NAS-Bench-201.

X. Dong and Y. Yang, "NAS-Bench-201: extending the scope of reproducible neural architecture search", ICLR 2020,
arXiv:2001.00326, section 2.1: a 3 x 3 convolution, then stages of equal cells with a residual block of stride 2 between
stages, then the mean over pixels and a linear layer. A cell has four nodes, each the sum of an operation on every
earlier one; the operations of its six edges are the architecture. A convolution is rectified linear units, convolution,
normalisation.

Deviations: fewer and narrower stages (three of one cell and 8, 16, 32 channels instead of three of five cells and 16,
32, 64); instead of batch normalisation each row is normalised over its pixels and channels (``normalise``), so that
what is said of a row does not depend on the other rows, and a batch may be worked off in parts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from hptbench.tasks.neural._nets import Drops, Network, Tensor, affine
from hptbench.tasks.neural._wired import Named, Unit, Wired, groups, masks, unit

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Source and target of the edges Op0 … Op5, as in NAS-Bench-201."""
KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}
"""Pixels of the kernels of the operations that are convolutions."""
_ALL = ("nor_conv_3x3",) * len(EDGES)
"""What takes most room."""


class _Edges(NamedTuple):
    """What is done with a node: an operation, on some edges from it, by the members that have it there."""

    operation: str
    edges: Sequence[int]
    members: Sequence[Tensor]


class Plan(NamedTuple):
    """Who does what in a stack of cells."""

    nodes: Sequence[Sequence[_Edges]]
    """Of each node but the last."""
    real: Sequence[Tensor]
    """Masks of the channels of each stage."""


@dataclass(frozen=True)
class Cells(Wired):
    """Stages of equal cells."""

    channels: int
    """Of the first stage; each further one has twice as many."""
    stages: int
    cells: int
    """Of each stage."""
    operations: tuple[str, ...] = _ALL
    """Of the edges of all cells."""

    @property
    def widths(self) -> list[int]:
        """Channels of each stage."""
        return [self.channels << i for i in range(self.stages)]

    @property
    def convolutions(self) -> list[tuple[int, int]]:
        """(edge, pixels of the kernel, 0 for none) of each place of a cell that may have a convolution."""
        return [(edge, KERNELS.get(operation, 0)) for edge, operation in enumerate(self.operations)]

    @cached_property
    def named(self) -> Sequence[Named]:
        return [one for one, _ in self._placed]

    @property
    def places(self) -> list[tuple[int, int]]:
        """(which tensor, which edge it belongs to) of those that belong to one."""
        return [(place, edge) for place, (_, edge) in enumerate(self._placed) if edge is not None]

    @cached_property
    def _placed(self) -> list[tuple[Named, int | None]]:
        """The tensors, and the edge that each belongs to."""
        widths = self.widths
        out: list[tuple[Named, int | None]] = [(one, None) for one in unit(9, self.colours, self.channels)]
        for before, width in zip([0, *widths], widths, strict=False):
            if before:
                block = [*unit(9, before, width), *unit(9, width, width), Named("weights", (1, before, width))]
                out += [(one, None) for one in block]
            for edge, kernel in self.convolutions * self.cells:
                out += [(one, edge) for one in unit(kernel, width, width)]
        last = [Named("gain", (width,)), Named("shift", (width,))]
        head = [Named("weights", (width, self.outputs)), Named("bias", (self.outputs,))]
        return out + [(one, None) for one in (*last, *head)]

    @property
    def flops(self) -> float:
        pixels, widths = self.side**2, self.widths
        total, kernel = 9 * self.colours * self.channels * pixels, sum(kernel for _, kernel in self.convolutions)
        for before, width in zip([0, *widths], widths, strict=False):
            if before:
                pixels //= 4
                total += (9 * before + 9 * width + before) * width * pixels
            total += self.cells * kernel * width**2 * pixels
        return 2.0 * (total + widths[-1] * self.outputs)

    def variants(self) -> Sequence[Network]:
        some = [tuple(OPERATIONS[(i * k + k) % len(OPERATIONS)] for i in range(len(EDGES))) for k in range(5)]
        return [replace(self, operations=one) for one in some]

    def of(self, members: Sequence[Any], device: str) -> Network:
        nodes = []
        for source in range(3):
            leaving = [e for e, (start, _) in enumerate(EDGES) if start == source]
            found: dict[str, list[tuple[int, Tensor]]] = {}
            for e in leaving:
                for operation, who in groups([m.operations[e] for m in members], device):
                    found.setdefault(operation, []).append((e, who))
            nodes.append([_Edges(o, *zip(*found[o], strict=True)) for o in OPERATIONS[1:] if o in found])
        real = [masks([m.widths[i] for m in members], width, device) for i, width in enumerate(self.widths)]
        return replace(self, plan=Plan(nodes, real))

    def forward(self, parts: Sequence[Tensor], x: Tensor, drops: Drops, counts: Sequence[int]) -> Tensor:
        from hptbench.tasks.neural._operations import convolve, normalise

        given = iter(parts)
        stem, real = _unit(given), self.plan.real[0]
        x = normalise(convolve(x.permute(0, 1, 3, 4, 2), stem.weights), stem.gain, stem.shift, real)
        for i, real in enumerate(self.plan.real):
            if i:
                x = _reduced(x, _unit(given), _unit(given), next(given), real)
            for _ in range(self.cells):
                x = self.cell(x, [_unit(given) for _ in self.convolutions], real)
        x = normalise(x, next(given), next(given), real).relu().mean(dim=(2, 3))
        return affine(x, next(given), next(given))

    def cell(self, x: Tensor, units: Sequence[Unit], real: Tensor) -> Tensor:
        """What a cell gives, with the tensors of each of :attr:`convolutions`."""
        return _cell(x, units, self.plan.nodes, real)


def _unit(given: Iterator[Tensor]) -> Unit:
    return Unit(*itertools.islice(given, 3))


def _reduced(x: Tensor, first: Unit, second: Unit, beside: Tensor, real: Tensor) -> Tensor:
    """The residual block between stages: half the side."""
    from hptbench.tasks.neural._operations import convolve, halve, normalise

    y = normalise(convolve(x.relu(), first.weights, stride=2), first.gain, first.shift, real)
    y = normalise(convolve(y.relu(), second.weights), second.gain, second.shift, real)
    return y + convolve(halve(x), beside)


def _cell(x: Tensor, units: Sequence[Unit], nodes: Sequence[Sequence[_Edges]], real: Tensor) -> Tensor:
    """The last node of the cell of each member."""
    import torch

    values = [x, *(torch.zeros_like(x) for _ in range(3))]
    for value, todo in zip(values, nodes, strict=False):
        for operation, edges, members in todo:
            some = torch.cat([value.index_select(0, who) for who in members])
            y = _operated(operation, some, [units[e] for e in edges], members, real)
            for e, who, one in zip(edges, members, y.split([len(who) for who in members]), strict=True):
                values[EDGES[e][1]].index_add_(0, who, one)
    return values[-1]


def _operated(operation: str, x: Tensor, units: Sequence[Unit], members: Sequence[Tensor], real: Tensor) -> Tensor:
    """The operation on ``x``, of some members on some edges each, one after the other."""
    import torch

    from hptbench.tasks.neural._operations import convolve, normalise, smooth

    if operation not in KERNELS:
        return smooth(x) if operation == "avg_pool_3x3" else x

    def of(tensors: Sequence[Tensor]) -> Tensor:
        return torch.cat([tensor.index_select(0, who) for tensor, who in zip(tensors, members, strict=True)])

    weights = of([one.weights[:, : KERNELS[operation]] for one in units])
    gain, shift = of([one.gain for one in units]), of([one.shift for one in units])
    return normalise(convolve(x.relu(), weights), gain, shift, of([real] * len(units)))
