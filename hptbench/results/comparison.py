"""All that is concluded from a study, in one object: what ``compare`` prints, and a report shows.

Data sets are the units. Tests over them use scores averaged over seeds; what uses the seeds says so. Random numbers
have streams of their own names, so that equal studies give equal conclusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hptbench.errors import UserError
from hptbench.provenance import by_method
from hptbench.results.fronts import several, usable
from hptbench.results.registered import Hypothesis, Registration
from hptbench.results.resamples import Resampled, resampled
from hptbench.results.schema import KEY, Measure
from hptbench.results.table import DEFAULT, Anchor, Missing, Scores, scores, until
from hptbench.results.warm import warm_started
from hptbench.rng import entropy, stream
from hptbench.stats.aggregate import AGGREGATES, bootstrap, probability_of_improvement
from hptbench.stats.bayes import Posterior, signed_rank_posterior
from hptbench.stats.hierarchical import Hierarchical, hierarchical
from hptbench.stats.intervals import Array, Interval
from hptbench.stats.mixed import Check, Mixed, informative_units, mixed_model, seed_effect
from hptbench.stats.overtuning import Overtuning, summary
from hptbench.stats.pairwise import Pair, against, corrected, pairwise
from hptbench.stats.power import detectable
from hptbench.stats.ranks import Friedman, critical_difference, friedman, mean_ranks

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.05
MIXED_UNITS = 5
"""Least number of data sets for a mixed model."""
SUPPORTED, NOT_SHOWN, CONTRADICTED = "supported", "not shown", "contradicted"


@dataclass(frozen=True)
class Tested:
    """What became of a hypothesis."""

    hypothesis: Hypothesis
    verdict: str
    """``supported``, ``contradicted`` or ``not shown`` (which is not ``wrong``); ``not tested``: see ``note``."""
    pair: Pair | None
    """The test over the data sets, Holm over all hypotheses; the score of ``better`` less the margin."""
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Of the methods of a study, the default configuration left out. Arrays are in the order of ``methods``."""

    scores: Scores
    methods: tuple[str, ...]
    """By name."""
    units: tuple[str, ...]
    seeds: int
    ranks: Array
    """(methods,) mean ranks."""
    critical_difference: float
    """Nemenyi's, for pictures only; NaN with one method."""
    friedman: Friedman
    pairs: tuple[Pair, ...]
    """Each pair, Holm over all of them."""
    detectable: float
    """The least effect (mean difference / standard deviation over data sets) that is found in 80 % of such studies."""
    aggregate: str
    aggregates: Interval
    """(methods,) that number of all units and seeds, with a stratified bootstrap over the seeds."""
    improvement: Mapping[tuple[str, str], Interval]
    """Chance that a run of the first is better than one of the second, likewise; without intervals with one seed."""
    rope: float | None
    posteriors: Mapping[tuple[str, str], Posterior]
    """Of each pair, if there is a ROPE."""
    hierarchies: Mapping[tuple[str, str], Hierarchical]
    """Of each pair whose runs differ at all from seed to seed, if asked for."""
    resampled: tuple[Resampled, ...]
    """Each pair over the splits, if all is about one data set with several."""
    mixed: Mixed | None
    """With 2 seeds and 5 data sets, at least."""
    seed_effect: Check | None
    informative: int | None
    """Data sets that tell the methods apart; checks of the mixed model."""
    overtuning: Mapping[str, Overtuning]
    """Of each method with test scores of its incumbents at the full fidelity."""
    registration: Registration | None
    hypotheses: tuple[Tested, ...]
    warm: Mapping[str, str]
    """Methods that did not begin cold -> with what they began (:mod:`hptbench.results.warm`)."""
    origins: Mapping[str, tuple[str, ...]]
    """Methods -> how their hyperparameters were chosen: the column ``provenance`` of their runs."""
    budgets: tuple[str, ...]
    """JSON of the limits of a run, all that there are."""
    reasons: tuple[str, ...]
    """Why they are so large, in the author's words; empty: not said."""
    unequal: tuple[str, ...]
    """Parts of the protocol that were allowed to differ."""
    where: tuple[str, ...]
    """Conditions by which runs were chosen."""

    @property
    def order(self) -> list[int]:
        """Indices of the methods from the best mean rank to the worst."""
        return [int(i) for i in self.ranks.argsort(kind="stable")]

    @property
    def blocks(self) -> tuple[list[int], list[int]]:
        """``order`` of the methods that began cold, and of those that did not."""
        cold, warm = ([i for i in self.order if (self.methods[i] in self.warm) is is_warm] for is_warm in (False, True))
        return cold, warm

    @property
    def significant(self) -> list[Pair]:
        """Pairs that differ after Holm's correction."""
        return [pair for pair in self.pairs if pair.p_holm <= ALPHA]


