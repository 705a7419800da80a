"""Normalised regret along runs: methods compared on problems whose values have nothing in common.

The regret of a run after t evaluations (or that much training, or time: :class:`Axis`) is (v - b) / (r - b): v what its
incumbent is worth, the validation value or that of its configuration trained to the end; b the lowest value that any
job of the study found on the task, all methods and seeds together, or a lower one that is known: the optimum, where the
task knows it, or what was found before; r the median of what random search evaluated there. So 0 is the best that is
known, 1 a random configuration. References from random search alone would give negative regrets (YAHPO). Where the
optimum is not known, the run that found b has the regret 0, which favours its method; where it is known and nobody
comes near, no run has.

What is averaged is the logarithm of the regret, floored at :data:`FLOOR`: below it differences do not count."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError
from hptbench.results.fronts import usable
from hptbench.results.schema import KEY
from hptbench.results.table import AMOUNTS, DEFAULT, RANDOM, Accounting, incumbent_places, used
from hptbench.space import Floats

if TYPE_CHECKING:
    import pandas as pd

Worth = Literal["seen", "full"]
_ROUNDING = 1e-9
FLOOR = 1e-4
"""Least regret that counts."""
COLUMN_OF: Mapping[Accounting, str] = {
    "evaluations": "evaluation", "credited": "credited", "from_zero": "from_zero", "time": "time",
}  # fmt: skip
"""The column of :func:`steps` that holds it."""
_OF_INCUMBENT = ("fidelity", "value", "worth", "test")
_RUN = KEY[:3]
_NEEDED = ("job", "status", "constraints", "stop", "value", "worth", "test", *AMOUNTS)
STEPS = (*_RUN, *COLUMN_OF.values(), *_OF_INCUMBENT)
"""The columns of :func:`steps`."""


@dataclass(frozen=True)
class Axis:
    """Along what runs are followed, where, and what their incumbents are worth."""

    at: Floats
    """(m,) rising: of what ``by`` counts."""
    by: Accounting = "evaluations"
    worth: Worth = "seen"
    """The value ``seen`` by the method, of trainings to the full fidelity only; or ``full``: of the highest fidelity
    seen so far the best, and its configuration's value at the full fidelity, without noise, which the task knows and
    no method saw (``hidden``: ``value``)."""

    def places(self, used: Floats) -> NDArray[np.intp]:
        """(m,) the last position in ``used``, (jobs,) rising, not beyond each of ``at``; -1 before the first."""
        return np.searchsorted(used, self.at * (1 + _ROUNDING), "right") - 1

    def index(self, at: float) -> int:
        """The last place that is not beyond ``at``."""
        return int(np.searchsorted(self.at, at * (1 + _ROUNDING), "right")) - 1


def evaluations(n: int) -> Axis:
    """After 1, 2, …, n evaluations."""
    return Axis(np.arange(1.0, n + 1))


@dataclass(frozen=True)
class Reference:
    """What the values of a task are measured by."""

    best: float
    """b, the lowest value known."""
    random: float
    """r, the median value of random configurations."""


def worth(jobs: pd.DataFrame, high: Mapping[str, float], what: Worth) -> pd.DataFrame:
    """``jobs`` with a column ``worth``, NaN where it is nothing: see :class:`Axis`.

    ``high``: the full fidelity of each task. UserError for a task that does not tell what was asked for."""
    low = jobs["stop"].to_numpy(float) < jobs["task"].map(high).to_numpy(float)
    counts = usable(jobs)
    if what == "seen":
        return jobs.assign(worth=np.where(counts & ~low, jobs["value"], np.nan))
    hidden = [json.loads(text).get("value", np.nan) for text in jobs["hidden"]]
    found = jobs.assign(worth=np.where(counts, hidden, np.nan))
    for task, of_task in found[counts].groupby("task", sort=True):
        if of_task["worth"].isna().all():
            raise UserError(
                f"expected a task that knows what a configuration is worth at the full fidelity, got {task}; compare "
                "by what was seen there (--worth seen)"
            )
    return found


def references(
    jobs: pd.DataFrame, known: Mapping[str, float] | None = None, random: Mapping[str, float] | None = None
) -> dict[str, Reference]:
    """The reference of each task from the jobs of a study (see :func:`worth`), ``known``, the lowest values found
    before by task, and ``random``, the medians of random configurations that stay as they were.

    What violates a constraint is no value. UserError for a task on which random search found none, or on which nothing
    is better than its median."""
    known, random = known or {}, random or {}
    out = {}
    for task, rows in jobs.groupby("task", sort=True):
        task, rows = str(task), rows[rows["worth"].notna()]
        if rows.empty and task in random:
            continue
        of_random = rows.loc[rows["method"] == RANDOM, "worth"]
        if of_random.empty and task not in random:
            raise UserError(f"expected {RANDOM!r} to find something on {task} to measure regret by; run it, or longer")
        best = min(float(rows["worth"].min()), known.get(task, np.inf))
        median = random[task] if task in random else float(of_random.median())
        if not best < median:
            raise UserError(f"expected something better than the median random configuration on {task}, got nothing")
        out[task] = Reference(best, median)
    return out


def steps(jobs: pd.DataFrame, what: Worth) -> pd.DataFrame:
    """Each run's incumbents as a step function: a row where its incumbent changes, and one at its end.

    ``jobs``: with the column of :func:`worth`, by which they count. Columns: task, method, seed; evaluation, credited,
    from_zero, time: what the run has used (:data:`hptbench.results.table.USED`); fidelity, value, worth, test of the
    incumbent, NaN before the first. Jobs count in the order of their end, failed ones and those that violate a
    constraint too."""
    import pandas as pd

    jobs = jobs.loc[jobs["method"] != DEFAULT, [*_RUN, *_NEEDED]].sort_values([*_RUN, "ended", "job"])
    counts = usable(jobs)
    if what == "seen":  # lower fidelities are used up, but nothing that they show counts
        counts &= jobs["worth"].notna().to_numpy()
    stop, values = jobs["stop"].to_numpy(float), jobs["value"].to_numpy(float)
    of_jobs = jobs[["stop", "value", "worth", "test"]].to_numpy(float)
    amounts, names = {name: jobs[name].to_numpy(float) for name in AMOUNTS}, jobs[_RUN]
    first = np.flatnonzero((names != names.shift()).any(axis=1))
    keys = names.iloc[first].itertuples(index=False, name=None)
    columns: dict[str, list[Any]] = {name: [] for name in STEPS}
    for key, begin, end in zip(keys, first, [*first[1:], len(jobs)], strict=True):
        at = incumbent_places(counts[begin:end], stop[begin:end], values[begin:end])
        changed = np.append(at[:1] >= 0, at[1:] != at[:-1])
        changed[-1] = True
        curve = np.where(at[changed, None] < 0, np.nan, of_jobs[begin:end][at[changed]])
        own = {name: column[begin:end] for name, column in amounts.items()}
        use = (used(own, by)[changed] for by in COLUMN_OF)
        for column, part in zip(columns.values(), (*([one] * len(curve) for one in key), *use, *curve.T), strict=True):
            column.extend(part)
    return pd.DataFrame(columns).astype({"seed": "int32", "evaluation": "int32"})


def incumbents(found: pd.DataFrame, axis: Axis) -> dict[tuple[str, str], Floats]:
    """(task, method) -> (seeds, m): what each run's incumbent is worth along ``axis``, in order of seeds; +inf before
    the first. ``found``: see :func:`steps`. A run that ended earlier keeps its incumbent."""
    out: dict[tuple[str, str], list[Floats]] = {}
    use, worths = (found[name].to_numpy(float) for name in (COLUMN_OF[axis.by], "worth"))
    of_runs: dict[Any, Any] = dict(found.groupby(_RUN).indices)
    for (task, method, _), own in sorted(of_runs.items()):
        place = axis.places(use[own])
        values = np.where(place < 0, np.nan, worths[own][place])
        out.setdefault((str(task), str(method)), []).append(np.where(np.isnan(values), np.inf, values))
    return {key: np.stack(runs) for key, runs in out.items()}


def log_regrets(
    found: Mapping[tuple[str, str], Floats], by: Mapping[str, Reference], floor: float = FLOOR
) -> dict[tuple[str, str], Floats]:
    """log10 of the normalised regret of :func:`incumbents`, floored: the same keys and shapes. Before its first
    incumbent a run has the largest regret of its task, or, where no run has one, that of a random configuration."""
    regrets = {
        (task, method): (values - by[task].best) / (by[task].random - by[task].best)
        for (task, method), values in found.items()
    }
    curves = {key: np.log10(np.maximum(regret, floor)) for key, regret in regrets.items()}
    for task in {task for task, _ in curves}:
        of_task = [curve for (name, _), curve in curves.items() if name == task]
        worst = max(
            (float(curve[np.isfinite(curve)].max()) for curve in of_task if np.isfinite(curve).any()), default=0.0
        )
        for curve in of_task:
            curve[~np.isfinite(curve)] = worst
    return curves


@dataclass(frozen=True)
class Standing:
    """Where the methods of a study stand along their runs."""

    axis: Axis
    units: tuple[str, ...]
    methods: tuple[str, ...]
    scores: Floats
    """(m, units, methods): log10 regret, averaged over seeds, then over the tasks of a unit."""

    def after(self, at: float) -> Floats:
        """(units, methods) scores after ``at`` evaluations, or whatever the axis counts."""
        return np.asarray(self.scores[self.axis.index(at)])

    def ranks(self) -> Floats:
        """(m, methods) mean ranks over the units, 1 the best."""
        from hptbench.stats.ranks import mean_ranks

        return np.stack([mean_ranks(scores) for scores in self.scores])


def standing(curves: Mapping[tuple[str, str], Floats], units: Mapping[str, str], axis: Axis) -> Standing:
    """Averages the curves of :func:`log_regrets`; ``units``: the unit of each task; ``axis``: that of the curves.

    UserError, naming what is missing, unless every method has runs on every task."""
    tasks, methods = sorted({task for task, _ in curves}), sorted({method for _, method in curves})
    missing = [f"{method} on {task}" for task in tasks for method in methods if (task, method) not in curves]
    if missing:
        raise UserError(f"expected runs of every method on every task, got none of {', '.join(missing[:8])}; run them")
    means = {key: curve.mean(axis=0) for key, curve in curves.items()}
    names = sorted({units[task] for task in tasks})
    scores = [
        [np.mean([means[task, m] for task in tasks if units[task] == name], axis=0) for m in methods] for name in names
    ]
    return Standing(axis, tuple(names), tuple(methods), np.moveaxis(np.array(scores), 2, 0))
