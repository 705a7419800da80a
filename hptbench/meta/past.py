"""What is known of past data sets: their meta-features, and what each configuration of a learner was worth on them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError
from hptbench.learners import TaskType, find_learner, learners
from hptbench.meta.described import KEYS
from hptbench.meta.embedding import PREFIX
from hptbench.meta.features import VERSION
from hptbench.space import Config, Floats, Mask, Space
from hptbench.spacefile import packaged_space
from hptbench.tasks._metrics import METRICS, objectives

if TYPE_CHECKING:
    import pandas as pd

Key: TypeAlias = tuple[str, TaskType]
"""Learner and kind of task."""
FEWEST = 20
"""Data sets with evaluations of all configurations, below which nothing is learnt about a learner."""
_ABSENT = 0.5
"""Share of the data sets on which a meta-feature must be defined to be looked at."""


@dataclass(frozen=True, eq=False)
class Past:
    """n past data sets, described by f meta-features, on which the same c configurations of a learner were trained."""

    learner: str
    kind: TaskType
    metric: str
    """The loss."""
    configs: tuple[Config, ...]
    """c; the first one is the learner's default."""
    data: tuple[str, ...]
    families: NDArray[np.str_]
    """(n,) data sets of one origin share a family."""
    names: tuple[str, ...]
    """Of the f meta-features."""
    features: Floats
    """(n, f) NaN where a meta-feature is not defined."""
    validation: Floats
    """(n, c) losses on validation rows."""
    test: Floats
    """(n, c) losses on test rows."""

    def __len__(self) -> int:
        return len(self.data)

    @property
    def space(self) -> Space:
        """The learner's search space."""
        return packaged_space(find_learner(self.learner).spaces[self.kind])

    @cached_property
    def losses(self) -> Floats:
        """(n, c) what each configuration was worth: the mean of :func:`relative` of both losses. All rows of a past
        data set are known, and two halves are less noisy than one."""
        return (relative(self.validation) + relative(self.test)) / 2

    def take(self, rows: Mask) -> Past:
        """The data sets where (n,) ``rows`` is true."""
        kept = np.flatnonzero(rows)
        return replace(
            self, data=tuple(self.data[i] for i in kept), families=self.families[kept], features=self.features[kept],
            validation=self.validation[kept], test=self.test[kept],
        )  # fmt: skip

    def without(self, families: Collection[str]) -> Past:
        """The past that knows nothing of these families. UserError if too little is left."""
        rest = self.take(~np.isin(self.families, sorted(families)))
        if len(rest) < 2:
            raise UserError(f"expected 2 past data sets of {self.learner} at least, got {len(rest)}")
        return rest

    def comparable(self, x: Floats) -> tuple[Floats, Floats]:
        """(n, g) and (g,): the meta-features of the past and ``x`` (f,), those that are defined often enough and vary;
        medians of the past stand for what is missing, and values of ``x`` beyond the past's are its ends. No embedding
        is among them."""
        kept, middle, filled = self._known
        own = np.where(np.isnan(x[kept]), middle, x[kept])
        return filled, np.clip(own, filled.min(axis=0), filled.max(axis=0))

    def embedded(self, x: Floats) -> tuple[Floats, Floats]:
        """(n, e) and (e,): the learnt embeddings of the past and of ``x`` (f,). UserError if one of them has none."""
        rows, own = self.features[:, self._learnt], x[self._learnt]
        if not len(own) or np.isnan(rows).any() or np.isnan(own).any():
            raise UserError("expected embeddings of all data sets, got none of some; meta features --embedding FILE")
        return rows, own

    @property
    def _learnt(self) -> Mask:
        """(f,) which of the meta-features are of a learnt embedding."""
        return np.array([name.startswith(PREFIX) for name in self.names], bool)

    @property
    def compared(self) -> tuple[str, ...]:
        """(g,) names of the meta-features of :meth:`comparable`."""
        return tuple(self.names[j] for j in np.flatnonzero(self._known[0]))

    @cached_property
    def _known(self) -> tuple[Mask, Floats, Floats]:
        """(f,) which meta-features are compared, and of these (g,) the medians and (n, g) the values."""
        gaps = np.isnan(self.features)
        middle = np.nanmedian(np.where(gaps.all(axis=0), 0.0, self.features), axis=0)
        filled = np.where(gaps, middle, self.features)
        kept = ((~gaps).mean(axis=0) >= _ABSENT) & (filled.min(axis=0) < filled.max(axis=0)) & ~self._learnt
        return kept, middle[kept], filled[:, kept]


