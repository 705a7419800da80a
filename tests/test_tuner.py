from __future__ import annotations

import json
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np
import pytest

import hptbench
from hptbench import registry
from hptbench.errors import UserError
from hptbench.methods.bohb import BOHB
from hptbench.protocol import Budget, Clock, Fidelity, Job, Problem, Proposal, Report, Search, Status, Traits
from hptbench.simulate import simulate
from hptbench.suggestions import Suggestion
from hptbench.testing.methods import drive
from hptbench.testing.problems import Bowl
from hptbench.tuner import Tuner

SPACE: dict[str, Any] = {
    "x": {"type": "float", "lower": -5, "upper": 5},
    "kind": {"type": "categorical", "choices": ["a", "b"]},
}


def square(job: Suggestion) -> float:
    return float(job.config["x"]) ** 2 + (job.config["kind"] == "a")


def answered(task: Bowl, tuner: Tuner, jobs: dict[int, Job], shown: Suggestion) -> None:
    """Evaluate a suggestion with the task, as a client would, and tell it."""
    before = None if shown.source is None else jobs[shown.source]
    seed = (shown.seed,)
    job = Job(shown.id, shown.trial, Proposal(shown.config), shown.start, shown.fidelity or 1.0, seed, None, before)
    jobs[job.id] = job
    [outcome] = task.evaluate([job])
    values = outcome.curve[-1].values if outcome.curve else None
    tuner.tell(shown, values, status=outcome.status, cost=outcome.cost)


@pytest.mark.parametrize("name", ["random", "gp", "tpe", "cmaes", "bohb", "asha", "pbt", "hyperband"])
def test_it_proposes_what_a_run_does(name: str) -> None:
    """The noise of the task comes from the jobs' seeds, of which a client knows a word: so without noise."""
    task, budget = Bowl(noise=0.0, name="t"), Budget(max_full_evals=8)
    tuner = Tuner(task.space, name, 3, budget=budget, fidelity=task.fidelity, name="t", objectives=task.objectives)
    method = registry.find("method", name)()
    run = drive(simulate(method, tuner._problem, ("t", 3), Clock.UNITS), task)
    jobs: dict[int, Job] = {}
    while shown := tuner.ask():
        answered(task, tuner, jobs, shown)
    assert tuner.over
    assert [r.job.config for r in tuner.history] == [r.job.proposal.config for r in run]
    assert [r.value for r in tuner.history] == [r.outcome.curve[-1].values[0] for r in run]
    assert [(r.job.start, r.job.fidelity, r.job.trial) for r in tuner.history] == [
        (r.job.start, r.job.stop, r.job.trial) for r in run
    ]


def test_threads_share_it() -> None:
    tuner = Tuner(SPACE, "random", budget=60, workers=6)
    mistakes: list[BaseException] = []

    def work() -> None:
        try:
            while job := tuner.ask():
                tuner.tell(job, square(job))
        except BaseException as error:
            mistakes.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not mistakes
    assert sorted(result.job.id for result in tuner.history) == list(range(60))
    assert tuner.over


@dataclass(frozen=True)
class OneByOne:
    """Proposes nothing while something runs, and three configurations in all."""

    traits: ClassVar[Traits] = Traits()

    def begin(self, problem: Problem, rng: np.random.Generator) -> Search:
        return _OneByOne(problem)


class _OneByOne:
    def __init__(self, problem: Problem) -> None:
        self._default, self._left, self.asks = problem.space.default(), 3, 0

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        self.asks += 1
        if running or not self._left:
            return []
        self._left -= 1
        return [Proposal(self._default)]

    def tell(self, reports: Sequence[Report]) -> None:
        pass


