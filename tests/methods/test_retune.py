from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods.random import RandomSearch
from hptbench.methods.retune import Retune, best
from hptbench.protocol import Budget, Fidelity, Job, Method, Outcome, Point, Proposal, Record, Report, Search, Status
from hptbench.rng import entropy, stream
from hptbench.testing.methods import (
    problem_of,
    proposes_plain_values_in_the_space,
    records_of,
    repeats_itself,
    takes_in_foreign_reports,
)
from hptbench.testing.problems import Bowl

BLOCKS = Bowl(over="sphere", noise=0.0, fidelity=Fidelity(1, 9, "block"))


def counts(records: Sequence[Record]) -> list[int]:
    """Evaluations per block, the first block first."""
    n = Counter(int(r.job.stop) for r in records)
    return [n[b] for b in range(1, 10)]


def block(records: Sequence[Record], b: int) -> list[Record]:
    return sorted((r for r in records if r.job.stop == b), key=lambda r: r.job.id)


def configs(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [dict(r.job.proposal.config) for r in records]


def winner(records: Sequence[Record]) -> dict[str, Any]:
    return dict(min(records, key=lambda r: r.outcome.curve[-1].values[0]).job.proposal.config)


@pytest.mark.parametrize("check", [proposes_plain_values_in_the_space, repeats_itself, takes_in_foreign_reports])
@pytest.mark.parametrize("method", [Retune(warm=False), Retune("sobol")], ids=str)
def test_conforms(method: Method, check: Callable[[Method], None]) -> None:
    """Besides the default, which tests/test_conformance.py tests."""
    check(method)


# the budget


@pytest.mark.parametrize("workers", [1, 3, 4, 64])
@pytest.mark.parametrize(
    ("budget", "share"),
    [
        (Budget(max_full_evals=5), 1), (Budget(max_full_evals=20), 4), (Budget(max_full_evals=100), 20),
        (Budget(max_jobs=36), 4), (Budget(max_jobs=36, max_full_evals=100), 4),
        (Budget(max_jobs=99, max_full_evals=20), 4),
    ],
)  # fmt: skip
def test_every_block_gets_the_same_and_the_budget_ends_with_the_last(budget: Budget, share: int, workers: int) -> None:
    records = records_of(Retune(), BLOCKS, budget=budget, workers=workers)
    assert counts(records) == [share] * 9
    spent = sum(Fraction(int(r.job.stop), 9) for r in records)
    assert spent == budget.max_full_evals or len(records) == budget.max_jobs


@pytest.mark.parametrize("workers", [1, 7])
@pytest.mark.parametrize("limit", [5.3, 12.0, 17.7, 21.0, 24.99, 33.3])
def test_where_the_budget_does_not_divide_blocks_differ_by_one_and_no_evaluation_is_lost(
    limit: float, workers: int
) -> None:
    records = records_of(Retune(), BLOCKS, budget=Budget(max_full_evals=limit), workers=workers)
    n = counts(records)
    assert max(n[:8]) - min(n[:8]) <= 1
    assert min(n[:8]) <= n[8] <= max(n[:8]) + 1  # and the rest, of less than one full evaluation
    assert limit - 1e-9 <= sum(b * k for b, k in enumerate(n, 1)) / 9 < limit + 1


@pytest.mark.parametrize("jobs", [10, 37, 40, 44])
def test_jobs_are_shared_out_exactly(jobs: int) -> None:
    n = counts(records_of(Retune(), BLOCKS, budget=Budget(max_jobs=jobs), workers=2))
    assert sum(n) == jobs
    assert max(n) - min(n) == (jobs % 9 > 0)


def test_a_budget_below_one_evaluation_per_block_passes_blocks_over_but_not_the_first() -> None:
    assert counts(records_of(Retune(), BLOCKS, budget=Budget(max_jobs=3))) == [1, 0, 0, 1, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_budget_of_time_alone_is_shared_out_as_time(workers: int) -> None:
    records = records_of(Retune(), BLOCKS, budget=Budget(max_time=60.0), workers=workers)
    for b in range(1, 10):
        began = [r.began for r in block(records, b)]
        assert max(began) < 60 * b / 9
        assert min(began) >= 60 * (b - 1) / 9 - 1e-9
    assert counts(records)[0] > 3 * counts(records)[8] > 0, "there jobs of a late block take longer"


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_no_worker_is_at_work_in_two_blocks(workers: int) -> None:
    records = records_of(Retune(), BLOCKS, budget=Budget(max_jobs=45), workers=workers)
    for b in range(2, 10):
        assert min(r.began for r in block(records, b)) >= max(r.ended for r in block(records, b - 1)) - 1e-9


# warm, cold, once


def test_warm_begins_with_the_best_of_the_block_before() -> None:
    records = records_of(Retune(carry=2), BLOCKS, budget=Budget(max_jobs=45), workers=3)
    for b in range(2, 10):
        ranked = sorted(block(records, b - 1), key=lambda r: r.outcome.curve[-1].values[0])
        assert configs(block(records, b)[:2]) == configs(ranked[:2])
        assert [r.job.proposal.note["carried"] for r in block(records, b)] == [True, True, False, False, False]
        assert all(r.job.start == 0 for r in block(records, b)), "nothing is continued"


def test_cold_blocks_know_nothing_of_each_other_and_draw_what_warm_ones_draw() -> None:
    """The first draws of each block are the same, so that warm and cold are compared on equal draws."""
    budget = Budget(max_jobs=36)
    cold, warm = (records_of(Retune(warm=w), BLOCKS, budget=budget) for w in (False, True))
    assert len({repr(config) for config in configs(cold)}) == 36
    for b in range(2, 10):
        assert configs(block(cold, b))[:3] == configs(block(warm, b))[1:]
    one = stream(entropy("bowl", 0, "search")).spawn(9)[4]
    alone = RandomSearch().begin(problem_of(BLOCKS), one).ask(4, ())
    assert configs(block(cold, 5)) == [dict(proposal.config) for proposal in alone]


@pytest.mark.parametrize("workers", [1, 4])
def test_once_spends_all_but_the_trainings_of_later_blocks_on_the_first(workers: int) -> None:
    records = records_of(Retune(until=1), BLOCKS, budget=Budget(max_jobs=36), workers=workers)
    assert counts(records) == [28] + [1] * 8
    assert configs([r for r in records if r.job.stop > 1]) == [winner(block(records, 1))] * 8
    records = records_of(Retune(until=3), BLOCKS, budget=Budget(max_jobs=36), workers=workers)
    assert counts(records) == [10] * 3 + [1] * 6
    assert configs([r for r in records if r.job.stop > 3]) == [winner(block(records, 3))] * 6


@pytest.mark.parametrize("limit", [5.0, 20.0, 21.7])
def test_once_uses_a_budget_in_full_evaluations_up(limit: float) -> None:
    n = counts(records_of(Retune(until=1), BLOCKS, budget=Budget(max_full_evals=limit)))
    assert n[1:] == [1] * 8
    assert limit - 1e-9 <= sum(b * k for b, k in enumerate(n, 1)) / 9 < limit + 1 / 9


def test_a_block_in_which_all_fail_passes_on_what_the_one_before_carried() -> None:
    class Gap(Bowl):
        def _one(self, job: Job) -> Outcome:
            return Outcome(Status.FAILED, (), 1.0) if job.stop == 4 else super()._one(job)

    records = records_of(Retune(), Gap(over="sphere", noise=0.0, fidelity=BLOCKS.fidelity), budget=Budget(max_jobs=36))
    assert configs(block(records, 5)[:1]) == [winner(block(records, 3))]
    records = records_of(Retune(), replace(BLOCKS, fail=1.0), budget=Budget(max_jobs=36))
    assert counts(records) == [4] * 9
    assert not any(r.job.proposal.note["carried"] for r in records)


def test_a_configuration_is_carried_once_whatever_how_often_it_was_evaluated() -> None:
    configs = [{"a": x, "b": 0.0, "c": 0.0} for x in (0.1, 0.2, 0.1, 0.3)]
    told = [
        Report(i, i, Proposal(config), 1.0, Status.OK, (value,), (), 1.0)
        for i, (config, value) in enumerate(zip(configs, (3.0, 2.0, 1.0, 2.0), strict=True))
    ]
    assert [c["a"] for c in best(BLOCKS.space, told, 3)] == [0.1, 0.2, 0.3]
    assert [c["a"] for c in best(BLOCKS.space, told, 1)] == [0.1]


def test_finite_inner_methods_train_again_and_end() -> None:
    records = records_of(Retune(inner="default", warm=False), BLOCKS, budget=Budget(max_jobs=36), workers=3)
    assert counts(records) == [1] * 9
    assert configs(records) == [dict(BLOCKS.space.default())] * 9


def test_the_inner_method_sees_a_problem_without_fidelity_and_all_results_of_its_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[Any, list[Report], list[int]]] = []

    class Spy(RandomSearch):
        def begin(self, problem: Any, rng: np.random.Generator) -> Any:
            seen.append((problem, [], []))
            return _Spied(super().begin(problem, rng), seen[-1])

    class _Spied:
        def __init__(self, search: Search, seen: tuple[Any, list[Report], list[int]]) -> None:
            self.search, self.seen = search, seen

        def ask(self, n: int, running: Sequence[Proposal]) -> Sequence[Proposal]:
            assert all(p.fidelity is None and p.note == {} for p in running)
            self.seen[2].append(len(running))
            return self.search.ask(n, running)

        def tell(self, reports: Sequence[Report]) -> None:
            self.seen[1].extend(reports)

    monkeypatch.setattr("hptbench.registry.find", lambda kind, name: Spy)
    records = records_of(Retune(), BLOCKS, budget=Budget(max_jobs=36), workers=3)
    assert len(seen) == 9
    for b, (problem, told, running) in enumerate(seen, 1):
        assert problem.fidelity is None
        assert problem.budget == Budget(max_jobs=4 if b == 1 else 3)
        assert sorted(r.job for r in told) == [r.job.id for r in block(records, b)]
        assert {r.fidelity for r in told} == {1.0}
        assert all(r.proposal.fidelity is None and r.curve == (Point(1.0, r.values),) for r in told)
        assert running == ([0, 2] if b == 1 else [1, 2])


# mistakes


@pytest.mark.parametrize(
    ("method", "task", "budget", "message"),
    [
        (Retune("hyperband"), BLOCKS, 36, "got 'hyperband', which needs a fidelity, which is time here"),
        (Retune("retune"), BLOCKS, 36, "got 'retune', which needs a fidelity"),
        (Retune("randm"), BLOCKS, 36, "unknown method 'randm'. Did you mean 'random'"),
        (Retune(), Bowl(fidelity=None), 36, "fidelity in whole steps"),
        (Retune(), Bowl(fidelity=Fidelity(0.1, 1, "fraction", integer=False)), 36, "fidelity in whole steps"),
        (Retune(carry=5), BLOCKS, 36, "retune.carry <= 4, the evaluations of a block, got 5"),
        (Retune(until=1), BLOCKS, 8, "too small to train again in each of the 8 blocks after block 1"),
    ],
)
def test_what_is_refused(method: Retune, task: Bowl, budget: int, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        method.begin(problem_of(task, Budget(max_jobs=budget)), np.random.default_rng(0))


def test_bad_fields_and_time_without_evaluations() -> None:
    with pytest.raises(UserError, match=r"retune.carry >= 1, got 0; set warm=false"):
        Retune(carry=0)
    with pytest.raises(UserError, match=r"retune.until >= 1, got 0"):
        Retune(until=0)
    with pytest.raises(UserError, match=r"retune.until needs a budget in evaluations"):
        Retune(until=2).begin(problem_of(BLOCKS, Budget(max_time=3.0)), np.random.default_rng(0))
