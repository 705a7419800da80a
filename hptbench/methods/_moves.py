"""Small steps in a search space, shared by methods that search near what they have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from hptbench.space import Config, Floats, Kind, Space

_CANDIDATES = 8
"""Draws at a time, where values are few, of which the first that changes the configuration is taken."""
_REDRAWS = 100


def complete(space: Space, u: Floats, rng: np.random.Generator) -> Floats:
    """(n, d) ``u`` with a uniform draw wherever a parameter is active and NaN, and NaN where it is inactive: what a
    change of a condition's parent calls for."""
    return space.deactivate(np.where(np.isnan(u), rng.random(u.shape), u))


def neighbours(space: Space, u: Floats, rng: np.random.Generator, per_number: int = 4, std: float = 0.2) -> Floats:
    """(m, d) the legal one-exchange neighbours of the point ``u``, (d,), snapped (see :meth:`Space.snap`).

    The neighbourhood of SMAC (Hutter, Hoos & Leyton-Brown, LION 2011, section 4.3): one active parameter changes, a
    number (integers and ordinals too) to ``per_number`` draws from a normal around its value with standard deviation
    ``std`` in the unit interval, truncated to it; a category to every other level. Parameters that become active are
    drawn uniformly. Draws that fall on the old value are left out, so m may be 0."""
    return neighbourhoods(space, u[None], rng, per_number, std)[0]


def neighbourhoods(
    space: Space, u: Floats, rng: np.random.Generator, per_number: int = 4, std: float | Floats = 0.2
) -> tuple[Floats, NDArray[np.intp]]:
    """The :func:`neighbours` of all rows of ``u``, (k, d), together, and the row that each is a neighbour of, (m,).

    ``std`` may differ by row, (k,). Much faster than row by row."""
    u = space.snap(u)
    categorical = space.categorical
    rows, columns = np.nonzero(~np.isnan(u) & (space.sizes != 1))
    numbers_first = np.argsort(categorical[columns], kind="stable")
    rows, columns = rows[numbers_first], columns[numbers_first]
    times = np.where(categorical[columns], space.sizes[columns], per_number)
    k = int(times[~categorical[columns]].sum())
    rows, columns = np.repeat(rows, times), np.repeat(columns, times)
    out, places = u[rows], np.arange(len(rows))
    spread = np.broadcast_to(std, len(u))[rows[:k]]
    out[places[:k], columns[:k]] = truncated_normal(u[rows[:k], columns[:k]], spread, rng)
    levels = (places - np.repeat(np.cumsum(times) - times, times))[k:]
    for j in np.unique(columns[k:]):
        edges, there = space.cells(int(j)), columns[k:] == j
        out[places[k:][there], j] = ((edges[:-1] + edges[1:]) / 2)[levels[there]]
    out = space.snap(out)
    changed = out[places, columns] != u[rows, columns]
    out, rows = complete(space, out[changed], rng), rows[changed]
    if space.conditional:
        out = space.snap(out)  # what has become active
    legal = space.legal(out)
    return out[legal], rows[legal]


def truncated_normal(mean: Floats, std: float | Floats, rng: np.random.Generator) -> Floats:
    """Draws in [0, 1] of ``mean``'s shape, from normals around ``mean`` truncated to the unit interval."""
    low, high = ndtr(-mean / std), ndtr((1 - mean) / std)
    return np.asarray(np.clip(mean + std * ndtri(low + rng.random(mean.shape) * (high - low)), 0.0, 1.0))


def one_exchange(
    space: Space, u: Floats, config: Config, std: float | None, rng: np.random.Generator
) -> tuple[Floats, Config]:
    """A legal random one-exchange neighbour of the genotype ``u``, (d,) without NaN, that stands for ``config``.

    One active parameter, any of them with equal probability, takes another value: a category another level, a number
    (integers and ordinals too) a draw from a normal around its value with standard deviation ``std`` in the unit
    interval, truncated to it, or from all of it (None). What becomes active has the value that ``u`` carries. ``u``
    and ``config`` themselves if nothing can be changed."""
    names = [j for j, name in enumerate(space.names) if name in config and space.sizes[j] != 1]
    for _ in range(_REDRAWS if names else 0):
        j = names[rng.integers(len(names))]
        rows = np.tile(u, (_CANDIDATES if space.sizes[j] else 1, 1))
        if std is None or space.kinds[j] is Kind.CATEGORICAL:
            rows[:, j] = rng.random(len(rows))
        else:
            rows[:, j] = truncated_normal(rows[:, j], std, rng)
        rows = rows[space.legal(rows)]
        for row, candidate in zip(rows, space.decode(rows), strict=True):
            if candidate[space.names[j]] != config[space.names[j]]:
                return row, candidate
    return u, config


def mutated(space: Space, u: Floats, rate: float, std: float, rng: np.random.Generator) -> Floats:
    """(1, d) the point ``u``, (1, d), with each active parameter changed with probability ``rate``, several at a time.

    Numbers and ordinals move by a normal with standard deviation ``std``, truncated; categories to any other level.
    What becomes active is drawn uniformly. Draws that are forbidden are made again, up to 100 times; then ``u``."""
    categories = [j for j, kind in enumerate(space.kinds) if kind is Kind.CATEGORICAL and space.sizes[j] > 1]
    for _ in range(_REDRAWS):
        new = truncated_normal(np.nan_to_num(u, nan=0.5), std, rng)
        for j in categories:
            cells = space.cells(j)
            old = int(np.searchsorted(cells[1:-1], u[0, j], "right"))
            new[0, j] = rng.choice(np.delete((cells[:-1] + cells[1:]) / 2, old))
        chosen = (rng.random(u.shape) < rate) & ~np.isnan(u)
        out = complete(space, np.where(chosen, new, u), rng)
        if space.legal(out)[0]:
            return out
    return u
