"""Test functions with inequality constraints, whose best feasible value is known.

Plain ``math``, as in :mod:`hptbench.tasks._functions` and for its reasons. A constraint is kept where it is <= 0.
Minima were computed by sequential quadratic programming from the published solutions, to ten digits or more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import atan2, cos, pi, sin, sqrt
from typing import TypeAlias

Args: TypeAlias = Sequence[float]


@dataclass(frozen=True)
class Constrained:
    """A function to minimise over a box where its constraints are kept."""

    value: Callable[[Args], float]
    constraints: Mapping[str, Callable[[Args], float]]
    bounds: tuple[tuple[float, float], ...]
    """(low, high) of each argument."""
    minimum: float
    """The least value of a feasible point."""
    minimiser: tuple[float, ...]
    """A feasible point that takes it, up to rounding."""
    feasible: float
    """Share of the box that is feasible."""
    integers: int = 0
    """The first so many arguments are integers."""


# Gramacy et al., "Modeling an augmented Lagrangian for blackbox constrained optimization", Technometrics 58(1), 2016,
# section 1, arXiv:1403.4890. A linear objective between a wavy and a round boundary.

_GRAMACY = Constrained(
    lambda x: x[0] + x[1],
    {
        "wave": lambda x: 1.5 - x[0] - 2 * x[1] - 0.5 * sin(2 * pi * (x[0] ** 2 - 2 * x[1])),
        "disc": lambda x: x[0] ** 2 + x[1] ** 2 - 1.5,
    },
    ((0, 1), (0, 1)), 0.5997880520100624, (0.195122685655856, 0.4046653663542118), 0.46,
)  # fmt: skip

# Gardner, Kusner, Xu, Weinberger and Cunningham, "Bayesian optimization with inequality constraints", ICML 2014,
# simulation 2: feasible in two spots only.

_GARDNER = Constrained(
    lambda x: sin(x[0]) + x[1],
    {"c": lambda x: sin(x[0]) * sin(x[1]) + 0.95},
    ((0, 6), (0, 6)), 0.253235897503375, (4.71238898038469, 1.253235897503375), 0.0176,
)  # fmt: skip


# Townsend, "Constrained optimization in Chebfun", chebfun.org, 2014: a heart-shaped region.


def _heart(x: Args) -> float:
    t = atan2(x[0], x[1])
    edge = (2 * cos(t) - cos(2 * t) / 2 - cos(3 * t) / 4 - cos(4 * t) / 8) ** 2 + (2 * sin(t)) ** 2
    return x[0] ** 2 + x[1] ** 2 - edge


_TOWNSEND = Constrained(
    lambda x: -(cos((x[0] - 0.1) * x[1]) ** 2) - x[0] * sin(3 * x[0] + x[1]),
    {"heart": _heart},
    ((-2.25, 2.25), (-2.5, 1.75)), -2.0239883623257864, (2.005292709647226, 1.1944528945839652), 0.68,
)  # fmt: skip

# Engineering designs as in C. A. Coello Coello and E. Mezura-Montes, "Constraint-handling in genetic algorithms through
# the use of dominance-based tournament selection", Advanced Engineering Informatics 16(3), 2002,
# doi:10.1016/S1474-0346(02)00011-3.


def _vessel(x: Args) -> float:
    """Cost of a pressure vessel: plates of shell and head in sixteenths of an inch, radius and length in inches."""
    shell, head, r, length = x[0] / 16, x[1] / 16, x[2], x[3]
    return 0.6224 * shell * r * length + 1.7781 * head * r**2 + 3.1661 * shell**2 * length + 19.84 * shell**2 * r


_PRESSURE_VESSEL = Constrained(
    _vessel,
    {
        "shell": lambda x: 0.0193 * x[2] - x[0] / 16,
        "head": lambda x: 0.00954 * x[2] - x[1] / 16,
        "volume": lambda x: 1 - (pi * x[2] ** 2 * x[3] + 4 / 3 * pi * x[2] ** 3) / 1_296_000,
    },
    ((1, 99), (1, 99), (10, 200), (10, 200)), 6059.714335048436, (13, 7, 42.09844559585492, 176.63659584243945), 0.40,
    integers=2,
)  # fmt: skip


def _shear(x: Args) -> float:
    h, length, t, _ = x
    r = sqrt(length**2 / 4 + ((h + t) / 2) ** 2)
    polar = 2 * sqrt(2) * h * length * (length**2 / 12 + ((h + t) / 2) ** 2)
    primary, secondary = 6000 / (sqrt(2) * h * length), 6000 * (14 + length / 2) * r / polar
    return sqrt(primary**2 + primary * secondary * length / r + secondary**2)


def _buckling(x: Args) -> float:
    _, _, t, b = x
    e, g = 30e6, 12e6
    return 4.013 * e * sqrt(t**2 * b**6 / 36) / 14**2 * (1 - t / 28 * sqrt(e / (4 * g)))


_WELDED_BEAM = Constrained(
    lambda x: 1.10471 * x[0] ** 2 * x[1] + 0.04811 * x[2] * x[3] * (14 + x[1]),
    {
        "shear": lambda x: _shear(x) / 13600 - 1,
        "bending": lambda x: 6 * 6000 * 14 / (x[3] * x[2] ** 2) / 30000 - 1,
        "weld": lambda x: x[0] - x[3],
        "cost": lambda x: (0.10471 * x[0] ** 2 + 0.04811 * x[2] * x[3] * (14 + x[1])) / 5 - 1,
        "thickness": lambda x: 0.125 - x[0],
        "deflection": lambda x: 4 * 6000 * 14**3 / (30e6 * x[2] ** 3 * x[3]) / 0.25 - 1,
        "buckling": lambda x: 1 - _buckling(x) / 6000,
    },
    ((0.1, 2), (0.1, 10), (0.1, 10), (0.1, 2)), 1.724852308597,
    (0.20572963978658718, 3.47048866565516, 9.036623910360822, 0.20572963978658718), 0.026,
)  # fmt: skip

_SPRING = Constrained(
    lambda x: (x[2] + 2) * x[1] * x[0] ** 2,
    {
        "deflection": lambda x: 1 - x[1] ** 3 * x[2] / (71785 * x[0] ** 4),
        "shear": lambda x: (
            (4 * x[1] ** 2 - x[0] * x[1]) / (12566 * (x[1] * x[0] ** 3 - x[0] ** 4)) + 1 / (5108 * x[0] ** 2) - 1
        ),
        "surge": lambda x: 1 - 140.45 * x[0] / (x[1] ** 2 * x[2]),
        "diameter": lambda x: (x[0] + x[1]) / 1.5 - 1,
    },
    ((0.05, 2), (0.25, 1.3), (2, 15)), 0.012665232788319,
    (0.05168906059697936, 0.35671772811275293, 11.288966436767495), 0.0068,
)  # fmt: skip

CONSTRAINED: Mapping[str, Constrained] = {
    "gramacy": _GRAMACY, "gardner": _GARDNER, "townsend": _TOWNSEND,
    "pressure_vessel": _PRESSURE_VESSEL, "welded_beam": _WELDED_BEAM, "spring": _SPRING,
}  # fmt: skip
