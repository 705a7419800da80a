"""Environments of reinforcement learning, many at once: the classic control problems of gymnasium, in its equations.

Of n environments of any shape, states are (…, numbers) in double precision, actions (…,) whole numbers. What is
observed is in single precision, as in gymnasium (v1: CartPole-v1, Acrobot-v1, Pendulum-v1), which the tests compare
with step by step. Pendulum's torque is one of 5 instead of any number in [-2, 2], so that all have few actions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hptbench.tasks.neural._nets import Tensor

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Environment:
    """How a problem begins, goes on and is seen."""

    step: Step
    """(state, action) -> (state, reward, whether it is over)."""
    observe: Callable[[Tensor], Tensor]
    """(…, observed) in single precision."""
    first: tuple[float, ...]
    """States begin uniformly within plus and minus these numbers."""
    observed: int
    actions: int
    limit: int
    """Steps after which an episode is cut off."""
    scale: float = 1.0
    """Rewards are multiplied by it for learning, so that returns are of the size of tens."""

    def begin(self, uniform: Tensor) -> Tensor:
        """The first state, from (…, numbers) draws in [0, 1)."""
        return (2 * uniform - 1) * uniform.new_tensor(self.first)


_GRAVITY, _PUSH, _TOTAL, _POLE, _HALF, _POLE_LENGTH, _TICK = 9.8, 10.0, 1.1, 0.1, 0.5, 0.05, 0.02
_X_LIMIT, _TILT_LIMIT = 2.4, 12 * 2 * math.pi / 360


def _cart_pole(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A. G. Barto, R. S. Sutton and C. W. Anderson, IEEE Transactions on Systems, Man, and Cybernetics 13, 1983."""
    import torch

    x, speed, tilt, turn = state.unbind(-1)
    force = _PUSH * (2 * action - 1)
    cos, sin = torch.cos(tilt), torch.sin(tilt)
    part = (force + _POLE_LENGTH * turn.square() * sin) / _TOTAL
    turning = (_GRAVITY * sin - cos * part) / (_HALF * (4 / 3 - _POLE * cos.square() / _TOTAL))
    pushing = part - _POLE_LENGTH * turning * cos / _TOTAL
    x, tilt = x + _TICK * speed, tilt + _TICK * turn
    state = torch.stack([x, speed + _TICK * pushing, tilt, turn + _TICK * turning], dim=-1)
    over = (x.abs() > _X_LIMIT) | (tilt.abs() > _TILT_LIMIT)
    return state, torch.ones_like(x), over


_ACROBOT_TICK, _FIRST_SPEED, _SECOND_SPEED = 0.2, 4 * math.pi, 9 * math.pi


def _acrobot_slope(state: Tensor, torque: Tensor) -> Tensor:
    """Derivative by time, R. S. Sutton and A. G. Barto, Reinforcement Learning, 1998, section 11.3; masses, lengths and
    moments of inertia are 1, centres of mass in the middle."""
    import torch

    a, b, da, db = state.unbind(-1)
    cos, sin = torch.cos(b), torch.sin(b)
    d1, d2 = 0.25 + (1.25 + cos) + 2.0, (0.25 + 0.5 * cos) + 1.0
    phi2 = 0.5 * _GRAVITY * torch.cos(a + b - math.pi / 2)
    phi1 = -0.5 * db.square() * sin - db * da * sin + 1.5 * _GRAVITY * torch.cos(a - math.pi / 2) + phi2
    ddb = (torque + d2 / d1 * phi1 - 0.5 * da.square() * sin - phi2) / (1.25 - d2.square() / d1)
    return torch.stack([da, db, -(d2 * ddb + phi1) / d1, ddb], dim=-1)


def _wrapped(angle: Tensor) -> Tensor:
    """Within [-pi, pi], and as it is where it is there."""
    turns = ((angle - math.pi) / (2 * math.pi)).ceil().clamp_min(0)
    turns = turns + ((angle + math.pi) / (2 * math.pi)).floor().clamp_max(0)
    return angle - 2 * math.pi * turns


def _acrobot(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Two links, a Runge-Kutta step of fourth order; every step costs 1 but the last."""
    import torch

    torque, half = (action - 1).to(state.dtype), _ACROBOT_TICK / 2
    k1 = _acrobot_slope(state, torque)
    k2 = _acrobot_slope(state + half * k1, torque)
    k3 = _acrobot_slope(state + half * k2, torque)
    k4 = _acrobot_slope(state + _ACROBOT_TICK * k3, torque)
    a, b, da, db = (state + _ACROBOT_TICK / 6 * (k1 + 2 * k2 + 2 * k3 + k4)).unbind(-1)
    a, b = _wrapped(a), _wrapped(b)
    da, db = da.clamp(-_FIRST_SPEED, _FIRST_SPEED), db.clamp(-_SECOND_SPEED, _SECOND_SPEED)
    over = -torch.cos(a) - torch.cos(a + b) > 1
    return torch.stack([a, b, da, db], dim=-1), over.to(state.dtype) - 1, over


def _acrobot_seen(state: Tensor) -> Tensor:
    import torch

    a, b, da, db = state.unbind(-1)
    return torch.stack([torch.cos(a), torch.sin(a), torch.cos(b), torch.sin(b), da, db], dim=-1).float()


_PENDULUM_TICK, _PENDULUM_GRAVITY, _PENDULUM_SPEED = 0.05, 10.0, 8.0
TORQUES = 5
"""From -2 to 2."""


def _pendulum(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    import torch

    angle, turn = state.unbind(-1)
    torque = (action - TORQUES // 2).to(state.dtype)
    from_top = torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
    cost = from_top.square() + 0.1 * turn.square() + 0.001 * torque.square()
    turn = turn + (1.5 * _PENDULUM_GRAVITY * torch.sin(angle) + 3 * torque) * _PENDULUM_TICK
    turn = turn.clamp(-_PENDULUM_SPEED, _PENDULUM_SPEED)
    state = torch.stack([angle + turn * _PENDULUM_TICK, turn], dim=-1)
    return state, -cost, torch.zeros_like(angle, dtype=torch.bool)


def _pendulum_seen(state: Tensor) -> Tensor:
    import torch

    angle, turn = state.unbind(-1)
    return torch.stack([torch.cos(angle), torch.sin(angle), turn], dim=-1).float()


def _as_it_is(state: Tensor) -> Any:
    return state.float()


ENVIRONMENTS: Mapping[str, Environment] = {
    "cartpole": Environment(_cart_pole, _as_it_is, (0.05,) * 4, 4, 2, 500),
    "acrobot": Environment(_acrobot, _acrobot_seen, (0.1,) * 4, 6, 3, 500),
    "pendulum": Environment(_pendulum, _pendulum_seen, (math.pi, 1.0), 3, TORQUES, 200, 0.1),
}
