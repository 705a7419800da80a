"""The networks of `_wired.py` as PyTorch's own modules, one network at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from hptbench.tasks.neural._cells import EDGES, KERNELS, Cells


class Bare(nn.Conv2d):
    """A convolution without bias that keeps the image's size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), Bare(inputs, outputs, kernel, stride), nn.GroupNorm(1, outputs))


class Zero(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


def operation(name: str, width: int) -> nn.Module:
    if name in KERNELS:
        return convolution(width, width, round(KERNELS[name] ** 0.5))
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return nn.Identity() if name == "skip_connect" else Zero()


class Added(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = super().forward(x)
        return x + out


class Cell(nn.Module):
    def __init__(self, operations: tuple[str, ...], width: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(operation(name, width) for name in operations)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nodes = [x]
        for node in (1, 2, 3):
            into = [edge(nodes[a]) for (a, b), edge in zip(EDGES, self.edges, strict=True) if b == node]
            nodes.append(torch.stack(into).sum(0))
        return nodes[3]


class Reduction(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(convolution(inputs, outputs, 3, 2), convolution(outputs, outputs, 3))
        self.beside = nn.Sequential(nn.AvgPool2d(2), Bare(inputs, outputs, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.main(x) + self.beside(x)
        return out


def images(net: Any) -> nn.Sequential:
    layers: list[nn.Module] = []
    if isinstance(net, Cells):
        layers += [Bare(net.colours, net.channels, 3), nn.GroupNorm(1, net.channels)]
        for i, width in enumerate(net.widths):
            layers += [Reduction(width // 2, width)] if i else []
            layers += [Cell(net.operations, width) for _ in range(net.cells)]
        layers += [nn.GroupNorm(1, width), nn.ReLU()]
    else:
        inputs = net.colours
        for i, (depth, width, kernel, skip, pool) in enumerate(net.path):
            for j in range(depth):
                layer = Added if skip and j else nn.Sequential
                layers.append(layer(Bare(inputs, width, kernel), nn.GroupNorm(1, width), nn.ReLU()))
                inputs = width
            if i < len(net.path) - 1:
                layers.append(nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, net.outputs))


def weights(parameters: list[np.ndarray[Any, Any]]) -> list[torch.Tensor]:
    """The trainer's parameters, empty ones left out, in PyTorch's order of axes."""
    out = []
    for array in parameters:
        if array.ndim == 3:
            side = round(array.shape[0] ** 0.5)
            array = array.transpose(2, 1, 0).reshape(array.shape[2], array.shape[1], side, side)
        elif array.ndim == 2:
            array = array.T
        if array.size:
            out.append(torch.from_numpy(np.ascontiguousarray(array)))
    return out
