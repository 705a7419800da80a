"""Test functions with known minima, one Python call per point.

Plain ``math`` instead of arrays: a point costs a few microseconds, its value cannot depend on the batch it comes in,
and ``math.fsum`` rounds alike on every Python and every processor. Formulas and boxes without a source of their own
are those of Surjanovic & Bingham, Virtual Library of Simulation Experiments (sfu.ca/~ssurjano/optimization.html).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from math import cos, exp, fsum, log, pi, sin, sqrt
from typing import TypeAlias

from hptbench.errors import UserError, unknown
from hptbench.protocol import Fidelity
from hptbench.rng import entropy, stream

Args: TypeAlias = Sequence[float]
Seed: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Levels:
    """How a function is seen at a level of fidelity, and what getting there costs."""

    fidelity: Fidelity
    observe: Callable[[Args, float, Seed], float]
    """(arguments, level, seed of the trial) -> the value seen, noise included."""
    cost: Callable[[float], float]
    """level -> seconds that it takes to get there from nothing."""


@dataclass(frozen=True)
class Function:
    """A function to minimise over a box, and what is known of it."""

    unit: str
    """The function behind it: the multi-fidelity variants of a function share its unit."""
    value: Callable[[Args], float]
    """The value without noise, at full fidelity."""
    bounds: tuple[tuple[float, float], ...]
    """(low, high) of each argument."""
    minimum: float
    minimisers: tuple[tuple[float, ...], ...]
    """Where the minimum is taken."""
    binary: int = 0
    """The first so many arguments are categories, 0 or 1."""
    levels: Levels | None = None
    categories: int = 0
    """The first so many arguments are categories, positions on a grid; see :func:`function`."""
    integers: int = 0
    """As many of those after them are integers, positions on the same grid."""


# Branin (1972), as in Dixon & Szegö, Towards Global Optimisation 2, 1978.


def _branin(x: Args, z: float = 1.0) -> float:
    """Branin; at z < 1 the approximation of BOCA (see :func:`function`)."""
    b = 5.1 / (4 * pi**2) - 0.01 * (1 - z)
    c = 5 / pi - 0.1 * (1 - z)
    t = 1 / (8 * pi) + 0.05 * (1 - z)
    return (x[1] - b * x[0] ** 2 + c * x[0] - 6) ** 2 + 10 * (1 - t) * cos(x[0]) + 10


_BRANIN = Function("branin", _branin, ((-5, 10), (0, 15)), 5 / (4 * pi), ((-pi, 12.275), (pi, 2.275), (3 * pi, 2.475)))

# Hartmann functions of three and six arguments, Dixon & Szegö 1978.

_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A3 = ((3.0, 10.0, 30.0), (0.1, 10.0, 35.0), (3.0, 10.0, 30.0), (0.1, 10.0, 35.0))
_P3 = ((0.3689, 0.1170, 0.2673), (0.4699, 0.4387, 0.7470), (0.1091, 0.8732, 0.5547), (0.0381, 0.5743, 0.8828))
_A6 = (
    (10.0, 3.0, 17.0, 3.5, 1.7, 8.0),
    (0.05, 10.0, 17.0, 0.1, 8.0, 14.0),
    (3.0, 3.5, 1.7, 10.0, 17.0, 8.0),
    (17.0, 8.0, 0.05, 10.0, 0.1, 14.0),
)
_P6 = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def _hartmann(a: Sequence[Args], p: Sequence[Args], x: Args, bias: float = 0.0) -> float:
    """Hartmann; ``bias`` is subtracted from every weight."""
    rows = zip(_ALPHA, a, p, strict=True)
    return -fsum(
        (w - bias) * exp(-fsum(k * (v - c) ** 2 for k, v, c in zip(ks, x, cs, strict=True))) for w, ks, cs in rows
    )


# The minimisers are the roots of the gradient, to machine precision.
_HARTMANN3 = Function(
    "hartmann3", partial(_hartmann, _A3, _P3), ((0, 1),) * 3, -3.862779787332663,
    ((0.11458887665506896, 0.5556488946169301, 0.8525469846866774),),
)  # fmt: skip
_HARTMANN6 = Function(
    "hartmann6", partial(_hartmann, _A6, _P6), ((0, 1),) * 6, -3.322368011415515,
    ((0.20168951100670543, 0.15001069182345797, 0.47687397422189703,
      0.2753324304940561, 0.31165161660011326, 0.6573005340656204),),
)  # fmt: skip


def _ackley(x: Args) -> float:
    """Ackley, A Connectionist Machine for Genetic Hillclimbing, 1987."""
    d = len(x)
    return -20 * exp(-0.2 * sqrt(fsum(v * v for v in x) / d)) - exp(fsum(cos(2 * pi * v) for v in x) / d) + 20 + math.e


def _rosenbrock(x: Args) -> float:
    """Rosenbrock, The Computer Journal 3, 1960."""
    return fsum(100 * (b - a * a) ** 2 + (a - 1) ** 2 for a, b in pairwise(x))


def _quadratic(x: Args) -> float:
    """The squared distance from the centre."""
    return fsum(v * v for v in x)


def _levy(x: Args) -> float:
    """Levy & Montalvo, SIAM J. Sci. Stat. Comput. 6, 1985."""
    w = [1 + (v - 1) / 4 for v in x]
    inner = fsum((v - 1) ** 2 * (1 + 10 * sin(pi * v + 1) ** 2) for v in w[:-1])
    return sin(pi * w[0]) ** 2 + inner + (w[-1] - 1) ** 2 * (1 + sin(2 * pi * w[-1]) ** 2)


def _michalewicz(x: Args) -> float:
    """Michalewicz, Genetic Algorithms + Data Structures = Evolution Programs, 1992, with m = 10."""
    return fsum(_valley(i, v) for i, v in enumerate(x, 1))


def _valley(i: int, v: float) -> float:
    """The part of Michalewicz's function that its i-th argument adds, i = 1, 2, …"""
    return -sin(v) * sin(i * v * v / pi) ** 20