def test_to_wait_is_not_to_be_over(tmp_path: Path) -> None:
    tuner = Tuner(SPACE, OneByOne(), path=tmp_path / "journal.jsonl")
    for _ in range(3):
        [job] = tuner.ask(5)
        asked = tuner._search.asks  # type: ignore[attr-defined]
        for _ in range(10):
            assert tuner.ask() is None
        assert tuner._search.asks == asked, "nothing has been told since"  # type: ignore[attr-defined]
        assert not tuner.over
        tuner.tell(job, 1.0)
    assert not tuner.over, "it was not asked yet"
    assert tuner.ask() is None
    assert tuner.over
    tuner.close()
    with pytest.raises(UserError, match=r"unknown method .*OneByOne"):
        Tuner.load(tmp_path / "journal.jsonl")
    with Tuner.load(tmp_path / "journal.jsonl", method=OneByOne()) as loaded:
        assert loaded.over
        assert len(loaded.history) == 3


def test_failures_are_told_and_never_end_it() -> None:
    tuner = Tuner(SPACE, "tpe", budget=20)
    for i, job in enumerate(tuner.ask(4)):
        result = tuner.tell(job, math.nan) if i else tuner.tell(job, status="timeout", message="too long")
        assert result.value == math.inf
        assert result.status is (Status.NAN if i else Status.TIMEOUT)
    assert tuner.best is None
    job = tuner.ask()
    assert job is not None
    tuner.tell(job, 1.5)
    assert tuner.best is not None
    assert tuner.best.job == job


def test_what_is_told_is_checked_and_stays() -> None:
    tuner = Tuner(SPACE, "random", objectives=("a", "b"), constraints=("c",), fidelity=Fidelity(2, 8))
    job = tuner.ask()
    assert job is not None
    for wrong, message in [
        ({"value": 1.0}, "a value for each objective"),
        ({"value": ("1", 2)}, "a value for each objective"),
        ({"value": (1, 2)}, "a value for each constraint"),
        ({"value": (1, 2), "constraints": 0, "cost": math.inf}, "finite cost"),
        ({"value": (1, 2), "constraints": 0, "cost": -1.0}, "not below 0, got -1.0"),
        ({"value": (1, 10**400), "constraints": 0}, "a value for each objective"),
        ({"value": (1, 2), "constraints": 0, "status": "fine"}, "unknown status 'fine'"),
        ({"value": (1, 2), "constraints": 0, "curve": [(8, (1, 1))]}, "curve that increases between 0 and 8"),
    ]:
        with pytest.raises(UserError, match=message):
            tuner.tell(job, **wrong)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="job 7 is not pending; pending: 0"):
        tuner.tell(7, (1, 2))
    tuner.tell(job, (1, 2), constraints=0, curve=[(4, (3, 3))])
    tuner.tell(job.id, (1, 2), constraints=0)
    with pytest.raises(UserError, match="a result stays as it is"):
        tuner.tell(job, (1, 3), constraints=0)
    with pytest.raises(UserError, match="a result stays as it is"):
        tuner.tell(job, (1, 2), constraints=1)
    with pytest.raises(UserError, match="none is the best by 2 objectives"):
        _ = tuner.best


def test_the_front_and_the_best_keep_the_constraints() -> None:
    tuner = Tuner(SPACE, "random", objectives=("a", "b"), constraints=("c",))
    told = [((1, 3), 0), ((2, 2), -1), ((2, 3), 0), ((0, 0), 1), ((1, 3), 0)]
    for job, (values, c) in zip(tuner.ask(5), told, strict=True):
        tuner.tell(job, values, constraints=c)
    assert [result.job.id for result in tuner.front] == [0, 1, 4]
    one = Tuner(SPACE, "random", constraints=("c",))
    for job, (value, c) in zip(one.ask(3), [(1, 1), (3, 0), (2, 0)], strict=True):
        one.tell(job, value, constraints=c)
    assert one.best is not None
    assert one.best.value == 2


def test_checkpoints_are_named_where_a_training_goes_on(tmp_path: Path) -> None:
    fidelity = Fidelity(1, 3, continues=True)
    tuner = Tuner(SPACE, "successive_halving", fidelity=fidelity, checkpoints=tmp_path / "states", budget=20)
    for job in tuner.ask(9):
        assert (job.start, job.load) == (0, None)
        assert job.save is not None
        if job.id:
            job.save.write_text("weights")
        tuner.tell(job, square(job) if job.id else -1.0)
    promoted = tuner.ask(3)
    assert {job.start for job in promoted} == {1}
    for job in promoted:
        assert job.save is None, "trained to the end"
        assert job.source is not None
        assert job.load == (tmp_path / "states" / str(job.source) if job.source else None), "what is gone is not named"


