"""Normalised regret over evaluations: methods compared on problems whose values have nothing in common.

The regret of a run after t evaluations is (v - b) / (r - b): v its incumbent's validation value; b the lowest value
that any job of the study found on the task, all methods and seeds together, or a lower one that is known: the optimum,
where the task knows it, or what was found before; r the median of what random search evaluated there. So 0 is the best
that is known, 1 a random configuration. References from random search alone would give negative regrets (YAHPO). Where
the optimum is not known, the run that found b has the regret 0, which favours its method; where it is known and nobody
comes near, no run has.

What is averaged is the logarithm of the regret, floored at :data:`FLOOR`: below it differences do not count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hptbench.errors import UserError
from hptbench.results.fronts import usable
from hptbench.results.table import DEFAULT, RANDOM
from hptbench.space import Floats

if TYPE_CHECKING:
    import pandas as pd

FLOOR = 1e-4
"""Least regret that counts."""


@dataclass(frozen=True)
class Reference:
    """What the values of a task are measured by."""

    best: float
    """b, the lowest value known."""
    random: float
    """r, the median value of random configurations."""


def references(jobs: pd.DataFrame, known: Mapping[str, float] | None = None) -> dict[str, Reference]:
    """The reference of each task from the jobs of a study, and ``known``, the lowest values found before by task.

    What violates a constraint is no value. UserError for a task on which random search found none, or on which nothing
    is better than its median."""
    ok = jobs[usable(jobs) & jobs["value"].notna()]
    out = {}
    for task, rows in ok.groupby("task", sort=True):
        random = rows.loc[rows["method"] == RANDOM, "value"]
        if random.empty:
            raise UserError(f"expected {RANDOM!r} to find something on {task} to measure regret by; run it, or longer")
        best = min(float(rows["value"].min()), (known or {}).get(str(task), np.inf))
        if not best < random.median():
            raise UserError(f"expected something better than the median random configuration on {task}, got nothing")
        out[str(task)] = Reference(best, float(random.median()))
    return out


def incumbents(jobs: pd.DataFrame, evaluations: int) -> dict[tuple[str, str], Floats]:
    """(task, method) -> (seeds, evaluations): the value of each run's incumbent after 1, 2, … evaluations, in order of
    seeds; +inf before the first.

    Jobs count in the order of their end, failed ones and those that violate a constraint too. A run that ended earlier
    keeps its incumbent."""
    out: dict[tuple[str, str], list[Floats]] = {}
    jobs = jobs.assign(found=np.where(usable(jobs), jobs["value"].to_numpy(float), np.inf))
    for (task, method, _), run in jobs[jobs["method"] != DEFAULT].groupby(["task", "method", "seed"], sort=True):
        values = np.fmin.accumulate(run.sort_values(["ended", "job"])["found"].to_numpy()[:evaluations])
        values = np.concatenate([values, np.full(evaluations - len(values), values[-1])])
        out.setdefault((str(task), str(method)), []).append(values)
    return {key: np.stack(runs) for key, runs in out.items()}


def log_regrets(
    found: Mapping[tuple[str, str], Floats], by: Mapping[str, Reference], floor: float = FLOOR
) -> dict[tuple[str, str], Floats]:
    """log10 of the normalised regret of :func:`incumbents`, floored: the same keys and shapes. Before its first
    incumbent a run has the largest regret of its task."""
    regrets = {
        (task, method): (values - by[task].best) / (by[task].random - by[task].best)
        for (task, method), values in found.items()
    }
    curves = {key: np.log10(np.maximum(regret, floor)) for key, regret in regrets.items()}
    for task in {task for task, _ in curves}:
        of_task = [curve for (name, _), curve in curves.items() if name == task]
        worst = max(float(curve[np.isfinite(curve)].max()) for curve in of_task if np.isfinite(curve).any())
        for curve in of_task:
            curve[~np.isfinite(curve)] = worst
    return curves


@dataclass(frozen=True)
class Standing:
    """Where the methods of a study stand after each number of evaluations."""

    units: tuple[str, ...]
    methods: tuple[str, ...]
    scores: Floats
    """(evaluations, units, methods): log10 regret, averaged over seeds, then over the tasks of a unit."""

    def ranks(self) -> Floats:
        """(evaluations, methods) mean ranks over the units, 1 the best."""
        from hptbench.stats.ranks import mean_ranks

        return np.stack([mean_ranks(scores) for scores in self.scores])


def standing(curves: Mapping[tuple[str, str], Floats], units: Mapping[str, str]) -> Standing:
    """Averages the curves of :func:`log_regrets`; ``units``: the unit of each task.

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
    return Standing(tuple(names), tuple(methods), np.moveaxis(np.array(scores), 2, 0))
