"""Networks of stages whose depth, width, kernel, skipping and pooling are searched: a macro space of our own.

A stage is some layers (convolution, normalisation as in ``_cells.py``, rectified linear units), each but the first
added to what it takes where the stage skips; between stages the mean or the greatest of 2 x 2 pixels; at the end the
mean over all pixels and a linear layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from hptbench.tasks.neural._nets import Drops, Network, Tensor, affine
from hptbench.tasks.neural._wired import Group, Named, Unit, Wired, groups, masks, unit

POOLS = ("mean", "max")


class Stage(NamedTuple):
    """Some layers alike."""

    depth: int
    width: int
    kernel: int
    """Pixels on a side, odd."""
    skip: bool
    pool: str
    """What comes after it, unless it is the last stage."""


class _Plan(NamedTuple):
    """Who does what in one stage of a stack."""

    layers: Sequence[Sequence[Group]]
    """Of each layer: (pixels of the kernel, whether it is skipped), and by whom."""
    pools: Sequence[Group]
    real: Tensor
    """Mask of the channels."""


@dataclass(frozen=True)
class Macro(Wired):
    """Stages of different layers."""

    most: int
    """Layers that there is room for in each stage."""
    path: tuple[Stage, ...]
    """Of a network within which others are trained: the greatest of everything, and all widths equal."""

    @property
    def _inputs(self) -> list[int]:
        """Channels that the first layer of each stage takes."""
        return [self.colours, *(stage.width for stage in self.path[:-1])]

    @cached_property
    def named(self) -> Sequence[Named]:
        out: list[Named] = []
        for inputs, stage in zip(self._inputs, self.path, strict=True):
            for i in range(self.most):
                kernel = stage.kernel**2 if i < stage.depth else 0
                out += unit(kernel, stage.width if i else inputs, stage.width)
        width = self.path[-1].width
        return [*out, Named("weights", (width, self.outputs)), Named("bias", (self.outputs,))]

    @property
    def flops(self) -> float:
        side, total = self.side, 0
        for inputs, stage in zip(self._inputs, self.path, strict=True):
            channels = inputs + stage.width * (stage.depth - 1)
            total += stage.kernel**2 * channels * stage.width * side**2
            side //= 2
        return 2.0 * (total + self.path[-1].width * self.outputs)

    def variants(self) -> Sequence[Network]:
        return [
            replace(
                self,
                path=tuple(
                    stage._replace(
                        depth=1 + (i + k) % self.most, kernel=1 + 2 * ((i + k) % (stage.kernel // 2 + 1)),
                        skip=bool(k % 2), pool=POOLS[(i + k) % 2],
                    )
                    for i, stage in enumerate(self.path)
                ),
            )
            for k in range(5)
        ]  # fmt: skip

    def of(self, members: Sequence[Any], device: str) -> Network:
        plans = []
        for i, largest in enumerate(self.path):
            stages = [m.path[i] for m in members]
            layers = [
                groups([(s.kernel**2, s.skip and j > 0) if j < s.depth else None for s in stages], device)
                for j in range(self.most)
            ]
            real = masks([s.width for s in stages], largest.width, device)
            plans.append(_Plan(layers, groups([s.pool for s in stages], device), real))
        return replace(self, plan=plans)

    def forward(self, parts: Sequence[Tensor], x: Tensor, drops: Drops, counts: Sequence[int]) -> Tensor:
        from hptbench.tasks.neural._operations import halve

        given, x = iter(parts), x.permute(0, 1, 3, 4, 2)
        for i, stage in enumerate(self.plan):
            if i:
                halves = [(who, halve(x.index_select(0, who), pool == "max")) for pool, who in self.plan[i - 1].pools]
                x = _put(x, halves, len(x))
            for layer in stage.layers:
                convolution = Unit(next(given), next(given), next(given))
                x = _put(x, [(who, _layer(x, convolution, stage.real, what, who)) for what, who in layer], len(x))
        return affine(x.mean(dim=(2, 3)), next(given), next(given))


def _layer(x: Tensor, own: Unit, real: Tensor, what: tuple[int, bool], who: Tensor) -> Tensor:
    """That of some members. ``what``: pixels of its kernel, and whether it is skipped."""
    from hptbench.tasks.neural._operations import convolve, normalise

    kernel, skip = what
    x, weights = x.index_select(0, who), own.weights[:, :kernel].index_select(0, who)
    gain, shift, there = (tensor.index_select(0, who) for tensor in (own.gain, own.shift, real))
    y = normalise(convolve(x, weights), gain, shift, there).relu()
    return x + y if skip else y


def _put(x: Tensor, some: Sequence[tuple[Tensor, Tensor]], members: int) -> Tensor:
    """``x`` with what some members have come to, of another size if all of them have."""
    import torch

    if not some:
        return x
    who, what = torch.cat([who for who, _ in some]), torch.cat([what for _, what in some])
    if len(who) == members:
        return what.index_select(0, who.argsort())
    return x.index_copy(0, who, what)
