"""Studies on a real Ray cluster of three nodes on this machine; nodes, workers and drivers die by SIGKILL."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray_tasks import SlowBowl
from rogue import Rogue, Unborn
from studies import do, plans, run_all, same

from hptbench import machine
from hptbench.commands.shell import dispatch
from hptbench.errors import UserError
from hptbench.executors import Executor
from hptbench.executors import ray as module
from hptbench.executors.ray import Ray, RayLive
from hptbench.executors.serial import Serial
from hptbench.journal import peek
from hptbench.protocol import Budget
from hptbench.results.collect import collect
from hptbench.run import Plan
from hptbench.workers import Limits

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: the extra ray")


def started(start: Callable[..., Any], **settings: Any) -> Any:
    """A node; skips where it needs longer than the 30 seconds that Ray gives it."""
    try:
        return start(**settings)
    except Exception as error:
        if "timed out during startup" in str(error):
            pytest.skip(f"this machine is too busy to start a node of Ray: {error}")
        raise


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that works on nothing, and two nodes that do."""
    from ray.cluster_utils import Cluster

    tests = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", tests, prepend=os.pathsep)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        head = {"num_cpus": 0, "include_dashboard": False}
        whole = started(Cluster, initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                started(whole.add_node, num_cpus=2, object_store_memory=80_000_000)
            yield whole
        finally:
            whole.shutdown()


def journals(study: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in study.rglob("journal.jsonl")}


def finish(
    executor: Executor,
    todo: Sequence[Plan],
    ready: Callable[[], bool] = lambda: True,
    then: Callable[[BaseProcess], None] = lambda _: None,
) -> int | None:
    """Do a study in a process of its own, and ``then`` something as soon as it is ``ready``.

    Returns the process's exit code; None if it has come to a standstill."""
    driver = mp.get_context("forkserver").Process(target=run_all, args=(executor, todo))
    driver.start()
    try:
        end = time.monotonic() + 200
        while not ready():
            assert driver.is_alive()
            assert time.monotonic() < end
            time.sleep(0.02)
        then(driver)
        driver.join(400)
        return driver.exitcode
    finally:
        driver.kill()
        driver.join()


def nothing_lost_nothing_twice(study: Path, seen: dict[Path, bytes]) -> None:
    """What was in the journals when something died is there, and each job once."""
    assert any(_lines(data) > 1 for data in seen.values()), "the death came before the first job"
    for path, before in seen.items():
        assert path.read_bytes().startswith(before)
    for path in journals(study):
        ids = [line["job"] for line in peek(path)]
        assert len(ids) == len(set(ids)) > 0


@needs_ray
@pytest.mark.slow
def test_results_are_those_of_one_process(cluster: Any, tmp_path: Path) -> None:
    isolated = Rogue(choices=("fine", "raise"))
    for executor, name in ((Serial(), "serial"), (Ray(cluster.address), "ray")):
        todo = plans(tmp_path / name, ["random", "bohb"])
        todo += plans(tmp_path / name, tasks=[isolated], seeds=[0], limits=Limits(seconds=300))
        assert do(executor, todo) == []
    columns = ["task", "method", "seed", "job", "trial", "start", "stop", "ended", "status", "value", "config"]
    a, b = (collect(tmp_path / name).jobs[columns] for name in ("serial", "ray"))
    pd.testing.assert_frame_equal(a, b, check_exact=True)


@needs_ray
@pytest.mark.slow
def test_a_node_killed_in_the_middle_costs_no_finished_job(cluster: Any, tmp_path: Path) -> None:
    def todo(name: str) -> list[Plan]:
        return plans(tmp_path / name, ["bohb"], [SlowBowl(fail=0.1)], seeds=range(3), budget=Budget(max_full_evals=5))

    assert do(Serial(), [replace(p, task=SlowBowl(fail=0.1, seconds=0)) for p in todo("serial")]) == []
    study, seen, heirs = tmp_path / "ray", {}, []
    victim = started(cluster.add_node, num_cpus=6, object_store_memory=80_000_000)

    def kill(_: object) -> None:
        heirs.append(started(cluster.add_node, num_cpus=6, object_store_memory=80_000_000))
        cluster.remove_node(victim, allow_graceful=False)
        seen.update(journals(study))

    def ready() -> bool:
        return sum(_lines(data) > 2 for data in journals(study).values()) >= 2

    # what only the victim can do, and then its heir
    assert finish(Ray(cluster.address, num_cpus=3), todo("ray"), ready, kill) == 0
    assert 0 < sum(_lines(data) for data in seen.values()) < sum(map(_lines, journals(study).values()))
    nothing_lost_nothing_twice(study, seen)
    same(tmp_path / "serial", study)
    cluster.remove_node(heirs[0])


@needs_ray
@pytest.mark.slow
def test_tasks_that_are_late_are_cancelled_and_sent_again(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    cancelled, cancel = [], ray.cancel
    monkeypatch.setattr(ray, "cancel", lambda task, force: (cancelled.append(task), cancel(task, force=force)))
    monkeypatch.setattr(module, "LATE_S", 0.5)  # no process of Ray starts so fast
    for executor, name in ((Serial(), "serial"), (Ray(cluster.address), "ray")):
        assert do(executor, plans(tmp_path / name, tasks=[SlowBowl(seconds=0)])) == []
    assert len(cancelled) >= 2
    same(tmp_path / "serial", tmp_path / "ray")


def _lines(journal: bytes) -> int:
    return journal.count(b"\n")


@needs_ray
@pytest.mark.slow
def test_a_driver_killed_and_run_again_goes_on(cluster: Any, tmp_path: Path) -> None:
    def todo(name: str) -> list[Plan]:
        return plans(tmp_path / name, ["random"], [SlowBowl(seconds=0.5)], seeds=range(3), budget=Budget(max_jobs=15))

    assert do(Serial(), [replace(p, task=SlowBowl(seconds=0)) for p in todo("serial")]) == []
    study = tmp_path / "ray"

    def ready() -> bool:
        return any(_lines(data) > 2 for data in journals(study).values())

    assert finish(Ray(cluster.address), todo("ray"), ready, lambda driver: driver.kill()) == -signal.SIGKILL
    seen = journals(study)
    assert not all(plan.finished for plan in todo("ray"))
    assert finish(Ray(cluster.address), todo("ray")) == 0
    nothing_lost_nothing_twice(study, seen)
    same(tmp_path / "serial", study)


@needs_ray
@pytest.mark.slow
def test_a_head_that_dies_ends_the_driver_and_on_another_the_study_goes_on(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    def todo(name: str) -> list[Plan]:
        return plans(tmp_path / name, ["random"], [SlowBowl(seconds=0.5)], seeds=range(2), budget=Budget(max_jobs=15))

    assert do(Serial(), [replace(p, task=SlowBowl(seconds=0)) for p in todo("serial")]) == []
    study, seen = tmp_path / "ray", {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        heads = []
        try:
            for attempt in range(2):
                head = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 80_000_000}
                heads.append(started(Cluster, initialize_head=True, head_node_args=head))
                if attempt == 0:

                    def kill(_: object) -> None:
                        heads[0].remove_node(heads[0].head_node, allow_graceful=False)
                        seen.update(journals(study))

                    def ready() -> bool:
                        return any(_lines(data) > 2 for data in journals(study).values())

                    assert finish(Ray(heads[0].address), todo("ray"), ready, kill) not in (0, None)
                    assert not all(plan.finished for plan in todo("ray"))
                else:
                    assert finish(Ray(heads[1].address), todo("ray")) == 0
        finally:
            for cluster in heads:
                cluster.shutdown()
    nothing_lost_nothing_twice(study, seen)
    same(tmp_path / "serial", study)


@needs_ray
@pytest.mark.slow
def test_a_worker_out_of_memory_is_replaced_and_given_up_after_three_times_without_a_job(
    cluster: Any, tmp_path: Path
) -> None:
    budget = Budget(max_full_evals=3)
    for name, deaths in (("serial", 0), ("twice", 2), ("always", 99)):
        (tmp_path / name).mkdir()
        task = SlowBowl(seconds=0, marks=str(tmp_path / name), deaths=deaths)
        executor: Executor = Ray(cluster.address) if deaths else Serial()
        broken = do(executor, plans(tmp_path / name, ["bohb"], [task], seeds=[0], budget=budget))
        if deaths < 3:
            assert broken == []
        else:
            [case] = broken
            assert "its task died 3 times in a row" in case.why
    same(tmp_path / "serial", tmp_path / "twice")


@needs_ray
@pytest.mark.slow
def test_a_live_run_on_actors_outlives_one_of_them(cluster: Any, tmp_path: Path) -> None:
    import psutil

    [plan] = plans(
        tmp_path / "live", ["random"], [SlowBowl(over="sphere", seconds=0.3)], seeds=[0],
        budget=Budget(max_jobs=12), workers=2, limits=Limits(seconds=300), live=True,
    )  # fmt: skip
    path = plan.folder / "journal.jsonl"
    killed = []

    def kill(_: object) -> None:
        mine = psutil.Process().children(recursive=True)
        actor = next(p for p in mine if "ray::_Worker" in " ".join(p.cmdline()))
        actor.kill()
        killed.append(actor.pid)

    assert finish(RayLive(cluster.address), [plan], lambda: path.is_file() and len(peek(path)) >= 3, kill) == 0
    assert killed
    jobs = collect(tmp_path / "live").jobs
    assert sorted(jobs["job"]) == list(range(12))
    assert set(jobs["status"]) == {"ok"}
    assert set(jobs["worker"]) == {0, 1}


@needs_ray
@pytest.mark.slow
def test_an_actor_that_cannot_start_breaks_its_run_instead_of_failing_each_job(cluster: Any, tmp_path: Path) -> None:
    todo = plans(tmp_path, tasks=[Unborn()], seeds=[0], budget=Budget(max_jobs=3), workers=1,
                 limits=Limits(seconds=300), live=True)  # fmt: skip
    [case] = do(RayLive(cluster.address), todo)
    assert "before it began a job; can the task be imported there?" in case.why
    assert peek(todo[0].folder / "journal.jsonl") == []


@needs_ray
@pytest.mark.slow
def test_nodes_that_differ_and_resources_that_nobody_has_are_named(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = plans(tmp_path, seeds=[0])
    with pytest.raises(UserError, match=r"expected nodes with room for 1 x .*'num_gpus': 0.5.* for bowl, got"):
        do(Ray(cluster.address, num_gpus=0.5), todo)
    other = machine.versions() | {"numpy": "0.1"}
    monkeypatch.setattr(machine, "versions", lambda: other)
    with pytest.raises(UserError, match=r"differs from the driver: numpy 0\.1 here, .* there"):
        do(Ray(cluster.address), todo)
    assert not any(plan.finished for plan in todo)


@needs_ray
def test_a_cluster_that_cannot_be_reached_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        argv = ["+method=random", "suite=synthetic", "executor=ray", f"executor.address='{address}'"]
        assert dispatch(argv) == 2
    err = capsys.readouterr().err
    assert f"executor.address={address}: no Ray cluster to work on" in err
    assert "ray start --head" in err
    assert "Traceback" not in err


@needs_ray
def test_a_cluster_of_another_version_is_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import ray

    def refuse(**_: object) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n  Ray: 2.9.0")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(UserError, match=r"Version mismatch: .* Ray: 2\.9\.0\); install the same versions"):
        do(Ray("auto"), plans(tmp_path))
