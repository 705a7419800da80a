from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods.c_tpe import CTPE, best_with_feasible, kept, log_relative_ratio
from hptbench.methods.random import RandomSearch
from hptbench.methods.tpe import TPE
from hptbench.protocol import Budget, Method, Problem, Proposal, Record, Report, Status
from hptbench.space import Config
from hptbench.spacefile import space_from_yaml
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.synthetic_constrained import SyntheticConstrainedTask
from hptbench.testing.methods import records_of
from hptbench.testing.problems import Bowl

UNIT = space_from_yaml({"a": {"type": "float", "lower": 0, "upper": 1}, "b": {"type": "float", "lower": 0, "upper": 1}})
BOWL = Bowl(noise=0.0, fidelity=None, constraints=("distance",))


def report(config: Config, value: float, *constraints: float) -> Report:
    status = Status.OK if math.isfinite(value) else Status.FAILED
    return Report(0, 0, Proposal(config), 1.0, status, (value,), (), 1.0, constraints)


def begun(method: Method, constraints: Sequence[str], seed: int = 0):
    problem = Problem(UNIT, ("loss",), None, Budget(max_jobs=99), constraints=tuple(constraints))
    return method.begin(problem, np.random.default_rng(seed))


def uniform(n: int, seed: int = 0) -> list[dict[str, float]]:
    return UNIT.decode(UNIT.sample(np.random.default_rng(seed), n))


# the splits


def test_the_good_reach_down_to_the_nth_feasible_one() -> None:
    losses = np.array([5.0, 1.0, 4.0, 2.0, 3.0, math.inf])
    feasible = np.array([True, False, False, True, True, False])  # by loss: no, yes (2), yes (3), no (4), yes (5)
    assert np.flatnonzero(best_with_feasible(losses, feasible, 1)).tolist() == [1, 3]
    assert np.flatnonzero(best_with_feasible(losses, feasible, 2)).tolist() == [1, 3, 4]
    assert np.flatnonzero(best_with_feasible(losses, feasible, 3)).tolist() == [0, 1, 2, 3, 4]
    assert np.flatnonzero(best_with_feasible(losses, feasible, 4)).tolist() == [0, 1, 2, 3, 4]  # all but the failed


def test_a_constraint_that_none_keeps_has_its_least_violation_as_good() -> None:
    assert kept(np.array([1.0, 0.0, -2.0, math.inf])).tolist() == [False, True, True, False]
    assert kept(np.array([3.0, 0.5, math.inf])).tolist() == [False, True, False]
    assert not kept(np.full(3, math.inf)).any()


def test_the_relative_ratio_by_hand() -> None:
    log_l, log_g = np.log([2.0, 1.0, 0.5]), np.log([0.5, 1.0, 2.0])
    # 1 / (0.25 + 0.75 g / l) for g / l of 1/4, 1 and 4
    assert np.exp(log_relative_ratio(0.25, log_l, log_g)) == pytest.approx([1 / 0.4375, 1.0, 1 / 3.25])
    assert log_relative_ratio(1.0, log_l, log_g) == pytest.approx([0.0] * 3, abs=1e-11)  # always kept: it tells nothing
    few = log_relative_ratio(0.0, log_l, log_g)
    assert few == pytest.approx(log_l - log_g, abs=1e-11)


def test_acquisition_is_the_sum_over_objective_and_constraints() -> None:
    search = begun(CTPE(), ("c", "d"))
    search.tell([report(x, x["a"], x["b"] - 0.5, 0.2 - x["a"]) for x in uniform(40)])
    u, worth = search._candidates(np.empty((0, 2)))
    assert len(u) == 3 * 24
    feasible = [x["b"] <= 0.5 and x["a"] >= 0.2 for x in uniform(40)]
    objective = best_with_feasible(np.array([x["a"] for x in uniform(40)]), np.array(feasible), 2)
    shares = [
        objective.mean(),
        np.mean([x["b"] <= 0.5 for x in uniform(40)]),
        np.mean([x["a"] >= 0.2 for x in uniform(40)]),
    ]
    terms = [log_relative_ratio(g, *s.logpdf(u)) for g, s in zip(shares, search._splits, strict=True)]
    np.testing.assert_allclose(worth, np.sum(terms, axis=0))


def test_without_constraints_it_ranks_as_tpe_with_the_same_kernels() -> None:
    search = begun(CTPE(), ())
    search.tell([report(x, x["a"]) for x in uniform(30)])
    u, worth = search._candidates(np.empty((0, 2)))
    good, others = search._splits[0].logpdf(u)
    assert np.argsort(worth).tolist() == np.argsort(good - others).tolist()


def test_pending_jobs_are_bad_for_the_objective_only() -> None:
    search = begun(CTPE(), ("c",))
    search.tell([report(x, x["a"], x["b"] - 0.5) for x in uniform(30)])
    search._candidates(np.array([[0.1, 0.1]]))
    assert [len(s._group[0].kernels) + len(s._group[1].kernels) for s in search._splits] == [30 + 1 + 2, 30 + 2]


def test_where_nothing_is_feasible_it_goes_where_the_violation_is_least() -> None:
    search = begun(CTPE(), ("c",))
    search.tell([report(x, -x["b"], x["a"] + 0.1) for x in uniform(60)])
    assert np.median([float(p.config["a"]) for p in search.ask(25, [])]) < 0.15


def test_all_failed_is_survived() -> None:
    search = begun(CTPE(), ("c",))
    search.tell([report(x, math.inf, math.inf) for x in uniform(20)])
    assert len(search.ask(3, [])) == 3


# the whole method


def found(records: list[Record]) -> float:
    """The least feasible value; inf if there is none."""
    points = [r.outcome.curve[-1] for r in records]
    return min((p.values[0] for p in points if max(p.constraints) <= 0), default=math.inf)


@pytest.mark.slow
def test_beats_tpe_and_random_search_where_little_is_feasible() -> None:
    """1.8 % of the box. 24 seeds, each with another shift."""
    from scipy.stats import mannwhitneyu

    tasks = [wrap(SyntheticConstrainedTask("gardner"), [{"shifted": {"seed": seed}}]) for seed in range(24)]

    def finals(method: Method) -> list[float]:
        return [found(records_of(method, t, seed, Budget(max_jobs=60))) for seed, t in enumerate(tasks)]

    own = finals(CTPE())
    for other in (TPE(), RandomSearch()):
        assert mannwhitneyu(own, finals(other), alternative="less").pvalue < 0.01, other


GOLDEN: list[list[object]] = [
    [True, "deep", 2, 0.0117063, 3.03844, 2, 3.43614],
    [True, "deep", 1, 0.00785384, 3.11904, 2, 3.08917],
    [True, "deep", 1, 0.0106032, 2.25711, 2, 3.18008],
    [True, "deep", 1, 0.00933979, 2.03871, 2, 3.13563],
    [False, "deep", 1, 0.0102884, 2.08698, 2, 3.21941],
    [True, "deep", 1, 0.00940514, 1.93167, 2, 3.05583],
    [True, "wide", 1, 0.0570955, 0.529739, 17.2256],
    [True, "deep", 1, 0.00994116, 1.38096, 1, 3.1205],
]


def test_golden_trace() -> None:
    records = records_of(CTPE(startup=4), BOWL, budget=Budget(max_jobs=12))
    seen = [[float(f"{v:.6g}") if isinstance(v, float) else v for v in r.job.proposal.config.values()] for r in records]
    assert seen[4:] == GOLDEN


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(UserError, match=r"c_tpe\.gamma"):
        CTPE(gamma="cubic")
    assert replace(CTPE(), gamma="linear").gamma == "linear"
