from __future__ import annotations

import json
import re
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from hptbench.errors import UserError
from hptbench.report.page import Page, page
from hptbench.report.server import Server, serve
from hptbench.results.unfinished import signature, unfinished


@pytest.fixture
def running(study: Path, tmp_path: Path) -> Path:
    """A study of which one run has begun."""
    for source in study.glob("runs/branin/sobol/0-*"):
        target = tmp_path / "live" / source.relative_to(study)
        target.mkdir(parents=True)
        shutil.copy(source / "journal.jsonl", target)
    return tmp_path / "live"


@pytest.fixture
def server(running: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("hptbench.report.server._REST", 0.0)

    def make() -> Page:
        return page("live", None, unfinished(running))

    with Server(running, make, 0) as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def get(url: str, host: str | None = None) -> str:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def watched(text: str) -> str:
    [state] = re.findall(r'data-watch="(\w+)"', text)
    return state


def test_the_page_follows_the_study(server: Server, running: Path) -> None:
    first = get(server.url)
    assert "1 run(s) are not finished" in first
    assert get(server.url + "state") == watched(first)
    [journal] = running.glob("runs/*/*/*/journal.jsonl")
    line = journal.read_bytes().splitlines(keepends=True)[-1]
    with journal.open("ab") as file:
        file.write(line)
    again = get(server.url + "state")
    assert again != watched(first)
    assert watched(get(server.url)) == again


def test_it_is_for_this_machine_alone(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(server.url, host="evil.example:80")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(server.url + "../../etc/passwd")


def test_a_study_that_has_not_begun_is_said_in_the_page(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()

    def make() -> Page:
        return page("empty", None, unfinished(tmp_path))

    with Server(tmp_path, make, 0) as one:
        text = one.page()
    assert "runs that have begun, got none" in text
    assert watched(text)


def test_a_port_that_is_taken_and_a_folder_that_is_none(server: Server, running: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"port {server.server_address[1]} cannot be used"):
        serve(running, lambda: page("x", None), int(server.server_address[1]))
    with pytest.raises(UserError, match="expected the folder of a study"):
        serve(tmp_path / "none", lambda: page("x", None), 0)


def test_progress_is_read_from_a_journal_with_a_torn_tail(running: Path) -> None:
    [whole] = unfinished(running)
    [journal] = running.glob("runs/*/*/*/journal.jsonl")
    text = journal.read_bytes()
    journal.write_bytes(text[:-20])
    before = signature(running)
    [torn] = unfinished(running)
    assert (torn.task, torn.method, torn.seed) == ("branin", "sobol", 0)
    assert torn.jobs == whole.jobs - 1
    assert torn.best == whole.best[:-1]
    assert journal.read_bytes() == text[:-20]  # the run's own process will cut it
    assert signature(running) == before


def test_progress_counts_failures_and_prefers_higher_fidelities(tmp_path: Path) -> None:
    from hptbench.journal import _line

    folder = tmp_path / "runs" / "t" / "m" / "3-abc"
    folder.mkdir(parents=True)
    jobs = [(1.0, "ok", 0.5), (1.0, "failed", 0.0), (9.0, "ok", 0.8), (1.0, "ok", 0.1), (9.0, "ok", 0.7)]
    entries: list[dict[str, object]] = [{"format": 1, "run": "abc"}]
    for i, (stop, status, value) in enumerate(jobs):
        curve = [[stop, [value]]] if status == "ok" else []
        entries.append({"job": i, "stop": stop, "outcome": {"status": status, "curve": curve}})
    (folder / "journal.jsonl").write_bytes(b"".join(_line(json.loads(json.dumps(entry))) for entry in entries))
    [found] = unfinished(tmp_path)
    assert found.best == (0.5, 0.5, 0.8, 0.8, 0.7)
    assert (found.seed, found.run, found.failed, found.jobs) == (3, "abc", 1, 5)
