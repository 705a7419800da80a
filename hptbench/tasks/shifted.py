"""The wrapper ``shifted``."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeAlias

import ConfigSpace as CS
import numpy as np

from hptbench.rng import entropy, stream
from hptbench.space import Config, Space, Value
from hptbench.tasks._wrapper import Translated, wrapper

_Map: TypeAlias = Callable[[Any], Value]


@wrapper("shifted")
@dataclass(frozen=True)
class Shifted(Translated):
    """Moves the optimum to a place drawn from ``seed``, against methods that profit from where it was.

    Methods that begin with the centre, or that treat parameters in their order, look good on functions whose
    optimum lies there. The best value stays what it was, since every parameter is mapped one to one onto itself:

    - floats (on their scale, as u in [0, 1]): u / (u + c (1 - u)), smooth, with slopes between 1/c and c, where c or
      1/c is log-uniform in [1.5, 3], and by the toss of a coin mirrored. No box function can merely be translated;
      this map moves the centre by at least a tenth of the box.
    - integers and ordinals: mirrored by the toss of a coin (integers on a log scale and constants stay).
    - categories: permuted.

    Then the parameters are permuted, so that the name of a parameter says nothing about its meaning.
    """

    seed: int

    @property
    def space(self) -> Space:
        return self._shift[0]

    @cached_property
    def _shift(self) -> tuple[Space, tuple[tuple[str, str, _Map], ...]]:
        """The space, and per parameter (name, the inner parameter that it stands for, map of its values)."""
        rng = stream(entropy("shifted", self.seed))
        inner = self.inner.space
        order = rng.permutation(len(inner)).tolist()
        configspace = CS.ConfigurationSpace()
        maps: list[tuple[str, str, _Map]] = []
        for name, source in zip(inner.names, (inner.names[j] for j in order), strict=True):
            parameter = copy.copy(inner.configspace[source])
            maps.append((name, source, _map(parameter, rng)))
            parameter.name = name
            configspace.add(parameter)
        return Space(configspace), tuple(maps)

    def inner_config(self, config: Config) -> Config:
        return {source: f(config[name]) for name, source, f in self._shift[1]}


def _map(hp: Any, rng: np.random.Generator) -> _Map:
    """One to one from the parameter's values to themselves."""
    mirrored = bool(rng.random() < 0.5)
    if isinstance(hp, CS.UniformFloatHyperparameter):
        skew = math.exp(float(rng.uniform(math.log(1.5), math.log(3))))
        skew = skew if rng.random() < 0.5 else 1 / skew
        return partial(_warp, float(hp.lower), float(hp.upper), hp.log, skew, mirrored)
    if isinstance(hp, CS.CategoricalHyperparameter):
        values = [_plain(v) for v in hp.choices]
        return dict(zip(values, [values[i] for i in rng.permutation(len(values))], strict=True)).__getitem__
    if isinstance(hp, CS.UniformIntegerHyperparameter) and mirrored and not hp.log:
        return partial(_mirror, int(hp.lower) + int(hp.upper))
    if isinstance(hp, CS.OrdinalHyperparameter) and mirrored:
        values = [_plain(v) for v in hp.sequence]
        return dict(zip(values, reversed(values), strict=True)).__getitem__
    return _same


def _plain(value: Any) -> Value:
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return plain


def _same(value: Value) -> Value:
    return value


def _mirror(total: int, value: int) -> int:
    return total - value


def _warp(low: float, high: float, log: bool, skew: float, mirrored: bool, value: float) -> float:
    a, b, v = (math.log(low), math.log(high), math.log(value)) if log else (low, high, value)
    u = (v - a) / (b - a)
    u = u / (u + skew * (1 - u))
    x = a + (1 - u if mirrored else u) * (b - a)
    return min(max(math.exp(x) if log else x, low), high)
