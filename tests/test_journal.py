from __future__ import annotations

import errno
import fcntl
import multiprocessing as mp
import time
from pathlib import Path

import pytest

from hptbench import journal as module
from hptbench.errors import UserError
from hptbench.journal import Journal, journaled
from hptbench.protocol import Budget, Clock, Record
from hptbench.registry import find
from hptbench.simulate import simulate
from hptbench.testing.methods import drive, problem_of
from hptbench.testing.problems import Bowl

TASK = Bowl(fail=0.2)


def run(path: Path, seed: int = 0, run_id: str = "r1", jobs: int = 12) -> list[Record]:
    method = find("method", "random")()
    with Journal(path, run_id) as journal:
        simulated = simulate(method, problem_of(TASK, Budget(max_jobs=jobs), workers=3), ("t", seed), Clock.COST)
        return drive(journaled(simulated, journal), TASK)


@pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_cut_at_every_byte_of_the_last_three_lines(tmp_path: Path, step: int) -> None:
    path = tmp_path / "journal.jsonl"
    whole = run(path)
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    for cut in range(len(data) - sum(map(len, lines[-3:])), len(data) + 1, step):
        path.write_bytes(data[:cut])
        assert run(path) == whole, f"cut at byte {cut}"
        assert path.read_bytes() == data, f"cut at byte {cut}"


def test_a_torn_tail_of_zeros_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    whole, data = run(path), path.read_bytes()
    path.write_bytes(data[:-40] + b"\0" * 400)
    assert run(path) == whole
    assert path.read_bytes() == data


def test_damage_before_the_tail_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    run(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"job"', b'"jab"')
    path.write_bytes(b"".join(lines))
    with pytest.raises(UserError, match=r"line 5 is damaged"):
        run(path)
    assert path.read_bytes() == b"".join(lines)


def test_another_runs_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    run(path)
    with pytest.raises(UserError, match="expected the journal of run r2, got that of run r1"):
        run(path, run_id="r2")


def test_a_run_that_asks_for_something_else_names_the_job(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    run(path, seed=0)
    with pytest.raises(UserError, match="job 0 now has config="):
        run(path, seed=1)


def test_a_run_that_asks_for_less_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    run(path)
    with pytest.raises(UserError, match=r"holds jobs \[6, 7, 8, 9, 10\], which the run no longer asks for"):
        run(path, jobs=6)


def _hold(path: Path, ready: object, done: object) -> None:
    with Journal(path, "r1"):
        ready.set()  # type: ignore[attr-defined]
        done.wait(120)  # type: ignore[attr-defined]


def test_two_processes_cannot_write_one_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    context = mp.get_context("forkserver")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(path, ready, done))
    other.start()
    try:
        assert ready.wait(120)
        monkeypatch.setattr(module, "_LOCK_SECONDS", 0.1)
        with pytest.raises(UserError, match="in use by another process"):
            Journal(path, "r1")
    finally:
        done.set()
        other.join()
    Journal(path, "r1").close()


def test_the_lock_of_a_killed_process_is_gone_with_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    context = mp.get_context("forkserver")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(path, ready, done))
    other.start()
    assert ready.wait(120)
    other.kill()
    began = time.monotonic()
    Journal(path, "r1").close()
    assert time.monotonic() - began < module._LOCK_SECONDS
    other.join()


def test_where_locks_do_not_hold_the_second_writer_stops_before_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, "r1") as journal:
        with path.open("ab") as another_machine:
            another_machine.write(module.lines_of([{"thought": 1.0}]))
        before = path.read_bytes()
        with pytest.raises(UserError, match="somebody else writes it, too"):
            journal.thought(2.0)
    assert path.read_bytes() == before


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(UserError, match=r"cannot be locked \(No locks available\): put results= on a file system with"):
        Journal(tmp_path / "journal.jsonl", "r1")
