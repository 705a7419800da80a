"""Fetching from a local OpenML, with faults; verifying; reading offline."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from openml_server import Data, Server, TaskOf, credit, prices

from hptbench.commands.shell import dispatch
from hptbench.errors import UserError
from hptbench.store import client, layout, write
from hptbench.store.convert import _check_splits
from hptbench.store.fetch import Result, Settings, fetch, parse
from hptbench.store.verify import verify
from hptbench.tasks import _data

# The openml package leaves the file of the splits open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*datasplits:ResourceWarning")

TASKS = [TaskOf(3, 31, "class", 60), TaskOf(4, 43, "price", 40, type=2), TaskOf(5, 31, "own", 60, repeats=1)]
FILE = "/data/v1/download/31/"


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, which must stay so."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))
    for name in ("HPTBENCH_STORE", "OPENML_SERVER", "OPENML_APIKEY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def server() -> Iterator[Server]:
    with Server([credit(), prices()], TASKS, {(99, "OpenML-CC18"): [3, 4, 5]}) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def got(
    server: Server, store: Path, *words: str, jobs: int = 2, timeout: float = 5.0, retries: int = 2
) -> list[Result]:
    settings = Settings(server.url, jobs, timeout, retries, backoff=0.01)
    return sorted(fetch(store, map(parse, words), settings), key=lambda result: str(result.address))


def status(results: list[Result]) -> dict[str, str]:
    return {str(result.address): result.status for result in results}


def no_traces(store: Path) -> bool:
    return not [f for f in store.rglob(".*") if f.is_file() and f.parent.name != ".locks"] and not any(
        (store / ".cache").iterdir()
    )


# what is fetched


def test_a_data_set_is_what_openml_has(server: Server, store: Path) -> None:
    assert status(got(server, store, "openml/31")) == {"openml/31": "fetched"}
    frame = pd.read_parquet(store / "credit-g-31.parquet")
    original = server.data[0]
    assert list(frame) == ["amount", "checking status", "own", "target_", "target"]
    assert len(frame) == 60
    rows = [dict(zip(original.columns, row, strict=True)) for row in original.rows]
    assert frame["target"].tolist() == [row["class"] for row in rows]
    assert frame["amount"].tolist() == [row["amount"] for row in rows]
    assert frame["target_"].tolist() == [row["target"] for row in rows]
    assert [v if isinstance(v, str) else None for v in frame["checking status"]] == [
        row["checking status"] for row in rows
    ]
    assert list(frame["checking status"].cat.categories) == ["<0", "0<=X<200", "no checking"]
    assert [v.upper() for v in frame["own"]] == [row["own"] for row in rows]
    card = layout.read_card(store / "cards" / "credit-g-31.json")
    assert card["dropped"] == {"row_id": ["id"], "ignored": ["leak"]}
    assert card["licence"] == "CC0"
    assert card["sha256"] == layout.sha256_of_file(store / "credit-g-31.parquet")
    assert {"hptbench", "openml"} < set(card["versions"])
    index = pd.read_csv(store / "index.csv")
    assert index.loc[0, ["name", "openml_id", "n_rows", "n_features", "n_classes", "licence", "target"]].tolist() == [
        "credit-g-31", 31, 60, 4, 2, "CC0", "class",
    ]  # fmt: skip
    assert no_traces(store)


def test_what_is_fetched_can_be_learnt_from(server: Server, store: Path) -> None:
    got(server, store, "openml/31", "openml/43")
    table = _data.load("credit-g-31", str(store), "target", False)
    assert table.n_classes == 2
    assert table.categorical.tolist() == [False, True, True, False]
    regression = _data.load("house-prices-raw-43", str(store), "target", False)
    assert regression.n_classes == 0
    assert np.isnan(regression.X[:, 1]).sum() == 13


def test_a_suite_brings_its_tasks_their_data_and_splits(server: Server, store: Path) -> None:
    results = got(server, store, "openml/suite/OpenML-CC18")
    assert status(results) == {
        "openml/suite/OpenML-CC18": "fetched", "openml/task/3": "fetched", "openml/task/4": "fetched",
        "openml/task/5": "fetched",
    }  # fmt: skip
    assert layout.suite_card(str(store), 99)["tasks"] == [3, 4, 5]
    assert layout.suite_card(str(store), "OpenML-CC18")["suite_id"] == 99
    assert sorted(_data.read_index(str(store))) == ["credit-g-31", "credit-g-31-own", "house-prices-raw-43"]
    assert "target" in layout.task_card(str(store), 5)
    for repeat in (0, 1):
        for fold in (0, 1, 2):
            train, test = layout.split_rows(str(store), 3, repeat, fold)
            assert test.tolist() == TASKS[0].test_rows(repeat, fold)
            assert sorted([*train, *test]) == list(range(60))
    with pytest.raises(UserError, match="expected fold 0 to 2, got 3"):
        layout.split_rows(str(store), 3, 0, 3)


def test_one_name_one_file_whatever_the_order(server: Server, tmp_path: Path) -> None:
    got(server, tmp_path / "a", "openml/suite/99", jobs=4)
    for word in ("openml/task/5", "openml/43", "openml/task/4", "openml/task/3", "openml/suite/99"):
        got(server, tmp_path / "b", word, jobs=1)
    for file in ("credit-g-31.parquet", "credit-g-31-own.parquet", "tasks/3.parquet", "house-prices-raw-43.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    a, b = (pd.read_csv(tmp_path / name / "index.csv").drop(columns="fetched") for name in "ab")
    pd.testing.assert_frame_equal(a, b)


def test_again_asks_the_server_nothing(server: Server, store: Path) -> None:
    got(server, store, "openml/suite/99", "openml/31")
    assert server.asked[FILE + "credit-g.arff"] == 2, "task 5 has another target"
    server.asked.clear()
    results = got(server, store, "openml/suite/99", "openml/31", "openml/task/3")
    assert set(status(results).values()) == {"there"}
    assert not server.asked


def test_only_what_is_missing_is_fetched(server: Server, store: Path) -> None:
    got(server, store, "openml/31", "openml/43")
    (store / "house-prices-raw-43.parquet").unlink()
    (store / "index.csv").unlink()
    server.asked.clear()
    assert status(got(server, store, "openml/31", "openml/43")) == {"openml/31": "there", "openml/43": "fetched"}
    assert not [path for path in server.asked if "31" in path]
    assert list(pd.read_csv(store / "index.csv")["name"]) == ["credit-g-31", "house-prices-raw-43"]
    assert not verify(store).damaged


def test_own_data_sets_stay_in_the_index(server: Server, store: Path) -> None:
    store.mkdir()
    (store / "index.csv").write_text("name,task_type,source\nmine,regression,here\n")
    got(server, store, "openml/31")
    index = pd.read_csv(store / "index.csv", dtype=str, keep_default_na=False).set_index("name")
    assert index.loc["mine", ["task_type", "source", "sha256"]].tolist() == ["regression", "here", ""]
    assert index.loc["credit-g-31", "source"] == ""


# faults


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


# what is refused


def _refused(data: Data, store: Path, *tasks: TaskOf) -> str:
    with Server([data], tasks) as server:
        [result] = got(server, store, f"openml/task/{tasks[0].id}" if tasks else f"openml/{data.id}")
    assert result.status == "failed"
    assert "given up" not in result.message
    return result.message


def test_refusals_name_the_data_set(store: Path) -> None:
    columns: dict[str, str | list[str]] = {"a": "numeric", "b": "numeric", "class": ["x", "y"]}
    rows = [(i, i, "xy"[i % 2]) for i in range(10)]
    sparse = Data(1, "big", columns, rows, format="Sparse_ARFF")
    assert _refused(sparse, store) == "data set 'big' (openml/1): expected dense ARFF, got Sparse_ARFF; leave it out"
    date = Data(1, "d", {**columns, "b": "date"}, rows)
    assert "columns of dates cannot be read (b)" in _refused(date, store)
    assert "expected one target, OpenML names none; fetch one of its tasks" in _refused(
        Data(1, "d", columns, rows, target=None), store
    )
    assert "OpenML names a,b" in _refused(Data(1, "d", columns, rows, target="a,b"), store)
    assert "'class' is missing in 1 rows" in _refused(Data(1, "d", columns, [*rows, (1, 2, None)]), store)
    assert "no column is left" in _refused(Data(1, "d", columns, rows, ignore=("a,b",)), store)
    plain = Data(1, "d", columns, rows)
    assert "expected a numeric target, 'class' is nominal" in _refused(plain, store, TaskOf(2, 1, "class", 10, type=2))
    assert "is none of its columns" in _refused(plain, store, TaskOf(2, 1, "klass", 10))
    assert "got Clustering" in _refused(plain, store, TaskOf(2, 1, "class", 10, type=5))
    assert not list(store.glob("*.parquet"))


def test_a_numeric_target_can_be_that_of_a_classification(store: Path) -> None:
    data = Data(1, "d", {"a": "numeric", "y": "numeric"}, [(i, i % 2) for i in range(10)], target="y")
    with Server([data], [TaskOf(2, 1, "y", 10)]) as server:
        assert set(status(got(server, store, "openml/1", "openml/task/2")).values()) == {"fetched"}
    assert dict(_data.read_index(str(store))) == {"d-1": "regression", "d-1-classification": "classification"}
    assert list(pd.read_parquet(store / "d-1-classification.parquet")["target"].cat.categories) == ["0", "1"]


@pytest.mark.parametrize("word", ["31", "openml/", "openml/credit-g", "openml/run/1", "openml/task/x", "OpenML/31"])
def test_addresses_are_checked(word: str) -> None:
    with pytest.raises(UserError, match=r"expected openml/<data id>"):
        parse(word)


def test_addresses_are_normal() -> None:
    assert [str(parse(w)) for w in ("openml/031", "openml/data/31", "openml/task/3", "openml/suite/OpenML-CC18")] == [
        "openml/31", "openml/31", "openml/task/3", "openml/suite/OpenML-CC18",
    ]  # fmt: skip


# verify and the command line


def test_verify_names_what_differs(server: Server, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    got(server, store, "openml/task/3", "openml/43")
    argv = ["fetch", "--verify", "--store", str(store)]
    assert dispatch(argv) == 0
    assert "7 files verified, 0 damaged" in capsys.readouterr().out
    for file in ("credit-g-31.parquet", "tasks/3.parquet"):
        body = bytearray((store / file).read_bytes())
        body[len(body) // 2] ^= 1
        (store / file).write_bytes(body)
    (store / "cards" / "house-prices-raw-43.json").write_text("{")
    assert dispatch(argv) == 3
    err = capsys.readouterr().err
    for file in ("credit-g-31.parquet: expected SHA-256", "tasks/3.parquet: expected", "house-prices-raw-43.json: "):
        assert file in err
    for file in ("credit-g-31.parquet", "tasks/3.parquet", "cards/house-prices-raw-43.json"):
        (store / file).unlink()
    got(server, store, "openml/task/3", "openml/43")
    assert dispatch(argv) == 0


def test_verify_sees_changed_splits_with_a_changed_hash(server: Server, store: Path) -> None:
    got(server, store, "openml/task/3")
    file = store / "tasks" / "3.parquet"
    frame = pd.read_parquet(file)
    frame.loc[0, "row"] = 1 - frame.loc[0, "row"]
    frame.to_parquet(file, index=False)
    card = {**layout.task_card(str(store), 3), "sha256": layout.sha256_of_file(file)}
    layout.task_card_file(store, 3).write_text(json.dumps(card))
    assert list(verify(store).damaged) == ["tasks/3.parquet"]
    (store / "index.csv").write_text("name,task_type,sha256\ncredit-g-31,classification,0\n")
    assert set(verify(store).damaged) == {"tasks/3.parquet", "index.csv"}


def test_the_exit_code_is_the_number_of_failures(
    server: Server, store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENML_SERVER", server.url)
    monkeypatch.setenv("HPTBENCH_STORE", str(store))
    assert dispatch(["fetch", "openml/31", "openml/7", "openml/task/8", "--verify"]) == 2
    out, err = capsys.readouterr()
    assert f"{store}: 1 fetched, 0 already there, 2 failed" in out
    assert "openml/7: OpenML says" in err
    assert "openml/task/8: OpenML says" in err
    assert dispatch(["fetch", *(f"openml/{i}" for i in range(1000, 1140)), "--jobs", "8"]) == 125


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "expected what to fetch"), (["--verify"], "expected a store with cards"),
        (["openml/31", "--jobs", "0"], "jobs >= 1"),
        (["openml/31", "--server", "ftp://x"], "expected the address of an OpenML server"),
    ],
)  # fmt: skip
def test_bad_input_is_a_message(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["fetch", *argv]) == 2
    assert words in capsys.readouterr().err


def test_what_is_missing_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"python -m hptbench fetch openml/task/3 --store"):
        layout.task_card(str(tmp_path), 3)
    with pytest.raises(UserError, match=r"python -m hptbench fetch openml/suite/99 --store"):
        layout.suite_card(str(tmp_path), 99)
    assert layout.openml_address("credit-g-31") == "openml/31"
    assert layout.openml_address("credit-g") is None
