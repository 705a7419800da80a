"""The methods of what was published, ranked along their runs by normalised regret: what ``publish`` and the paper tell.

Problems are the units: seeds are averaged first, then tasks of one data set. Methods that lack tasks which others have
are named and not ranked, but tested on the tasks that they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown
from hptbench.results.published import Published
from hptbench.results.regret import COLUMN_OF, FLOOR, Axis, Standing, evaluations, incumbents, log_regrets, standing
from hptbench.results.table import USED, Accounting
from hptbench.stats.pairwise import Pair, against, corrected
from hptbench.stats.ranks import Friedman, friedman, mean_ranks

if TYPE_CHECKING:
    import pandas as pd

COARSE = 1e-2
"""A second floor of the regret, by which ranks are shown once more."""
_AT, _AT_FULL = (25.0, 50.0, 100.0), (1.0, 3.0, 10.0, 30.0, 100.0)
_SPAN, _POINTS = 1000, 200
"""Of curves on a logarithmic axis: from at most a 1000th of its end, so many points."""


@dataclass(frozen=True)
class Ranking:
    """Of the methods with runs on every task."""

    part: Published
    """Their runs."""
    fine: Standing
    """With regrets floored at :data:`hptbench.results.regret.FLOOR`."""
    coarse: Standing
    """With regrets floored at :data:`COARSE`."""
    at: tuple[float, ...]
    """Where they are compared, rising: of what ``fine.axis.by`` counts."""
    tests: Mapping[str, tuple[Pair, ...]]
    """Of each reference: it against each other method at each of ``at``, one after the other, on the problems that both
    have; Holm over all of one reference. Ranked methods come first."""
    chosen_after: bool
    """Whether the reference is whatever ranks first."""
    partial: Mapping[str, str]
    """The methods that lack tasks, and how many they have."""

    @property
    def methods(self) -> tuple[str, ...]:
        """From the best to the worst mean rank at the last of ``at``."""
        return tuple(self.fine.methods[j] for j in self._order())

    def _order(self) -> NDArray[np.intp]:
        return np.argsort(mean_ranks(self.fine.after(self.at[-1])), kind="stable")

    @property
    def friedman(self) -> Friedman:
        """Of all methods at the last of ``at``."""
        return friedman(self.fine.after(self.at[-1]))

    @property
    def timed_on(self) -> str:
        """The machine on which most methods ran, and of those the one with most runs: seconds of different machines
        cannot be compared."""
        runs = self.part.runs.assign(device=self._devices)
        counts = runs.groupby("device")["method"].agg(["nunique", "size"]).reset_index()
        return str(counts.sort_values(["nunique", "size", "device"], ascending=[False, False, True])["device"].iloc[0])

    @property
    def _devices(self) -> pd.Series[str]:
        """Of each run; imported ones have none."""
        return self.part.runs["device"].fillna("an unknown machine")

    @property
    def cpu(self) -> pd.Series[float]:
        """Median processor seconds of ask and tell of the runs on :attr:`timed_on` of each method; NaN without any."""
        runs = self.part.runs
        there = runs[self._devices == self.timed_on]
        taken = (there["ask"] + there["tell"]).groupby(there["method"]).median()
        return taken.reindex(sorted(runs["method"].unique()))

    @property
    def lacking(self) -> dict[str, int]:
        """The ranked methods that lack runs which others have, and how many they lack."""
        runs = self.part.runs
        whole = runs["task"].nunique() * runs["seed"].nunique()
        counts = {str(method): whole - len(of_method) for method, of_method in runs.groupby("method")}
        return {method: lack for method, lack in counts.items() if lack}

    def method_rows(self) -> tuple[list[str], list[list[str]]]:
        """A table's head, and a row per method from the best mean rank to the worst."""
        seeds = self.part.runs.groupby(["task", "method"]).size().groupby("method").agg(["min", "max"])
        head = [
            "method", *(f"rank at {n:g}" for n in self.at), f"at {self.at[-1]:g}, coarse",
            *(f"score at {n:g}" for n in self.at), "CPU s", "seeds",
        ]  # fmt: skip
        cpu, rows = {method: f"{taken:.3g}" for method, taken in self.cpu.dropna().items()}, []
        for j in self._order():
            method = self.fine.methods[j]
            low, high = seeds.loc[method]
            rows.append([
                method, *(f"{mean_ranks(self.fine.after(n))[j]:.2f}" for n in self.at),
                f"{mean_ranks(self.coarse.after(self.at[-1]))[j]:.2f}",
                *(f"{self.fine.after(n)[:, j].mean():.3f}" for n in self.at), cpu.get(method, "–"),
                str(low) if low == high else f"{low}–{high}",
            ])  # fmt: skip
        return head, rows

    @property
    def reference(self) -> str:
        """The first."""
        return next(iter(self.tests))

    def test_rows(self, reference: str) -> tuple[list[str], list[list[str]]]:
        """A table's head, and a row per method but ``reference``, by name."""
        return duel_rows(self.tests[reference], [f"at {n:g}" for n in self.at])

    def final_tests(self) -> tuple[Pair, ...]:
        """Those of the reference with the ranked methods, at the last of ``at``."""
        others, each = len(self.fine.methods) - 1, len(self.at)
        return self.tests[self.reference][(each - 1) * others : each * others]


