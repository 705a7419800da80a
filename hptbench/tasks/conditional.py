"""Functions over spaces with conditions: instant, with a known optimum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import log2
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.protocol import COMPUTED, JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.rng import entropy, stream
from hptbench.space import Config, Space
from hptbench.spacefile import space_from_yaml
from hptbench.tasks._functions import function
from hptbench.tasks.shifted import Shifted
from hptbench.tasks.synthetic import SyntheticTask

_ALGORITHMS = (
    ("hartmann3", None, 3.3), ("ackley", 4, 21.1), ("branin", None, 35.4), ("levy", 5, 50.6), ("counting_ones", 8, 0.5),
    ("hartmann6", None, 3.2),
)  # fmt: skip
"""(test function, dimensions, median regret of a random point)."""
_SCALERS = ("none", "standard", "robust", "quantile")
_COMPONENTS = 64


@dataclass(frozen=True)
class _Conditional:
    """A function, its space and its optimum."""

    space: Space
    value: Callable[[Config], float]
    optimum: float


@task("conditional")
@dataclass(frozen=True)
class ConditionalTask:
    """Functions over conditional spaces with known optima: a tree of choices, or algorithms with spaces of their own.

    - ``tree``: the function of R. Jenatton, C. Archambeau, J. González and M. Seeger, "Bayesian optimization with
      tree-structured dependencies", ICML 2017, section 5.1, for ``size`` = 2, and for binary trees of any depth.
      A choice at each inner node says which child is active; a leaf holds x in [-1, 1], an inner node below the root r
      in [0, 1], which all leaves below share. The value is x^2 + the r on the way + the leaf's offset, 0.1 to 0.4 in
      even steps. 3 (2^size - 1) parameters, of which 2 size are
      active.
    - ``choice``: the problem of selecting an algorithm and its hyperparameters, made of ``size`` (2 to 6) test
      functions, each with its parameters, active only where the algorithm is chosen: Hartmann of three arguments,
      Ackley of four, Branin, Levy of five, counting ones (4 categories, 4 numbers), Hartmann of six. The value is the
      function's regret divided by its median at random points, plus 0.1 times the algorithm's rank, plus two terms
      that all share: a category (0, 0.05, 0.1 or 0.15) and an integer in 1 .. 64 on a log scale,
      0.1 times the squared distance from its best value in units of the range.

    With a ``seed`` nothing is at a nice place: the tree's x and r have their best values anywhere in [-0.5, 0.5] and
    [0, 1] (r enters as the distance from it), the test functions are ``shifted``, offsets, ranks and categories
    permuted. An evaluation takes one second. ``hidden`` as for the family ``synthetic``.
    """

    function: str
    """``tree`` or ``choice``."""
    size: int
    """Depth of the tree, or number of algorithms."""
    seed: int | None = None
    """None: as described."""

    version: ClassVar[int] = 1
    licence: ClassVar[str] = COMPUTED
    objectives: ClassVar[tuple[str, ...]] = ("loss",)
    constraints: ClassVar[tuple[str, ...]] = ()
    fidelity: ClassVar[Fidelity | None] = None
    measured: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.function not in _MAKE:
            raise unknown("function", self.function, _MAKE)
        _, low, high = _MAKE[self.function]
        if isinstance(self.size, bool) or not isinstance(self.size, int) or not low <= self.size <= high:
            raise UserError(f"expected size in {low} .. {high} for {self.function!r}, got {self.size!r}")

    @property
    def _f(self) -> _Conditional:
        return _made(self.function, self.size, self.seed)

    @property
    def name(self) -> str:
        return f"{self.function}{self.size}" + ("" if self.seed is None else f"-{self.seed}")

    @property
    def unit(self) -> str:
        return f"{self.function}{self.size}"

    @property
    def space(self) -> Space:
        return self._f.space

    @property
    def optimum(self) -> float:
        """The least value."""
        return self._f.optimum

    def identity(self) -> dict[str, JSON]:
        return {"function": self.function, "size": self.size, "seed": self.seed}

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        f = self._f
        return [_outcome(f, job) for job in jobs]


def _outcome(f: _Conditional, job: Job) -> Outcome:
    value = f.value(job.proposal.config)
    hidden = {"test": max(0.0, value - f.optimum), "value": value}  # rounding may fall below the optimum
    return Outcome(Status.OK, (Point(job.stop, (value,)),), 1.0, hidden)


def _tree(depth: int, rng: np.random.Generator | None) -> _Conditional:
    inner = ["".join(path) for length in range(depth) for path in product("01", repeat=length)]
    leaves = ["".join(path) for path in product("01", repeat=depth)]
    parameters: dict[str, dict[str, Any]] = {}
    best: dict[str, float] = {}
    for node in inner:
        when = {"when": {f"c{node[:-1]}": node[-1]}} if node else {}
        parameters[f"c{node}"] = {"type": "categorical", "choices": ["0", "1"], **when}
        if node:
            parameters[f"r{node}"] = {"type": "float", "lower": 0.0, "upper": 1.0, **when}
            best[f"r{node}"] = float(rng.random()) if rng else 0.0
    for leaf in leaves:
        when = {"when": {f"c{leaf[:-1]}": leaf[-1]}}
        parameters[f"x{leaf}"] = {"type": "float", "lower": -1.0, "upper": 1.0, **when}
        best[f"x{leaf}"] = float(rng.random()) - 0.5 if rng else 0.0
    ranks = _order(len(leaves), rng)
    offsets = {leaf: 0.1 + 0.3 * rank / (len(leaves) - 1) for leaf, rank in zip(leaves, ranks, strict=True)}

    def value(config: Config) -> float:
        total, node = 0.0, ""
        while node not in offsets:
            node += str(config[f"c{node}"])
            if node not in offsets:
                total += abs(float(config[f"r{node}"]) - best[f"r{node}"])
        return total + (float(config[f"x{node}"]) - best[f"x{node}"]) ** 2 + offsets[node]

    return _Conditional(space_from_yaml(parameters), value, 0.1)


class _Algorithm:
    """One of a choice: a test function, and the space of its arguments."""

    def __init__(self, name: str, dimensions: int | None, scale: float, seed: int | None) -> None:
        self.name, self._f, self._scale = name, function(name, dimensions), scale
        plain = SyntheticTask(name, dimensions)
        self._names = plain.space.names
        self._shifted = None if seed is None else Shifted(plain, seed)
        self.space = (self._shifted or plain).space

    def loss(self, config: Config) -> float:
        """The regret in units of its median; ``config`` may hold parameters of others, too."""
        own: Config = {k.removeprefix(f"{self.name}:"): v for k, v in config.items()}
        own = self._shifted.inner_config(own) if self._shifted else own
        return (self._f.value([float(own[name]) for name in self._names]) - self._f.minimum) / self._scale


def _choice(size: int, rng: np.random.Generator | None) -> _Conditional:
    seeds = [int(rng.integers(2**31)) if rng else None for _ in range(size)]
    algorithms = {spec[0]: _Algorithm(*spec, seed) for spec, seed in zip(_ALGORITHMS, seeds, strict=False)}
    ranks = dict(zip(algorithms, _order(size, rng), strict=True))
    scalers = dict(zip(_SCALERS, _order(len(_SCALERS), rng), strict=True))
    best = int(rng.integers(1, _COMPONENTS + 1)) if rng else 8
    choice = CS.CategoricalHyperparameter("algorithm", list(algorithms))
    configspace = CS.ConfigurationSpace()
    configspace.add(
        choice,
        CS.UniformIntegerHyperparameter("components", 1, _COMPONENTS, log=True),
        CS.CategoricalHyperparameter("scaler", list(_SCALERS)),
    )
    for name, algorithm in algorithms.items():
        under = {"parent": choice, "value": name}
        configspace.add_configuration_space(name, algorithm.space.configspace, parent_hyperparameter=under)

    def value(config: Config) -> float:
        name = str(config["algorithm"])
        away = log2(float(config["components"]) / best) / log2(_COMPONENTS)
        shared = 0.05 * scalers[str(config["scaler"])] + 0.1 * away**2
        return algorithms[name].loss(config) + 0.1 * ranks[name] + shared

    return _Conditional(Space(configspace), value, 0.0)


def _order(n: int, rng: np.random.Generator | None) -> list[int]:
    return rng.permutation(n).tolist() if rng else list(range(n))


_MAKE: Mapping[str, tuple[Callable[[int, np.random.Generator | None], _Conditional], int, int]] = {
    "tree": (_tree, 2, 6),
    "choice": (_choice, 2, len(_ALGORITHMS)),
}
"""(from the size to the function, least size, greatest size)."""


@cache
def _made(name: str, size: int, seed: int | None) -> _Conditional:
    return _MAKE[name][0](size, None if seed is None else stream(entropy("conditional", name, size, seed)))
