from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.protocol import (
    Budget,
    Clock,
    Fidelity,
    Job,
    Outcome,
    Point,
    Problem,
    Proposal,
    Record,
    Report,
    Status,
    Traits,
)  # fmt: skip
from hptbench.simulate import PLAIN, Simulation, simulate
from hptbench.spacefile import space_from_yaml
from hptbench.testing.methods import drive
from hptbench.testing.problems import Bowl

SPACE = space_from_yaml({"x": {"type": "float", "lower": 0, "upper": 100}})
EPOCHS = Fidelity(1, 9, continues=True)


@dataclass(frozen=True)
class Script:
    """Answers the k-th ask with the k-th list (functions are given the reports so far)."""

    steps: tuple[object, ...] = ()
    traits: ClassVar[Traits] = Traits()
    asked: list[tuple[int, list[Proposal]]] = field(default_factory=list)
    told: list[list[Report]] = field(default_factory=list)

    def begin(self, problem: Problem, rng: np.random.Generator) -> Script:
        return self

    def ask(self, n: int, running: Sequence[Proposal]) -> Sequence[Proposal]:
        self.asked.append((n, list(running)))
        step = self.steps[len(self.asked) - 1] if len(self.asked) <= len(self.steps) else []
        return step(self.told) if callable(step) else step  # type: ignore[no-any-return]

    def tell(self, reports: Sequence[Report]) -> None:
        self.told.append(list(reports))


class Costs:
    """Costs x seconds; the value is x."""

    def __init__(self, status: Status = Status.OK) -> None:
        self.status, self.seen = status, list[Job]()

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        self.seen += jobs
        out = []
        for job in jobs:
            x = float(job.proposal.config["x"])
            curve = (Point(job.stop, (x,)),) if self.status is Status.OK else ()
            out.append(Outcome(self.status, curve, x, {"test": -x}, state=(job.id, "state")))
        return out


def run(
    method: Script,
    costs: Costs | None = None,
    workers: int = 1,
    budget: Budget = Budget(max_jobs=100),  # noqa: B008
    fidelity: Fidelity | None = None,
    clock: Clock = Clock.COST,
    simulation: Simulation = PLAIN,
    thought: Callable[[], float] | None = None,
) -> list[Record]:
    problem = Problem(SPACE, ("loss",), fidelity, budget, workers)
    run = simulate(method, problem, ("t", 0), clock, simulation, thought)
    return drive(run, costs or Costs())  # type: ignore[arg-type]


def p(x: float, fidelity: float | None = None, source: int | None = None) -> Proposal:
    return Proposal({"x": x}, fidelity, source)


def test_time_is_virtual_and_workers_overlap() -> None:
    records = run(Script(([p(3), p(2)], [p(2)], [p(1)])), workers=2)
    assert [(r.job.id, r.began, r.ended, r.worker) for r in records] == [
        (1, 0, 2, 1),
        (0, 0, 3, 0),
        (2, 2, 4, 1),
        (3, 3, 4, 0),
    ]


def test_equal_ends_are_told_together_in_order_of_id() -> None:
    script = Script(([p(2), p(2), p(1)], [p(1)]), [], [])
    run(script, workers=3)
    assert [[r.job for r in told] for told in script.told] == [[2], [0, 1, 3]]


def test_ask_sees_what_runs_in_order_of_begin() -> None:
    script = Script(([p(9), p(1)], [p(5)], [p(1)]), [], [])
    run(script, workers=2)
    assert [(n, [q.config["x"] for q in running]) for n, running in script.asked][:3] == [(2, []), (1, [9]), (1, [9])]


def test_no_answer_means_wait_and_then_the_end() -> None:
    script = Script(([p(1), p(2)], [], [p(1)], []), [], [])
    records = run(script, workers=2)
    assert [r.job.id for r in records] == [0, 1, 2]
    assert script.asked[1][0] == 1  # one free, one running: waits


def test_a_trial_goes_on_from_its_latest_job_only() -> None:
    script = Script(([p(1, 3)], [p(1, 9, source=0)], [p(1, 9, source=0)], [p(2, 9, source=0)]), [], [])
    costs = Costs()
    run(script, costs, fidelity=EPOCHS)
    jobs = costs.seen
    assert [(j.trial, j.start, j.stop) for j in jobs] == [(0, 0, 3), (0, 3, 9), (1, 3, 9), (2, 3, 9)]
    assert [j.state for j in jobs] == [None, (0, "state"), (0, "state"), (0, "state")]
    assert jobs[1].seed == jobs[0].seed != jobs[2].seed  # a trial has one stream
    assert [j.before and j.before.id for j in jobs] == [None, 0, 0, 0]