def duel_rows(tests: Sequence[Pair], at: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """A table's head, and a row per method but the reference, by name, of its ``tests`` at each of ``at``."""
    head = ["method", "problems"]
    for where in at:
        head += [f"won/tied/lost {where}", "difference", "p Holm"]
    rows = []
    for method in sorted({pair.b for pair in tests}):
        row = [pair for pair in tests if pair.b == method]
        cells = [[f"{p.wins}/{p.ties}/{p.losses}", f"{p.difference:.3f}", f"{p.p_holm:.2g}"] for p in row]
        rows.append([method, str(row[0].units), *(cell for three in cells for cell in three)])
    return head, rows


def ranked(
    found: Published,
    runs: pd.DataFrame,
    by: Accounting | None = None,
    at: Sequence[float] | None = None,
    references: Sequence[str] = (),
) -> Ranking:
    """Rank the methods of ``runs``, some of those of ``found``, by what they found after each of ``at``.

    ``by``: see :func:`axis_of`; ``at``: by default 25, 50, 100 evaluations or 1, 3, 10, … of the others, as far as the
    runs go; ``references``: the methods that are tested against each other one, by default that of the best mean rank
    at the end. UserError if no method is complete, or a reference is not, or ``at`` goes beyond the runs."""
    partial = _partial(runs)
    for one in references:
        if one in partial:
            raise UserError(f"expected runs of {one} on every task to test it against others, got {partial[one]}")
    part = found.of(runs[~runs["method"].isin(partial)])
    axis = axis_of(part, by)
    first, last = float(axis.at[0]), float(axis.at[-1])
    at = at or [n for n in (_AT if axis.by == "evaluations" else _AT_FULL) if first <= n <= last] or [last]
    if not first <= at[0] <= at[-1] <= last * (1 + 1e-9):
        raise UserError(f"expected --at between {first:.3g} and {last:.6g} {USED[axis.by]}, got {list(at)}")
    axis = replace(axis, at=np.union1d(axis.at, at))
    fine, coarse = (_standing(part, axis, floor) for floor in (FLOOR, COARSE))
    for one in references:
        if one not in fine.methods:
            raise unknown("method", one, fine.methods)
    tests = {}
    for one in references or [fine.methods[int(np.argmin(mean_ranks(fine.after(at[-1]))))]]:
        duels = [_standing(found.of(_duel(runs, one, method)), axis, FLOOR) for method in partial]
        pairs = [pair for where in (fine, *duels) for n in at for pair in against(where.after(n), where.methods, one)]
        tests[one] = tuple(corrected(pairs))
    return Ranking(part, fine, coarse, tuple(at), tests, not references, partial)


def _standing(part: Published, axis: Axis, floor: float) -> Standing:
    units = dict(zip(part.runs["task"], part.runs["unit"], strict=True))
    return standing(log_regrets(incumbents(part.steps, axis), part.references, floor), units, axis)


def _duel(runs: pd.DataFrame, reference: str, method: str) -> pd.DataFrame:
    """The runs of two methods on the tasks that ``method`` has."""
    tasks = runs.loc[runs["method"] == method, "task"].unique()
    return runs[runs["method"].isin([reference, method]) & runs["task"].isin(tasks)]


def axis_of(found: Published, by: Accounting | None = None) -> Axis:
    """Along what runs are compared, to the end of the longest: ``by``, or evaluations if all are full ones, else full
    evaluations with continued trainings credited."""
    by = by or ("evaluations" if all_full(found.runs) else "credited")
    used = found.steps[COLUMN_OF[by]]
    if by == "evaluations":
        return replace(evaluations(int(used.max())), worth=found.worth)
    return Axis(np.geomspace(max(used.min(), used.max() / _SPAN), used.max(), _POINTS), by, found.worth)


def all_full(runs: pd.DataFrame) -> bool:
    """Whether every job was a full evaluation."""
    return bool(np.isclose(runs["full_evals"], runs["jobs"]).all())


def _partial(runs: pd.DataFrame) -> dict[str, str]:
    """The methods that lack tasks which others have, and how many they have. UserError if all do."""
    tasks = runs["task"].nunique()
    have = {str(method): int(n) for method, n in runs.groupby("method")["task"].nunique().items()}
    partial = {method: f"{n} of {tasks} tasks" for method, n in have.items() if n < tasks}
    if len(partial) == len(have):
        named = ", ".join(f"{method} {text}" for method, text in partial.items())
        raise UserError(
            f"expected a method with runs on every task, got only {named}; run them, or choose tasks (--where)"
        )
    return partial
