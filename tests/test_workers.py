from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rogue import Crowd, Rogue, Sleeper, Unborn

from hptbench.errors import UserError
from hptbench.protocol import Job, Proposal, Status
from hptbench.testing.problems import Bowl
from hptbench.workers import Limits, Pool, evaluate_here


def job(how: str, x: float = 0.5, number: int = 0) -> Job:
    return Job(number, number, Proposal({"how": how, "x": x}), 0.0, 1.0, (1, 2, 3, 4))


def gone(pid: int, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_every_way_to_fail_is_an_outcome_and_the_pool_goes_on() -> None:
    hows = ["fine", "raise", "exit", "kill", "hang", "fine"]
    with Pool(Rogue(), 2, Limits(seconds=2.0, memory_mb=600)) as pool:
        outcomes = pool.evaluate([job(how, number=i) for i, how in enumerate(hows)])
    status = Status
    assert [o.status for o in outcomes] == [
        status.OK, status.FAILED, status.FAILED, status.FAILED, status.TIMEOUT, status.OK,
    ]  # fmt: skip
    assert [o.message.split(" (")[0] for o in outcomes[:5]] == [
        "",
        "RuntimeError: it was to raise",
        "its worker process ended with code 3",
        "its worker process was killed by signal 9",
        "ran longer than 2 s",
    ]
    assert 2.0 <= outcomes[4].cost < 4.0


def test_a_job_that_takes_too_much_memory_is_an_outcome_and_the_pool_goes_on() -> None:
    with Pool(Rogue(), 1, Limits(seconds=60, memory_mb=600)) as pool:
        outcomes = pool.evaluate([job(how, number=i) for i, how in enumerate(["memory", "fine"])])
    assert [o.status for o in outcomes] == [Status.MEMORY, Status.OK]
    assert "more than 600 MB" in outcomes[0].message


def test_what_a_job_takes_is_measured_for_it_alone() -> None:
    with Pool(Rogue(), 1, Limits(seconds=60)) as pool:
        small, large, again = (pool.evaluate([job(how, x=0.3)])[0] for how in ("fine", "large", "fine"))
    assert small.memory is not None
    assert large.memory is not None
    assert again.memory is not None
    assert large.memory > small.memory + 150
    assert again.memory < large.memory - 150, "the peak of an earlier job is not this one's"
    assert large.cpu is not None
    assert 0 <= large.cpu < 5
    [here] = evaluate_here(Rogue(), [job("fine")])
    assert here.cpu is None
    assert here.memory is None


def test_an_answer_is_never_given_to_another_batch() -> None:
    with Pool(Rogue(), 2, Limits(seconds=60)) as pool:
        unpicklable = Job(1, 1, Proposal({"how": "fine", "x": 0.2}, note={"f": lambda: 0}), 0.0, 1.0, (1,))
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pool.evaluate([job("slow", x=0.1), unpicklable])
        outcomes = pool.evaluate([job("fine", x=0.7), job("fine", x=0.8)])
    assert [o.curve[-1].values[0] for o in outcomes] == [0.7, 0.8]


def test_memory_that_earlier_jobs_left_is_not_a_jobs_own() -> None:
    with Pool(Rogue(), 1, Limits(memory_mb=700)) as pool:
        outcomes = pool.evaluate([job("hoard", number=i) for i in range(8)])
    assert {o.status for o in outcomes} == {Status.OK}


def test_a_worker_that_cannot_start_is_no_failed_training() -> None:
    with Pool(Unborn(), 1, Limits(seconds=60)) as pool, pytest.raises(RuntimeError, match="before it began a job"):
        pool.evaluate([job("fine")])


def test_a_dead_worker_is_seen_although_its_child_lives(tmp_path: Path) -> None:
    began = time.monotonic()
    with Pool(Rogue(pids=str(tmp_path / "pids")), 1, Limits()) as pool:
        [outcome] = pool.evaluate([job("orphan")])
    assert "killed by signal 9" in outcome.message
    assert time.monotonic() - began < 30


def test_long_chains_of_segments_travel() -> None:
    first = Job(0, 0, Proposal({"how": "fine", "x": 0.5}), 0.0, 1.0, (1,))
    last = first
    for i in range(1, 2000):
        last = Job(i, 0, first.proposal, float(i), i + 1.0, (1,), "state", last)
    with Pool(Rogue(), 1, Limits(seconds=60)) as pool:
        [outcome] = pool.evaluate([last])
    assert outcome.status is Status.OK
    assert "before" not in repr(last)


def test_outcomes_keep_the_order_of_the_jobs() -> None:
    jobs = [job("slow" if i % 3 == 0 else "fine", x=i / 10, number=i) for i in range(10)]
    with Pool(Rogue(), 3, Limits(seconds=30)) as pool:
        assert [o.curve[-1].values[0] for o in pool.evaluate(jobs)] == [i / 10 for i in range(10)]


def test_jobs_that_are_taken_together() -> None:
    with Pool(Crowd(), 2, Limits(seconds=30)) as pool:
        few = pool.evaluate([job("fine", i / 10, i) for i in range(3)])
        many = pool.evaluate([job("fine", i / 20, i) for i in range(11)])
    assert [o.hidden["others"] for o in few] == [1, 1, 0]
    assert [o.hidden["others"] for o in many] == [3] * 8 + [2] * 3
    assert [o.hidden["test"] for o in many] == [i / 20 for i in range(11)]
    assert [o.cpu is None for o in few] == [True, True, False]


def test_together_nobody_suffers_for_another() -> None:
    hows = ["fine", "kill", "fine", "hang", "fine", "raise", "fine"]
    with Pool(Crowd(), 1, Limits(seconds=1.0)) as pool:
        outcomes = pool.evaluate([job(how, i / 10, i) for i, how in enumerate(hows)])
    ok, failed = Status.OK, Status.FAILED
    assert [o.status for o in outcomes] == [ok, failed, ok, Status.TIMEOUT, ok, failed, ok]
    assert [o.hidden["test"] for o in outcomes if o.status is ok] == [0.0, 0.2, 0.4, 0.6]
    assert outcomes[3].message == "ran longer than 1 s"


def test_what_a_job_started_dies_with_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with Pool(Rogue(pids=str(pids)), 1, Limits(seconds=1.5)) as pool:
        [outcome] = pool.evaluate([job("fork")])
    assert outcome.status is Status.TIMEOUT
    assert gone(int(pids.read_text()))


def test_a_user_error_in_a_worker_reaches_the_user() -> None:
    with Pool(Rogue(), 1, Limits(seconds=30)) as pool, pytest.raises(UserError, match="the data are gone"):
        pool.evaluate([job("user error")])


def test_making_a_lost_state_again_is_not_the_jobs_time() -> None:
    proposal = Proposal({"how": "fine", "x": 0.5})
    first = Job(0, 0, proposal, 0.0, 2.0, (1, 2, 3, 4))
    second = Job(1, 0, proposal, 2.0, 3.0, (1, 2, 3, 4), None, first)
    with Pool(Sleeper(), 1, Limits(seconds=1.3)) as pool:
        [outcome] = pool.evaluate([second])
        [too_long] = pool.evaluate([Job(2, 2, proposal, 0.0, 3.0, (1, 2, 3, 4))])
    assert (outcome.status, outcome.cost) == (Status.OK, 0.5)
    assert too_long.status is Status.TIMEOUT


def test_states_travel_through_workers() -> None:
    task = Bowl()
    first = Job(0, 0, Proposal(task.space.default(), 9.0), 0.0, 9.0, (1, 2, 3, 4))
    with Pool(task, 1, Limits(seconds=30)) as pool:
        [half] = pool.evaluate([first])
        [end] = pool.evaluate([Job(1, 0, Proposal(task.space.default()), 9.0, 27.0, (1, 2, 3, 4), half.state, first)])
    [whole] = task.evaluate([Job(0, 0, Proposal(task.space.default()), 0.0, 27.0, (1, 2, 3, 4))])
    assert end.curve[-1] == whole.curve[-1]


_PARENT = """
import os, sys
sys.path.insert(0, {tests!r})
from rogue import Crowd, Rogue, Sleeper, Unborn
from hptbench.workers import Limits, Pool
from test_workers import job
if __name__ == "__main__":
    pool = Pool(Rogue(pids={pids!r}), 1, Limits(seconds=1000))
    pool.submit([job("fork")], 0)
    print(pool._slots[0].child.process.pid, flush=True)
    pool.wait()
"""


def test_workers_die_with_a_killed_parent(tmp_path: Path) -> None:
    pids, script = tmp_path / "pids", tmp_path / "parent.py"
    script.write_text(_PARENT.format(tests=str(Path(__file__).parent), pids=str(pids)))
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    while not (pids.exists() and pids.read_text().endswith("\n")):
        time.sleep(0.02)
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    assert gone(worker)
    assert gone(int(pids.read_text()))


def test_in_process_a_raising_job_does_not_take_its_batch_along() -> None:
    outcomes = evaluate_here(Rogue(), [job("fine"), job("raise"), job("fine")])
    assert [o.status for o in outcomes] == [Status.OK, Status.FAILED, Status.OK]
    assert "rogue.py" in outcomes[1].message
    with pytest.raises(UserError):
        evaluate_here(Rogue(), [job("user error")])


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"memory_mb": -1}])
def test_impossible_limits(limits: dict[str, float]) -> None:
    with pytest.raises(UserError, match="expected limits"):
        Limits(**limits)
