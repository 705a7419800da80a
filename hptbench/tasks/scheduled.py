"""The wrapper ``scheduled``."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ConfigSpace as CS

from hptbench.errors import UserError, unknown
from hptbench.space import Config, Kind, Space
from hptbench.tasks._changing import Changing
from hptbench.tasks._wrapper import wrapper

SHAPES = ("constant", "step", "cosine", "warmup", "piecewise")
_STEPS = 5
"""Most drops of a step schedule."""
_ROUNDING = 1e-9


@wrapper("scheduled")
@dataclass(frozen=True)
class Scheduled(Changing):
    """Lets a hyperparameter follow a schedule over the fidelity, whose shape and numbers are hyperparameters, too.

    With p the fidelity as a share of the highest one, v the hyperparameter's own value, and the values of
    ``<parameter>:…`` that the shapes add to the space (``<parameter>:shape`` is which, unless there is one only):

    - constant: v;
    - step: v final^(floor(p (steps + 1)) / steps), ``steps`` equal drops (1 to 5), in all by ``final`` (0.001 to 1);
    - cosine: v (final + (1 - final) (1 + cos(pi p)) / 2) (I. Loshchilov and F. Hutter, "SGDR", ICLR 2017,
      arXiv:1608.03983, equation 5, without restarts);
    - warmup: v p / warmup until p = ``warmup`` (0.01 to 0.5), then v;
    - piecewise: through v at p = 0 and ``1``, ``2``, … at equal distances up to p = 1, straight between them on the
      parameter's own scale.

    Values are clipped to the parameter's range, and rounded if it is an integer. They change at multiples of ``every``.
    UserError for a parameter that is no number or is conditional, and for tasks whose training cannot go on with other
    hyperparameters."""

    parameter: str
    shapes: Sequence[str] = SHAPES[:4]
    """Which of constant, step, cosine, warmup and piecewise can be chosen, the default first."""
    every: float | None = None
    """In units of the fidelity. None: 1, or a hundredth of the highest where it is not counted in whole numbers."""
    knots: int = 3
    """How many values a piecewise schedule adds."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "shapes", tuple(self.shapes))
        space = self.inner.space
        if self.parameter not in space.names:
            raise unknown("parameter", self.parameter, space.names)
        if space.kinds[space.names.index(self.parameter)] not in (Kind.FLOAT, Kind.INTEGER):
            raise UserError(f"expected a number to schedule, got {self.parameter}, which is none")
        if any(condition.child.name == self.parameter for condition in space.configspace.conditions):
            raise UserError(f"expected a parameter that is always active, got {self.parameter}")
        for shape in self.shapes:
            if shape not in SHAPES:
                raise unknown("shape", shape, SHAPES)
        if not self.shapes or len(set(self.shapes)) < len(self.shapes):
            raise UserError(f"expected different shapes, one at least, got {list(self.shapes)}")
        if self.every is not None and self.every <= 0:
            raise UserError(f"expected every > 0, got {self.every}")
        if self.knots < 1:
            raise UserError(f"expected knots >= 1, got {self.knots}")

    @property
    def name(self) -> str:
        shapes = "-".join(f"{shape}{self.knots}" if shape == "piecewise" else shape for shape in self.shapes)
        every = "" if self.every is None else f"-every{self.every:g}"
        return f"{self.inner.name}+scheduled-{self.parameter}-{shapes}{every}"

    @property
    def space(self) -> Space:
        return self._extended

    @cached_property
    def _extended(self) -> Space:
        configspace: Any = copy.deepcopy(self.inner.space.configspace)
        own: Any = configspace[self.parameter]
        name = self.parameter
        shape = None
        if len(self.shapes) > 1:
            shape = CS.Categorical(f"{name}:shape", list(self.shapes), default=self.shapes[0])
            configspace.add(shape)
        number = CS.Integer if isinstance(own, CS.UniformIntegerHyperparameter) else CS.Float
        added: list[tuple[Any, set[str]]] = [
            (CS.Float(f"{name}:final", (1e-3, 1.0), log=True, default=0.1), {"step", "cosine"}),
            (CS.Integer(f"{name}:steps", (1, _STEPS), default=2), {"step"}),
            (CS.Float(f"{name}:warmup", (0.01, 0.5), log=True, default=0.1), {"warmup"}),
        ]
        for i in range(1, self.knots + 1):
            knot = number(f"{name}:{i}", (own.lower, own.upper), log=own.log, default=own.default_value)
            added.append((knot, {"piecewise"}))
        for parameter, shapes in added:
            wanted = [s for s in self.shapes if s in shapes]
            if wanted:
                configspace.add(parameter)
                if shape is not None:
                    configspace.add(CS.InCondition(parameter, shape, wanted))
        return Space(configspace)

    @property
    def _every(self) -> float:
        fidelity = self.inner.fidelity
        assert fidelity is not None  # __post_init__ has seen to it
        return self.every or (1.0 if fidelity.integer else fidelity.high / 100)

    def pieces(self, config: Config, start: float, stop: float) -> list[tuple[float, Config]]:
        fidelity = self.inner.fidelity
        assert fidelity is not None
        prefix = f"{self.parameter}:"
        rest = {name: value for name, value in config.items() if not name.startswith(prefix)}
        out: list[tuple[float, Config]] = []
        begun = start
        while begun < stop:
            n = math.floor(begun / self._every + _ROUNDING)
            end = (n + 1) * self._every
            end = stop if end > stop - _ROUNDING * fidelity.high else fidelity.snap(end)
            value = self.value(config, min(n * self._every / fidelity.high, 1.0))
            if end <= begun:  # ``every`` is finer than the fidelity
                end = min(stop, fidelity.snap(begun + 1))
            if out and out[-1][1][self.parameter] == value:
                out.pop()
            out.append((end, {**rest, self.parameter: value}))
            begun = end
        return out

    def value(self, config: Config, p: float) -> float | int:
        """The parameter's value at a share ``p`` of the training."""
        own: Any = self.inner.space.configspace[self.parameter]
        v, name = float(config[self.parameter]), self.parameter
        shape = str(config.get(f"{name}:shape", self.shapes[0]))
        if shape == "step":
            steps = int(config[f"{name}:steps"])
            drops = min(math.floor(p * (steps + 1) + _ROUNDING), steps)
            v *= float(config[f"{name}:final"]) ** (drops / steps)
        elif shape == "cosine":
            final = float(config[f"{name}:final"])
            v *= final + (1 - final) * (1 + math.cos(math.pi * p)) / 2
        elif shape == "warmup":
            v *= min(1.0, p / float(config[f"{name}:warmup"]))
        elif shape == "piecewise":
            values = [v, *(float(config[f"{name}:{i}"]) for i in range(1, self.knots + 1))]
            i = min(int(p * self.knots), self.knots - 1)
            share, low, high = p * self.knots - i, values[i], values[i + 1]
            v = low * (high / low) ** share if own.log else low + (high - low) * share
        v = min(max(v, own.lower), own.upper)
        return round(v) if isinstance(own, CS.UniformIntegerHyperparameter) else float(v)
