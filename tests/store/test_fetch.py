"""What is fetched from a local OpenML, what is refused, and how it is verified and read offline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fetching import FILE, TASKS, got, no_traces, status
from openml_server import Data, Server, TaskOf

from hptbench.commands.shell import dispatch
from hptbench.errors import UserError
from hptbench.store import layout
from hptbench.store.fetch import parse
from hptbench.store.verify import verify
from hptbench.tasks import _data

# The openml package leaves the file of the splits open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*datasplits:ResourceWarning")


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
