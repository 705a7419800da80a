"""Tables of a comparison, made from the jobs and runs of a study (columns: ``schema.py``).

The incumbent of a run is the configuration it recommends. It is chosen by validation alone: highest
fidelity first (values at different fidelities do not compare; so does SMAC's ``highest_observed_budget``), then
lowest value, then earliest end; a configuration that violates a constraint is none. Test scores only tell what it is
worth.

On tasks of several objectives a run recommends a front instead, whose score is its hypervolume regret
(:mod:`hptbench.results.fronts`); all that follows is the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown
from hptbench.results.fronts import REGRET, Fronts, usable
from hptbench.results.schema import KEY, Measure
from hptbench.space import Mask
from hptbench.stats.intervals import Array, t_interval

if TYPE_CHECKING:
    import pandas as pd

Accounting = Literal["evaluations", "credited", "from_zero", "time"]
USED: Mapping[Accounting, str] = {
    "evaluations": "evaluations",
    "credited": "full evaluations consumed",
    "from_zero": "full evaluations, each training from zero",
    "time": "time of the run",
}
"""In words, what is used up along a run."""
CLOCK_UNITS = {"units": "full evaluations", "cost": "s", "live": "s"}
"""Of a run's time, by its clock."""
Anchor = Literal["default", "none"]
Missing = Literal["refuse", "drop", "worst"]
"""What becomes of missing scores: an error that names them; their units are left out, by name; or they count as the
worst that anyone has on the task, by name."""
DEFAULT, RANDOM = "default", "random"
"""Labels of the reference methods: the default configuration, and random search."""

_COLUMN = {"test": "test", "validation": "value"}
_REMEDY = {"test": "compare with --measure validation", "validation": "no job succeeded: see the jobs' messages"}
_SHOWN = 8
"""Runs named in an error."""


def incumbent_curve(
    jobs: pd.DataFrame, accounting: Accounting = "credited", columns: Sequence[str] = ("value", "test")
) -> pd.DataFrame:
    """The incumbent of one run after each of its jobs, a step function: x and ``columns``.

    x is what the run has used when the job ends: ``evaluations``, whatever their fidelity; full evaluations with
    continued trainings ``credited``, or every training counted ``from_zero``; or the run's ``time`` in its clock. The
    columns are NaN until a job succeeds. With several fidelities the value may rise: when a higher
    fidelity is first reached, what was seen at lower ones no longer counts."""
    import pandas as pd

    at = incumbent_places(usable(jobs), jobs["stop"].to_numpy(float), jobs["value"].to_numpy(float))
    of_best = {column: np.where(at < 0, np.nan, jobs[column].to_numpy(float)[at]) for column in columns}
    return pd.DataFrame({"x": used(jobs, accounting)} | of_best)


def incumbent_places(counts: Mask, stop: Array, value: Array) -> NDArray[np.intp]:
    """(jobs,) the place of the incumbent after each job of one run, -1 before the first; ``counts``: whether a job can
    be one."""
    at = np.full(len(value), -1)
    best, highest, lowest = -1, -np.inf, np.inf
    places = np.flatnonzero(counts)
    for i, level, new in zip(places.tolist(), stop[places].tolist(), value[places].tolist(), strict=True):
        if best < 0 or level > highest or (level == highest and new < lowest):
            best, highest, lowest = i, level, new
            at[i:] = i
    return at


AMOUNTS = ("units", "units_from_zero", "ended")
"""Columns of jobs by which :func:`used` counts."""


def used(jobs: pd.DataFrame | Mapping[str, Array], accounting: Accounting) -> Array:
    """(jobs,) what one run has used when each of its jobs ends, by its columns units, units_from_zero and ended."""
    if accounting == "evaluations":
        return np.arange(1.0, len(jobs["ended"]) + 1)
    columns = {"credited": "units", "from_zero": "units_from_zero", "time": "ended"}
    if accounting not in columns:
        raise unknown("accounting", accounting, ["evaluations", *columns])
    x = np.asarray(jobs[columns[accounting]], dtype=np.float64)
    return x if accounting == "time" else np.cumsum(x)


