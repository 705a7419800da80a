"""A user's own data: what is read, left out, refused, and in which words."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.meta.frames import Cleaned, cleaned, read


def frame(n: int = 60, **columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.normal(size=n), "b": rng.integers(0, 5, n), "y": np.arange(n) % 2, **columns})


def of(data: pd.DataFrame, **settings: Any) -> Cleaned:
    return cleaned(data, "y", **settings)


def test_numbers_and_categories_are_kept() -> None:
    found = of(frame(c=["x", "y", None] * 20, d=pd.Categorical(list("pq") * 30), e=[True, False] * 30))
    assert found.kind == "classification"
    assert found.notes == ()
    assert list(found.frame) == ["a", "b", "c", "d", "e", "target"]
    assert found.table.categorical.tolist() == [False, False, True, True, False]
    assert np.isnan(found.table.X[2, 2])


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ([None] * 60, "empty"),
        ([3.5] * 60, "constant"),
        (["same"] * 60, "constant"),
        (range(100, 160), "numbers the rows"),
        ([f"user{i}" for i in range(60)], "an id, or free text"),
        ([f"the {i % 40}. thing that was said" for i in range(60)], "free text"),
        (pd.date_range("2024-01-01", periods=60), "dates"),
        ([f"2024-01-{1 + i % 28:02}" for i in range(60)], "dates"),
        ([datetime.date(2024, 1, 1 + i % 28) for i in range(60)], "dates"),
        ([[i % 3] for i in range(60)], "objects (list)"),
        (np.arange(60) % 2 * 1j, "complex"),
    ],
)
def test_what_cannot_be_learnt_from_is_left_out_and_said(column: Any, why: str) -> None:
    found = of(frame(c=column))
    [note] = found.notes
    assert note.startswith("column 'c' was left out")
    assert why in note
    assert list(found.frame) == ["a", "b", "target"]


def test_odd_values_are_handled() -> None:
    data = frame(c=np.where(np.arange(60) < 3, np.inf, np.arange(60) ** 2.0), d=[str(i % 7 / 2) for i in range(60)])
    data["twin"], data["target"] = data["a"], data["b"] * 2.5
    found = of(data)
    assert set(found.notes) == {
        "3 infinite values of column 'c' count as missing", "column 'twin' was left out: it is the same as 'a'",
    }  # fmt: skip
    assert not found.table.categorical.any()  # numbers written as text are numbers
    assert "target_" in found.frame
    assert np.isnan(found.table.X[:3, 2]).all()


def test_the_kind_is_what_the_target_looks_like() -> None:
    assert of(frame(y=np.linspace(0, 1, 60))).kind == "regression"
    assert of(frame(y=["no", "yes"] * 30)).kind == "classification"
    assert of(frame(y=np.arange(60) % 3)).kind == "classification"
    assert of(frame(y=np.arange(60))).kind == "regression"
    assert of(frame(y=np.arange(60) % 3), kind="regression").kind == "regression"
    assert of(frame(y=np.array([0.5, 1.5] * 30))).kind == "regression"


def test_rows_without_a_target_and_rare_classes_are_left_out() -> None:
    y = ["a", "b"] * 29 + ["c", None]
    found = of(frame(y=y))
    assert len(found.table) == 58
    assert len(found.notes) == 2


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (frame().rename(columns={"y": "Y"}), {}, "unknown target column 'y'. Known: Y"),
        (frame(y=1), {}, "at least two classes"),
        (frame(y=["a"] * 59 + ["b"]), {}, "two classes with 3 rows"),
        (frame(y=1.0), {"kind": "regression"}, "a target that varies"),
        (frame(y=["a", "b"] * 30), {"kind": "regression"}, "set kind=classification"),
        (frame(y=np.where(np.arange(60) == 3, np.inf, np.arange(60) / 7)), {}, "finite target"),
        (frame(9), {}, "10 to 1,000,000 rows"),
        (frame()[["y"]], {}, "columns beside the target, got 0"),
        (frame().assign(a=1.0, b="x"), {}, "none that holds numbers or categories"),
        (frame(600, y=[f"c{i % 150}" for i in range(600)]), {}, "at most 100 classes"),
        (frame(), {"kind": "ranking"}, "unknown kind"),
        (pd.DataFrame(np.ones((20, 5002)), columns=[*map(str, range(5001)), "y"]), {}, "5,000 columns"),
    ],
)
def test_what_nothing_can_be_said_about_is_refused(data: pd.DataFrame, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        of(data, **settings)
    assert "\n" not in str(caught.value)


def test_ten_rows_are_enough_and_notes_are_short() -> None:
    assert len(of(frame(10)).table) == 10
    many = of(frame(**{f"c{i}": [None] * 60 for i in range(20)})).notes
    assert len(many) == 6
    assert many[-1] == "and 15 more of the kind"


def test_files_are_read(tmp_path: Path) -> None:
    data = frame(c=["ä", "b"] * 30)
    data.to_csv(tmp_path / "comma.csv", index=False)
    data.to_csv(tmp_path / "semi.csv", index=False, sep=";")
    data.to_csv(tmp_path / "tab.tsv", index=False, sep="\t")
    data.to_parquet(tmp_path / "d.parquet")
    for name in ("comma.csv", "semi.csv", "tab.tsv", "d.parquet"):
        found, target = read(str(tmp_path / name), "y")
        assert target == "y"
        pd.testing.assert_frame_equal(found, data, check_dtype=False)
    (tmp_path / "d.arff").write_text("@relation r\n@attribute a numeric\n@attribute y {p,q}\n@data\n1,p\n?,q\n2,p\n")
    found, _ = read(str(tmp_path / "d.arff"), "y")
    assert found["y"].tolist() == ["p", "q", "p"]
    assert np.isnan(found["a"][1])


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    frame(c=["ä", "b"] * 30).to_csv(tmp_path / "latin.csv", index=False, encoding="latin-1")
    with pytest.raises(UserError, match="set encoding=latin-1"):
        read(str(tmp_path / "latin.csv"), "y")
    assert "ä" in read(str(tmp_path / "latin.csv"), "y", encoding="latin-1")[0]["c"].tolist()
    (tmp_path / "no.parquet").write_text("no")
    (tmp_path / "no.arff").write_text("@relation r\n@attribute a what\n@data\n1\n")
    (tmp_path / "no.csv").write_text("")
    for name, message in (
        ("no.parquet", "in the format parquet"),
        ("no.arff", "in the format arff"),
        ("no.csv", "in the format csv"),
        ("none.csv", "found no"),
        ("x.xlsx", "expected data=FILE"),
    ):
        with pytest.raises(UserError, match=message):
            read(str(tmp_path / name), "y")
    with pytest.raises(UserError, match="set target=COLUMN"):
        read("x.csv", None)
    with pytest.raises(UserError, match="fetch openml/31"):
        read("openml/31", None, store=str(tmp_path))