def test_a_task_that_cannot_continue_starts_from_zero_and_pays_for_it() -> None:
    script = Script(([p(1, 3)], [p(1, 9, source=0)]), [], [])
    records = run(script, fidelity=Fidelity(1, 9), clock=Clock.UNITS)
    assert [(r.job.trial, r.job.start, r.job.stop) for r in records] == [(0, 0, 3), (0, 0, 9)]
    assert records[-1].ended == pytest.approx(3 / 9 + 1)


def test_a_failed_job_is_told_as_infinite_and_leaves_nothing() -> None:
    script = Script(([p(1, 3)], [p(1, 9, source=0)]), [], [])
    records = run(script, Costs(Status.FAILED), fidelity=EPOCHS)
    assert script.told[0][0].values == (math.inf,)
    assert (records[1].job.start, records[1].job.trial) == (0, 0)


def test_values_that_are_not_finite_become_status_nan() -> None:
    class NaN(Costs):
        def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
            return [Outcome(Status.OK, (Point(1.0, (math.nan,)),), 1.0) for _ in jobs]

    script = Script(([p(1)],), [], [])
    [record] = run(script, NaN())
    assert record.outcome.status is Status.NAN
    assert "nan" in record.outcome.message
    assert script.told[0][0].values == (math.inf,)


def test_records_and_reports_hold_no_state() -> None:
    script = Script(([p(1, 3)], [p(1, 9, source=0)]), [], [])
    for record in run(script, fidelity=EPOCHS):
        assert record.job.state is None
        assert record.outcome.state is None


def test_budget_of_full_evaluations_forgives_rounding() -> None:
    steps = tuple([p(1, 1)] for _ in range(40))
    records = run(Script(steps, [], []), fidelity=Fidelity(1, 27), budget=Budget(max_full_evals=1))
    assert len(records) == 27


def test_no_job_begins_at_the_limit_and_late_ones_do_not_count() -> None:
    records = run(Script(([p(4), p(3)], [p(1)], [p(1)], [p(9)]), [], []), workers=2, budget=Budget(max_time=4.5))
    assert [(r.job.id, r.ended) for r in records] == [(1, 3), (0, 4), (2, 4)]