def compared(
    jobs: pd.DataFrame,
    runs: pd.DataFrame,
    *,
    measure: Measure = "test",
    anchor: Anchor = "default",
    missing: Missing = "refuse",
    aggregate: str = "iqm",
    rope: float | None = None,
    deeper: bool = False,
    registration: Registration | None = None,
    unequal: Sequence[str] = (),
    where: Sequence[str] = (),
    best: pd.DataFrame | None = None,
) -> Comparison:
    """Compare the methods of a study's tables; ``best``: as in :func:`hptbench.results.table.final_table`; ``deeper``:
    with the hierarchical test, seconds for each pair.

    UserError as :func:`hptbench.results.table.scores`, for fewer than two methods, and for what the hierarchical test
    lacks: a ROPE, two data sets, or two seeds."""
    found = scores(jobs, runs, measure, anchor, missing, best)
    methods = tuple(str(m) for m in found.matrix.columns if m != DEFAULT)
    if len(methods) < 2:
        raise UserError(f"expected at least two methods to compare, got {', '.join(methods) or 'none'}; run another")
    columns = np.searchsorted(found.matrix.columns.to_numpy(str), methods)  # which are sorted
    matrix, grid = found.matrix[list(methods)].to_numpy(), found.by_seed[:, columns]
    units, _, seeds = grid.shape
    pairs = tuple(pairwise(matrix, methods))
    at = {m: i for i, m in enumerate(methods)}
    posteriors = {} if rope is None else {
        (p.a, p.b): signed_rank_posterior(
            matrix[:, at[p.a]] - matrix[:, at[p.b]], rope, stream(entropy("posterior", p.a, p.b))
        )
        for p in pairs
    }  # fmt: skip
    chances = probability_of_improvement(grid, stream(entropy("improvement")))
    improvement = {(p.a, p.b): Interval(*(part[at[p.a], at[p.b]] for part in chances)) for p in pairs}
    hierarchies = _hierarchies(grid, methods, rope) if deeper else {}
    asked = runs[runs["method"] != DEFAULT]
    deep = seeds >= 2 and units >= MIXED_UNITS
    tested = _tested(jobs, runs, registration, anchor, missing) if registration else ()
    return Comparison(
        scores=found,
        methods=methods,
        units=tuple(map(str, found.matrix.index)),
        seeds=seeds,
        ranks=mean_ranks(matrix),
        critical_difference=critical_difference(len(methods), units),
        friedman=friedman(matrix),
        pairs=pairs,
        detectable=detectable(units, comparisons=len(pairs)),
        aggregate=aggregate,
        aggregates=bootstrap(grid, AGGREGATES[aggregate], stream(entropy("aggregate", aggregate))),
        improvement=improvement,
        rope=rope,
        posteriors=posteriors,
        hierarchies=hierarchies,
        resampled=resampled(found, runs, methods, rope),
        mixed=mixed_model(grid) if deep else None,
        seed_effect=seed_effect(grid) if deep else None,
        informative=int((informative_units(grid) <= ALPHA).sum()) if deep else None,
        overtuning=overtuned(jobs, runs),
        registration=registration,
        hypotheses=tested,
        warm=warm_started(asked),
        origins=by_method(asked),
        budgets=tuple(sorted(set(asked["budget"].dropna()))),
        reasons=tuple(sorted(set(asked["budget_reason"].dropna()))),
        unequal=tuple(unequal),
        where=tuple(where),
    )


def _hierarchies(grid: Array, methods: Sequence[str], rope: float | None) -> dict[tuple[str, str], Hierarchical]:
    """The hierarchical test of each pair by its differences (units, seeds); pairs without any noise have none."""
    units, _, seeds = grid.shape
    if rope is None or min(units, seeds) < 2:
        raise UserError(
            "expected a ROPE, at least 2 data sets and at least 2 seeds for the hierarchical test, got "
            f"{'none' if rope is None else f'{rope:g}'}, {units} and {seeds}; add --rope, or run more"
        )
    found = {}
    for i, a in enumerate(methods):
        for j, b in enumerate(methods[i + 1 :], i + 1):
            d = grid[:, i] - grid[:, j]
            if d.std(axis=1).any():
                found[a, b] = hierarchical(d, rope, stream(entropy("hierarchical", a, b)))
    return found


