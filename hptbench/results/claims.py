"""Claims of papers as comparisons of methods, and what our own runs say of them.

**Score.** log10 of the normalised regret of the incumbent (:mod:`hptbench.results.regret`), by validation, among what
keeps all constraints; of several objectives log10 of the hypervolume regret (:mod:`hptbench.results.fronts`). So all
problems share a scale, and differences below the floor of 1e-4 do not count.

**Tests.** On each problem the Wilcoxon signed-rank test over the seeds, which pair the runs of two methods, with
Holm's correction over all problems and comparisons of the claim. Over the units (functions, data sets) the same test
on scores averaged over seeds, then over the problems of the unit, with Holm's correction over the comparisons; only if
there are enough units to reach significance (6, and more with several comparisons).

**Verdict of a comparison.** ``reproduced``: with enough units, if the test over them is significant (0.05) in the
claimed direction; with fewer, if the claimed method is significantly better on more than half of the problems and
significantly worse on none, which says something of these problems only. ``contradicted``: the same the other way
round. Else ``not shown``, which does not mean that they are equal. A comparison may have a margin, "no worse than, up
to the margin": then it is reproduced if the score less the margin is better in this sense, and contradicted if the
score itself is worse.

**Verdict of a claim** of several comparisons: ``contradicted`` if one is; ``reproduced`` if all are; ``partly
reproduced`` if some are; else ``not shown``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hptbench.results.fronts import Fronts, several
from hptbench.results.regret import FLOOR, Axis, evaluations, incumbents, log_regrets, references, steps, worth
from hptbench.results.schema import KEY
from hptbench.results.table import DEFAULT, used
from hptbench.space import Floats
from hptbench.stats.pairwise import Pair, against, corrected
from hptbench.stats.power import units_needed

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.05
REPRODUCED, PARTLY, NOT_SHOWN, CONTRADICTED = "reproduced", "partly reproduced", "not shown", "contradicted"
Curves: TypeAlias = Mapping[tuple[str, str], Floats]
"""(problem, method) -> (seeds, m) along the axis, in order of seeds."""


@dataclass(frozen=True)
class Comparison:
    """One part of a claim: ``better`` is better than ``than`` after ``at`` evaluations, or what the claim counts."""

    better: str
    than: str
    at: float
    margin: float = 0.0
    """By how much log10 regret ``better`` may be worse; above 0: it is claimed to be no worse."""
    than_at: float | None = None
    """``than`` after so many; None: as many. With more it is claimed that ``better`` gets there sooner."""

    @property
    def ends(self) -> tuple[tuple[str, float], tuple[str, float]]:
        """Each method and when it is looked at, ``better`` first."""
        return (self.better, self.at), (self.than, self.at if self.than_at is None else self.than_at)


@dataclass(frozen=True)
class Results:
    """What the runs of a claim's study found."""

    axis: Axis
    values: Curves
    """Of the incumbents, +inf before the first; of several objectives the hypervolume regret."""
    scores: Curves
    """See the module; finite."""
    used: Mapping[tuple[str, str], Floats]
    """(problem, method) -> (seeds,) what each run has used at its end, by the axis."""
    units: Mapping[str, str]
    """The unit of each problem."""


@dataclass(frozen=True)
class Judgement:
    """What was found of a comparison."""

    comparison: Comparison
    verdict: str
    problems: Mapping[str, Pair]
    """Over the seeds of each problem, of scores less the margin."""
    over_units: Pair | None
    """Over the units, likewise; None if they are too few."""


def results(
    jobs: pd.DataFrame,
    runs: pd.DataFrame,
    problems: Mapping[str, str],
    known: Mapping[str, float],
    axis: Axis | None = None,
) -> Results:
    """Gathers a study: columns as in :mod:`hptbench.results.schema`; runs of the same method and seed pair up.

    ``axis``: None for every evaluation; ``problems``: task -> problem, one task per problem and seed at most;
    ``known``: problem -> its optimum, where it is known. UserError if random search found nothing on a problem of one
    objective."""
    runs = runs[runs["method"] != DEFAULT]
    jobs, runs = (frame.assign(task=frame["task"].map(problems)) for frame in (jobs, runs))
    axis = axis or evaluations(int(runs["jobs"].max()))
    single = jobs[jobs["task"].isin(runs.loc[~several(runs), "task"])]
    values, scores = dict[tuple[str, str], Floats](), dict[tuple[str, str], Floats]()
    if len(single):
        single = worth(single, dict(zip(runs["task"], runs["high"], strict=True)), axis.worth)
        values |= incumbents(steps(single, axis.worth), axis)
        scores |= log_regrets(values, references(single, known))
    regrets = _regrets(jobs, runs, axis)
    values |= regrets
    scores |= {key: np.log10(np.maximum(curve, FLOOR)) for key, curve in regrets.items()}
    ends: dict[tuple[str, str], list[float]] = {}
    amounts = jobs[["task", "method", "seed", "units", "units_from_zero", "ended"]][jobs["method"] != DEFAULT]
    for (problem, method, _), run in amounts.groupby(["task", "method", "seed"], sort=True):
        ends.setdefault((str(problem), str(method)), []).append(float(used(run, axis.by).max()))
    return Results(
        axis,
        values,
        scores,
        {key: np.array(x) for key, x in ends.items()},
        dict(zip(runs["task"], runs["unit"], strict=True)),
    )