def test_max_jobs_caps_what_is_asked() -> None:
    script = Script(([p(1), p(1)],), [], [])
    assert len(run(script, workers=5, budget=Budget(max_jobs=2))) == 2
    assert script.asked[0][0] == 2


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (([p(1), p(1)],), "at most 1 proposals"),
        (([p(1, 3, source=0)],), "has not ended"),
        (([p(1, 10)],), "at most 9"),
        (([p(1, 2.5)],), "none of Fidelity"),
        (([p(1, 0.5)],), "none of Fidelity"),
        (([p(1, 3)], [p(1, 3, source=0)]), "not above 3"),
    ],
)
def test_a_method_that_breaks_the_protocol_is_named(steps: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(Script(steps, [], []), fidelity=EPOCHS)


def test_a_budget_in_seconds_needs_a_clock_in_seconds() -> None:
    with pytest.raises(UserError, match="clock=cost"):
        run(Script(([p(1)],), [], []), budget=Budget(max_time=3), clock=Clock.UNITS)


@pytest.mark.parametrize("budget", [{}, {"max_jobs": 0}, {"max_full_evals": -1.0}, {"max_time": math.nan}])
def test_impossible_budgets(budget: dict[str, float]) -> None:
    with pytest.raises(UserError, match="budget"):
        Budget(**budget)  # type: ignore[arg-type]


def test_reports_hide_measured_seconds_under_the_units_clock() -> None:
    script = Script(([p(5, 3)],), [], [])
    run(script, fidelity=EPOCHS, clock=Clock.UNITS)
    assert script.told[0][0].cost == pytest.approx(3 / 9)


def test_lost_states_do_not_change_results() -> None:
    task = Bowl(over="sphere")
    config = task.space.default()
    script = Script(([Proposal(config, 3)], [Proposal(config, 27, source=0)]), [], [])
    problem = Problem(task.space, task.objectives, task.fidelity, Budget(max_jobs=9))

    class Forgetful:
        def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
            from dataclasses import replace

            return task.evaluate([replace(job, state=None) for job in jobs])

    kept = drive(simulate(script, problem, ("b", 0)), task)
    lost = drive(simulate(Script(script.steps, [], []), problem, ("b", 0)), Forgetful())  # type: ignore[arg-type]
    assert kept == lost


def when(records: list[Record]) -> list[tuple[int, float, float, int]]:
    return [(r.job.id, r.began, r.ended, r.worker) for r in records]


def test_a_slow_method_is_asked_for_one_worker_at_a_time_and_the_others_wait() -> None:
    script = Script(([p(3)], [p(3)], [p(3)]), [], [])
    records = run(script, workers=2, simulation=Simulation(overhead=1.0))
    # Job 1 is thought about while job 0 runs; at 4 both the end of job 0 is told and the next one is thought about.
    assert when(records) == [(0, 1, 4, 0), (1, 2, 5, 1), (2, 5, 8, 0)]
    assert [n for n, _ in script.asked[:3]] == [1, 1, 1]
    assert [[r.job for r in told] for told in script.told] == [[0], [1], [2]]


def test_what_ends_while_a_method_thinks_is_told_when_it_is_done() -> None:
    script = Script(([p(1)], [p(9)], [p(9)], []), [], [])
    records = run(script, workers=2, simulation=Simulation(overhead=5.0))
    assert when(records)[0] == (0, 5, 6, 0)  # ends at 6, by its own time, though it is told at 10
    assert records[1].began == 10
    assert [r.job for r in script.told[0]] == [0]
    assert [q.config["x"] for q in script.asked[2][1]] == [9]


def test_waiting_costs_nothing_if_the_overhead_is_fixed_and_its_seconds_if_it_is_measured() -> None:
    steps = ([p(4)], [], [p(1)])
    assert when(run(Script(steps, [], []), workers=2, simulation=Simulation(overhead=1.0)))[-1][1:3] == (6, 7)
    seconds = iter([1.0, 2.5, 0.25, 0.0, 0.0])
    measured = run(
        Script(steps, [], []), workers=2, simulation=Simulation(overhead="measured"), thought=lambda: next(seconds)
    )
    assert when(measured) == [(0, 1, 5, 0), (1, 5.25, 6.25, 0)]


def test_no_job_begins_when_the_method_has_thought_beyond_the_limit() -> None:
    script = Script(tuple([p(1)] for _ in range(9)), [], [])
    records = run(script, workers=1, simulation=Simulation(overhead=2.0), budget=Budget(max_time=7))
    assert when(records) == [(0, 2, 3, 0), (1, 5, 6, 0)]


def test_unequal_workers_are_slow_by_their_own_factor_which_costs_and_reports_show() -> None:
    def records(workers: int) -> list[Record]:
        script = Script(([p(1)] * workers, *([p(1)] for _ in range(60))), [], [])
        return run(script, workers=workers, budget=Budget(max_jobs=40), simulation=Simulation(spread=0.5))

    few, many = ({r.worker: r.outcome.cost for r in records(workers)} for workers in (2, 3))
    assert len(set(many.values())) == 3
    assert few == {worker: many[worker] for worker in few}  # worker 0 is as slow, whatever the number of others
    for r in records(3):
        assert r.ended - r.began == pytest.approx(r.outcome.cost)


@pytest.mark.parametrize("simulation", [Simulation(overhead=1), Simulation("measured"), Simulation(spread=0.1)])
def test_seconds_need_a_clock_in_seconds(simulation: Simulation) -> None:
    with pytest.raises(UserError, match="clock=cost"):
        run(Script(([p(1)],), [], []), clock=Clock.UNITS, simulation=simulation)


@pytest.mark.parametrize(
    "settings",
    [{"overhead": -1}, {"overhead": "long"}, {"overhead": None}, {"spread": math.nan}, {"spread": "measured"}],
)
def test_impossible_simulations(settings: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"simulation\."):
        Simulation(**settings)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Watching(Script):
    """Asserts that it is shown what it has proposed and was not told of, in order."""

    waiting: list[Proposal] = field(default_factory=list)

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        assert list(map(id, running)) == list(map(id, self.waiting))
        out = [p(1 + 7 * len(self.told) % 5 + i / 64) for i in range(n)]
        self.waiting.extend(out)
        return out

    def tell(self, reports: Sequence[Report]) -> None:
        self.told.append(list(reports))
        done = {id(report.proposal) for report in reports}
        self.waiting[:] = [q for q in self.waiting if id(q) not in done]

    def begin(self, problem: Problem, rng: np.random.Generator) -> Watching:
        return self


@pytest.mark.parametrize("workers", [1, 7, 64])
@pytest.mark.parametrize("simulation", [PLAIN, Simulation(overhead=0.3, spread=0.4)])
def test_a_method_is_shown_all_that_runs(workers: int, simulation: Simulation) -> None:
    records = run(Watching(), workers=workers, budget=Budget(max_jobs=300), simulation=simulation)
    assert sorted(r.job.id for r in records) == list(range(300))
