"""Time to a target, what more workers make of it, and how busy they are.

A run reaches a task's target when a job at the full fidelity ends whose value is at most the target: values below it do
not compare. The target is a normalised regret (:mod:`hptbench.results.regret`), so one number serves all tasks; best
known and median random value are those of the full fidelity, too.

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
from hptbench.results.fronts import several, usable
from hptbench.results.regret import Reference, references
from hptbench.results.table import DEFAULT
from hptbench.rng import entropy, stream
from hptbench.space import Floats

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 1000
_KEY = ["task", "method", "seed", "run"]
_LEVEL = 0.95


def full_fidelity(jobs: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The jobs that ended at their task's full fidelity."""
    high = jobs["task"].map(runs.drop_duplicates("task").set_index("task")["high"])
    return jobs[jobs["stop"] == high]


def targets(jobs: pd.DataFrame, runs: pd.DataFrame, regret: float) -> dict[str, float]:
    """The value of each task that stands for a normalised regret, 0 < regret < 1. UserError as in
    :func:`hptbench.results.regret.references`, and for several objectives."""
    if not 0 < regret < 1:
        raise UserError(f"expected a target between 0 (the best known value) and 1 (a random one), got {regret}")
    if several(runs).any():
        raise UserError("expected tasks of one objective, got several; choose with --where task=…")
    found: Mapping[str, Reference] = references(full_fidelity(jobs, runs))
    return {task: one.best + regret * (one.random - one.best) for task, one in found.items()}


def times_to_target(jobs: pd.DataFrame, runs: pd.DataFrame, by: Mapping[str, float]) -> pd.DataFrame:
    """A row per run on the tasks in ``by`` (task -> target): its key, workers, reached, time (until it reached the
    target, or until its last job ended), busy (the share of its workers' time until then that jobs took; of a run that
    goes on after the target, too), all in the run's clock."""
    import pandas as pd

    of_runs = runs[(runs["method"] != DEFAULT) & runs["task"].isin(list(by))]
    full = full_fidelity(jobs, runs)
    hits = full[usable(full) & (full["value"] <= full["task"].map(by))].groupby(_KEY)["ended"].min()
    worked = (jobs["ended"] - jobs["began"]).groupby([jobs[name] for name in _KEY]).sum()
    ends = jobs.groupby(_KEY)["ended"].max()
    rows = []
    for key, workers in zip(of_runs[_KEY].itertuples(index=False, name=None), of_runs["workers"], strict=True):
        end = float(ends.get(key, 0.0))
        time = float(hits.get(key, math.nan))
        row = dict(zip(_KEY, key, strict=True)) | {"workers": int(workers), "reached": not math.isnan(time)}
        busy = float(worked.get(key, 0.0)) / (workers * end) if end else math.nan
        rows.append(row | {"time": end if math.isnan(time) else time, "busy": busy})
    return pd.DataFrame(rows, columns=[*_KEY, "workers", "reached", "time", "busy"])


def ert(time: Floats, reached: Floats) -> Floats:
    """Expected running time over the last axis (…, runs); inf where none reached the target."""
    with np.errstate(divide="ignore"):
        return np.asarray(time.sum(axis=-1) / reached.sum(axis=-1))


def restricted_mean(time: Floats, reached: Floats) -> tuple[float, float]:
    """(mean time to the target up to a horizon, the horizon): the area under Kaplan and Meier's curve of the times
    (runs,) up to the earliest end of a run that did not reach it, or the latest time if all did."""
    ended = time[~reached.astype(bool)]
    horizon = float(ended.min() if len(ended) else time.max())
    area, alive, at = 0.0, 1.0, 0.0
    for moment in np.unique(time[reached.astype(bool) & (time <= horizon)]):
        area += alive * (moment - at)
        at = float(moment)
        alive *= 1 - ((time == moment) & reached.astype(bool)).sum() / (time >= moment).sum()
    return area + alive * (horizon - at), horizon


def speedups(times: pd.DataFrame) -> pd.DataFrame:
    """A row per task, method and number of workers of :func:`times_to_target`: runs, reached, ert, restricted (the
    restricted mean) and horizon, busy (mean over runs), speedup with low and high (95 %), efficiency (speed-up per
    additional worker: 1 is ideal).

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
            drawn = rng.integers(len(time), size=(RESAMPLES, len(time)))
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
