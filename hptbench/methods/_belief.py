"""Beliefs about where the optimum is: a distribution for every parameter, independent of the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import ndtr

from hptbench.errors import UserError, unknown
from hptbench.methods._moves import truncated_normal
from hptbench.space import Floats, Kind, Mask, Space

_REDRAWS = 1000


class Belief:
    """A density over the unit cube of a space.

    Numbers and ordinals: ``{mean: value, std: s}``, a normal truncated to the unit interval of the parameter's own
    scale (logarithmic if the parameter is), s in units of that interval. Categories: ``{level: probability, …}``; the
    levels that are not named share the rest evenly. What is left out: the default value, with the standard deviation
    ``std``, or with the probability ``confidence`` of the default's level."""

    def __init__(self, space: Space, entries: Mapping[str, Any], std: float, confidence: float) -> None:
        """UserError for entries that do not fit the space."""
        for name in entries:
            if name not in space.names:
                raise unknown("prior: parameter", name, space.names)
        self._space = space
        self._means, self._stds = np.empty(len(space)), np.ones(len(space))
        self._chances: dict[int, Floats] = {}
        """Column -> the probabilities of the levels of a category."""
        for j, (name, kind) in enumerate(zip(space.names, space.kinds, strict=True)):
            entry = entries.get(name)
            if entry is not None and not isinstance(entry, Mapping):
                raise UserError(f"prior.{name}: expected {{mean: …, std: …}} or {{level: probability}}, got {entry!r}")
            if kind is Kind.CATEGORICAL:
                self._chances[j] = _chances(space, name, entry, confidence)
                self._means[j] = _middles(space, j)[self._chances[j].argmax()]
            else:
                self._means[j], self._stds[j] = _normal(space, name, entry or {}, std)

    def log_density(self, u: Floats, steps: int | None = None) -> Floats:
        """(m,) at encoded points (m, d), NaN where inactive: inactive parameters and constants have the density 1.

        With ``steps`` the densities of numbers take that many values only, evenly spaced from 0 to the greatest, so
        -inf is possible; with one step they are no belief at all, and have the density 1."""
        mean, std = self._means, self._stds
        logs = -0.5 * ((u - mean) / std) ** 2
        if steps is not None:
            place = np.clip(np.rint(np.exp(logs) * steps), 0, steps - 1) / max(steps - 1, 1)
            with np.errstate(divide="ignore"):
                logs = np.log(place) if steps > 1 else np.zeros(u.shape)
        if steps != 1:
            inside = ndtr((1 - mean) / std) - ndtr(-mean / std)
            logs -= np.log(std * inside * math.sqrt(2 * math.pi))
        logs[:, self._space.sizes == 1] = 0.0
        for j, chances in self._chances.items():
            level = np.searchsorted(self._space.cells(j)[1:-1], u[:, j], "right")
            with np.errstate(divide="ignore"):
                logs[:, j] = np.log(chances)[np.minimum(level, len(chances) - 1)]
        return np.asarray(np.where(np.isnan(u), 0.0, logs).sum(axis=1))

    def mode(self) -> Floats:
        """(1, d) where every parameter's density is greatest; it may be forbidden."""
        return self._space.deactivate(self._means[None].copy())

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        """(n, d) independent draws, none of them forbidden."""
        u = self._draw(rng, n)
        for _ in range(_REDRAWS):
            bad: Mask = ~self._space.legal(u)
            if not bad.any():
                return u
            u[bad] = self._draw(rng, int(bad.sum()))
        raise UserError(f"the forbidden clauses exclude nearly all of the prior: no legal draw in {_REDRAWS} redraws")

    def _draw(self, rng: np.random.Generator, n: int) -> Floats:
        u = truncated_normal(np.tile(self._means, (n, 1)), self._stds, rng)
        for j, chances in self._chances.items():
            u[:, j] = _middles(self._space, j)[rng.choice(len(chances), n, p=chances)]
        return self._space.deactivate(u)


def _middles(space: Space, j: int) -> Floats:
    cells = space.cells(j)
    return np.asarray((cells[:-1] + cells[1:]) / 2)


def _normal(space: Space, name: str, entry: Mapping[Any, Any], std: float) -> tuple[float, float]:
    for key in entry:
        if key not in ("mean", "std"):
            raise unknown(f"prior.{name}: entry", str(key), ("mean", "std"))
    std = entry.get("std", std)
    if isinstance(std, bool) or not isinstance(std, int | float) or not 0 < std < math.inf:
        raise UserError(f"prior.{name}: expected std > 0, in units of the parameter's range, got {std!r}")
    return space.place(name, entry.get("mean")), float(std)


def _chances(space: Space, name: str, entry: Mapping[Any, Any] | None, confidence: float) -> Floats:
    levels = space.levels(name)
    if len(levels) == 1:
        return np.ones(1)
    if entry is None:
        default = space.configspace[name].default_value
        entry = {default: confidence}
    given = np.full(len(levels), np.nan)
    for key, chance in entry.items():
        found = [i for i, level in enumerate(levels) if level == key or str(level) == str(key)]
        if not found:
            raise unknown(f"prior.{name}: level", str(key), [str(level) for level in levels])
        if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
            raise UserError(f"prior.{name}: expected the probability of {key!r} in [0, 1], got {chance!r}")
        given[found[0]] = chance
    left, others = 1 - np.nansum(given), np.isnan(given)
    if left < -1e-9 or (left > 1e-9 and not others.any()):
        raise UserError(f"prior.{name}: expected probabilities that sum to 1, or to less with levels left, got {entry}")
    given[others] = max(left, 0.0) / max(int(others.sum()), 1)
    return np.asarray(given / given.sum())
