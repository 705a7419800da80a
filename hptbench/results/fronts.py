"""What runs on tasks of several objectives have found: hypervolumes and attainment surfaces.

The front of a run is what of its jobs no other of its jobs is at least as good as in every objective, by validation
alone. Only jobs count that succeeded, at the full fidelity, and keep all constraints. It is worth its hypervolume: the
part of the objective space, below a reference point, in which every point is dominated by one of the front (Zitzler &
Thiele, IEEE TEVC 3(4), 1999, doi 10.1109/4235.797969), told as regret, which is minimised:

    regret = 1 - hypervolume of the run / hypervolume of the reference front.

A run without a front has the regret 1. The ratio does not change when an objective is scaled or shifted together with
the reference point, so that objectives need not be normalised first.

The reference is the true front, where the task knows it (``runs.front``). Elsewhere it is made of the study's own
results, and then depends on what was run: all points that were ever on the front of a run; the reference point lies
behind the worst of those that none of them dominates, in each objective by a tenth of their range there (if they do
not differ there, of the absolute value; of 1 for 0)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hptbench.protocol import Front
from hptbench.results.schema import KEY, Measure
from hptbench.space import Mask
from hptbench.stats.intervals import Array

if TYPE_CHECKING:
    import pandas as pd

Key: TypeAlias = tuple[Any, ...]
"""(task, method, seed, run)."""
REGRET = "hypervolume regret"
BEST, MEDIAN, WORST = "best", "median", "worst"
"""Attainment surfaces: of one run at least, of half of the runs, of all of them."""

_MARGIN = 0.1
_ROUNDING = 1e-12
"""Regrets below that are 0."""


def several(runs: pd.DataFrame) -> Mask:
    """(runs,) whether on tasks of several objectives."""
    return np.array([len(names) > 1 for names in runs["objectives"]], dtype=bool)


@dataclass(frozen=True)
class _Found:
    """One run's jobs, in the order of their ends."""

    points: Mapping[Measure, Array]
    """(jobs, objectives): NaN where a job does not count, for test scores also where there are none."""
    fronts: tuple[tuple[int, ...], ...]
    """The jobs on the front after each job."""

    def ever(self, measure: Measure) -> Array:
        """(points, objectives) of the jobs that were on the front at any time; no NaN."""
        points = self.points[measure][sorted({job for front in self.fronts for job in front})]
        return points[~np.isnan(points).any(axis=1)]

    def last(self, measure: Measure) -> Array:
        """(points, objectives) of the front at the end."""
        return self.points[measure][list(self.fronts[-1])] if self.fronts else self.points[measure]


@dataclass(frozen=True)
class Attained:
    """What the runs of one method on one task of two objectives dominate."""

    runs: int
    surfaces: Mapping[str, Array]
    """Best, median, worst -> (points, 2), in order of the first objective; without those that too few runs reach."""


class Fronts:
    """The fronts of all runs of a study on tasks of several objectives."""

    def __init__(self, jobs: pd.DataFrame, runs: pd.DataFrame) -> None:
        runs = runs[several(runs)]
        there = runs[runs["front"].notna()]
        self._known: dict[str, str] = dict(zip(there["task"], there["front"], strict=True))
        of_run = dict(list(jobs[jobs["task"].isin(runs["task"])].groupby(KEY))) if len(runs) else {}
        self._objectives = {t: tuple(map(str, n)) for t, n in zip(runs["task"], runs["objectives"], strict=True)}
        self._runs = {
            key: _found(of_run.get(key, jobs.iloc[:0]), self._objectives[key[0]], high)
            for key, high in zip(runs[KEY].itertuples(index=False, name=None), runs["high"], strict=True)
        }

    def __contains__(self, key: object) -> bool:
        return key in self._runs

    def __iter__(self) -> Iterator[Key]:
        """The keys of the runs."""
        return iter(self._runs)

    def references(self, measure: Measure) -> Mapping[str, Front]:
        """Task -> the front by which its runs are measured; without tasks that know none and have no result."""
        return self._references[measure]

    def objectives(self, task: str) -> tuple[str, ...]:
        """Their names."""
        return self._objectives[task]

    def is_known(self, task: str) -> bool:
        """The reference is the true front."""
        return task in self._known

    @cached_property
    def _references(self) -> dict[Measure, dict[str, Front]]:
        out: dict[Measure, dict[str, Front]] = {}
        for measure in ("validation", "test"):
            found: dict[str, list[Array]] = {}
            for (task, *_), run in self._runs.items():
                found.setdefault(task, []).append(run.ever(measure))
            pooled = {task: pooled_front(np.vstack(points)) for task, points in found.items() if sum(map(len, points))}
            out[measure] = pooled | {task: _front(known) for task, known in self._known.items()}
        return out

    def regret(self, key: Key, measure: Measure) -> Array:
        """(jobs,) regret of one run after each of its jobs. NaN without a reference, and where a job of the front has
        no test score."""
        reference, run = self.references(measure).get(key[0]), self._runs[key]
        if reference is None:
            return np.full(len(run.fronts), np.nan)
        out = np.ones(len(run.fronts))
        before: tuple[int, ...] = ()
        for i, front in enumerate(run.fronts):
            out[i] = out[i - 1] if front == before else _regret(run.points[measure][list(front)], reference)
            before = front
        return out

    def final(self, key: Key, measure: Measure) -> float:
        """Regret of one run at its end."""
        reference = self.references(measure).get(key[0])
        return math.nan if reference is None else _regret(self._runs[key].last(measure), reference)

    def attainment(self, measure: Measure) -> Mapping[tuple[str, str], Attained]:
        """(task, method) -> what was attained at the end; for tasks of two objectives.

        The surfaces are those of the empirical attainment function (Grunert da Fonseca, Fonseca & Hall, EMO 2001,
        doi 10.1007/3-540-44719-9_15): a point is attained by a run if its front dominates it."""
        return {
            group: Attained(len(fronts), surfaces(fronts))
            for group, fronts in self.ends(measure).items()
            if len(self.objectives(group[0])) == 2
        }

    def ends(self, measure: Measure) -> Mapping[tuple[str, str], Sequence[Array]]:
        """(task, method) -> of each run the front at its end, (points, objectives), without points that lack a score
        by ``measure``."""
        groups: dict[tuple[str, str], list[Array]] = {}
        for key, run in sorted(self._runs.items(), key=lambda item: item[0]):
            points = run.last(measure)
            groups.setdefault((key[0], key[1]), []).append(points[~np.isnan(points).any(axis=1)])
        return groups


