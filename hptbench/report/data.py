"""What all parts of a report look at: a study, as its reader chose to see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hptbench.errors import UserError
from hptbench.results.claims import Results, results
from hptbench.results.collect import Study
from hptbench.results.comparison import Comparison, compared, overtuned
from hptbench.results.drift import complete, deployed
from hptbench.results.fronts import REGRET, Fronts, several, usable
from hptbench.results.registered import registered
from hptbench.results.regret import Axis, evaluations
from hptbench.results.schema import KEY, Measure
from hptbench.results.table import DEFAULT, Accounting, Anchor, Missing, final_table, per_run
from hptbench.results.warm import warm_started
from hptbench.space import Floats, Space, from_json
from hptbench.stats.overtuning import Overtuning

if TYPE_CHECKING:
    import pandas as pd

_SPAN, _POINTS = 1000, 200
"""Of curves on a logarithmic axis: from at most a 1000th of its end, so many points."""


@dataclass(frozen=True)
class Data:
    """A study with at least one finished run, and what is made of it; raises UserError where that cannot be made."""

    study: Study
    measure: Measure = "test"
    accounting: Accounting = "credited"
    missing: Missing = "drop"
    rope: float | None = None
    unequal: tuple[str, ...] = ()
    """Parts of the protocol that may differ."""
    where: tuple[str, ...] = ()
    """Conditions by which the runs of ``study`` were chosen."""

    @property
    def jobs(self) -> pd.DataFrame:
        """Of finished runs."""
        return self.study.jobs

    @property
    def runs(self) -> pd.DataFrame:
        """Finished runs."""
        return self.study.runs

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Without the default configuration; their order gives their colours in all figures."""
        return tuple(m for m in sorted(self.runs["method"].unique()) if m != DEFAULT)

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """In the order of their names."""
        return tuple(sorted(self.runs["task"].unique()))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Of all runs together."""
        return tuple(sorted(self.runs["seed"].unique().tolist()))

    @cached_property
    def objectives(self) -> Mapping[str, str]:
        """What each task is measured by."""
        names = np.where(several(self.runs), REGRET, self.runs["objective"])
        return dict(zip(self.runs["task"], names.tolist(), strict=True))

    @cached_property
    def first_objective(self) -> Mapping[str, str]:
        """The name of each task's first objective."""
        return dict(zip(self.runs["task"], self.runs["objective"], strict=True))

    @cached_property
    def fronts(self) -> Fronts:
        """Of tasks of several objectives."""
        return Fronts(self.jobs, self.runs)

    @cached_property
    def table(self) -> pd.DataFrame:
        """:func:`hptbench.results.table.final_table`."""
        return final_table(self.jobs, self.runs, self.measure, self.best)

    @cached_property
    def best(self) -> pd.DataFrame:
        """:func:`hptbench.results.table.per_run`."""
        return per_run(self.jobs, self.runs)

    @cached_property
    def drifting(self) -> tuple[str, ...]:
        """Tasks of drifting data that some method tunes in every block: their incumbents do not compare, what was
        deployed does (``compare`` shows it)."""
        return tuple(sorted(set(complete(deployed(self.jobs, self.runs))["task"])))

    @cached_property
    def _compared(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Jobs and runs of the other tasks."""
        if not self.drifting:
            return self.jobs, self.runs
        jobs, runs = (frame[~frame["task"].isin(self.drifting)] for frame in (self.jobs, self.runs))
        if runs.empty:
            raise UserError("all tasks are of drifting data, which `compare` judges by what was deployed")
        return jobs, runs

    @cached_property
    def found(self) -> Results:
        """Normalised regrets along the runs, by validation; without the tasks of drifting data."""
        jobs, kept = self._compared
        known = {str(task): float(least) for task, least in kept.groupby("task")["optimum"].min().dropna().items()}
        return results(jobs, kept, {task: task for task in kept["task"]}, known, self.axis)

    @cached_property
    def axis(self) -> Axis:
        """Along what regrets are followed: evaluations, if all are full ones, else training. Where tasks do not know
        what a configuration trained in part is worth, what was seen at the full fidelity counts."""
        jobs = self.jobs[self.jobs["method"] != DEFAULT]
        high = self.runs.groupby("task")["high"].max()
        if (jobs["stop"] >= jobs["task"].map(high)).all():
            return evaluations(int(self.runs["jobs"].max()))
        first = jobs[usable(jobs)].drop_duplicates("task")["hidden"]
        full = all("value" in json.loads(text) for text in first)
        used = jobs.groupby(KEY)["units"].agg(["first", "sum"])  # of a run: its first job, and all of it
        last = float(used["sum"].max())
        at = np.geomspace(max(float(used["first"].min()), last / _SPAN), last, _POINTS)
        return Axis(at, "credited", "full" if full else "seen")

    @cached_property
    def _comparison(self) -> Comparison | str:
        """Or why there is none."""
        try:
            jobs, runs = self._compared
            registration = registered(self.study.folder)
        except UserError as error:
            return str(error)
        anchors: tuple[Anchor, ...] = ("default", "none") if DEFAULT in set(runs["method"]) else ("none",)
        reasons = []
        for anchor in anchors:
            try:
                return compared(
                    jobs, runs, measure=self.measure, anchor=anchor, missing=self.missing, rope=self.rope,
                    registration=registration, unequal=self.unequal, where=self.where,
                    best=self.best[~self.best["task"].isin(self.drifting)],
                )  # fmt: skip
            except UserError as error:
                reasons.append(str(error))
        return "; ".join(dict.fromkeys(reasons))

    @property
    def comparison(self) -> Comparison:
        """What ``compare`` concludes, without the tasks of drifting data; scores are divided by the default
        configuration's where that is possible. UserError if nothing can be concluded."""
        if isinstance(self._comparison, str):
            raise UserError(self._comparison)
        return self._comparison

    @cached_property
    def overtuning(self) -> Mapping[str, Overtuning]:
        """Of the methods, as in ``compare``. UserError if all tasks are of drifting data."""
        if isinstance(self._comparison, str):
            return overtuned(*self._compared)
        return self._comparison.overtuning

    @cached_property
    def warm(self) -> Mapping[str, str]:
        """Methods that did not begin cold -> with what they began."""
        return warm_started(self.runs[self.runs["method"] != DEFAULT])

    @cached_property
    def ranked(self) -> tuple[str, ...]:
        """The methods, the best mean rank first, those without ranks last."""
        if isinstance(self._comparison, str):
            return self.methods
        best = [self._comparison.methods[i] for i in self._comparison.order]
        return (*best, *(method for method in self.methods if method not in best))

    def space(self, task: str) -> Space:
        """The search space of a task. UserError if it is not known."""
        if task not in self._spaces:
            text = self.runs.loc[self.runs["task"] == task, "space"].iloc[0]
            if not isinstance(text, str):
                raise UserError(f"the search space of {task} is not known: its runs were imported without one")
            self._spaces[task] = from_json(text)
        return self._spaces[task]

    @cached_property
    def _spaces(self) -> dict[str, Space]:
        """Those that were asked for."""
        return {}

    @cached_property
    def _full(self) -> pd.DataFrame:
        """Jobs that succeeded at the full fidelity, each configuration of a run once."""
        jobs, high = self.jobs, self.jobs["task"].map(self.runs.groupby("task")["high"].max())
        kept = usable(jobs) & (jobs["stop"] >= high) & np.isfinite(jobs["value"].astype(float))
        return jobs.loc[kept, [*KEY, "config", "value"]].drop_duplicates([*KEY, "config"])

    @cached_property
    def _full_by_task(self) -> dict[str, pd.DataFrame]:
        return {str(task): rows for task, rows in self._full.groupby("task", sort=True)}

    def configurations(self, task: str, most: int) -> tuple[Floats, Floats]:
        """(n, d) points of the unit cube, NaN where inactive, and (n,) values of what was trained to the full fidelity
        on ``task``; of more than ``most`` every so many-th, in order of value."""
        space = self.space(task)
        rows = self._full_by_task.get(task)
        if rows is None:
            return np.empty((0, len(space))), np.empty(0)
        rows = rows.sort_values("value", kind="stable")
        rows = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))]
        return space.encode(json.loads(f"[{','.join(rows['config'])}]")), rows["value"].to_numpy(float)


def measure_of(study: Study) -> Measure:
    """Test, where there are test scores, else validation."""
    return "test" if study.jobs["test"].notna().any() else "validation"