def test_spaces_come_in_every_form(tmp_path: Path) -> None:
    configspace = CS.ConfigurationSpace(space={"x": (0.0, 1.0), "n": (1, 5), "kind": ["a", "b"]})
    (tmp_path / "space.json").write_text(json.dumps(configspace.to_serialized_dict()))
    (tmp_path / "space.yaml").write_text("x: {type: float, lower: 0, upper: 1}\n")
    expected = Tuner(configspace, "random").ask(3)
    for same in (str(tmp_path / "space.json"), configspace.to_serialized_dict(), Tuner(configspace).space):
        assert Tuner(same, "random").ask(3) == expected
    assert Tuner(tmp_path / "space.yaml", "random").space.names == ("x",)
    assert "cost" in Tuner("svm", "random").space.names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"space": 3}, "expected a search space as a mapping"),
        ({"space": "bbpr"}, "Did you mean 'bpr'"),
        ({"space": "none.yaml"}, "cannot be read"),
        ({"space": {"hyperparameters": [{"type": "odd"}]}}, "as ConfigSpace serialises it"),
        ({"space": {"x": {"type": "flout"}}}, "Did you mean 'float'"),
        ({"method": "gq"}, "unknown method 'gq'"),
        ({"settings": {"initail": 3}}, "unknown setting of gp 'initail'"),
        ({"method": BOHB(), "settings": {"eta": 3}}, "expected settings with a method's name"),
        ({"method": BOHB(), "start": [{"x": 1}]}, "expected start with a method's name"),
        ({"method": "bohb"}, "bohb trains part of the way"),
        ({"method": "bohb", "start": [{"x": 1}]}, "bohb trains part of the way"),
        ({"method": "nsga2"}, "nsga2 takes 2 to"),
        ({"budget": 0}, "budget.max_full_evals > 0"),
        ({"budget": "all"}, "expected budget to be a number"),
        ({"budget": {"max_time": 3}}, "stop asking when the time is up"),
        ({"budget": {"max_job": 3}}, "Did you mean 'max_jobs'"),
        ({"budget": {"energy_kwh": 3}}, "got energy_kwh: .* measured of a study's jobs"),
        ({"budget": Budget(max_jobs=3, cpu_hours=1)}, "got cpu_hours"),
        ({"objectives": 3}, "expected objectives to be a list of names, got 3"),
        ({"fidelity": 9}, "expected fidelity to be a Fidelity, or its fields, got 9"),
        ({"method": "random", "settings": {"traits": 3}}, "unknown setting of random 'traits'"),
        ({"space": {"x": {"type": "space", "space": "../space/svm"}}}, "unknown space '../space/svm'"),
        ({"space": {"x": {"type": "space", "space": {}}}}, r"space\.x\.space: expected the name of a space, got {}"),
        (
            {"space": {"x": {"type": "float", "lower": 0, "upper": math.inf}}},
            r"space\.x\.upper: expected a finite number",
        ),
        ({"fidelity": {"low": 1}}, "expected fidelity to have the fields"),
        ({"fidelity": {"low": 3, "high": 1}}, "0 < low <= high"),
        ({"seed": -1}, "expected seed"),
        ({"workers": 0}, "expected workers"),
        ({"clock": "real"}, "unknown clock"),
        ({"start": [{"z": 1}]}, "parameter 'z'"),
    ],
)
def test_what_does_not_fit_is_said(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Tuner(**{"space": SPACE, **given})


def test_it_starts_from_configurations() -> None:
    tuner = Tuner(SPACE, "tpe", start=[{"x": 1.25, "kind": "b"}])
    first = tuner.ask()
    assert first is not None
    assert first.config == {"x": 1.25, "kind": "b"}


def test_the_package_names_it() -> None:
    assert hptbench.Tuner is Tuner
    with pytest.raises(AttributeError, match="Tunner"):
        _ = hptbench.Tunner  # type: ignore[attr-defined]
