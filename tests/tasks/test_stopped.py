from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.journal import Journal, journaled
from hptbench.ledger import Ledger
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Clock, Fidelity, Job, Outcome, Point, Problem, Proposal, Status
from hptbench.rng import entropy
from hptbench.simulate import simulate
from hptbench.space import Space
from hptbench.spacefile import space_from_yaml
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.stopped import Stopped, power_law
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.testing import TASK_CHECKS
from hptbench.testing.methods import drive
from hptbench.testing.problems import Bowl


@dataclass(frozen=True)
class Curve:
    """A training whose loss after epoch t is ``values[t - 1]``, a second per epoch; its state is the epoch."""

    values: tuple[float, ...]
    fails_at: int = 0
    fidelity: Fidelity | None = None
    name: str = "curve"
    unit: str = "curve"
    version: int = 1
    objectives: tuple[str, ...] = ("loss",)
    constraints: tuple[str, ...] = ()
    measured: bool = False

    @cached_property
    def space(self) -> Space:
        return space_from_yaml({"x": {"type": "float", "lower": 0, "upper": 1}})

    def identity(self) -> Mapping[str, Any]:
        return {}

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Outcome:
        assert job.start == (job.state or 0)
        if job.start < self.fails_at <= job.stop:
            return Outcome(Status.FAILED, (), job.stop - job.start, message="broke")
        points = tuple(Point(float(t), (self.values[t - 1],)) for t in range(int(job.start) + 1, int(job.stop) + 1))
        return Outcome(Status.OK, points, job.stop - job.start, {"test": -points[-1].values[0]}, int(job.stop))


def curve(*values: float, low: int = 1, **more: Any) -> Curve:
    return Curve(values, fidelity=Fidelity(low, len(values), continues=True), **more)


def job(task: Any, stop: float | None = None) -> Job:
    return Job(0, 0, Proposal(task.space.default()), 0.0, stop or task.fidelity.high, entropy("t"))


def whole(task: Any) -> Outcome:
    [outcome] = task.evaluate([job(task)])
    return outcome


@pytest.mark.parametrize("inner", [Bowl(), Bowl(over="sphere", noise=0.2), SyntheticTask("mf_hartmann3_bad")])
@pytest.mark.parametrize("spec", [{"patience": 2}, {"rule": "extrapolation", "min_delta": 0.02, "patience": 1}])
@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
def test_is_a_task_like_any_other(inner: Any, spec: dict[str, Any], check: Any) -> None:
    task = wrap(inner, [{"stopped": spec}])
    assert any(o.trained is not None for o in task.evaluate([job(task)])), "it stops"
    check(task)


def test_plateau_stops_after_patience_checks_without_improvement_and_charges_no_more() -> None:
    #                       1    2    3    4    5    6    7    8
    task = Stopped(curve(5.0, 4.0, 3.0, 3.5, 3.0, 2.0, 1.0, 0.5), patience=2)
    outcome = whole(task)
    assert outcome.trained == 5
    assert outcome.cost == 5
    assert [(q.fidelity, *q.values) for q in outcome.curve] == [(1, 5), (2, 4), (3, 3), (4, 3.5), (5, 3), (8, 3)]
    assert outcome.hidden == {"test": -3.0}, "of the model as it was when it was stopped"
    assert whole(replace(task, patience=3)).trained is None
    assert whole(replace(task, patience=3)).curve[-1] == Point(8, (0.5,))


def test_only_improvements_by_more_than_min_delta_count() -> None:
    values = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75)
    assert whole(Stopped(curve(*values), patience=2, min_delta=0.5)).trained == 3
    assert whole(Stopped(curve(*values), patience=2, min_delta=0.08)).trained is None, "0.9 and 0.8 do"


def test_checks_are_made_at_multiples_of_the_lowest_fidelity() -> None:
    falling_at_even = curve(5.0, 4.0, 9.0, 3.0, 9.0, 2.0, 9.0, 1.0, low=2)
    assert whole(Stopped(falling_at_even, patience=1)).trained is None
    assert whole(Stopped(replace(falling_at_even, fidelity=Fidelity(1, 8, continues=True)), patience=1)).trained == 3


def test_what_is_not_a_number_is_no_improvement() -> None:
    assert whole(Stopped(curve(1.0, math.nan, math.nan, 0.1, 0.0), patience=2)).trained == 3
    rising = Stopped(curve(*[math.nan] * 8), rule="extrapolation", patience=2, min_delta=0.1)
    assert whole(rising).trained is None, "nothing to extrapolate from"


def test_a_failure_is_told_with_what_it_cost() -> None:
    outcome = whole(Stopped(curve(5.0, 4.0, 3.0, 2.0, fails_at=3), patience=2))
    assert (outcome.status, outcome.cost, outcome.message, outcome.trained) == (Status.FAILED, 3, "broke", None)


