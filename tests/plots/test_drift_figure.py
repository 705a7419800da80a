from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.plots.drift import drift


def curves(methods: tuple[str, ...] = ("cold", "warm"), seeds: int = 5) -> pd.DataFrame:
    frames = []
    for task in ("sea", "friedman"):
        for i, method in enumerate(methods):
            mean = 1.0 + i + np.linspace(0, 1, 6)
            half = 0.1 if seeds > 1 else np.nan
            columns = {"block": range(1, 7), "mean": mean, "low": mean - half, "high": mean + half, "seeds": seeds}
            frames.append(pd.DataFrame({"task": task, "method": method} | columns))
    return pd.concat(frames, ignore_index=True)


def test_figure_and_side_car(tmp_path: Path) -> None:
    beside = drift(curves(), tmp_path / "drift.png", command="hptbench run")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drift.json", "drift.png"]
    side = json.loads(beside.read_text())
    assert (side["command"], side["x"]) == ("hptbench run", "block")
    assert side["data"]["sea"]["warm"]["x"] == [1, 2, 3, 4, 5, 6]
    assert side["data"]["sea"]["warm"]["mean"] == pytest.approx(np.linspace(2, 3, 6).tolist())
    for part in ("95 % t interval", "n = 5", "best configuration by validation on the block itself"):
        assert part in side["caption"]


def test_same_curves_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        drift(curves(), tmp_path / name / "drift.png")
    for name in ("drift.png", "drift.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_lines_have_the_palettes_colours(tmp_path: Path) -> None:
    from matplotlib.image import imread

    drift(curves(), tmp_path / "a.png")
    image = (imread(tmp_path / "a.png")[..., :3] * 255).round().astype(int)
    for colour in ((0, 114, 178), (213, 94, 0)):
        assert (image == colour).all(axis=-1).sum() > 100


@pytest.mark.parametrize(("seeds", "methods", "says"), [(1, 2, "One seed: no bands"), (5, 9, "hide so many lines")])
def test_no_bands(seeds: int, methods: int, says: str, tmp_path: Path) -> None:
    beside = drift(curves(tuple(f"m{i}" for i in range(methods)), seeds), tmp_path / "a.png")
    assert says in json.loads(beside.read_text())["caption"]


def test_no_png(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ending in \.png"):
        drift(curves(), tmp_path / "a.pdf")
