"""Time to a target, what more workers make of it, and how busy they are.

A run reaches a task's target when what its incumbent is worth is at most the target: as ``seen``, the lowest value at
the full fidelity, as values below it do not compare; or, where the task knows it, what the incumbent's configuration is
worth in ``full`` (:class:`hptbench.results.regret.Axis`). The target is a normalised regret, so one number serves all
tasks.

Runs that never reach it: what they used counts, as expected running time, ERT = (sum over runs of the time until the
target or the run's end) / (runs that reached it); Hansen, Auger, Ros, Mersmann, Tušar & Brockhoff, COCO, Optimization
Methods and Software 36(1), 2021 (arXiv 1603.08785), section 5. It is the mean time to the target of a method that is
begun anew whenever a run ends without; infinite if no run reached it. Runs with different numbers of workers end at
different times, which it takes without a common horizon. A restricted mean does not: it is given beside it, the area
under Kaplan and Meier's curve (JASA 53, 1958) up to the earliest end of a run, within one number of workers.

Speed-up with W workers is ERT with the fewest workers / ERT with W; intervals are percentiles of a bootstrap over runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hptbench.errors import UserError
from hptbench.results.fronts import several
from hptbench.results.regret import Worth, references
from hptbench.results.schema import KEY
from hptbench.results.table import DEFAULT, incumbent_curve
from hptbench.rng import entropy, stream
from hptbench.space import Floats
from hptbench.stats.aggregate import DRAWS
from hptbench.stats.run_lengths import ert, restricted_mean

if TYPE_CHECKING:
    import pandas as pd

_LEVEL = 0.95


def targets(jobs: pd.DataFrame, runs: pd.DataFrame, regret: float) -> dict[str, float]:
    """The value of each task that stands for a normalised regret, 0 < regret < 1. ``jobs``: with the column ``worth``
    of :func:`hptbench.results.regret.worth`. UserError as in :func:`hptbench.results.regret.references`, and for
    several objectives."""
    if not 0 < regret < 1:
        raise UserError(f"expected a target between 0 (the best known value) and 1 (a random one), got {regret}")
    if several(runs).any():
        raise UserError("expected tasks of one objective, got several; choose with --where task=…")
    known = {str(task): float(least) for task, least in runs.groupby("task")["optimum"].min().dropna().items()}
    found = references(jobs, known)
    return {task: one.best + regret * (one.random - one.best) for task, one in found.items()}


def times_to_target(
    jobs: pd.DataFrame, runs: pd.DataFrame, by: Mapping[str, float], what: Worth = "seen"
) -> pd.DataFrame:
    """A row per run on the tasks in ``by`` (task -> target): its key, workers, reached, time (until it first reached
    the target, or until its last job ended; in the run's clock), busy (the share of its workers' time that jobs took,
    until the last one ended). ``jobs``: with the column ``worth`` of :func:`hptbench.results.regret.worth` for
    ``what``."""
    import pandas as pd

    if what == "seen":
        jobs = jobs.assign(status=jobs["status"].where(jobs["worth"].notna(), "failed"))
    runs = runs[(runs["method"] != DEFAULT) & runs["task"].isin(list(by))]
    of_runs = dict(zip(runs[KEY].itertuples(index=False, name=None), runs["workers"], strict=True))
    rows = []
    for key, run in jobs.sort_values(["ended", "job"]).groupby(KEY, sort=True):
        if key not in of_runs:
            continue
        workers, end = int(of_runs[key]), float(run["ended"].max())
        curve = incumbent_curve(run, "time", ("worth",))
        hits = curve.loc[curve["worth"] <= by[str(key[0])], "x"]
        row = {"workers": workers, "reached": len(hits) > 0, "time": float(hits.iloc[0]) if len(hits) else end}
        row["busy"] = float((run["ended"] - run["began"]).sum()) / (workers * end)
        rows.append(dict(zip(KEY, key, strict=True)) | row)
    return pd.DataFrame(rows)


def speedups(times: pd.DataFrame) -> pd.DataFrame:
    """A row per task, method and number of workers of :func:`times_to_target`: runs, reached, ert, restricted (the
    restricted mean) and horizon, busy (mean over runs), speedup with low and high (95 %), efficiency (speed-up
    divided by how many times the fewest workers there are: 1 is ideal).

    Speed-ups are against the fewest workers that the method has on the task; NaN if no run reached the target with
    them, 0 if none does with more. Where a bootstrap sample has no run that reached it, its ERT is infinite."""
    import pandas as pd

    rows = []
    for (task, method), group in times.groupby(["task", "method"], sort=True):
        samples: Floats | None = None
        first, fewest = math.nan, 0
        for workers, of_runs in group.groupby("workers", sort=True):
            of_runs = of_runs.sort_values("seed")
            time, reached = of_runs["time"].to_numpy(float), of_runs["reached"].to_numpy(float)
            rng = stream(entropy("speedup", str(task), str(method), int(str(workers))))
            drawn = rng.integers(len(time), size=(DRAWS, len(time)))
            resampled, mean = ert(time[drawn], reached[drawn]), float(ert(time, reached))
            if samples is None:
                samples, first, fewest = resampled, mean, int(str(workers))
            ratio = first / mean if math.isfinite(first) else math.nan
            low, high = ratio, ratio
            if math.isfinite(first) and int(str(workers)) > fewest:
                low, high = _interval(samples, resampled)
            restricted, horizon = restricted_mean(time, reached)
            rows.append(
                {
                    "task": task, "method": method, "workers": int(str(workers)), "runs": len(time),
                    "reached": int(reached.sum()), "ert": mean, "restricted": restricted, "horizon": horizon,
                    "busy": of_runs["busy"].mean(), "speedup": ratio, "low": low, "high": high,
                    "efficiency": ratio * fewest / int(str(workers)),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _interval(before: Floats, after: Floats) -> tuple[float, float]:
    """Bounds of the ratio of two bootstrapped times; infinite where the first one is in too many samples."""
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isinf(before), np.inf, before / after)
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(ratio, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def over_tasks(table: pd.DataFrame) -> pd.DataFrame:
    """A row per method and number of workers of :func:`speedups`: the geometric mean of the speed-ups over the tasks
    on which every number of workers of the method reached the target (tasks), of all (of); efficiency; mean busy, over
    all tasks. NaN speed-ups: there is no such task."""
    import pandas as pd

    rows = []
    for method, group in table.groupby("method", sort=True):
        every, fewest = group["workers"].nunique(), group["workers"].min()
        found = group[np.isfinite(group["speedup"]) & (group["speedup"] > 0)]
        whole = found[found.groupby("task")["workers"].transform("nunique") == every]
        for workers, of_workers in group.groupby("workers", sort=True):
            mean = float(np.exp(np.log(whole.loc[whole["workers"] == workers, "speedup"]).mean()))
            rows.append(
                {
                    "method": method, "workers": int(str(workers)), "tasks": whole["task"].nunique(),
                    "of": group["task"].nunique(), "speedup": mean, "efficiency": mean * fewest / int(str(workers)),
                    "busy": of_workers["busy"].mean(),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)