def joined(pasts: Sequence[Past]) -> tuple[Past, list[tuple[int, int]]]:
    """One past of several learners with one metric, of the data sets that all of them know; and of each of its
    configurations the position of its learner and its own. It has no search space."""
    common = [name for name in pasts[0].data if all(name in past.data for past in pasts)]
    rows = [[past.data.index(name) for name in common] for past in pasts]
    parts = [
        np.hstack([getattr(past, part)[own] for past, own in zip(pasts, rows, strict=True)])
        for part in ("validation", "test")
    ]
    first = replace(
        pasts[0], learner=" or ".join(past.learner for past in pasts), data=tuple(common), validation=parts[0],
        configs=tuple(config for past in pasts for config in past.configs), test=parts[1],
        features=pasts[0].features[rows[0]], families=pasts[0].families[rows[0]],
    )  # fmt: skip
    return first, [(i, c) for i, past in enumerate(pasts) for c in range(len(past.configs))]


def relative(losses: Floats) -> Floats:
    """(n, c) losses of configurations on data sets, made comparable: 0 is the data set's best, 1 its median and all
    that is worse (Salinas & Erickson, AutoML-Conf 2024, arXiv:2311.02971, section 4). 0 where all are equal."""
    best, middle = losses.min(axis=1, keepdims=True), np.median(losses, axis=1, keepdims=True)
    span = middle - best
    return np.where(span > 0, np.clip((losses - best) / np.where(span > 0, span, 1.0), 0.0, 1.0), 0.0)


def pasts(table: pd.DataFrame, described: pd.DataFrame, fewest: int = FEWEST) -> dict[Key, Past]:
    """By learner and kind of task, what a table of evaluations (``collect-evaluations``) and one of meta-features
    (:mod:`hptbench.meta.described`) say together.

    Only trainings with all the rows count, and data sets on which every configuration of the learner succeeded. The
    loss is the learner's default metric, log_loss (error without probabilities) or rmse, or else the first that the
    table has. Where a table has no test losses of a learner at all, those on validation rows stand for them. Left out
    are learners that are none of ours, those without their default or with nothing else, and those with fewer than
    ``fewest`` such data sets. UserError for tables that do not belong together."""
    _check(table, described)
    full = table[(table["fidelity"] == table["fidelity"].max()) & (table["status"] == "ok")]
    known = described.set_index("data")
    names = tuple(str(name) for name in described if name not in KEYS)
    out: dict[Key, Past] = {}
    for learner in sorted(set(full["learner"].astype(str)) & learners().keys()):
        for kind in sorted(find_learner(learner).spaces):
            rows = full[full["learner"].eq(learner) & full["data"].isin(known.index[known["kind"] == kind])]
            metric = _metric(learner, kind, rows)
            numbers = set(rows["configuration"])
            if metric is None or 0 not in numbers or len(numbers) < 2:
                continue
            parts = ["validation_" + metric, "test_" + metric]
            parts[1] = parts[1] if rows[parts[1]].notna().any() else parts[0]
            losses = [rows.pivot(index="data", columns="configuration", values=part).astype(float) for part in parts]
            whole = losses[0].notna().all(axis=1) & losses[1].notna().all(axis=1)
            if whole.sum() < fewest:
                continue
            configs = _configs(rows)
            data = tuple(map(str, losses[0].index[whole]))
            out[learner, kind] = Past(
                learner, kind, metric, configs, data, known.loc[list(data), "family"].to_numpy(str), names,
                known.loc[list(data)][list(names)].to_numpy(float), *(part[whole].to_numpy() for part in losses),
            )  # fmt: skip
    if not out:
        raise UserError(
            f"expected a learner with all its configurations on {fewest} data sets that have meta-features, got none; "
            "collect more evaluations, or describe more data sets"
        )
    return out


def _check(table: pd.DataFrame, described: pd.DataFrame) -> None:
    for frame, needed, what in (
        (table, ("data", "learner", "configuration", "fidelity", "status", "config"), "collect-evaluations"),
        (described, KEYS, "meta features"),
    ):
        if lacking := sorted(set(needed) - set(frame)):
            raise UserError(f"expected a table of `{what}`, got one without {', '.join(lacking)}")
    if versions := sorted(set(described["version"]) - {VERSION}):
        raise UserError(f"expected meta-features of version {VERSION}, got {versions}; make them anew: meta features")


def _metric(learner: str, kind: TaskType, rows: pd.DataFrame) -> str | None:
    """The loss that is looked at; None if there is none."""
    default = objectives(kind, "", learner, find_learner(learner).probabilities)[0]
    names = dict.fromkeys([default, *(metric.name for metric in METRICS[kind])])
    there = [name for name in names if {"validation_" + name, "test_" + name} <= set(rows)]
    return next((name for name in there if rows["validation_" + name].notna().any()), None)


def _configs(rows: pd.DataFrame) -> tuple[Config, ...]:
    """In the order of their numbers. UserError if one number stands for two."""
    texts = rows.drop_duplicates(["configuration", "config"]).sort_values("configuration")
    if texts["configuration"].duplicated().any():
        raise UserError("expected the same configurations on every data set, got different ones under one number")
    return tuple(json.loads(text) for text in texts["config"].astype(str))