def surfaces(fronts: Sequence[Array]) -> dict[str, Array]:
    """The attainment surfaces of fronts, each (points, 2), some of them perhaps empty."""
    import moocore

    there = [front for front in fronts if len(front)]
    if not there:
        return {}
    sets = np.repeat(np.arange(len(there)), [len(front) for front in there])
    found = moocore.eaf(np.vstack(there), sets)
    count = np.rint(found[:, -1] * len(there) / 100)
    wanted = {BEST: 1, MEDIAN: math.ceil(len(fronts) / 2), WORST: len(fronts)}
    return {level: np.unique(found[count == runs, :2], axis=0) for level, runs in wanted.items() if runs <= len(there)}


def pooled_front(points: Array) -> Front:
    """The reference of a task that knows none, from ``points``, (n, objectives), n > 0: see above."""
    import moocore

    best = moocore.filter_dominated(points)
    best = best[np.lexsort(best.T[::-1])]
    ideal, nadir = best.min(axis=0), best.max(axis=0)
    width = np.where(nadir > ideal, nadir - ideal, np.where(nadir == 0, 1.0, np.abs(nadir)))
    reference = nadir + _MARGIN * width
    drawn = tuple(map(tuple, best.tolist())) if best.shape[1] == 2 else ()
    return Front(
        tuple(ideal.tolist()), tuple(reference.tolist()), float(moocore.hypervolume(best, ref=reference)), drawn
    )


def _front(known: str) -> Front:
    """The front that ``runs.front`` holds."""
    fields = json.loads(known)
    return Front(
        tuple(fields["ideal"]), tuple(fields["reference_point"]), fields["hypervolume"],
        tuple(map(tuple, fields["points"])),
    )  # fmt: skip


def _regret(points: Array, reference: Front) -> float:
    """Of a front (points, objectives), which may be empty; NaN if it has one."""
    import moocore

    if not len(points):
        return 1.0
    if np.isnan(points).any():
        return math.nan
    regret = 1 - float(moocore.hypervolume(points, ref=reference.reference_point)) / reference.hypervolume
    return regret if abs(regret) > _ROUNDING else 0.0


def usable(jobs: pd.DataFrame) -> Mask:
    """(jobs,) whether each succeeded and keeps all constraints."""
    kept = [c is None or not len(c) or all(one <= 0 for one in c) for c in jobs["constraints"].tolist()]
    return np.asarray((jobs["status"].to_numpy() == "ok") & np.array(kept, dtype=bool))


def _found(jobs: pd.DataFrame, objectives: Sequence[str], high: float) -> _Found:
    values, hidden = jobs["values"].tolist(), jobs["hidden"].tolist()
    validation = np.full((len(jobs), len(objectives)), np.nan)
    for i in np.flatnonzero(usable(jobs) & (jobs["stop"].to_numpy(float) == high)).tolist():
        validation[i] = values[i]
    fronts = _archive(validation)
    test = np.full_like(validation, np.nan)
    for i in {job for front in fronts for job in front}:
        measures = json.loads(hidden[i])
        scores = [measures.get(f"test_{name}", math.nan) for name in objectives]
        test[i] = np.where(np.isfinite(scores), scores, np.nan)
    return _Found({"validation": validation, "test": test}, fronts)


def _archive(values: Array) -> tuple[tuple[int, ...], ...]:
    """The front of (jobs, objectives) after each job; the first of equal points stays."""
    out: list[tuple[int, ...]] = []
    front: tuple[int, ...] = ()
    for i, new in enumerate(values):
        if not np.isnan(new).any():
            old = values[list(front)]
            if not (old <= new).all(axis=1).any():
                front = (*(job for job, beaten in zip(front, (new <= old).all(axis=1), strict=True) if not beaten), i)
        out.append(front)
    return tuple(out)