def test_a_training_stopped_in_an_earlier_segment_trains_no_more() -> None:
    task = Stopped(curve(5.0, 4.0, 4.5, 4.5, 1.0, 1.0), patience=2)
    [first] = task.evaluate([job(task, 5.0)])
    assert first.trained == 4
    going_on = replace(job(task), id=1, start=5.0, before=job(task, 5.0))
    for state in (first.state, None):  # lost: made again
        [second] = task.evaluate([replace(going_on, state=state)])
        assert second.trained == 4
        assert second.curve == (Point(6, (4.5,)),)
        assert second.cost < 1e-6


def test_the_run_is_charged_what_was_trained_in_budget_and_time() -> None:
    inner = curve(5.0, 4.0, 4.5, 4.5, 1.0, 1.0, 1.0, 1.0)
    spent = {}
    for task in (inner, Stopped(inner, patience=2)):
        problem = Problem(task.space, task.objectives, task.fidelity, Budget(max_full_evals=4))
        records = drive(simulate(RandomSearch(), problem, ("t", 0)), task)
        spent[task.name] = len(records)
        assert records[-1].ended == pytest.approx(4.0)
    assert list(spent.values()) == [4, 8], "half as long, so twice as many"


def test_the_ledger_charges_a_stopped_training_that_is_not_finite_the_same() -> None:
    problem = Problem(Bowl().space, ("loss",), Fidelity(1, 10, continues=True), Budget(max_jobs=9))
    ledger = Ledger(problem, ("t", 0), Clock.UNITS)
    opened = ledger.open(Proposal(Bowl().space.default()))
    nan = Outcome(Status.OK, (Point(10.0, (math.nan,)),), 1.0, trained=4.0)
    assert ledger.close(opened, nan)[2].cost == pytest.approx(0.4)
    assert ledger.full_evals == pytest.approx(0.4)


def test_the_journal_keeps_how_far_it_was_trained(tmp_path: Any) -> None:
    task = Stopped(Bowl(noise=0.1), patience=1)
    problem = Problem(task.space, task.objectives, task.fidelity, Budget(max_jobs=6), 2)
    runs = []
    for _ in range(2):
        with Journal(tmp_path / "j.jsonl", "r") as journal:
            simulated = simulate(RandomSearch(), problem, ("t", 0))
            runs.append(drive(journaled(simulated, journal, lambda _: None), task))
    assert runs[0] == runs[1]
    assert {r.outcome.trained for r in runs[0]} > {None} or all(r.outcome.trained for r in runs[0])


def test_the_power_law_is_found_again_whatever_one_outlier_says() -> None:
    t, end = np.arange(3, 16) / 27, np.array([1.0])
    for c in (0.05, 0.4, 2.0):
        y = 0.3 + 0.2 * t**-c
        assert power_law(t, y)(end) == pytest.approx(0.5, abs=0.01 * np.ptp(y))
        y[4] += 3 * np.ptp(y)
        assert power_law(t, y)(end) == pytest.approx(0.5, abs=0.05 * np.ptp(y)), c
    squares = np.polynomial.Polynomial.fit(t**-2, y, 1)(1.0)
    robust = float(power_law(t, y)(end)[0])
    assert abs(squares - 0.5) > 3 * abs(robust - 0.5), "which least squares do not see through"


def test_extrapolation_stops_where_the_law_promises_too_little() -> None:
    t = np.arange(1, 28)
    values = (0.1 + 0.9 / t).tolist()  # from t to 27 it falls by 0.9 / t - 0.9 / 27
    task = Stopped(curve(*values), rule="extrapolation", min_delta=0.05, patience=1)
    first = next(k for k in range(5, 28) if 0.9 / k - 0.9 / 27 <= 0.05)
    trained = whole(task).trained
    assert trained is not None
    assert abs(trained - first) <= 1, "exponents are on a grid"
    assert whole(replace(task, patience=3)).trained == trained + 2


@pytest.mark.parametrize(
    ("inner", "settings", "message"),
    [
        (SyntheticTask("branin"), {}, "a task with a learning curve"),
        (Bowl(fidelity=Fidelity(1, 9)), {}, "a task with a learning curve"),
        (Bowl(objectives=("a", "b")), {}, "one objective"),
        (Bowl(), {"rule": "plateaux"}, "plateau"),
        (Bowl(), {"patience": 0}, "patience"),
        (Bowl(), {"min_delta": -1.0}, "min_delta"),
        (Bowl(), {"rule": "extrapolation"}, "min_delta > 0"),
    ],
)
def test_impossible_settings(inner: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        wrap(inner, [{"stopped": settings}])


def test_no_training_goes_on_from_another_configurations_state() -> None:
    assert Bowl().fidelity.inherits  # type: ignore[union-attr]
    assert not Stopped(Bowl()).fidelity.inherits