def _tested(
    jobs: pd.DataFrame, runs: pd.DataFrame, registration: Registration, anchor: Anchor, missing: Missing
) -> tuple[Tested, ...]:
    """Each hypothesis by the runs that carry the registration. Those that cannot be tested stay in the family: what is
    left out after a look at the results must not make the others more certain."""
    found = [_test(h, jobs, runs, registration.sha, anchor, missing) for h in registration.hypotheses]
    pairs = iter(corrected([one for one in found if isinstance(one, Pair)], len(found)))
    return tuple(
        Tested(h, "not tested", None, one) if isinstance(one, str) else _judged(h, next(pairs))
        for h, one in zip(registration.hypotheses, found, strict=True)
    )


def _test(
    h: Hypothesis, jobs: pd.DataFrame, runs: pd.DataFrame, sha: str, anchor: Anchor, missing: Missing
) -> Pair | str:
    """Its methods over the data sets, the score of ``better`` less the margin; or why it cannot be tested."""
    of = runs[runs["method"].isin([h.better, h.than])]
    if absent := [name for name in (h.better, h.than) if name not in set(of["method"])]:
        return f"no runs of {' and '.join(absent)}"
    if late := int((of["hypotheses"] != sha).sum()):
        return f"{late} of {len(of)} runs do not carry the registration {sha}"
    own = runs[runs["method"].isin([h.better, h.than, DEFAULT])]
    seen = jobs[jobs["method"].isin(own["method"].unique())]
    seen = seen if h.at is None else until(seen, h.at, h.by)  # type: ignore[arg-type]
    matrix = scores(seen, own, h.measure, anchor, missing).matrix[[h.better, h.than]].to_numpy()
    [pair] = against(matrix - [h.margin, 0.0], (h.better, h.than), h.better)
    return pair


def _judged(hypothesis: Hypothesis, pair: Pair) -> Tested:
    """With a margin, only what is worse by more than it contradicts."""
    if pair.p_holm > ALPHA:
        return Tested(hypothesis, NOT_SHOWN, pair)
    return Tested(hypothesis, SUPPORTED if pair.rank_biserial > 0 else CONTRADICTED, pair)


def overtuned(jobs: pd.DataFrame, runs: pd.DataFrame) -> dict[str, Overtuning]:
    """method -> overtuning of its runs on tasks of one objective, by the incumbents among evaluations at the full
    fidelity. Runs without a finite test score of each incumbent do not count; a method without any is left out."""
    single = runs[~several(runs)]
    high = dict(zip(single["task"], single["high"], strict=True))
    full = jobs[[*KEY, "job", "stop", "ended", "value", "test"]][jobs["task"].isin(list(high)) & usable(jobs)]
    full = full[full["stop"].to_numpy(float) >= full["task"].map(high).to_numpy(float)]
    if full.empty:
        return {}
    run = full.groupby(KEY, sort=True).ngroup().to_numpy()  # a group at a time pandas takes three times as long
    order = np.lexsort((full["job"], full["ended"], run))
    starts = np.flatnonzero(np.diff(run[order], prepend=-1))
    values, all_tests = (np.split(full[name].to_numpy(float)[order], starts[1:]) for name in ("value", "test"))
    names = full[KEY[:3]].iloc[order[starts]].itertuples(index=False, name=None)
    references, tests = dict[tuple[str, int], float](), dict[str, list[tuple[tuple[str, int], Array]]]()
    for (task, method, seed), value, test in zip(names, values, all_tests, strict=True):
        best = np.minimum.accumulate(value)
        of_incumbents = test[np.append(True, best[1:] < best[:-1])]
        key = (str(task), int(seed))
        if method == DEFAULT:
            references[key] = float(test[0])
        elif np.isfinite(of_incumbents).all():
            tests.setdefault(str(method), []).append((key, of_incumbents))
    return {
        method: summary([t for _, t in found], [references.get(key, np.nan) for key, _ in found])
        for method, found in tests.items()
    }
