"""Networks on images whose members differ in what they compute, not only in their sizes.

A stack works through the places of the network one after the other; at each, members that do the same there are one
group, whose convolutions are one batched product. Every place has a tensor in every member, which is empty where the
member computes nothing that needs one, so that members lie in a stack as those of other networks do.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from hptbench.tasks.neural._nets import Drops, Network, Of, Tensor


class Named(NamedTuple):
    """A tensor of a network."""

    role: str
    """weights, gain, shift or bias."""
    shape: tuple[int, ...]


class Unit(NamedTuple):
    """The tensors of a convolution and its normalisation in a stack: (T, kernel, inputs, outputs) and (T, outputs)."""

    weights: Tensor
    gain: Tensor
    shift: Tensor


def unit(kernel: int, inputs: int, outputs: int) -> list[Named]:
    """Those of one network, for a kernel of so many pixels; none at all: empty ones."""
    own = (outputs if kernel else 0,)
    return [Named("weights", (kernel, inputs, outputs)), Named("gain", own), Named("shift", own)]


@dataclass(frozen=True)
class Wired(Network):
    """A network on images of ``colours`` channels, (rows, colours, side, side). Nothing is dropped."""

    side: int
    colours: int
    outputs: int
    hidden: tuple[int, ...] = field(default=(), init=False)
    plan: Any = field(default=None, compare=False, repr=False, kw_only=True)
    """Of a stack: which members do what where."""

    @property
    @abstractmethod
    def named(self) -> Sequence[Named]:
        """The parameters; those of the head, weights and bias, last."""

    @property
    def tensors(self) -> tuple[tuple[int, ...], ...]:
        return tuple(one.shape for one in self.named)

    @property
    def kind(self) -> Hashable:
        return self

    def parts(self, rows: Tensor, views: Callable[[Tensor], list[Tensor]], counts: Sequence[int]) -> list[Tensor]:
        return views(rows)

    def back(
        self, parts: Sequence[Tensor], slopes: Sequence[Tensor], x: Tensor, drops: Drops, counts: Sequence[int], of: Of
    ) -> None:
        import torch

        leaves = [part.detach().requires_grad_() for part in parts]
        outputs = self.forward(leaves, x, drops, counts)
        gradients = torch.autograd.grad(outputs, leaves, of(outputs.detach()), allow_unused=True)
        for slope, gradient in zip(slopes, gradients, strict=True):
            if gradient is not None:  # at some places no member of the stack may compute anything
                slope.add_(gradient)

    def initial(self, rng: np.random.Generator) -> list[np.ndarray[Any, Any]]:
        """First parameters as PyTorch draws them: uniform within 1 / sqrt(inputs of a weight); gains 1, shifts 0."""
        parameters, bound = [], 0.0
        for role, shape in self.named:
            if role == "weights":
                bound = 1 / math.sqrt(max(math.prod(shape[:-1]), 1))
            if role in ("weights", "bias"):
                parameters.append(rng.uniform(-bound, bound, shape).astype(np.float32))
            else:
                parameters.append(np.full(shape, role == "gain", np.float32))
        return parameters


Group = tuple[Any, Tensor]
"""What some members do, and which these are, (k,)."""


def groups(what: Sequence[Hashable], device: str) -> list[Group]:
    """The members that do the same, in an order that does not depend on them; those with None do nothing."""
    import torch

    members: dict[Hashable, list[int]] = {}
    for i, one in enumerate(what):
        if one is not None:
            members.setdefault(one, []).append(i)
    return [(one, torch.tensor(members[one], device=device)) for one in sorted(members, key=repr)]


def masks(widths: Sequence[int], widest: int, device: str) -> Tensor:
    """(T, 1, 1, 1, widest) 1 for the channels that each member has."""
    import torch

    there = np.arange(widest) < np.array(widths)[:, None]
    return torch.from_numpy(there.astype(np.float32)).to(device).view(-1, 1, 1, 1, widest)