def _regrets(jobs: pd.DataFrame, runs: pd.DataFrame, axis: Axis) -> dict[tuple[str, str], Floats]:
    """The hypervolume regrets of the runs on tasks of several objectives, 1 before the first evaluation; a run that
    ended earlier keeps its own."""
    fronts, out = Fronts(jobs, runs), dict[tuple[str, str], list[Floats]]()
    of_run = dict(iter(jobs[jobs["task"].isin(runs.loc[several(runs), "task"])].groupby(KEY, sort=False)))
    for key in sorted(fronts):
        curve = np.append(1.0, fronts.regret(key, "validation"))
        out.setdefault((key[0], key[1]), []).append(curve[axis.places(used(of_run[key], axis.by)) + 1])
    return {key: np.stack(curves) for key, curves in out.items()}


def judged(comparisons: Sequence[Comparison], found: Results, problems: Sequence[str]) -> list[Judgement]:
    """The verdict on each of ``comparisons`` on ``problems``: see the module."""
    shifted = _tests(comparisons, found, problems)
    plain = _tests([replace(c, margin=0.0) for c in comparisons], found, problems)
    return [
        Judgement(comparison, _verdict(side(*less), side(*as_it_is)), *less)
        for comparison, less, as_it_is in zip(comparisons, shifted, plain, strict=True)
    ]


def side(problems: Mapping[str, Pair], over_units: Pair | None) -> int:
    """1 if the first method of the pairs is better in the sense of the module, -1 if it is worse, else 0."""
    if over_units is not None:
        return _significant(over_units)
    sides = [_significant(pair) for pair in problems.values()]
    for one in (1, -1):
        if 2 * sides.count(one) > len(sides) and -one not in sides:
            return one
    return 0


def verdict_of(judgements: Iterable[Judgement]) -> str:
    """The verdict of a claim: see the module."""
    verdicts = [judgement.verdict for judgement in judgements]
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    if REPRODUCED not in verdicts:
        return NOT_SHOWN
    return REPRODUCED if set(verdicts) == {REPRODUCED} else PARTLY


def _verdict(less_margin: int, as_it_is: int) -> str:
    return REPRODUCED if less_margin > 0 else CONTRADICTED if as_it_is < 0 else NOT_SHOWN


def _significant(pair: Pair) -> int:
    """1 if the pair's first method is significantly better, -1 if it is worse, else 0."""
    return (1 if pair.rank_biserial > 0 else -1) if pair.p_holm <= ALPHA else 0


def _tests(
    comparisons: Sequence[Comparison], found: Results, problems: Sequence[str]
) -> list[tuple[Mapping[str, Pair], Pair | None]]:
    """Of each comparison the test on each problem, and that over the units."""
    units = sorted({found.units[problem] for problem in problems})
    on_problems, over_units = [], []
    for c in comparisons:
        methods = (c.better, c.than)
        scores = [_paired(c, found, problem) for problem in problems]
        on_problems += [against(pairs, methods, c.better)[0] for pairs in scores]
        means = [
            np.mean(
                [s.mean(axis=0) for s, problem in zip(scores, problems, strict=True) if found.units[problem] == u], 0
            )
            for u in units
        ]
        over_units += against(means, methods, c.better)
    on_problems = corrected(on_problems)
    over = corrected(over_units) if len(units) >= units_needed(len(comparisons), ALPHA) else [None] * len(comparisons)
    n = len(problems)
    return [(dict(zip(problems, on_problems[i * n : (i + 1) * n], strict=True)), one) for i, one in enumerate(over)]


def _paired(comparison: Comparison, found: Results, problem: str) -> Floats:
    """(seeds, 2) scores of the two methods; the first less the margin. ValueError if their seeds do not pair."""
    first, second = (found.scores[problem, name][:, found.axis.index(at)] for name, at in comparison.ends)
    if first.shape != second.shape:
        raise ValueError(f"expected as many runs of {comparison.better} as of {comparison.than} on {problem}")
    return np.stack([first - comparison.margin, second], axis=1)