@cache
def _michalewicz_minimiser(i: int) -> float:
    """Of :func:`_valley` in [0, pi], to machine precision, by bisection in its deepest valley."""
    at = min((k + 0.5 for k in range(i)), key=lambda k: _valley(i, pi * sqrt(k / i)))  # where sin^20 is 1
    low, high = pi * sqrt((at - 0.1) / i), min(pi * sqrt((at + 0.1) / i), pi)
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _falls(i, middle) else (low, middle)
    return low


def _falls(i: int, v: float) -> bool:
    """Whether :func:`_valley` falls at ``v``."""
    a = i * v * v / pi
    return (-cos(v) * sin(a) - 40 * i * v / pi * sin(v) * cos(a)) * sin(a) < 0


@cache
def _michalewicz_function(d: int) -> Function:
    best = tuple(_michalewicz_minimiser(i) for i in range(1, d + 1))
    return Function(f"michalewicz{d}", _michalewicz, ((0, pi),) * d, _michalewicz(best), (best,))


GRID = 9
"""Points of the grid of an argument that is a category or an integer."""
_BEST = 2
"""Where on it the minimum is: not in the middle, nor would it be there if the grid were mirrored."""


def _on_grid(f: Function, categories: int, integers: int) -> Function:
    """``f`` with its first arguments on a grid through the minimiser, a sixteenth of the box apart."""
    n = categories + integers
    [best], step = f.minimisers, (f.bounds[0][1] - f.bounds[0][0]) / 16
    bounds = ((0, GRID - 1),) * n + f.bounds[n:]
    minimiser = (_BEST,) * n + best[n:]
    value = partial(_of_grid, f.value, best[:n], step)
    return replace(f, value=value, bounds=bounds, minimisers=(minimiser,), categories=categories, integers=integers)


def _of_grid(value: Callable[[Args], float], best: Args, step: float, x: Args) -> float:
    on_grid = [b + (v - _BEST) * step for b, v in zip(best, x[: len(best)], strict=True)]
    return value([*on_grid, *x[len(best) :]])


def _ones(x: Args) -> float:
    """Counting ones: minus the mean of all arguments."""
    return -fsum(x) / len(x)


def _sampled_ones(x: Args, level: float, seed: Seed) -> float:
    """Counting ones with ``level`` Bernoulli draws for each argument of the second half."""
    half = len(x) // 2
    draws = stream(entropy(*seed, "draws")).random((int(level), half))  # a longer table begins with a shorter one
    hits = int((draws < x[half:]).sum())
    return -(fsum(x[:half]) + hits / int(level)) / len(x)


@cache
def _box(name: str, value: Callable[[Args], float], low: float, high: float, best: float, d: int) -> Function:
    return Function(f"{name}{d}", value, ((low, high),) * d, 0.0, ((best,) * d,))


