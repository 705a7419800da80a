"""What a tuner writes, and what it goes on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hptbench
from hptbench.errors import UserError
from hptbench.journal import _read, lines_of
from hptbench.methods.bohb import BOHB
from hptbench.protocol import Fidelity
from hptbench.suggestions import Suggestion
from hptbench.tuner import Tuner

SPACE: dict[str, Any] = {
    "x": {"type": "float", "lower": -5, "upper": 5},
    "kind": {"type": "categorical", "choices": ["a", "b"]},
}


def square(job: Suggestion) -> float:
    return float(job.config["x"]) ** 2 + (job.config["kind"] == "a")


@pytest.mark.parametrize("name", ["gp", "bohb"])
def test_killed_and_loaded_it_goes_on_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    def made(path: Path) -> Tuner:
        return Tuner(SPACE, name, fidelity=Fidelity(1, 9), budget=4, workers=2, path=path)

    def step(tuner: Tuner) -> None:
        tuner.ask(2 - len(tuner.pending)) if len(tuner.pending) < 2 else None
        tuner.tell(tuner.pending[-1], square(tuner.pending[-1]), cost=1.0)

    with made(tmp_path / "whole") as whole:
        while not whole.over:
            step(whole)
    asked = []
    for _ in range(100):
        with made(tmp_path / "parts") as part:
            asked = [job.id for job in part.pending]
            step(part)
            if part.over:
                break
    assert asked, "what was pending is pending again"
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "torn").write_bytes(data[:-7])
    with Tuner.load(tmp_path / "torn") as torn:
        [last] = torn.pending
        torn.tell(last, square(last), cost=1.0)
    assert (tmp_path / "torn").read_bytes() == data


def test_a_copy_is_saved_and_loaded_without_pickle(tmp_path: Path) -> None:
    tuner = Tuner(SPACE, BOHB(eta=2), seed=1, fidelity=Fidelity(1, 8, "epoch", continues=True))
    for job in tuner.ask(3):
        tuner.tell(job, square(job))
    pending = tuner.ask()
    tuner.save(tmp_path / "copy.jsonl")
    with Tuner.load(tmp_path / "copy.jsonl") as loaded:
        assert loaded.pending == [pending]
        assert loaded.history == tuner.history
        assert loaded.about["settings"] == tuner.about["settings"]
        loaded.save(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "copy.jsonl").read_bytes()
    assert all(json.loads(line.split("\t")[0]) for line in (tmp_path / "copy.jsonl").read_text().splitlines())


def test_a_journal_of_other_settings_or_other_proposals_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hptbench.journal._LOCK_SECONDS", 0.0)
    path = tmp_path / "journal.jsonl"
    with Tuner(SPACE, "random", path=path) as tuner:
        tuner.ask()
        with pytest.raises(UserError, match="in use by another process"):
            Tuner(SPACE, "random", path=path)
    with pytest.raises(UserError, match="expected the journal of run"):
        Tuner(SPACE, "random", seed=1, path=path)
    lines, _ = _read(path)
    lines[1]["jobs"][0]["config"]["x"] = 0.5
    path.write_bytes(lines_of(lines))
    with pytest.raises(UserError, match="job 0 is not what the method proposes now"):
        Tuner.load(path)
    with Tuner(SPACE, "random", budget=1, path=tmp_path / "over.jsonl") as tuner:
        tuner.tell(tuner.ask() or 0, 1.0)
    lines, _ = _read(tmp_path / "over.jsonl")
    more = {"ask": 1, "jobs": [{**lines[1]["jobs"][0], "job": 1}]}
    (tmp_path / "over.jsonl").write_bytes(lines_of([*lines, more]))
    with pytest.raises(UserError, match="job 1 is not what the method proposes now"):
        Tuner.load(tmp_path / "over.jsonl")
    path.write_bytes(lines_of([{"format": 1, "run": "r"}]))
    with pytest.raises(UserError, match="which is that of a run"):
        Tuner.load(path)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be opened as a journal \(No such file or directory\)"):
        Tuner(SPACE, "random", path=tmp_path / "none" / "journal.jsonl")


def test_what_is_closed_takes_nothing_more(tmp_path: Path) -> None:
    tuner = Tuner(SPACE, "random", path=tmp_path / "journal.jsonl")
    job = tuner.ask()
    assert job is not None
    tuner.close()
    for use in (tuner.ask, lambda: tuner.tell(job, 1.0)):
        with pytest.raises(UserError, match="expected a tuner that is open"):
            use()
    with Tuner.load(tmp_path / "journal.jsonl") as loaded:
        assert loaded.pending == [job]


@pytest.mark.parametrize("part", ["ask", "tell"])
def test_a_method_that_is_interrupted_leaves_a_journal_to_go_on_from(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    tuner, whole = Tuner(SPACE, "tpe", path=path), Tuner(SPACE, "tpe")
    for one in (tuner, whole):
        one.tell(one.ask() or 0, 1.0)
    inner, job = getattr(tuner._search, part), tuner.ask()

    def interrupted(*args: Any) -> None:
        inner(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(tuner._search, part, interrupted)
    assert job is not None
    with pytest.raises(KeyboardInterrupt):
        tuner.ask() if part == "ask" else tuner.tell(job, 2.0)
    with pytest.raises(UserError, match="whose method has raised an exception"):
        tuner.tell(job, 2.0)
    with Tuner.load(path) as loaded:
        assert loaded.pending == [whole.ask()] == [job]
        loaded.tell(job, 2.0)
        whole.tell(job, 2.0)
        assert loaded.ask(3) == whole.ask(3)


def test_a_full_disk_loses_nothing_that_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    tuner = Tuner(SPACE, "random", path=path)
    job = tuner.ask()
    assert job is not None
    good, write = path.read_bytes(), hptbench.journal.os.write

    def half(fd: int, data: bytes) -> int:
        if len(data) < 60:
            raise OSError(28, "No space left on device")
        return write(fd, data[:50])

    monkeypatch.setattr("hptbench.journal.os.write", half)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        tuner.tell(job, 1.0, cost=1.0)
    assert path.read_bytes() == good
    monkeypatch.undo()
    tuner.tell(job, 1.0, cost=1.0)
    tuner.close()
    with Tuner.load(path) as loaded:
        assert [result.value for result in loaded.history] == [1.0]
