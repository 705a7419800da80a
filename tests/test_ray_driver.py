"""What the driver of a study on Ray does: against a fake Ray, in which tasks meet what they are told to."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray_tasks import Clumsy, Noted, SlowBowl
from studies import Silent, do, plans, same

from hptbench.errors import CannotWrite, UserError
from hptbench.executors import Executor
from hptbench.executors import ray as module
from hptbench.executors._cluster import Home, OnRay
from hptbench.executors.ray import Ray, RayLive
from hptbench.executors.serial import Serial
from hptbench.journal import Log, peek
from hptbench.run import Driver, Evaluator, execute
from hptbench.workers import Limits


class FakeRay:
    """Ray as far as the driver uses it, in this process. Each task meets the next of ``fates``, the last one for ever.

    It is done (fine), never begun (never), dies on its way (dies), cannot be sent (odd) or be read there (unread)."""

    class exceptions:
        class RayError(Exception): ...

        class RayTaskError(RayError): ...

    def __init__(self, *fates: str, cpus: int = 2) -> None:
        self.fates, self.cpus = list(fates), cpus
        self.options_seen: list[dict[str, Any]] = []
        self.cancelled: list[Any] = []

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": self.cpus}}, {"Alive": False, "Resources": {"CPU": 99}}]

    def remote(self, **_: Any) -> Callable[[Any], Any]:
        return lambda function: _Function(self, function)

    def wait(self, tasks: Sequence[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        ready = [task for task in tasks if task.fate != "never"][:num_returns]
        if not ready:
            time.sleep(0.01)
        return ready, []

    def get(self, answer: Any, timeout: float | None = None) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def cancel(self, task: Any, force: bool) -> None:
        self.cancelled.append(task)
        task.news.close()


class _Function:
    def __init__(self, ray: FakeRay, function: Callable[[Any], Generator[Any, None, None]]) -> None:
        self._ray, self._function = ray, function

    def options(self, **options: Any) -> _Function:
        self._ray.options_seen.append(options)
        return self

    def remote(self, order: Any) -> _Stream:
        fate = self._ray.fates.pop(0) if len(self._ray.fates) > 1 else self._ray.fates[0]
        if fate == "odd":
            raise TypeError("cannot pickle this")
        return _Stream(fate, self._function(order))


class _Stream:
    def __init__(self, fate: str, news: Generator[Any, None, None]) -> None:
        self.fate, self.news = fate, news

    def __next__(self) -> Any:
        if self.fate == "unread":
            return FakeRay.exceptions.RayTaskError("no such module")
        news = next(self.news)
        if news[0] not in ("here", "grown"):
            assert list(self.news) == []
        return FakeRay.exceptions.RayError("gone") if self.fate == "dies" and news[0] == "grown" else news


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeRay]:
    def fake(*fates: str, cpus: int = 2) -> FakeRay:
        ray = FakeRay(*fates, cpus=cpus)
        monkeypatch.setattr(OnRay, "connected", lambda _: nullcontext(ray))
        monkeypatch.setattr(module, "LATE_S", 0.05)
        return ray

    return fake


def test_what_is_never_begun_is_cancelled_and_sent_to_another_queue(
    faked: Callable[..., FakeRay], tmp_path: Path
) -> None:
    ray = faked("never", "never", "never", "fine")
    assert do(Ray(), plans(tmp_path / "ray", tasks=[SlowBowl(seconds=0)])) == []
    assert do(Serial(), plans(tmp_path / "serial", tasks=[SlowBowl(seconds=0)])) == []
    same(tmp_path / "serial", tmp_path / "ray")
    assert len(ray.cancelled) == 3
    assert [options.get("memory") for options in ray.options_seen] == [None, None, 2, 2, 3]


def test_a_study_whose_node_is_gone_for_good_ends_with_one_message(
    faked: Callable[..., FakeRay], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = faked("never")
    [plan] = plans(tmp_path, tasks=[SlowBowl()], seeds=[0])

    def wait(*_: object, **__: object) -> tuple[list[Any], list[Any]]:
        ray.cpus = 0
        time.sleep(0.01)
        return [], []

    monkeypatch.setattr(ray, "wait", wait)
    with pytest.raises(UserError, match="expected nodes with room for 1 x"):
        do(Ray(), [plan])
    Log(plan.folder / "journal.jsonl", plan.id).close()  # nobody holds it


def test_a_task_that_dies_is_sent_at_once_to_another_queue_and_given_up_the_third_time(
    faked: Callable[..., FakeRay], tmp_path: Path
) -> None:
    ray = faked("dies", "dies", "fine")
    [plan] = plans(tmp_path / "twice", seeds=[0], tasks=[SlowBowl(seconds=0)])
    assert do(Ray(), [plan]) == []
    assert [options.get("memory") for options in ray.options_seen] == [None, 2, 3]
    faked("dies")
    [case] = do(Ray(), plans(tmp_path / "always", seeds=[0], tasks=[SlowBowl(seconds=0)]))
    assert "its task died 3 times in a row (RayError: gone)" in case.why


@pytest.mark.parametrize(("fate", "why"), [("odd", "cannot pickle this"), ("unread", "no such module")])
def test_a_run_that_cannot_be_sent_or_read_breaks_alone_and_at_once(
    faked: Callable[..., FakeRay], fate: str, why: str, tmp_path: Path
) -> None:
    ray = faked(fate, "fine")
    first, second = plans(tmp_path, tasks=[SlowBowl(seconds=0)])
    [case] = do(Ray(), [first, second])
    assert case.plan == first
    assert why in case.why
    assert second.finished
    assert len(ray.options_seen) == 2
    Log(first.folder / "journal.jsonl", first.id).close()  # nobody holds it


def test_a_run_that_breaks_keeps_the_jobs_that_it_has_done(faked: Callable[..., FakeRay], tmp_path: Path) -> None:
    faked("fine")
    done = []
    for executor, name in ((Serial(), "serial"), (Ray(), "ray")):
        [plan] = plans(tmp_path / name, tasks=[SlowBowl(seconds=0)], seeds=[0])
        plan = replace(plan, label="clumsy", method=Clumsy())
        [case] = do(executor, [plan])
        assert "it was to raise" in case.why
        done.append(peek(plan.folder / "journal.jsonl"))
    assert len(done[0]) >= 6
    assert done[0] == done[1]


def test_a_node_without_room_on_its_disk_breaks_a_run_and_not_the_study(
    faked: Callable[..., FakeRay], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Iterator[Any]:
        raise CannotWrite("no room")

    faked("fine")
    monkeypatch.setattr(module, "_work", full)
    assert [case.why for case in do(Ray(), plans(tmp_path, tasks=[SlowBowl(seconds=0)]))] == ["no room"] * 2


def test_a_run_that_somebody_else_has_finished_meanwhile_is_left_alone(
    faked: Callable[..., FakeRay], tmp_path: Path
) -> None:
    todo = plans(tmp_path, tasks=[SlowBowl(seconds=0)], seeds=[0])
    assert do(Serial(), todo) == []
    before = (todo[0].folder / "run.json").read_bytes()
    ray = faked("fine")
    watcher = Silent()
    assert Ray().run(todo, watcher) == []
    assert (watcher.over, ray.options_seen) == (1, [])
    execute(todo[0], Driver(Evaluator(), lambda *_: None))
    assert (todo[0].folder / "run.json").read_bytes() == before


def test_states_in_a_shared_scratch_folder_outlive_an_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NEWS_S", 0.0)
    notes, scratch = tmp_path / "notes", tmp_path / "scratch"
    [plan] = plans(
        tmp_path / "ray", ["successive_halving"], [Noted(notes=str(notes))], seeds=[0], limits=Limits(seconds=300)
    )
    assert plan.keeps_states
    flight, jobs = module._Flight(plan), 0
    first = flight.order(Home(), str(scratch))
    assert first is not None
    attempt = module._serve(first)
    with closing(attempt):
        while jobs < 10:
            kind, news = next(attempt)
            if kind == "grown":
                flight.grow(news[0])
                jobs = len(peek(plan.folder / "journal.jsonl"))
    [left] = scratch.iterdir()
    assert list(left.rglob("*.pickle"))
    flight.close()
    second = flight.order(Home(), str(scratch))
    assert second is not None
    assert second.attempt != first.attempt
    for kind, news in module._serve(second):
        if kind == "grown":
            flight.grow(news[0])
        elif kind != "here":
            assert kind == "done", news
            flight.finish(news)
    flight.close()
    assert list(scratch.iterdir()) == []
    lines = notes.read_text().splitlines()
    assert len(lines) == len(set(lines)) == len(peek(plan.folder / "journal.jsonl")) > jobs


def test_live_runs_with_more_workers_than_the_cluster_has_room_for_are_refused(
    faked: Callable[..., FakeRay], tmp_path: Path
) -> None:
    faked("fine", cpus=98)
    todo = plans(tmp_path, workers=99, live=True, limits=Limits(seconds=300))
    with pytest.raises(UserError, match=r"expected nodes with room for 99 x .*'num_cpus': 1"):
        do(RayLive(), todo)
    faked("fine", cpus=3)
    with pytest.raises(UserError, match=r"expected nodes with room for 2 x .*'num_cpus': 2"):
        do(RayLive(num_cpus=2), plans(tmp_path, workers=2, live=True, limits=Limits(seconds=300)))


def _two(settings: dict[str, Any]) -> Sequence[Executor]:
    return Ray(**settings), RayLive(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_gpus": -1}, "expected executor.num_gpus to be a number >= 0, got -1"),
        ({"num_cpus": "all"}, "executor.num_cpus"),
        ({"families": {"neural_mpl": {}}}, "Did you mean 'neural_mlp'"),
        ({"families": {"neural_mlp": {"gpus": 1}}}, "unknown resource in executor.families.neural_mlp 'gpus'"),
    ],
)
def test_resources_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _two(settings)


def test_families_have_resources_of_their_own_also_within_wrappers() -> None:
    from hptbench.tasks.noisy import Noisy
    from hptbench.tasks.synthetic import SyntheticTask

    executor = Ray(num_cpus=2, families={"synthetic": {"num_gpus": 0.25}})
    task = Noisy(SyntheticTask("branin"), std=0.1)
    assert executor.resources(task) == {"num_cpus": 2, "num_gpus": 0.25}
    assert executor.resources(SlowBowl()) == {"num_cpus": 2, "num_gpus": 0}