@cache
def _counting_ones(d: int) -> Function:
    if d % 2:
        raise UserError(
            f"expected an even number of dimensions for 'counting_ones' (half are categories), got {d}; set {d + 1}"
        )
    fidelity = Fidelity(9, 729, "sample", continues=True)
    levels = Levels(fidelity, _sampled_ones, lambda level: level / fidelity.high)
    return Function(f"counting_ones{d}", _ones, ((0, 1),) * d, -1.0, ((1.0,) * d,), d // 2, levels)


# Approximations of Branin and Hartmann.

_EPOCHS = Fidelity(3, 243, continues=True)
_PRESETS = {"good": (2.5, 2.0), "moderate": (3.0, 3.0), "bad": (3.5, 4.0), "terrible": (4.0, 5.0)}
"""(bias, noise) of mf-prior-bench."""


def _seen_hartmann(f: Callable[..., float], bias: float, noise: float, x: Args, level: float, seed: Seed) -> float:
    missing = 1 - log(level) / log(_EPOCHS.high)
    disturbance = abs(stream(entropy(*seed, "level", repr(float(level)))).normal()) if missing else 0.0
    return f(x, bias * missing) + noise * missing * disturbance


def _power(exponent: float, level: float) -> float:
    """Seconds: a twentieth to begin with, the rest a power of the level."""
    return 0.05 + 0.95 * math.pow(level / _EPOCHS.high, exponent)


def _multi_fidelity() -> dict[str, Function]:
    branin = Levels(_EPOCHS, lambda x, level, seed: _branin(x, level / _EPOCHS.high), partial(_power, 1.5))
    out = {"mf_branin": replace(_BRANIN, levels=branin)}
    for f in (_HARTMANN3, _HARTMANN6):
        for preset, (bias, noise) in _PRESETS.items():
            observe = partial(_seen_hartmann, f.value, bias, noise)
            out[f"mf_{f.unit}_{preset}"] = replace(f, levels=Levels(_EPOCHS, observe, partial(_power, 2.0)))
    return out


FIXED: Mapping[str, Function] = {
    "branin": _BRANIN, "hartmann3": _HARTMANN3, "hartmann6": _HARTMANN6, **_multi_fidelity()
}  # fmt: skip
"""Functions with a number of arguments of their own."""

SCALABLE: Mapping[str, tuple[int, Callable[[int], Function]]] = {
    "ackley": (1, partial(_box, "ackley", _ackley, -32.768, 32.768, 0.0)),
    "rosenbrock": (2, partial(_box, "rosenbrock", _rosenbrock, -5.0, 10.0, 1.0)),
    "quadratic": (1, partial(_box, "quadratic", _quadratic, -1.0, 1.0, 0.0)),
    "michalewicz": (1, _michalewicz_function),
    "levy": (1, partial(_box, "levy", _levy, -10.0, 10.0, 1.0)),
    "counting_ones": (2, _counting_ones),
}
"""Functions of any number of arguments: (the least number, from the number to the function)."""


def function(name: str, dimensions: int | None, categories: int = 0, integers: int = 0) -> Function:
    """The function of a name, ``dimensions`` only if it is scalable; UserError if there is none.

    The first ``categories`` arguments can be made categories and the next ``integers`` integers, 0 to 8: positions on a
    grid of nine values that goes through the minimiser, at position 2, so that the minimum stays what it is. So for
    ackley, rosenbrock, quadratic, michalewicz and levy.

    Multi-fidelity variants, all with one fidelity axis, z = level / high:

    - ``mf_branin``: Kandasamy, Dasarathy, Schneider & Poczos, BOCA, ICML 2017 (arXiv 1703.06240), their three axes
      moved together; the cost 0.05 + 0.95 z^1.5 is that of the authors' library Dragonfly. Every level ranks
      random points nearly as the function does (rank correlation above 0.99).
    - ``mf_hartmann3_*``, ``mf_hartmann6_*``: Mallik et al., PriorBand, NeurIPS 2023 (arXiv 2306.12370), as in their
      mf-prior-bench: with s = 1 - log(level) / log(high), ``bias * s`` is taken off the weights and half-normal noise
      of scale ``noise * s`` is added; cost 0.05 + 0.95 z^2. Deviations: levels 3 to 243 (five rungs at eta = 3)
      instead of 3 to 100, and the noise belongs to the trial and the level, not to the configuration. Rank
      correlations of level 27 with the function, good to terrible: 0.67 to 0.25 (three arguments), 0.33 to 0.10 (six).
    - ``counting_ones``: Falkner, Klein & Hutter, BOHB, ICML 2018 (arXiv 1807.01774): half the arguments are
      categories, the others are probabilities, estimated from as many draws as the level says. Deviations: divided by
      the number of arguments, so that the minimum is -1, and levels 9 to 729 (five rungs) whatever that number.
    """
    if min(categories, integers) < 0:
        raise UserError(f"expected categories >= 0 and integers >= 0, got {categories} and {integers}")
    if categories + integers:
        plain = function(name, dimensions)
        if name not in SCALABLE or plain.binary:
            raise UserError(f"expected no categories and integers for {name!r}; leave them out")
        if categories + integers > len(plain.bounds):
            raise UserError(
                f"expected categories + integers <= {len(plain.bounds)} dimensions, got {categories} + {integers}"
            )
        return _mixed(name, len(plain.bounds), categories, integers)
    if name in FIXED:
        found = FIXED[name]
        if dimensions is not None:
            raise UserError(
                f"expected no dimensions for {name!r}, which has {len(found.bounds)}, got {dimensions}; leave them out"
            )
        return found
    if name not in SCALABLE:
        raise unknown("function", name, [*FIXED, *SCALABLE])
    least, make = SCALABLE[name]
    if not isinstance(dimensions, int) or isinstance(dimensions, bool) or dimensions < least:
        raise UserError(f"expected dimensions >= {least} for {name!r}, got {dimensions}; set e.g. dimensions=8")
    return make(dimensions)


@cache
def _mixed(name: str, dimensions: int, categories: int, integers: int) -> Function:
    return _on_grid(function(name, dimensions), categories, integers)
