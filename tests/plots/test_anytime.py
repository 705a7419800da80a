from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.plots.anytime import anytime
from hptbench.rng import entropy, stream


def curves(tasks: int = 2, methods: tuple[str, ...] = ("bohb", "random"), seeds: int = 5) -> pd.DataFrame:
    rng = stream(entropy("anytime", tasks, *methods))
    frames = []
    for task in range(tasks):
        for method in (*methods, "default"):
            x = np.array([1.0]) if method == "default" else np.arange(1.0, 31)
            mean = 10.0 ** (2 * task) * (0.1 + np.sort(rng.exponential(size=len(x)))[::-1])
            half = 0.1 * mean if seeds > 1 else np.nan
            columns = {"x": x, "mean": mean, "low": mean - half, "high": mean + half, "seeds": seeds}
            frames.append(pd.DataFrame({"task": f"task{task}", "method": method} | columns))
    return pd.concat(frames, ignore_index=True)


def pixels(path: Path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(path)


def test_figure_and_side_car(tmp_path: Path) -> None:
    data = curves()
    beside = anytime(data, tmp_path / "anytime.png", command="hptbench report runs")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["anytime.json", "anytime.png"]
    side = json.loads(beside.read_text())
    assert side["command"] == "hptbench report runs"
    assert set(side["data"]) == {"task0", "task1"}
    row = data[(data["task"] == "task1") & (data["method"] == "bohb")]
    for name in ("x", "mean", "low", "high"):
        assert side["data"]["task1"]["bohb"][name] == pytest.approx(row[name].tolist(), rel=1e-5)
    assert side["data"]["task1"]["bohb"]["seeds"] == 5
    for part in ("95 % t interval", "n = 5", "Dashed: the default", "chosen by validation", "test loss"):
        assert part in side["caption"]


def test_same_curves_same_bytes_other_curves_other_hashes(tmp_path: Path) -> None:
    first, again, other = (tmp_path / name / "a.png" for name in "xyz")
    for path, data in ((first, curves()), (again, curves()), (other, curves(methods=("bohb", "tpe")))):
        path.parent.mkdir()
        anytime(data, path)
    assert first.read_bytes() == again.read_bytes()
    assert first.with_suffix(".json").read_text() == again.with_suffix(".json").read_text()
    one, two = (json.loads(p.with_suffix(".json").read_text()) for p in (first, other))
    assert one["data_sha256"] != two["data_sha256"]
    assert one["figure_sha256"] != two["figure_sha256"]


def test_lines_have_the_palettes_colours_and_the_default_is_dashed_grey(tmp_path: Path) -> None:
    anytime(curves(), tmp_path / "a.png")
    image = (pixels(tmp_path / "a.png")[..., :3] * 255).round().astype(int)
    for colour in ((0, 114, 178), (213, 94, 0), (102, 102, 102)):
        assert (image == colour).all(axis=-1).sum() > 100


def test_nothing_global_is_touched(tmp_path: Path) -> None:
    before = "matplotlib.pyplot" in sys.modules
    anytime(curves(), tmp_path / "a.png")
    assert ("matplotlib.pyplot" in sys.modules) == before


@pytest.mark.parametrize(("seeds", "methods", "says"), [(1, 2, "One seed: no bands"), (5, 9, "hide so many lines")])
def test_no_bands(seeds: int, methods: int, says: str, tmp_path: Path) -> None:
    beside = anytime(curves(3, tuple(f"m{i}" for i in range(methods)), seeds), tmp_path / "a.png")
    side = json.loads(beside.read_text())
    assert says in side["caption"]
    low = side["data"]["task0"]["m0"]["low"]
    assert (low[0] is None) == (seeds == 1)


def test_other_labels_and_a_method_of_one_point(tmp_path: Path) -> None:
    data = curves(1)
    data = data[(data["method"] == "bohb") | (data["x"] == 1)]
    data = data[data["method"] != "default"]
    beside = anytime(data, tmp_path / "a.png", accounting="time", measure="validation", x_unit="s")
    side = json.loads(beside.read_text())
    assert side["x"] == "time of the run (s)"
    assert side["y"] == "validation loss of the incumbent"
    assert "Dashed" not in side["caption"]
    assert "chosen by validation" not in side["caption"]


def test_all_equal_and_missing_values_are_drawn_without_warnings(tmp_path: Path) -> None:
    data = curves(1)
    data["mean"] = data["low"] = data["high"] = 0.0
    data.loc[3, "mean"] = math.nan
    side = json.loads(anytime(data, tmp_path / "a.png").read_text())
    assert side["data"]["task0"]["bohb"]["mean"][3] is None


def test_nothing_to_draw_or_no_png(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="besides 'default', got none"):
        anytime(curves(methods=()), tmp_path / "a.png")
    with pytest.raises(UserError, match=r"ending in \.png"):
        anytime(curves(), tmp_path / "a.pdf")
    assert not list(tmp_path.iterdir())