def mean_curves(
    jobs: pd.DataFrame, runs: pd.DataFrame, accounting: Accounting = "credited", measure: Measure = "test"
) -> pd.DataFrame:
    """Anytime curves averaged over seeds: columns task, method, x, mean, low, high (95 % t interval),
    seeds; a step function with a row per change.

    A curve starts where every seed has an incumbent (with several objectives: ended a job), and goes to the longest
    run's end: a run that has ended keeps its incumbent. Runs without any incumbent are left out (``final_table``
    counts them)."""
    import pandas as pd

    column = _column(measure)
    fronts = Fronts(jobs, runs)
    amounts, counts = {name: jobs[name].to_numpy(float) for name in AMOUNTS}, usable(jobs)
    stop, value, score = (jobs[name].to_numpy(float) for name in ("stop", "value", column))
    curves: dict[tuple[str, str], list[tuple[Array, Array]]] = {}
    of_runs: dict[Any, Any] = dict(jobs.groupby(KEY).indices)
    for key, own in sorted(of_runs.items()):
        x = used({name: column[own] for name, column in amounts.items()}, accounting)
        if key in fronts:
            seen, worth = fronts.regret(key, "validation"), fronts.regret(key, measure)
        else:
            at = incumbent_places(counts[own], stop[own], value[own])
            seen, worth = (np.where(at < 0, np.nan, of_jobs[own][at]) for of_jobs in (value, score))
        if (there := ~np.isnan(seen)).any():
            curves.setdefault((key[0], key[1]), []).append((x[there], worth[there]))
    frames = []
    for (task, method), of_seeds in curves.items():
        grid = np.unique(np.concatenate([x for x, _ in of_seeds]))
        grid = grid[grid >= max(x[0] for x, _ in of_seeds)]
        values = np.stack([worth[np.searchsorted(x, grid, side="right") - 1] for x, worth in of_seeds])
        keep = np.ones(len(grid), dtype=bool)
        keep[1:-1] = (np.diff(values, axis=1) != 0).any(axis=0)[:-1]
        mean, low, high = t_interval(values[:, keep])
        rows = {"task": task, "method": method, "x": grid[keep], "mean": mean, "low": low, "high": high}
        frames.append(pd.DataFrame(rows | {"seeds": len(of_seeds)}))
    if all(frame["mean"].isna().all() for frame in frames):
        raise UserError(f"expected {measure} scores, got none; {_REMEDY[measure]}")
    return pd.concat(frames, ignore_index=True)


def final_table(
    jobs: pd.DataFrame, runs: pd.DataFrame, measure: Measure = "test", best: pd.DataFrame | None = None
) -> pd.DataFrame:
    """What each method's incumbents are worth: a row per task and method, in the order of names. ``best``: what
    :func:`per_run` makes of these jobs and runs, if it is there already.

    unit, objective (``hypervolume regret`` where there are several); runs: finished runs, of expected (a run for every
    seed in ``runs``); without: runs that recommend nothing, since all their jobs failed or violated a constraint: they
    are in no mean, so a row with any is too good; below: runs whose incumbent is below the full fidelity, so that its
    validation does not compare; jobs, failed: counts; validation and test: mean over seeds, NaN if a recommended
    configuration has no finite score, each with _low and _high, its 95 % t interval (NaN with one seed); default,
    random: mean ``measure`` of that reference over the seeds that both it and the row's method have, NaN without any;
    minus_default, minus_random: the row's mean over the same seeds less the reference's (negative: better)."""
    import pandas as pd

    column = _column(measure)
    best = per_run(jobs, runs) if best is None else best
    seeds, methods = best["seed"].nunique(), sorted(best["method"].unique())
    of = {name: best[name].to_numpy() for name in best.columns}
    of_methods: dict[Any, Any] = dict(best.groupby(["task", "method"]).indices)
    rows = []
    for task, on_task in sorted(best.groupby("task").indices.items()):
        scored: dict[str, dict[int, float]] = {}
        for i in on_task:
            if not math.isnan(score := float(of[column][i])):
                scored.setdefault(of["method"][i], {})[int(of["seed"][i])] = score
        for method in methods:
            at = of_methods.get((task, method), np.empty(0, dtype=np.intp))
            found = ~np.isnan(of["value"][at])
            row = {
                "task": task,
                "unit": of["unit"][on_task[0]],
                "objective": of["objective"][on_task[0]],
                "method": method,
                "runs": len(at),
                "expected": seeds,
                "without": int((~found).sum()),
                "below": int((of["stop"][at] < of["high"][at]).sum()),
                "jobs": int(of["jobs"][at].sum()),
                "failed": int(of["failed"][at].sum()),
            }
            for name in ("validation", "test"):
                values = of[_column(name)][at][found]
                mean, low, high = t_interval(values) if len(values) else (np.nan, np.nan, np.nan)
                row |= {name: float(mean), f"{name}_low": float(low), f"{name}_high": float(high)}
            for name in (DEFAULT, RANDOM):
                own, reference = (scored.get(m, {}) for m in (method, name))
                both = sorted(own.keys() & reference.keys())
                of_own, of_reference = (float(np.mean([one[seed] for seed in both])) if both else math.nan
                                        for one in (own, reference))  # fmt: skip
                row |= {name: of_reference, f"minus_{name}": of_own - of_reference}
            rows.append(row)
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Scores:
    """What the tests over data sets take, and how it was made."""

    matrix: pd.DataFrame
    """(units, methods): mean score of the incumbents, lower is better; no NaN."""
    measure: Measure
    anchor: Anchor
    by_seed: Array
    """(units, methods, seeds): the same before seeds are averaged."""
    tasks: pd.DataFrame
    """(unit and task, methods): the same before tasks are averaged."""
    dropped: tuple[str, ...] = ()
    """Units left out because a score is missing."""
    filled: tuple[str, ...] = ()
    """Runs without a score that count as the worst of their task."""
    kind: str = "loss"
    """Of what: a loss, or the hypervolume regret of several objectives, or either."""

    @property
    def name(self) -> str:
        """What a score is, in words."""
        loss = f"{self.measure} {self.kind}"
        return loss if self.anchor == "none" else f"normalised {loss} (default configuration = 1)"


