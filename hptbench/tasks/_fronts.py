"""Test problems of several objectives whose Pareto fronts are known, one Python call per point.

Plain ``math``, as in :mod:`hptbench.tasks._functions` and for its reasons. ``m`` is the number of objectives, ``n``
that of arguments. The first ``m - 1`` arguments choose a place on the front, the others say how far from it a point is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from math import cos, erf, exp, fsum, pi, prod, sin, sqrt
from typing import TypeAlias

from hptbench.errors import UserError, unknown
from hptbench.protocol import Front
from hptbench.tasks._functions import Args

Vector: TypeAlias = tuple[float, ...]

_DRAWN = 101
"""Points of a front of two objectives."""
_GRIDS = (2, 4, 8, 16, 0)
"""Values of the arguments of ``mixed_zdt1`` after the first, over and over; 0: a continuous one."""


@dataclass(frozen=True)
class Objectives:
    """Functions to minimise together over a box, and what is known of the best trade-offs."""

    values: Callable[[Args], Vector]
    bounds: tuple[tuple[float, float], ...]
    """(low, high) of each argument."""
    front: Front
    on_front: Callable[[float], Vector]
    """A place in [0, 1] -> arguments that are optimal for some trade-off, if any are for that place."""
    at_bound: bool = False
    """The arguments that say how far it is to the front are in [0, 1] and reach it at 0."""
    grid: tuple[int, ...] = ()
    """Number of values of each argument, evenly spaced in its bounds; 0: any. Empty: all continuous."""


def s_linear(x: float, place: float) -> float:
    """|x - place|, stretched to [0, 1] on both sides: the shift of the WFG toolkit (Huband, Hingston, Barone & While,
    IEEE TEVC 10(5), 2006, doi 10.1109/TEVC.2005.861417, transformation ``s_linear``)."""
    if x <= place:
        return (place - x) / place if place else 0.0
    return (x - place) / (1 - place)


# Zitzler, Deb & Thiele, Evolutionary Computation 8(2), 2000, doi 10.1162/106365600568202. ZDT5 is one of bit strings.

_ZDT3_AREA, _ZDT3_LEAST = -0.04442600742435608, -0.77336901232664045
"""Integral of the least f2 at or below f1 over [0, 1] (to all digits shown, found with 30), and the least f2."""
_ZDT6_LEAST, _ZDT6_WHERE = 0.2807753188153697, 0.08145779687998357
"""The least f1, and where it is: tan(6 pi x) = 9 pi."""


def _root(f1: float, g: float) -> float:
    return 1 - sqrt(f1 / g)


def _square(f1: float, g: float) -> float:
    return 1 - (f1 / g) ** 2


def _waves(f1: float, g: float) -> float:
    return 1 - sqrt(f1 / g) - f1 / g * sin(10 * pi * f1)


def _mean(x: Args) -> float:
    return 1 + 9 * fsum(x) / len(x)


def _mean_root(x: Args) -> float:
    return 1 + 9 * math.pow(fsum(x) / len(x), 0.25)


def _rastrigin(x: Args) -> float:
    return 1 + 10 * len(x) + fsum(v * v - 10 * cos(4 * pi * v) for v in x)


def _first(x: float) -> float:
    return x


def _peaks(x: float) -> float:
    return 1 - exp(-4 * x) * sin(6 * pi * x) ** 6


_Maps: TypeAlias = tuple[Callable[[float], float], Callable[[Args], float], Callable[[float, float], float]]
_ZDT: Mapping[str, _Maps] = {
    "zdt1": (_first, _mean, _root),
    "zdt2": (_first, _mean, _square),
    "zdt3": (_first, _mean, _waves),
    "zdt4": (_first, _rastrigin, _root),
    "zdt6": (_peaks, _mean_root, _square),
    "mixed_zdt1": (_first, _mean, _root),
}


def _zdt_values(maps: _Maps, x: Args) -> Vector:
    """(f1, g h): the first argument alone makes f1, the others make g, and h(f1, g) is the front where g = 1."""
    first, distance, shape = maps
    f1, g = first(x[0]), distance(x[1:])
    return f1, g * shape(f1, g)


def _zdt(name: str, n: int, m: int) -> Objectives:
    worst = 1 + 45 * (n - 1) if name == "zdt4" else 10.0
    r1, r2 = reference = (1.1, 1.1 * worst)
    least = _ZDT6_LEAST
    ideal, volume = {
        "zdt2": ((0.0, 0.0), r1 * r2 - 2 / 3),
        "zdt3": ((0.0, _ZDT3_LEAST), r1 * r2 - _ZDT3_AREA - (r1 - 1) * _ZDT3_LEAST),
        "zdt6": ((least, 0.0), (1 - least) * (r2 - 1) + (1 - least**3) / 3 + (r1 - 1) * r2),
    }.get(name, ((0.0, 0.0), r1 * r2 - 1 / 3))
    far = (-5.0, 5.0) if name == "zdt4" else (0.0, 1.0)
    stretch = _ZDT6_WHERE if name == "zdt6" else 1.0  # the first of its six peaks covers the whole front
    grid = (0, *(_GRIDS[i % len(_GRIDS)] for i in range(n - 1))) if name == "mixed_zdt1" else ()
    return _known(
        partial(_zdt_values, _ZDT[name]), ((0.0, 1.0), *(far,) * (n - 1)), ideal, reference, volume,
        lambda place: (stretch * place, *(0.0,) * (n - 1)), name != "zdt4", grid,
    )  # fmt: skip


# Deb, Thiele, Laumanns & Zitzler, CEC 2002, doi 10.1109/CEC.2002.1007032; DTLZ7 is called DTLZ6 there.

_DTLZ7_AREA, _DTLZ7_MOST = 0.72883459252941892, 1.6929956344984224
"""Of x (1 + sin 3 pi x): integral over [0, 1] of the greatest value at or below x, and the greatest value."""


def _dtlz1_values(m: int, x: Args) -> Vector:
    far = [v - 0.5 for v in x[m - 1 :]]
    scale = 0.5 * (1 + 100 * (len(far) + fsum(v * v - cos(20 * pi * v) for v in far)))
    return tuple(scale * prod(x[: m - 1 - i]) * (1 - x[m - 1 - i] if i else 1) for i in range(m))


def _dtlz2_values(m: int, x: Args) -> Vector:
    scale = 1 + fsum((v - 0.5) ** 2 for v in x[m - 1 :])
    angle = [v * pi / 2 for v in x[: m - 1]]
    return tuple(scale * prod(map(cos, angle[: m - 1 - i])) * (sin(angle[m - 1 - i]) if i else 1) for i in range(m))


def _dtlz7_values(m: int, x: Args) -> Vector:
    g = _mean(x[m - 1 :])
    h = m - fsum(v / (1 + g) * (1 + sin(3 * pi * v)) for v in x[: m - 1])
    return (*x[: m - 1], (1 + g) * h)


def _dtlz(name: str, n: int, m: int) -> Objectives:
    k = n - m + 1
    values: Callable[[int, Args], Vector]
    reference: Vector
    if name == "dtlz1":
        values, ideal, reference, best = _dtlz1_values, (0.0,) * m, (1.1 * 0.5 * (1 + 225 * k),) * m, 0.5
        volume = prod(reference) - 0.5**m / math.factorial(m)
    elif name == "dtlz2":
        values, ideal, reference, best = _dtlz2_values, (0.0,) * m, (1.1 * (1 + 0.25 * k),) * m, 0.5
        volume = prod(reference) - pi ** (m / 2) / math.gamma(m / 2 + 1) / 2**m
    else:
        values, best = _dtlz7_values, 0.0
        ideal = (0.0,) * (m - 1) + (2 * m - (m - 1) * _DTLZ7_MOST,)
        r, last = 1.1, 1.1 * 11 * m
        reference = (r,) * (m - 1) + (last,)
        # Below (y_1, …, y_(m-1)) the last objective falls to 2 m less the sum of their greatest values.
        area = _DTLZ7_AREA + (r - 1) * _DTLZ7_MOST
        volume = r ** (m - 1) * (last - 2 * m) + (m - 1) * r ** (m - 2) * area
    return _known(
        partial(values, m), ((0.0, 1.0),) * n, ideal, reference, volume,
        lambda place: (place,) * (m - 1) + (best,) * k, name == "dtlz7",
    )  # fmt: skip


# VLMOP2: Van Veldhuizen & Lamont, Evolutionary Computation 8(2), 2000, doi 10.1162/106365600568158, after Fonseca &
# Fleming 1995; the box is that of Knowles, IEEE TEVC 10(1), 2006.


def _vlmop2_values(x: Args) -> Vector:
    c = 1 / sqrt(len(x))
    return 1 - exp(-fsum((v - c) ** 2 for v in x)), 1 - exp(-fsum((v + c) ** 2 for v in x))


def _vlmop2(name: str, n: int, m: int) -> Objectives:
    area = 1 - exp(-4) - 2 * exp(-2) * sqrt(pi / 2) * erf(sqrt(2))  # of f2 over f1
    return _known(
        _vlmop2_values, ((-2.0, 2.0),) * n, (0.0, 0.0), (1.1, 1.1), 1.1**2 - area,
        lambda place: ((1 - 2 * place) / sqrt(n),) * n,
    )  # fmt: skip


def _known(
    values: Callable[[Args], Vector],
    bounds: tuple[tuple[float, float], ...],
    ideal: Vector,
    reference: Vector,
    volume: float,
    on_front: Callable[[float], Vector],
    at_bound: bool = False,
    grid: tuple[int, ...] = (),
) -> Objectives:
    """With the points of a front of two objectives."""
    points: list[Vector] = []
    if len(ideal) == 2:
        for point in sorted(values(on_front(i / (_DRAWN - 1))) for i in range(_DRAWN)):
            if not points or point[1] < points[-1][1]:
                points.append(point)
    front = Front(ideal, reference, volume, tuple(points))
    return Objectives(values, bounds, front, on_front, at_bound, grid)


_TWO: Mapping[str, tuple[int, Callable[[str, int, int], Objectives]]] = {
    **dict.fromkeys(_ZDT, (2, _zdt)), "vlmop2": (2, _vlmop2)
}  # fmt: skip
"""Problems of two objectives: (the least n, how they are made)."""
_MANY = ("dtlz1", "dtlz2", "dtlz7")
"""Problems of two or more objectives."""
NAMES = (*_TWO, *_MANY)


@cache
def problem(name: str, dimensions: int, objectives: int = 2) -> Objectives:
    """The problem of a name, with so many arguments and objectives; UserError if there is none.

    The reference point is everywhere 1.1 times (an upper bound of) the largest value over the box. In studies of
    evolutionary algorithms it lies close behind the front; there the hypervolume of a hundred random points is 0 on
    most of these problems, so that early progress would not be seen, and a weak method not told from none.

    - ``zdt1`` to ``zdt4``, ``zdt6``: Zitzler, Deb & Thiele 2000; ``dtlz1``, ``dtlz2``, ``dtlz7``: Deb et al. 2002, with
      ``dimensions - objectives + 1`` arguments for the distance; ``vlmop2``: Van Veldhuizen & Lamont 2000.
    - ``mixed_zdt1``: ZDT1 whose arguments after the first have 2 (categories), 4, 8, 16 (integers) and infinitely many
      values in turn, evenly spaced, as Tušar, Brockhoff & Hansen (GECCO 2019, doi 10.1145/3321707.3321868) discretise
      part of the bbob-biobj suite. The optimum is a point of the grid, so that the front is that of ZDT1.
    """
    if name not in NAMES:
        raise unknown("function", name, NAMES)
    if not isinstance(objectives, int) or isinstance(objectives, bool) or objectives < 2:
        raise UserError(f"expected n_objectives >= 2, got {objectives}")
    if name in _TWO and objectives != 2:
        raise UserError(f"expected n_objectives=2 for {name!r}, got {objectives}; choose one of {', '.join(_MANY)}")
    least, make = _TWO.get(name, (objectives, _dtlz))
    if not isinstance(dimensions, int) or isinstance(dimensions, bool) or dimensions < least:
        raise UserError(
            f"expected dimensions >= {least} for {name!r} with {objectives} objectives, got {dimensions}; "
            "set e.g. dimensions=6"
        )
    return make(name, dimensions, objectives)
