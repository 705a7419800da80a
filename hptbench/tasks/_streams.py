"""Streams of rows whose concept drifts: generators of the literature, deterministic, in time order.

Kinds of drift (J. Gama, I. Žliobaitė, A. Bifet, M. Pechenizkiy and A. Bouchachia, "A survey on concept drift
adaptation", ACM Computing Surveys 46(4), 2014, doi:10.1145/2523813, Figure 2):

- ``abrupt``: each concept has an equal share of the stream and ends at once;
- ``gradual``: from the first to the last concept without a break. SEA and Friedman draw each row from one of two
  neighbouring concepts, the later one with a rising probability; the hyperplane turns steadily (*incremental* there);
- ``none``: the first concept throughout, the control.

What the inputs look like never changes: drift is in the target alone (*real* drift).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench import rng
from hptbench.errors import unknown
from hptbench.learners import Table, TaskType
from hptbench.space import Floats

ROWS = 200
"""Rows of a block, unless told otherwise."""
DRIFTS = ("abrupt", "gradual", "none")
_SEA_THRESHOLDS = (8.0, 9.0, 7.0, 9.5)
_SEA_NOISE = 0.1
_PLANE_DIMENSIONS = 10
_PLANE_NOISE = 0.05
_PLANE_STEPS = 4
"""Positions of the hyperplane under abrupt drift."""
_PLANE_ANGLE = np.pi / 2
"""How far the hyperplane has turned at the end."""
_FRIEDMAN_ABRUPT = ((0, 1, 2, 3, 4), (3, 5, 1, 0, 2), (0, 1, 2, 3, 4))
_FRIEDMAN_GRADUAL = ((0, 1, 2, 3, 4), (3, 4, 1, 0, 2), (1, 4, 3, 2, 0))
"""Which columns are the arguments of Friedman's function, concept by concept."""


class Stream(NamedTuple):
    """A generator."""

    kind: TaskType
    rows: Callable[[Floats, str, np.random.Generator], tuple[Floats, NDArray[np.float64] | NDArray[np.int64]]]
    """(times in [0, 1), kind of drift, random numbers) -> X (n, d) and y (n,)."""


@lru_cache(maxsize=32)
def stream(name: str, drift: str, rows: int, number: int) -> Table:
    """``rows`` rows of a stream in time order. ``number`` is that of its realisation: another one, other rows.

    UserError for an unknown stream or kind of drift."""
    made = find_stream(name, drift)
    random = rng.stream(rng.entropy("drifting", name, drift, rows, number))
    X, y = made.rows(np.arange(rows) / rows, drift, random)
    return Table(X, y, np.zeros(X.shape[1], bool), 2 if made.kind == "classification" else 0)


def find_stream(name: str, drift: str) -> Stream:
    """The generator of a name; UserError for an unknown one, or an unknown kind of drift."""
    if name not in STREAMS:
        raise unknown("stream", name, STREAMS)
    if drift not in DRIFTS:
        raise unknown("kind of drift", drift, DRIFTS)
    return STREAMS[name]


def _concepts(times: Floats, drift: str, n: int, random: np.random.Generator) -> NDArray[np.intp]:
    """(rows,) which of ``n`` concepts each row is drawn from."""
    if drift == "abrupt":
        return np.floor(times * n).astype(np.intp)
    if drift == "none":
        return np.zeros(len(times), np.intp)
    place = times * (n - 1)
    return (np.floor(place) + (random.random(len(times)) < place % 1)).astype(np.intp)


def _sea(times: Floats, drift: str, random: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """W. N. Street and Y. Kim, "A streaming ensemble algorithm (SEA) for large-scale classification", KDD 2001,
    doi:10.1145/502512.502568: class 1 where x0 + x1 > threshold, x2 says nothing, all uniform in [0, 10]; 10 % of
    the labels are turned over; four concepts."""
    which = _concepts(times, drift, len(_SEA_THRESHOLDS), random)
    X = random.uniform(0, 10, (len(times), 3))
    y = X[:, 0] + X[:, 1] > np.take(_SEA_THRESHOLDS, which)
    return X, _flipped(y, _SEA_NOISE, random)


def _hyperplane(times: Floats, drift: str, random: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """G. Hulten, L. Spencer and P. Domingos, "Mining time-changing data streams", KDD 2001,
    doi:10.1145/502512.502529: class 1 where w x > w_0, x uniform in [0, 1]^10, w_0 = sum(w) / 2 so that the classes are
    equal; 5 % of the labels are turned over.

    Deviation: there some weights grow and shrink step by step; here w turns by 90 degrees in a random plane, so that
    how fast the concept moves is one known number. Under abrupt drift it jumps to four positions instead."""
    plane, _ = np.linalg.qr(random.standard_normal((_PLANE_DIMENSIONS, 2)))
    place = times if drift == "gradual" else _concepts(times, drift, _PLANE_STEPS, random) / (_PLANE_STEPS - 1)
    angle = _PLANE_ANGLE * place
    w = np.outer(np.cos(angle), plane[:, 0]) + np.outer(np.sin(angle), plane[:, 1])
    X = random.uniform(0, 1, (len(times), _PLANE_DIMENSIONS))
    return X, _flipped(((X - 0.5) * w).sum(axis=1) > 0, _PLANE_NOISE, random)


def _friedman(times: Floats, drift: str, random: np.random.Generator) -> tuple[Floats, Floats]:
    """J. H. Friedman, Annals of Statistics 19(1), 1991: y = 10 sin(pi x0 x1) + 20 (x2 - 0.5)^2 + 10 x3 + 5 x4 + noise
    N(0, 1), x uniform in [0, 1]^10; the arguments change places as in E. Ikonomovska, J. Gama and S. Džeroski,
    "Learning model trees from evolving data streams", Data Mining and Knowledge Discovery 23, 2011,
    doi:10.1007/s10618-010-0201-y: abrupt is their global recurring drift (the first concept comes back), gradual their
    global and slow one, here without periods of rest."""
    orders = np.array(_FRIEDMAN_GRADUAL if drift == "gradual" else _FRIEDMAN_ABRUPT)
    which = _concepts(times, drift, len(orders), random)
    X = random.uniform(0, 1, (len(times), 10))
    a = np.take_along_axis(X, orders[which], axis=1)
    y = 10 * np.sin(np.pi * a[:, 0] * a[:, 1]) + 20 * (a[:, 2] - 0.5) ** 2 + 10 * a[:, 3] + 5 * a[:, 4]
    return X, y + random.standard_normal(len(times))


def _flipped(y: NDArray[np.bool_], share: float, random: np.random.Generator) -> NDArray[np.int64]:
    return (y ^ (random.random(len(y)) < share)).astype(np.int64)


STREAMS: Mapping[str, Stream] = {
    "friedman": Stream("regression", _friedman),
    "hyperplane": Stream("classification", _hyperplane),
    "sea": Stream("classification", _sea),
}


def blocks(table: Table, n: int, rows: int | None) -> Sequence[Table]:
    """``n`` consecutive blocks of equally many rows, the oldest first. Rows that are left over are dropped, the oldest
    ones. ``rows``: take so many of each block, drawn at random (every so many would meet the periods of the data)."""
    size = len(table) // n
    start = len(table) - n * size
    whole = [table.take(np.arange(start + i * size, start + (i + 1) * size)) for i in range(n)]
    if rows is None or rows >= size:
        return whole
    draws = [rng.stream(rng.entropy("drifting", "rows", i)).choice(size, rows, replace=False) for i in range(n)]
    return [block.take(np.sort(draw)) for block, draw in zip(whole, draws, strict=True)]