def scores(
    jobs: pd.DataFrame,
    runs: pd.DataFrame,
    measure: Measure = "test",
    anchor: Anchor = "default",
    missing: Missing = "refuse",
    best: pd.DataFrame | None = None,
) -> Scores:
    """The score of each method on each unit: its incumbents' ``measure``, averaged over seeds, then
    divided by the default configuration's on the same task (anchor ``default``), then averaged over the
    unit's tasks, which are not independent. ``best``: as in :func:`final_table`.

    Every method needs a run whose incumbent has a finite score for every seed of every task. UserError names
    what is missing, unless ``missing`` says what becomes of it. UserError too if
    validation is asked for and an incumbent is below the full fidelity (test scores are of whatever model is
    recommended), if a task's default score is not above 0, or if without an anchor a unit's tasks have
    different objectives."""
    column = _column(measure)
    if anchor not in ("default", "none"):
        raise unknown("anchor", anchor, ("default", "none"))
    best = per_run(jobs, runs) if best is None else best
    methods = sorted(best["method"].unique())
    if anchor == "default" and DEFAULT not in methods:
        raise UserError(
            f"expected runs of the method {DEFAULT!r} to normalise by, got only {', '.join(methods)}; "
            "run it too, or compare with --anchor none"
        )
    if best[column].isna().all():
        raise UserError(f"expected {measure} scores, got none; {_REMEDY[measure]}")
    gaps = _gaps(best, column, methods)
    if gaps and missing == "refuse":
        raise UserError(
            f"expected a score of every method for every task and seed, got no finite {measure} score of "
            f"{_named(key for _, *key in gaps)}; finish these runs or see their jobs' messages, "
            "or compare with --missing drop to leave their data sets out, or --missing worst to count them as the "
            "worst of their task"
        )
    dropped = tuple(sorted({unit for unit, *_ in gaps})) if missing == "drop" else ()
    best = best[~best["unit"].isin(dropped)]
    if best.empty:
        raise UserError(f"expected at least one complete data set, but each of {', '.join(dropped)} lacks a score")
    below = best.loc[best["stop"] < best["high"], KEY[:3]]
    if measure == "validation" and len(below):
        raise UserError(
            f"expected incumbents trained to the full fidelity, got lower ones of "
            f"{_named(below.itertuples(index=False))}, whose validation does not compare; "
            "compare with --measure test, or run with a larger budget"
        )
    values = _grid(best, column, methods)
    tasks = values.groupby(["unit", "task", "method"]).mean().unstack("method")
    if anchor == "default":
        bad = tasks.index[~(tasks[DEFAULT] > 0)].get_level_values("task")
        if len(bad):
            raise UserError(
                f"expected the default configuration to score above 0 to normalise by it, got "
                f"{tasks[DEFAULT].xs(bad[0], level='task').iloc[0]:g} on {bad[0]}; "
                "compare with --anchor none"
            )
        values = values.div(tasks[DEFAULT])  # by the levels unit and task
        tasks = tasks.div(tasks[DEFAULT], axis=0)
    else:
        objectives = best.groupby("unit")["objective"].nunique()
        if (objectives > 1).any():
            raise UserError(
                f"the tasks of {objectives.idxmax()} have different objectives, whose scores cannot be averaged; "
                "compare with --anchor default, or tasks of one objective; or compare them by regret: "
                "python -m hptbench publish"
            )
    matrix = tasks.groupby("unit").mean()
    means = np.asarray(values.groupby(["unit", "method", "seed"]).mean(), dtype=np.float64)
    by_seed: Array = np.asarray(means.reshape(*matrix.shape, -1))
    filled = tuple(_run(key) for _, *key in gaps) if missing == "worst" else ()
    return Scores(matrix, measure, anchor, by_seed, tasks, dropped, filled, kind_of(best["objective"]))


