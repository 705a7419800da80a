"""Networks on sequences by PyTorch's own layers: what the stacked ones are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hptbench.tasks.neural._sequences import HEAD, KERNEL, SequenceNet


class Block(nn.Module):
    def __init__(self, kind: str, d: int, number: int, mask: nn.Module) -> None:
        super().__init__()
        self.gain, self.kind, self.number = nn.Parameter(torch.empty(1)), kind, number
        if kind == "transformer":
            self.inward, self.outward = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
            self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        elif kind == "gru":
            self.gru = nn.GRU(d, d, batch_first=True)
        else:
            self.conv = nn.Conv1d(d, d, KERNEL, dilation=2**number)
        self.mask = mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.gain * F.normalize(x, dim=2)
        more = {"transformer": self.attend, "gru": lambda x: self.gru(x)[0], "tcn": self.convolve}[self.kind](normed)
        return x + self.mask(more.transpose(1, 2)).transpose(1, 2)

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, d = x.shape
        q, k, v = (part.view(rows, length, -1, HEAD).transpose(1, 2) for part in self.inward(x).split(d, dim=2))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.outward(seen.transpose(1, 2).reshape(rows, length, d)) + self.down(F.relu(self.up(x)))

    def convolve(self, x: torch.Tensor) -> torch.Tensor:
        before = F.pad(x.transpose(1, 2), ((KERNEL - 1) * 2**self.number, 0))
        return F.relu(self.conv(before)).transpose(1, 2)


class Plain(nn.Module):
    """Its parameters come in the order of :func:`weights`."""

    def __init__(self, net: SequenceNet, masks: list[nn.Module]) -> None:
        super().__init__()
        self.net = net
        self.embedding, self.places, self.gain = (nn.Parameter(torch.empty(shape)) for shape in net.tensors[:3])
        self.blocks = nn.Sequential(*(Block(net.architecture, net.width, i, mask) for i, mask in enumerate(masks)))
        self.head = nn.Linear(net.width, net.outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, places, outputs)."""
        x = (F.linear(x, self.embedding.T) if self.net.steps else F.embedding(x, self.embedding)) + self.places
        return self.head(self.gain * F.normalize(self.blocks(x), dim=2))


def weights(net: SequenceNet, parameters: list[np.ndarray[Any, Any]]) -> list[torch.Tensor]:
    """The trainer's parameters in the order and with the axes of PyTorch's layers."""

    def turned(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return array.reshape(len(array), -1).T

    each = (len(parameters) - 5) // len(net.hidden)
    out = list(parameters[:3])
    for i in range(len(net.hidden)):
        gain, *block = parameters[3 + i * each : 3 + (i + 1) * each]
        out.append(gain)
        match net.architecture:
            case "transformer":
                inward, outward, up, up_bias, down, down_bias = block
                out += [turned(inward), outward.T, up.T, up_bias, down.T, down_bias]
            case "gru":
                inward, inward_bias, back, back_bias = block
                out += [turned(inward), turned(back), inward_bias.ravel(), back_bias.ravel()]
            case _:
                out += [block[0].transpose(2, 1, 0), block[1]]
    out += [parameters[-2].T, parameters[-1]]
    return [torch.from_numpy(np.ascontiguousarray(array)) for array in out]
