"""Fetching from a local OpenML with faults, in several processes, and killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fetching import FILE, TASKS, got, no_traces, status
from openml_server import Server

from hptbench.store import client, layout, write
from hptbench.store.convert import _check_splits
from hptbench.store.fetch import Result, Settings, fetch, parse
from hptbench.store.verify import verify

# The openml package leaves the file of the splits open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*datasplits:ResourceWarning")


@pytest.mark.parametrize("how", ["502", "502-html", "cut", "cut-quietly", "short", "altered", "reset"])
def test_a_fault_that_passes_is_overcome(how: str, server: Server, store: Path) -> None:
    server.fail(FILE, how, times=2)
    assert status(got(server, store, "openml/31")) == {"openml/31": "fetched"}
    assert server.asked[FILE + "credit-g.arff"] == 3
    assert len(pd.read_parquet(store / "credit-g-31.parquet")) == 60
    assert not verify(store).damaged
    assert no_traces(store)


@pytest.mark.parametrize("path", ["/data/31", "/features/31", "/task/3$", "/api_splits/"])
@pytest.mark.parametrize("how", ["502-html", "cut", "cut-quietly"])
def test_so_it_is_wherever_it_happens(path: str, how: str, server: Server, store: Path) -> None:
    server.fail(path, how, times=1)
    assert status(got(server, store, "openml/task/3")) == {"openml/task/3": "fetched"}
    assert layout.split_rows(str(store), 3, 1, 2)[1].tolist() == TASKS[0].test_rows(1, 2)


def test_splits_without_their_last_line_are_noticed(server: Server, store: Path) -> None:
    server.fail("/api_splits/", "short", times=1)
    assert status(got(server, store, "openml/task/3")) == {"openml/task/3": "fetched"}
    assert server.asked["/api_splits/get/3/splits.arff"] == 2
    assert sum(map(len, layout.split_rows(str(store), 3, 1, 2))) == 60


@pytest.mark.parametrize(
    ("how", "folds", "words"),
    [
        ("crossvalidation", [([2, 3], [0, 1]), ([0, 1], [2, 3])], None),
        ("crossvalidation", [([2, 3], [0, 1])], "1 instead of 2"),
        ("crossvalidation", [([2, 3], [0, 1]), ([0, 1], [3])], "not whole: rows of repeat 0, fold 1"),
        ("crossvalidation", [([2, 3], [0, 1]), ([2, 3], [0, 1])], "does not test each row once"),
        ("holdout", [([2, 3], [0, 2]), ([0], [1])], "a row twice"),
        ("holdout", [([2, 3], [4]), ([0], [1])], "not whole"),
        ("holdout", [([2, 3], []), ([0], [1])], "not whole"),
        ("holdout", [([3], [0]), ([0], [1])], None),
    ],
)
def test_splits_are_checked(how: str, folds: list[tuple[list[int], list[int]]], words: str | None) -> None:
    procedure = {"type": how, "parameters": {"number_repeats": "1", "number_folds": "2", "percentage": ""}}
    split = {0: {i: {0: tuple(np.array(rows, np.int32) for rows in pair)} for i, pair in enumerate(folds)}}
    task = SimpleNamespace(estimation_procedure=procedure)
    if words is None:
        _check_splits(task, split, 4)
    else:
        with pytest.raises(ValueError, match=words):
            _check_splits(task, split, 4)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("502", "HTTP 502"), ("cut", "cut off"), ("altered", "checksum mismatch"), ("reset", "no connection"),
        ("hang", "does not answer"),
    ],
)  # fmt: skip
def test_a_fault_that_stays_fails_alone(how: str, words: str, server: Server, store: Path) -> None:
    server.fail(FILE, how)
    first, second = got(server, store, "openml/31", "openml/43", retries=1, timeout=0.3)
    assert second.status == "fetched"
    assert first.status == "failed"
    assert "given up after 2 attempts" in first.message
    assert words in first.message
    assert server.asked[FILE + "credit-g.arff"] == 2, "the package does not try on its own"
    assert "\n" not in first.message
    assert no_traces(store)
    server.mend()
    assert status(got(server, store, "openml/31", "openml/43")) == {"openml/31": "fetched", "openml/43": "there"}


def test_a_task_whose_splits_fail_keeps_its_data(server: Server, store: Path) -> None:
    server.fail("/api_splits/", "502")
    assert status(got(server, store, "openml/task/3")) == {"openml/task/3": "failed"}
    assert (store / "credit-g-31.parquet").is_file()
    assert not (store / "tasks").exists()
    assert server.asked[FILE + "credit-g.arff"] == 1


def test_the_delays_are_doubled_and_bounded() -> None:
    assert Settings(retries=7).delays == [1, 2, 4, 8, 16, 30, 30]


def test_what_openml_does_not_know_is_asked_once(server: Server, store: Path) -> None:
    [result] = got(server, store, "openml/7")
    assert result.status == "failed"
    assert result.message == "OpenML says: Unknown dataset (code 111)"
    assert server.asked == {"/api/v1/xml/data/7": 1}


def test_no_server_is_a_message(store: Path) -> None:
    [result] = fetch(store, [parse("openml/31")], Settings("http://127.0.0.1:9", retries=0, timeout=1))
    assert result.status == "failed"
    assert "no connection" in result.message


def test_the_api_key_is_in_no_message(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENML_APIKEY", "secret")
    [result] = fetch(store, [parse("openml/31")], Settings("http://127.0.0.1:9", retries=0, timeout=1))
    assert "***" in result.message
    assert "secret" not in result.message


def test_a_cache_deleted_in_between_does_no_harm(server: Server, store: Path) -> None:
    server.fail(FILE, "hang", times=1)
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.extend(got(server, store, "openml/31", timeout=0.5)))
    thread.start()
    assert server.came.wait(10)
    shutil.rmtree(store / ".cache")
    thread.join(20)
    assert status(results) == {"openml/31": "fetched"}


def command(server: Server, store: Path, *words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "hptbench", "fetch", *words, "--server", server.url, "--store", str(store)]
    return subprocess.Popen(
        [*argv, "--backoff", "0.01"], env={**os.environ}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_two_processes_fetch_once(server: Server, store: Path, at_home: Path) -> None:
    server.latency = 0.1
    both = [command(server, store, "openml/suite/99", "openml/31") for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
    assert server.asked[FILE + "credit-g.arff"] == 2, "two targets"
    assert server.asked["/api_splits/get/3/splits.arff"] == 1
    assert not verify(store).damaged
    assert list(at_home.iterdir()) == [], "importing openml writes there, as a rule"
    assert no_traces(store)


def test_killed_and_run_again_is_never_killed(server: Server, store: Path) -> None:
    server.fail("/data/v1/download/43/", "hang", times=1)
    process = command(server, store, "openml/31", "openml/43")
    assert server.came.wait(30)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    left = store / ".cache" / "data-43" / "datasets" / "43"
    assert (left / "description.xml").is_file()
    (left / "dataset.arff").write_bytes(b"\n".join(server.data[1].arff().split(b"\n")[:-9]))  # would be taken as it is
    (store / ".house-prices-raw-43.parquet.1").write_bytes(b"PAR1")  # had it died while it wrote
    server.asked.clear()
    assert set(status(got(server, store, "openml/31", "openml/43")).values()) <= {"fetched", "there"}
    assert len(pd.read_parquet(store / "house-prices-raw-43.parquet")) == 40
    assert not verify(store).damaged
    assert no_traces(store)


def test_a_lock_lasts_as_long_as_its_block(store: Path) -> None:
    order: list[str] = []
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with write.locked(store, "x"):
            entered.set()
            leave.wait(10)
            order.append("first")

    def second() -> None:
        with write.locked(store, "x"):
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert entered.wait(10)
    threads[1].start()
    threads[1].join(0.1)
    assert order == []
    leave.set()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "second"]


def test_openml_is_afterwards_what_it_was(server: Server, store: Path) -> None:
    import openml

    before = {**vars(openml.config)}, {**vars(openml._api_calls)}, {**os.environ}
    with client.connected(server.url, 1.0):
        assert openml.config.server == server.url + "/api/v1/xml"
    assert before == ({**vars(openml.config)}, {**vars(openml._api_calls)}, {**os.environ})
