"""Optimisers as coefficients: one formula for a stack whose members have different ones.

With gradient g, parameters p and moments m, v, an update is

    g += coupled p,   m = keep m + take g,   v = keep2 v + take2 g²,
    p = shrink p - direct g - rate m / (root sqrt(v) + floor)

The formulas are those of torch.optim: SGD (with momentum and Nesterov's), Adam (Kingma & Ba, ICLR 2015), AdamW
(Loshchilov & Hutter, ICLR 2019), RMSprop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown

Tensor = Any
OPTIMIZERS = ("sgd", "nesterov", "adam", "adamw", "rmsprop")
_EPSILON = 1e-8
"""Added to the root of the second moment, as in PyTorch."""
_STEP = 0.1
"""What the schedule ``step`` multiplies the learning rate by after a third and two thirds of the epochs."""
SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "constant": lambda share: 1.0,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
    "step": lambda share: _STEP ** int(3 * share),
}
"""The factor of the learning rate after a share of the epochs, which changes from epoch to epoch."""


@dataclass(frozen=True)
class Optimizer:
    """How the parameters of one member are changed."""

    name: str = "sgd"
    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    """Added to the gradient; for adamw taken off the parameters."""
    momentum: float = 0.9
    """Of Adam the decay of the first moment. RMSprop has none."""
    decay: float = 0.999
    """Of the second moment."""
    schedule: str = "constant"

    def __post_init__(self) -> None:
        if self.name not in OPTIMIZERS:
            raise unknown("optimizer", self.name, OPTIMIZERS)
        if self.schedule not in SCHEDULES:
            raise unknown("schedule", self.schedule, SCHEDULES)
        for name in ("momentum", "decay"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"expected 0 <= {name} < 1, got {getattr(self, name)}")

    @property
    def adaptive(self) -> bool:
        """Has a second moment."""
        return self.name in ("adam", "adamw", "rmsprop")

    def coefficients(self, updates: int, before: int, share: float) -> NDArray[np.float64]:
        """(updates, coefficients in the order of :class:`Coefficients`) of an epoch with so many updates, that
        begins after ``before`` updates and a share of all epochs."""
        rate = self.learning_rate * SCHEDULES[self.schedule](share)
        step = before + np.arange(1, updates + 1)
        coupled, shrink = (0.0, 1 - rate * self.weight_decay) if self.name == "adamw" else (self.weight_decay, 1.0)
        if not self.adaptive:
            own = Coefficients(coupled, self.momentum, 1.0, 1.0, 0.0, shrink, rate, 0.0, 1.0, 0.0)
            if self.name == "nesterov":  # p -= rate (g + momentum m)
                own = own._replace(rate=rate * self.momentum, direct=rate)
            return np.repeat([own], updates, axis=0)
        one, two, corrected, root = self._moments(step)
        own = Coefficients(coupled, one, two, self.decay, 1 - self.decay, shrink, rate / corrected, root, _EPSILON, 0.0)
        return np.stack(np.broadcast_arrays(*own, step)[:-1], axis=1)

    def _moments(self, step: NDArray[np.intp]) -> tuple[float, float, Any, Any]:
        """(keep, take, what divides the rate, what multiplies the root) of the updates with these numbers."""
        if self.name == "rmsprop":
            return 0.0, 1.0, 1.0, 1.0
        corrected = 1 - self.momentum**step
        return self.momentum, 1 - self.momentum, corrected, 1 / np.sqrt(1 - self.decay**step)


class Coefficients(NamedTuple):
    """Of one update; see the head of this file."""

    coupled: Any
    keep: Any
    take: Any
    keep2: Any
    take2: Any
    shrink: Any
    rate: Any
    root: Any
    floor: Any
    direct: Any
    """What the gradient itself is subtracted by (Nesterov)."""


def update(p: Tensor, g: Tensor, m: Tensor, v: Tensor | None, c: Coefficients) -> None:
    """Change parameters, gradient and moments, (T, size) each, in place.

    ``v`` is None in a stack without second moments. Coefficients are (T, 1);
    ``direct`` may be None if it is 0 for all."""
    g.addcmul_(p, c.coupled)
    m.mul_(c.keep).addcmul_(g, c.take)
    if v is None:
        if c.direct is not None:
            p.addcmul_(g, c.direct, value=-1)
        p.addcmul_(m, c.rate, value=-1)
    else:
        v.mul_(c.keep2).addcmul_(g * c.take2, g)
        p.mul_(c.shrink).addcdiv_(m * c.rate, v.sqrt().mul_(c.root).add_(c.floor), value=-1)
