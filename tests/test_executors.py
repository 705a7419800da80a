from __future__ import annotations

import dataclasses
import multiprocessing as mp
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rogue import Rogue
from studies import Silent, do, plans, repeatable, run_all

from hptbench import registry
from hptbench.errors import UserError
from hptbench.executors import Executor
from hptbench.executors.lockstep import Lockstep
from hptbench.executors.processes import Processes
from hptbench.executors.serial import Live, Serial
from hptbench.protocol import Budget, Job, Outcome, Proposal
from hptbench.results.collect import collect
from hptbench.testing.problems import Bowl
from hptbench.workers import Limits, Pool

ALL = [Serial(), Processes(2), Lockstep()]


def same(a: tuple[pd.DataFrame, pd.DataFrame], b: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    for left, right in zip(a, b, strict=True):
        pd.testing.assert_frame_equal(left, right, check_exact=True)


FEW = {"asha", "bohb", "de", "gp", "grid", "hyperband", "mobster", "pbt", "random", "rf", "sobol", "tpe"}
"""Of each kind of search one: what the executors do does not depend on what a method thinks."""


@pytest.mark.parametrize("few", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["few", "others"])
def test_all_methods_give_the_same_on_all_executors(tmp_path: Path, few: bool) -> None:
    traits = {name: cls.traits for name, cls in registry.methods().items()}
    names = [
        name
        for name, one in traits.items()
        if not (one.requires or one.past) and one.min_objectives == 1 and (name in FEW) == few
    ]
    assert len(names) == len(FEW) or not few
    for i, executor in enumerate(ALL):
        todo = plans(tmp_path / str(i), names, [Bowl(fail=0.1)], seeds=[0], budget=Budget(max_jobs=20))
        assert do(executor, todo) == []
    first = repeatable(tmp_path / "0")
    assert len(first[1]) == len(names)
    for i in range(1, len(ALL)):
        same(first, repeatable(tmp_path / str(i)))


def test_the_width_of_lockstep_changes_nothing(tmp_path: Path) -> None:
    for study, executor in ((tmp_path / "all", Lockstep()), (tmp_path / "few", Lockstep(width=2))):
        assert do(executor, plans(study, ["random", "bohb"])) == []
    same(repeatable(tmp_path / "all"), repeatable(tmp_path / "few"))


def test_limits_do_not_change_results(tmp_path: Path) -> None:
    measured = [Rogue(choices=("fine", "raise"))]
    for i, limits in enumerate((Limits(), Limits(seconds=60))):
        assert do(Serial(), plans(tmp_path / str(i), tasks=measured, limits=limits)) == []
    a, b = (collect(tmp_path / str(i)).jobs for i in range(2))
    assert set(a["status"]) == {"ok", "failed"}
    columns = ["job", "trial", "ended", "status", "value", "test", "config"]
    pd.testing.assert_frame_equal(a[columns], b[columns])


@pytest.mark.parametrize(
    ("executor", "deaths"),
    [
        (Serial(), 4),
        (Lockstep(), 4),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in zip(ALL, (22, 8, 22), strict=True)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Executor) else str(value),
)
def test_killed_at_any_moment_and_resumed_is_never_killed(tmp_path: Path, executor: Executor, deaths: int) -> None:
    """SIGKILL at random moments of the work."""
    methods = ["random", "bohb"]
    budget = Budget(max_full_evals=12)
    assert do(executor, plans(tmp_path / "undisturbed", methods, budget=budget)) == []
    undisturbed = repeatable(tmp_path / "undisturbed")
    context = mp.get_context("forkserver")
    luck = random.Random(type(executor).__name__)
    total = _lines(tmp_path / "undisturbed")
    kills, halfway, rounds = 0, 0, 0
    while kills < deaths:
        rounds += 1
        study = tmp_path / f"disturbed{rounds}"
        todo = plans(study, methods, budget=budget)
        while not all(plan.finished for plan in todo):
            victim = context.Process(target=run_all, args=(executor, todo))
            victim.start()
            target = _lines(study) + luck.randint(0, total // 5)
            while victim.is_alive() and (kills >= deaths or _lines(study) < target):
                time.sleep(0.002)
            if victim.is_alive():
                assert victim.pid is not None
                os.kill(victim.pid, signal.SIGKILL)
                kills += 1
                halfway += 0 < _lines(study) < total
            victim.join()
        same(undisturbed, repeatable(study))
    assert halfway > deaths / 2, f"only {halfway} of {kills} kills hit a study that was half done"


def _lines(study: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in study.rglob("journal.jsonl"))


def test_a_task_that_returns_too_little_breaks_its_runs_only(tmp_path: Path) -> None:
    class Short(Bowl):
        def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
            return super().evaluate(jobs)[:-1]

    for executor in (Serial(), Lockstep()):
        todo = plans(tmp_path / type(executor).__name__, tasks=[Short(name="short"), Bowl()])
        assert len(do(executor, todo)) == 2
        assert [plan.finished for plan in todo] == [False, False, True, True]


def test_a_finished_study_is_not_run_again(tmp_path: Path) -> None:
    todo = plans(tmp_path)
    do(Serial(), todo)
    stamps = [(plan.folder / "journal.jsonl").stat().st_mtime_ns for plan in todo]
    assert all(plan.finished for plan in plans(tmp_path))
    do(Serial(), todo)
    assert [(plan.folder / "journal.jsonl").stat().st_mtime_ns for plan in todo] == stamps


def test_a_run_that_breaks_does_not_stop_the_others(tmp_path: Path) -> None:
    class Wrong(Bowl):
        def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
            return [dataclasses.replace(outcome, cost=0.0) for outcome in super().evaluate(jobs)]

    for executor in (Serial(), Lockstep()):
        todo = plans(tmp_path / type(executor).__name__, tasks=[Wrong(name="wrong"), Bowl()])
        broken = do(executor, todo)
        assert [case.plan.task.name for case in broken] == ["wrong", "wrong"]
        assert "expected a finite cost > 0" in broken[0].why
        assert [plan.finished for plan in todo] == [False, False, True, True]


def _plans_with_a_killer(study: Path) -> object:
    return plans(study, tasks=[Rogue(how="kill", name="killer"), Rogue(choices=("fine",), name="kind")], seeds=[0])


def test_a_run_whose_process_is_killed_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    broken = do(Processes(1), _plans_with_a_killer(tmp_path))  # type: ignore[arg-type]
    assert [(case.plan.task.name, case.why) for case in broken] == [("killer", "its process was killed 3 times")]
    assert set(collect(tmp_path).runs["task"]) == {"kind"}


@pytest.mark.parametrize("executor", [Serial(), Lockstep(), Processes(2)], ids=lambda e: type(e).__name__)
def test_a_user_error_stops_the_study(tmp_path: Path, executor: Executor) -> None:
    with pytest.raises(UserError, match="the data are gone"):
        do(executor, plans(tmp_path, tasks=[Rogue(how="user error")]))


def test_the_watcher_hears_of_every_run(tmp_path: Path) -> None:
    for executor in ALL:
        silent = Silent()
        executor.run(plans(tmp_path / type(executor).__name__), silent)
        assert silent.over == 4


def test_live_runs_overlap_fail_and_are_recorded(tmp_path: Path) -> None:
    task = Rogue(choices=("slow", "raise", "hang"))
    limits = Limits(seconds=1.0)
    budget = Budget(max_jobs=16)
    [plan] = plans(tmp_path, tasks=[task], seeds=[0], budget=budget, workers=4, limits=limits, live=True)
    assert do(Live(), [plan]) == []
    jobs = collect(tmp_path).jobs
    assert len(jobs) == 16
    assert set(jobs["status"]) == {"ok", "failed", "timeout"}
    assert jobs["ended"].is_monotonic_increasing
    overlap = max(((jobs["began"] <= t) & (t < jobs["ended"])).sum() for t in jobs["began"])
    assert 2 <= overlap <= 4
    assert (jobs["ended"] - jobs["began"]).max() < 30  # a start of a worker may be in it


@pytest.mark.slow
def test_live_runs_resume_with_their_history(tmp_path: Path) -> None:
    task = Rogue(choices=("slow",))
    [plan] = plans(
        tmp_path, tasks=[task], seeds=[0], budget=Budget(max_jobs=30), workers=3, limits=Limits(60), live=True
    )
    context = mp.get_context("forkserver")
    victim = context.Process(target=run_all, args=(Live(), [plan]))
    victim.start()
    journal = plan.folder / "journal.jsonl"
    while not journal.exists() or journal.read_bytes().count(b"\n") < 8:
        time.sleep(0.01)
    os.kill(victim.pid or 0, signal.SIGKILL)
    victim.join()
    before = journal.read_bytes()
    before = before[: before.rfind(b"\n") + 1]
    do(Live(), [plan])
    assert journal.read_bytes().startswith(before)
    jobs = collect(tmp_path).jobs
    assert sorted(jobs["job"]) == list(range(30))
    assert jobs["ended"].is_monotonic_increasing


def test_live_ends_at_its_time(tmp_path: Path) -> None:
    task = Rogue(choices=("slow", "fine", "raise", "hang"))
    [plan] = plans(
        tmp_path, tasks=[task], seeds=[0], budget=Budget(max_time=3), workers=4, limits=Limits(60), live=True
    )
    with Pool(task, 4, Limits(60)) as pool:  # the first start of workers takes seconds
        pool.evaluate([Job(i, i, Proposal({"how": "fine", "x": 0.5}), 0.0, 1.0, (1,)) for i in range(4)])
    began = time.monotonic()
    do(Live(), [plan])
    assert time.monotonic() - began < 10
    jobs = collect(tmp_path).jobs
    assert len(jobs) > 0
    assert np.all(jobs["ended"] <= 3)
