"""One network trained by plain PyTorch: what the trainer of many is compared with, in the tests and for speed."""

from __future__ import annotations

from typing import Any

import numpy as np
import plain_images
import plain_sequences
import torch
import torch.nn.functional as F
from torch import nn

from hptbench.tasks.neural import _streams
from hptbench.tasks.neural._nets import CNN, MLP
from hptbench.tasks.neural._optimizers import SCHEDULES, Optimizer
from hptbench.tasks.neural._sequences import SequenceNet
from hptbench.tasks.neural._trainer import Data, Member
from hptbench.tasks.neural._wired import Wired


class Mask(nn.Module):
    """Dropout with the trainer's draws."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.least, self.scale = _streams.threshold(dropout)
        self.rows = self.units = np.zeros(0, np.int32)
        self.off = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.off:
            return x
        factors, summands = self.units
        kept = torch.from_numpy(self.rows[:, None] * factors + summands >= self.least)
        return x * kept.view(*kept.shape, *(1,) * (x.ndim - 2)) * self.scale


def network(net: Any, dropout: tuple[float, ...], drop: Any = Mask) -> nn.Sequential:
    if isinstance(net, Wired):
        return plain_images.images(net)
    layers: list[nn.Module] = []
    side = getattr(net, "side", 1)
    for shape, width, probability in zip(net.layers, net.hidden, dropout or (0.0,) * len(net.hidden), strict=True):
        if isinstance(net, MLP):
            layers += [nn.Linear(shape[0], width), nn.ReLU(), drop(probability)]
        else:
            layers += [nn.Conv2d(shape[0], width, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if side > 1 else []
            layers += [drop(probability)]
            side //= 2
    if isinstance(net, CNN):
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(net.features, net.outputs))


def weights(net: Any, parameters: list[np.ndarray[Any, Any]]) -> list[torch.Tensor]:
    """The trainer's parameters in PyTorch's order of axes."""
    if isinstance(net, Wired):
        return plain_images.weights(parameters)
    if isinstance(net, SequenceNet):
        return plain_sequences.weights(net, parameters)
    out = []
    for array in parameters:
        if array.ndim == 3:
            inputs, kernel, outputs = array.shape
            side = round(kernel**0.5)
            array = array.transpose(2, 0, 1).reshape(outputs, inputs, side, side)
        elif array.ndim == 2:
            array = array.T
        out.append(torch.from_numpy(np.ascontiguousarray(array)))
    return out


def optimizer(parameters: Any, o: Optimizer, **how: Any) -> torch.optim.Optimizer:
    both = {"lr": o.learning_rate, "weight_decay": o.weight_decay, **how}
    match o.name:
        case "sgd" | "nesterov":
            return torch.optim.SGD(parameters, momentum=o.momentum, nesterov=o.name == "nesterov", **both)
        case "adam" | "adamw":
            kind = torch.optim.Adam if o.name == "adam" else torch.optim.AdamW
            return kind(parameters, betas=(o.momentum, o.decay), **both)
        case _:
            return torch.optim.RMSprop(parameters, alpha=o.decay, **both)


def train(data: Data, member: Member) -> tuple[list[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """(parameters in the trainer's order of numbers, what the network says of the held-out rows in the end)."""
    recipe, seed = member.recipe, member.seed
    net, n = recipe.net, len(data.X)
    if isinstance(net, SequenceNet):
        module: Any = plain_sequences.Plain(net, [Mask(p) for p in recipe.dropout])
    else:
        module = network(net, recipe.dropout)
    with torch.no_grad():
        for p, first in zip(module.parameters(), weights(net, net.initial(_streams.initial(seed))), strict=True):
            p.copy_(first)
    optim = optimizer(module.parameters(), recipe.optimizer)
    factor = SCHEDULES[recipe.optimizer.schedule]
    schedule = torch.optim.lr_scheduler.LambdaLR(optim, lambda epoch: factor(epoch / recipe.epochs))
    masks = [layer for layer in module.modules() if isinstance(layer, Mask)]
    X, y = torch.from_numpy(data.X), torch.from_numpy(data.y)
    for epoch in range(member.stop):
        draws = _streams.epoch(seed, epoch, n, net.hidden if any(recipe.dropout) else ())
        for start in range(0, n, recipe.batch_size):
            rows = draws.order[start : start + recipe.batch_size]
            for mask, units, keys in zip(masks, draws.units, draws.rows, strict=False):
                mask.units, mask.rows = units, keys[start : start + recipe.batch_size]
            if not draws.rows:
                for mask in masks:
                    mask.units, mask.rows = np.zeros((2, 1), np.int32), np.zeros(len(rows), np.int32)
            out = module(X[rows])
            if data.outputs > 1:
                loss = F.cross_entropy(out.flatten(0, -2), y[rows].flatten(), label_smoothing=recipe.smoothing)
            else:
                loss = F.mse_loss(out.flatten(), y[rows].flatten().to(out.dtype))
            optim.zero_grad()
            loss.backward()
            optim.step()
        schedule.step()
    for mask in masks:
        mask.off = True
    with torch.no_grad():
        out = module(torch.from_numpy(data.held))
        said = torch.softmax(out, -1) if data.outputs > 1 else out.flatten()
        if data.asked is not None:
            said = said.gather(-1, torch.from_numpy(data.asked).unsqueeze(-1)).flatten()
    return [p.detach().numpy() for p in module.parameters()], said.numpy()
