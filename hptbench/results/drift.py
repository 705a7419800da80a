"""Tuning while data arrive: what is deployed block after block, from the jobs and runs of a study.

The tables of ``table.py`` take a run's incumbent at the highest fidelity, which on drifting tasks is the last block
alone. Here a run deploys in every block: the best configuration by validation within that block, worth its hidden score
on the next block. The measure of a run is the mean over all blocks: the prequential loss, with a block as the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hptbench.results.schema import KEY
from hptbench.stats.intervals import Array, t_interval

if TYPE_CHECKING:
    import pandas as pd

UNIT = "block"
"""The fidelity's unit of drifting tasks."""


def deployed(jobs: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """What each run on a drifting task deployed: a row per run and block 1 .. B; columns task, unit, objective, method,
    seed, run, block, value (validation), test (the next block's score, NaN where no job of the block succeeded or its
    score is not finite).

    Ties in validation go to the job that ended first, as everywhere."""
    import pandas as pd

    runs = runs[runs["fidelity_unit"] == UNIT]
    times = runs["high"].to_numpy(int)
    grid = runs.loc[runs.index.repeat(times), ["task", "unit", "objective", "method", "seed", "run"]]
    grid = grid.assign(block=np.concatenate([np.arange(1, n + 1) for n in times] or [np.arange(0)]))
    ok = jobs[(jobs["status"] == "ok") & jobs["task"].isin(runs["task"])]
    best = ok.iloc[np.lexsort((np.arange(len(ok)), ok["value"].to_numpy(float)))].drop_duplicates([*KEY, "stop"])
    best = best[[*KEY, "value", "test"]].assign(block=best["stop"].astype(int))
    rows: pd.DataFrame = grid.merge(best, how="left", on=[*KEY, "block"])
    rows[["value", "test"]] = rows[["value", "test"]].astype(float).replace([np.inf, -np.inf], np.nan)
    return pd.DataFrame(rows.sort_values([*KEY, "block"], ignore_index=True))


def complete(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`deployed` of those methods that, on a task, deploy in every block of every run: a mean over
    some blocks does not compare."""
    keep = rows["test"].notna().groupby([rows["task"], rows["method"]]).transform("all")
    return rows.loc[keep.to_numpy(bool)]


def block_curves(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`complete`, averaged over seeds: task, method, block, mean, low, high (95 % t interval of the
    mean test score), seeds."""
    import pandas as pd

    out = []
    for (task, method), group in rows.groupby(["task", "method"], sort=True):
        wide = group.pivot(index="seed", columns="block", values="test")
        mean, low, high = t_interval(wide.to_numpy(float))
        columns = {"block": wide.columns.to_numpy(int), "mean": mean, "low": low, "high": high, "seeds": len(wide)}
        out.append(pd.DataFrame({"task": task, "method": method} | columns))
    return pd.concat(out, ignore_index=True)


def drift_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The deployed loss of the rows of :func:`complete`: a row per task and method, in the order of names.

    task, unit, objective, method, runs; validation and test: mean over blocks, then over seeds, each with _low and
    _high, its 95 % t interval over seeds (NaN with one)."""
    import pandas as pd

    out = []
    for (task, method), group in rows.groupby(["task", "method"], sort=True):
        means = group.groupby("seed")[["value", "test"]].mean()
        row = {"task": task, "method": method, "unit": group["unit"].iloc[0], "objective": group["objective"].iloc[0]}
        row |= {"runs": len(means)}
        out.append(row | _named("validation", means["value"].to_numpy()) | _named("test", means["test"].to_numpy()))
    return pd.DataFrame(out)


def differences(rows: pd.DataFrame) -> pd.DataFrame:
    """How much two methods differ, paired by seed: a row per task and pair of methods in the order of names.

    task, first, second, seeds (that both have); minus: the mean over seeds of the first's deployed loss less the
    second's (negative: the first is better), with minus_low and minus_high, its 95 % t interval."""
    import pandas as pd

    out = []
    for task, on_task in rows.groupby("task", sort=True):
        wide = on_task.groupby(["seed", "method"])["test"].mean().unstack("method")
        for i, first in enumerate(wide.columns):
            for second in wide.columns[i + 1 :]:
                minus = (wide[first] - wide[second]).dropna().to_numpy()
                out.append(
                    {"task": task, "first": first, "second": second, "seeds": len(minus)} | _named("minus", minus)
                )
    return pd.DataFrame(out, columns=["task", "first", "second", "seeds", "minus", "minus_low", "minus_high"])


def unit_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """(units, methods): deployed losses for tests over data sets; no NaN.

    Averaged over seeds, divided by the mean of all the methods' on the same task, averaged over the tasks of a unit.
    Methods that are not complete on every task are left out."""
    means = rows.groupby(["unit", "task", "method"])["test"].mean().unstack("method").dropna(axis=1)
    return means.div(means.mean(axis=1), axis=0).groupby("unit").mean()


def _named(name: str, values: Array) -> dict[str, float]:
    mean, low, high = t_interval(values) if len(values) else (np.nan, np.nan, np.nan)
    return {name: float(mean), f"{name}_low": float(low), f"{name}_high": float(high)}
