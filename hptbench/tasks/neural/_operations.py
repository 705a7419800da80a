"""Operations on images of a stack: a convolution, a normalisation and a mean, each member with parameters of its own.

Images are (T, rows, side, side, channels). Everything is written as products of one member's own numbers and sums over
them, so that a result depends neither on the other members nor on their number. The ways back are written out, as
those that automatic differentiation finds of strided views take several times as long. Imports torch: for functions to
import.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from hptbench.tasks.neural._nets import Tensor

_EPSILON = 1e-5
"""Added to variances, as in PyTorch."""


def convolve(x: Tensor, weights: Tensor, stride: int = 1) -> Tensor:
    """(T, rows, side', side', outputs) of ``x`` and ``weights`` (T, kernel², inputs, outputs); zeros around the image.

    Kernels have an odd side; ``stride`` is 1, or 2, which takes every second pixel."""
    return _Convolution.apply(x, weights, stride)


def normalise(x: Tensor, gain: Tensor, shift: Tensor, real: Tensor) -> Tensor:
    """Each row's image to mean 0 and variance 1 over its pixels and channels, times ``gain`` plus ``shift``, (T,
    channels): layer normalisation, or group normalisation with one group (Wu & He, ECCV 2018).

    ``real`` (T, 1, 1, 1, channels) is 1 for the member's own channels; the others are 0 before and after."""
    return _Normalisation.apply(x, gain, shift, real)


def smooth(x: Tensor) -> Tensor:
    """The mean over the 3 x 3 pixels around each one, of those that there are."""
    return _Mean.apply(x)


def halve(x: Tensor, greatest: bool = False) -> Tensor:
    """The mean, or the greatest value, of 2 x 2 pixels; what is left over at odd sides is left out."""
    members, rows, side, _, channels = x.shape
    half = side // 2
    tiles = x[:, :, : 2 * half, : 2 * half].reshape(members, rows, half, 2, half, 2, channels)
    return tiles.amax(dim=(3, 5)) if greatest else tiles.mean(dim=(3, 5))


class _Convolution(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, stride: int) -> Tensor:
        patches = _patches(x, weights.shape[1], stride)
        ctx.save_for_backward(patches, weights)
        ctx.shape, ctx.stride = x.shape, stride
        side = -(-x.shape[2] // stride)
        y = torch.bmm(patches, weights.reshape(len(x), -1, weights.shape[3]))
        return y.view(len(x), x.shape[1], side, side, -1)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, Tensor, None]:
        patches, weights = ctx.saved_tensors
        members, kernel, inputs, outputs = weights.shape
        by_weights = torch.bmm(patches.transpose(1, 2), above.reshape(members, -1, outputs)).view(weights.shape)
        if not ctx.needs_input_grad[0]:
            return None, by_weights, None
        if ctx.stride > 1:
            spread = above.new_zeros((*ctx.shape[:-1], outputs))
            spread[:, :, :: ctx.stride, :: ctx.stride] = above
            above = spread
        turned = weights.flip(1).transpose(2, 3).reshape(members, kernel * outputs, inputs)
        return torch.bmm(_patches(above, kernel, 1), turned).view(ctx.shape), by_weights, None


def _patches(x: Tensor, kernel: int, stride: int) -> Tensor:
    """(T, rows * side'², kernel * channels) the pixels around each one, zeros outside; ``kernel`` pixels in all."""
    members, rows, side, _, channels = x.shape
    if kernel == stride == 1:
        return x.reshape(members, rows * side**2, channels)
    across = round(kernel**0.5)
    pad = across // 2
    wide = F.pad(x, (0, 0, pad, pad, pad, pad)).unfold(2, across, stride).unfold(3, across, stride)
    return wide.permute(0, 1, 2, 3, 5, 6, 4).reshape(members, -1, kernel * channels)


class _Normalisation(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, shift: Tensor, real: Tensor) -> Tensor:
        count = real.sum(dim=4, keepdim=True) * (x.shape[2] * x.shape[3])
        h = (x - _total(x) / count).mul_(real)
        scale = (_total(h * h) / count).add_(_EPSILON).rsqrt_()
        h.mul_(scale)
        ctx.save_for_backward(h, gain, real, scale, count)
        return torch.addcmul(_per_channel(shift), h, _per_channel(gain))

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        h, gain, real, scale, count = ctx.saved_tensors
        by_shift, by_gain = above.sum(dim=(1, 2, 3)), (above * h).sum(dim=(1, 2, 3))
        slope = above * _per_channel(gain)
        along = _total(slope * h) / count
        below = (slope - _total(slope) / count).addcmul_(h, along, value=-1)
        return below.mul_(scale).mul_(real), by_gain, by_shift, None


def _total(x: Tensor) -> Tensor:
    """(T, rows, 1, 1, 1) sums over a row's image."""
    return x.flatten(2).sum(dim=2).view(*x.shape[:2], 1, 1, 1)


def _per_channel(x: Tensor) -> Tensor:
    """(T, channels) for images."""
    return x.view(len(x), 1, 1, 1, -1)


class _Mean(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _box(x).div_(_around(x))

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> Tensor:
        return _box(above / _around(above))


def _box(x: Tensor) -> Tensor:
    """The sum over the 3 x 3 pixels around each one."""
    wide = F.pad(x, (0, 0, 1, 1, 1, 1))
    rows = wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]
    return rows[:, :, :, :-2] + rows[:, :, :, 1:-1] + rows[:, :, :, 2:]


def _around(x: Tensor) -> Tensor:
    """(side, side, 1) how many pixels there are among the 3 x 3 around each one."""
    return _box(x.new_ones((1, 1, x.shape[2], x.shape[3], 1)))[0, 0]
