from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.plots.draw import _canvas, draw
from hptbench.plots.figure import Axis, Figure, Mark, Panel, scale_of, with_bands

_X = Axis("used", "log")
_NAMES = Axis("", "category", ("first", "second"))


def figure() -> Figure:
    """One panel per kind of mark."""
    band = {"x": [1.0, 2.0, 4.0], "y": [3.0, np.nan, 1.0], "low": [2.0, 1.0, 0.5], "high": [4.0, 3.0, 1.5]}
    panels = (
        Panel((Mark("step", band, "bohb"), Mark("line", {"x": [1, 4], "y": [2, 2]}, "default")), _X, Axis("loss"), "t"),
        Panel((Mark("dots", {"x": [1, 2], "y": [0, 1], "low": [0, 1], "high": [2, 3]}, "tpe"),), Axis("rank"), _NAMES),
        Panel((Mark("bars", {"x": [0.5, 0.2], "y": [0, 1]}),), Axis("share"), _NAMES),
        Panel((Mark("segments", {"x": [0, 1], "y": [0, 1], "x2": [1, 2], "y2": [1, 5]}, "tpe"),), Axis(), Axis()),
        Panel((Mark("cells", {"x": [0, 1], "y": [0, 1], "shade": [0, 1], "label": ["a", "b"]}),), _NAMES, _NAMES),
        Panel((Mark("paths", {"ys": [[0, 1], [1, np.nan]], "shade": [0, 1]}),), _NAMES, Axis("place")),
    )
    return Figure("every", "Every kind", "A caption.", "What one sees.", panels, {"told": "besides"})


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("drawn")
    return draw(figure(), folder, ["bohb", "tpe"], ["png", "pdf", "svg"], "the command", {"jobs.parquet": "abc"})


def test_every_kind_in_every_format_with_a_side_car(drawn: list[Path]) -> None:
    assert [path.name for path in drawn] == ["every.png", "every.pdf", "every.svg", "every.json"]
    heads = [path.read_bytes()[:5] for path in drawn[:3]]
    assert heads == [b"\x89PNG\r", b"%PDF-", b"<?xml"]
    side = json.loads(drawn[3].read_text())
    assert side["command"] == "the command"
    assert side["inputs"] == {"jobs.parquet": "abc"}
    assert side["alt"] == "What one sees."
    for path in drawn[:3]:
        assert side["files"][path.name] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert side["panels"][0]["marks"][0]["y"] == [3, None, 1]
    assert side["panels_sha256"] == hashlib.sha256(json.dumps(side["panels"], sort_keys=True).encode()).hexdigest()
    assert side["told"] == "besides"
    svg = drawn[2].read_text()
    assert "default configuration" in svg
    assert ">bohb<" in svg


def test_the_same_figure_gives_the_same_files(drawn: list[Path], tmp_path: Path) -> None:
    again = draw(figure(), tmp_path, ["bohb", "tpe"], ["png", "pdf", "svg"], "the command", {"jobs.parquet": "abc"})
    for one, other in zip(drawn, again, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_method_has_the_same_colour_in_every_panel(drawn: list[Path]) -> None:
    assert drawn[2].read_text().count("#d55e00") >= 2  # tpe's: dots and segments


def test_formats_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown format of figures 'gif'"):
        draw(figure(), tmp_path, [], ["gif"])
    with pytest.raises(UserError, match="expected a format"):
        draw(figure(), tmp_path, [], [])


def lines(n: int, **columns: list[float]) -> Figure:
    mark = {"x": [1.0, 4.0], "y": [1.0, 3.0], **columns}
    marks = tuple(Mark("line", mark, f"m{i}") for i in range(n))
    return Figure("lines", "Lines", "A caption.", "Lines.", (Panel(marks, Axis("used"), Axis("loss")),))


@pytest.mark.parametrize("high", [1000.0, math.inf])
def test_limits_follow_the_lines_and_bands_go_beyond(high: float) -> None:
    [axes] = _canvas(lines(1, low=[0.5, 2.5], high=[1.5, high]), ["m0"]).axes
    assert axes.get_ylim() == pytest.approx((0.76, 3.24))
    [band] = axes.collections
    [outline] = band.get_paths()
    assert 100 < outline.vertices[:, 1].max() < math.inf


def test_a_legend_of_many_methods_stands_beside_the_panels() -> None:
    for n, columns in ((2, 2), (12, 1)):
        canvas = _canvas(lines(n), [f"m{i}" for i in range(n)])
        [legend] = canvas.legends
        assert [text.get_text() for text in legend.get_texts()] == [f"m{i}" for i in range(n)]
        assert (legend._ncols == 1) == (columns == 1)


def test_no_global_state_is_touched(tmp_path: Path) -> None:
    before = "matplotlib.pyplot" in sys.modules
    draw(lines(2), tmp_path, ["m0", "m1"])
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_scales_and_bands_follow_what_is_drawn() -> None:
    assert [scale_of(values) for values in ([1, 11, math.nan], [1, 9], [-1, 100])] == ["log", "linear", "linear"]
    assert with_bands(2, [5]) == (True, "Bands: 95 % t interval of the mean over seeds (n = 5); panels may cut them.")
    assert "n = 3 to 5" in with_bands(2, [5, 3])[1]
    assert with_bands(2, [1]) == (False, "One seed: no bands.")
    assert with_bands(9, [5]) == (False, "No bands: they would hide so many lines.")