def until(jobs: pd.DataFrame, at: float, by: Accounting) -> pd.DataFrame:
    """What of ``jobs`` had ended when their run had used ``at``, by ``by``."""
    import pandas as pd

    ordered = jobs.sort_values(["ended", "job"])
    parts = [run[used(run, by) <= at * (1 + 1e-9)] for _, run in ordered.groupby(KEY, sort=False)]
    return pd.concat(parts).sort_index()


def _grid(best: pd.DataFrame, column: str, methods: Sequence[str]) -> pd.Series[float]:
    """(unit, task, method, seed) -> score, complete and sorted; what is missing is the worst of its task."""
    import pandas as pd

    tasks, seeds = best[["unit", "task"]].drop_duplicates(), sorted(best["seed"].unique())
    rows = [(unit, task, m, s) for unit, task in tasks.itertuples(index=False) for m in methods for s in seeds]
    names = ["unit", "task", "method", "seed"]
    values = best.set_index(names)[column].reindex(pd.MultiIndex.from_tuples(rows, names=names)).sort_index()
    values = values.fillna(values.groupby("task").transform("max"))
    if values.isna().any():
        nobody = sorted(set(values.index[values.isna()].get_level_values("task")))
        raise UserError(
            f"expected a score of someone on each task, got none on {', '.join(nobody)}; compare with --missing drop"
        )
    return values


def kind_of(objectives: Iterable[str]) -> str:
    """What scores of these objectives are, in one word or a few."""
    kinds = {objective if objective == REGRET else "loss" for objective in objectives}
    return " or ".join(sorted(kinds, reverse=True))


def _incumbents(jobs: pd.DataFrame) -> pd.DataFrame:
    """The incumbent's row of every run that has one."""
    ok = jobs[[*KEY, "stop", "value", "test"]][usable(jobs)]
    ranked = ok.iloc[np.lexsort((np.arange(len(ok)), ok["value"].to_numpy(float), -ok["stop"].to_numpy(float)))]
    return ranked.drop_duplicates(KEY)


def per_run(jobs: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """A row per run: its key, unit, objective, full fidelity ``high``, counts of jobs and failed ones, the
    incumbent's fidelity ``stop``, value and test (NaN if it has none, or no finite one). With several objectives: the
    regrets of the front."""
    if runs.empty:
        raise UserError("expected at least one finished run, got none; run the study first")
    twice = runs[runs.duplicated(KEY[:3], keep=False)]
    if len(twice):
        raise UserError(
            "expected one run for each task, method and seed, got several: "
            f"{', '.join('/'.join(map(str, row)) for row in twice[KEY].head(4).itertuples(index=False))}; "
            "compare runs of one protocol"
        )
    of_best = ["stop", "value", "test"]
    best = _incumbents(jobs)[[*KEY, *of_best]].astype(dict.fromkeys(of_best, float)).replace([np.inf, -np.inf], np.nan)
    failed = jobs[KEY].assign(failed=jobs["status"] != "ok")
    counts = failed.groupby(KEY)["failed"].agg(jobs="size", failed="sum")
    table = runs[[*KEY, "unit", "objective", "high"]].merge(counts.reset_index(), how="left", on=KEY)
    table = table.fillna({"jobs": 0, "failed": 0}).merge(best, how="left", on=KEY)
    fronts = Fronts(jobs, runs)
    for i, key in zip(table.index, table[KEY].itertuples(index=False, name=None), strict=True):
        if key in fronts:
            table.loc[i, ["objective", "stop"]] = REGRET, table.loc[i, "high"]
            table.loc[i, ["value", "test"]] = fronts.final(key, "validation"), fronts.final(key, "test")
    return table


def _gaps(best: pd.DataFrame, column: str, methods: Sequence[str]) -> list[tuple[str, str, str, int]]:
    """(unit, task, method, seed) of what has no finite score, of all that there should be."""
    have = {tuple(row) for row in best[best[column].notna()][KEY[:3]].itertuples(index=False)}
    seeds = sorted(best["seed"].unique())
    tasks = best[["unit", "task"]].drop_duplicates().sort_values(["unit", "task"]).itertuples(index=False)
    return [
        (unit, task, method, int(seed))
        for unit, task in tasks
        for method in methods
        for seed in seeds
        if (task, method, seed) not in have
    ]


def _named(keys: Iterable[Sequence[object]]) -> str:
    """The first of some runs, given as (task, method, seed)."""
    names = [_run(key) for key in keys]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _run(key: Sequence[object]) -> str:
    task, method, seed = key
    return f"{task}/{method} seed {seed}"


def _column(measure: str) -> str:
    if measure not in _COLUMN:
        raise unknown("measure", measure, _COLUMN)
    return _COLUMN[measure]
