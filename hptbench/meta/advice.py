"""From weights on past data sets to what a method or a person can use: an :class:`hptbench.protocol.Advice`, expected
gains, and reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hptbench.meta._recommender import ordered
from hptbench.meta.auto import Auto
from hptbench.meta.forest import Forest
from hptbench.meta.past import Past
from hptbench.protocol import Advice, PastTask
from hptbench.space import Config, Floats, Kind, Space, Value

CONFIGS = 8
"""Recommended configurations, unless more are asked for."""
_TOP = 0.1
"""Share of the configurations that count as good on a past data set."""
_STD = (0.05, 0.5)
"""Least and greatest standard deviation of a belief about a number, in units of its range."""
_DOUBT = 0.1
"""Share of a belief about a category that its levels share evenly."""
_PAST = 10
_QUANTILES = (0.1, 0.5, 0.9)
_REASONS = 5


@dataclass(frozen=True)
class Gain:
    """By how much a configuration's test loss was below the default's on past data sets, as a share of the default's;
    each counts with its weight for the data set at hand."""

    low: float
    """10 % quantile: negative where the configuration was worse."""
    middle: float
    """Median."""
    high: float
    """90 % quantile."""
    better: float
    """Weight of the past data sets on which it was better."""


@dataclass(frozen=True)
class Reason:
    """A meta-feature that tells the past data sets apart."""

    name: str
    importance: float
    """Share of what the forest's splits explain."""
    value: float
    """Of the data set at hand; NaN if it is not defined."""
    place: float
    """Share of the past data sets with a smaller value."""


def advise(past: Past, auto: Auto, x: Floats, n: int = CONFIGS) -> Advice:
    """The advice for a data set with meta-features ``x`` (f,): ``n`` configurations, a prior, ranges and past tasks."""
    weights = auto.weights(past, x)
    positive = _positive(weights)
    configs = tuple(past.configs[c] for c in ordered(past.losses, weights, n))
    good = _good(past, positive)
    near = np.argsort(-positive, kind="stable")[:_PAST]
    near = near[positive[near] > 0]
    # not past.losses: what is worse than the median is one value there, and methods learn from its order, too
    means = (past.validation + past.test) / 2
    tasks = tuple(
        PastTask(past.data[i], float(positive[i] / positive[near].sum()), past.configs, tuple(means[i].tolist()))
        for i in near
    )
    return Advice(configs, _prior(past.space, past.configs, good), _ranges(past.space, past.configs, good), tasks)


def gains(past: Past, weights: Floats, config: int) -> Gain:
    """What is to be expected of configuration number ``config`` against the default, for weights (n,)."""
    default, other = past.test[:, 0], past.test[:, config]
    size = np.abs(default)
    share = np.where(size > 0, (default - other) / np.where(size > 0, size, 1.0), np.sign(default - other))
    positive = _positive(weights)
    order = np.argsort(share, kind="stable")
    reached = np.cumsum(positive[order]) - positive[order] / 2
    low, middle, high = (float(np.interp(q, reached, share[order])) for q in _QUANTILES)
    return Gain(low, middle, high, float(positive[share > 0].sum()))


def reasons(past: Past, x: Floats) -> list[Reason]:
    """The meta-features that matter most, the most important one first."""
    importance = Forest().importances(past)
    out = []
    for g in np.argsort(-importance, kind="stable")[:_REASONS]:
        name = past.compared[g]
        j = past.names.index(name)
        known = past.features[:, j][~np.isnan(past.features[:, j])]
        place = float((known < x[j]).mean()) if not np.isnan(x[j]) else float("nan")
        out.append(Reason(name, float(importance[g]), float(x[j]), place))
    return out


def _positive(weights: Floats) -> Floats:
    positive = np.maximum(weights, 0.0)
    return np.asarray(positive / positive.sum())


def _good(past: Past, positive: Floats) -> Floats:
    """(c,) how much each configuration belongs to the best of the past data sets; they sum to 1."""
    count = max(round(_TOP * len(past.configs)), 1)
    best = np.argsort(past.losses, axis=1, kind="stable")[:, :count]
    return np.asarray(np.bincount(best.ravel(), np.repeat(positive / count, count), len(past.configs)), float)


def _prior(space: Space, configs: tuple[Config, ...], good: Floats) -> dict[str, dict[str, float]]:
    """A belief about each parameter that is not constant and was active in a good configuration."""
    u, out = space.encode(configs), dict[str, dict[str, float]]()
    for j, (name, kind) in enumerate(zip(space.names, space.kinds, strict=True)):
        there = ~np.isnan(u[:, j])
        mass = good[there] / good[there].sum() if good[there].sum() > 0 else np.zeros(0)
        if space.sizes[j] == 1 or not len(mass):
            continue
        if kind is Kind.CATEGORICAL:
            levels = space.levels(name)
            values = [config[name] for config, active in zip(configs, there, strict=True) if active]
            chances = [sum(m for v, m in zip(values, mass, strict=True) if v == level) for level in levels]
            out[name] = {
                str(v): float((1 - _DOUBT) * c + _DOUBT / len(levels)) for v, c in zip(levels, chances, strict=True)
            }
            continue
        mean = float(mass @ u[there, j])
        std = float(np.sqrt(mass @ (u[there, j] - mean) ** 2))
        # the mean as a value: that of the configuration whose value is the nearest
        nearest = np.flatnonzero(there)[np.abs(u[there, j] - mean).argmin()]
        out[name] = {"mean": configs[nearest][name], "std": float(np.clip(std, *_STD))}
    return out


def _ranges(space: Space, configs: tuple[Config, ...], good: Floats) -> dict[str, tuple[Value, ...]]:
    """Where each parameter lies in the good configurations."""
    out: dict[str, tuple[Value, ...]] = {}
    u = space.encode(configs)
    for j, (name, kind) in enumerate(zip(space.names, space.kinds, strict=True)):
        there = np.flatnonzero(~np.isnan(u[:, j]) & (good > 0))
        if not len(there):
            continue
        values = [configs[i][name] for i in there]
        if kind is Kind.CATEGORICAL:
            out[name] = tuple(level for level in space.levels(name) if level in values)
        else:
            out[name] = (values[int(u[there, j].argmin())], values[int(u[there, j].argmax())])
    return out


def summary(advice: Advice) -> Mapping[str, object]:
    """An advice as JSON."""
    return {
        "configs": [dict(config) for config in advice.configs],
        "prior": {name: dict(belief) for name, belief in advice.prior.items()},
        "ranges": {name: list(values) for name, values in advice.ranges.items()},
        "past": {task.name: round(task.weight, 4) for task in advice.past},
    }
