"""CatCMA with margin, of the library cmaes, as a peer.

R. Hamano, M. Nomura, S. Saito, K. Uchida and S. Shirakawa, "CatCMA with Margin: Stochastic optimization for continuous,
integer, and categorical variables", GECCO 2025, arXiv:2504.07884; M. Nomura and M. Shibata, "cmaes: A simple yet
practical Python library for CMA-ES", 2024, arXiv:2402.01373. Written for cmaes 0.13 (2026).

The space: floats (their logarithm on a log scale) as ``x``, integers (likewise) and positions of ordinals as ``z``,
categories as ``c``; so are integers and ordinals of two values, as the library advises. Integers of more than 65,536
values, all of which it would list, are floats, rounded. It has no conditions: inactive parameters are left out of what
is evaluated. A generation is told
when its number of results is there, whichever distribution they were drawn from; pending trials are ignored. Failed
jobs are told with the worst value so far. Reports of other people's jobs are ignored, as there is no way to tell them.
It is not started again once it has converged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np

from hptbench.methods._peers import PeerSearch, Values, filled, value_at, values_of, varied
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config, Value

_MOST_LEVELS = 1 << 16


@method("ext_cmaes_catcmawm")
@dataclass(frozen=True)
class CatCMAwM:
    """cmaes' CatCMA with margin: CMA-ES with integers and categories."""

    population_size: int | None = None
    """Of a generation. None: 4 + floor(3 ln d)."""
    traits: ClassVar[Traits] = Traits(requires=("cmaes",))

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(PeerSearch):
    method: CatCMAwM
    tells_failures = False

    def _start(self) -> None:
        from cmaes import CatCMAwM as Optimizer

        hps = varied(self.space)
        self._x = [hp for hp in hps if _count(hp) > _MOST_LEVELS]
        self._c = [hp for hp in hps if isinstance(hp, CS.CategoricalHyperparameter) or _count(hp) == 2]
        self._z = [hp for hp in hps if hp not in self._x and hp not in self._c]
        self._told: list[tuple[Any, float]] = []
        self._optimizer = Optimizer(
            x_space=[[_scaled(hp, hp.lower), _scaled(hp, hp.upper)] for hp in self._x] or None,
            z_space=[_levels(hp) for hp in self._z] or None,
            c_space=[len(_levels(hp)) for hp in self._c] or None,
            population_size=self.method.population_size,
            mean=None,
            sigma=None,
            cov=None,
            cat_param=None,
            seed=self.seed,
        )

    def _suggest(self) -> tuple[Config, Any]:
        drawn = self._optimizer.ask()
        values: dict[str, Value] = {}
        for hps, numbers in ((self._x, drawn.x), (self._z, drawn.z)):
            values |= {hp.name: value_at(hp, _plain(hp, numbers[i])) for i, hp in enumerate(hps)}
        values |= {
            hp.name: value_at(hp, _plain(hp, _levels(hp)[np.argmax(drawn.c[i])])) for i, hp in enumerate(self._c)
        }
        return self.space.canonical(filled(self.space, values)), drawn

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        if values is None:
            raise ValueError("failed jobs are told with a value")
        self._told.append((handle, values[0]))
        if len(self._told) == self._optimizer.population_size:
            self._optimizer.tell(self._told)
            self._told = []


def _count(hp: Any) -> float:
    """How many values it has."""
    if isinstance(hp, CS.UniformFloatHyperparameter):
        return math.inf
    return len(values_of(hp)) or hp.upper - hp.lower + 1


def _levels(hp: Any) -> list[float]:
    """All values of an integer, scaled, or the positions of an ordinal's or a category's."""
    values = range(len(values_of(hp))) if values_of(hp) else range(int(hp.lower), int(hp.upper) + 1)
    return [_scaled(hp, value) for value in values]


def _scaled(hp: Any, value: float) -> float:
    return math.log(value) if getattr(hp, "log", False) else float(value)


def _plain(hp: Any, number: float) -> float:
    return math.exp(number) if getattr(hp, "log", False) else float(number)
