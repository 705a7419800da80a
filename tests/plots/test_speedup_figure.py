from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest

import hptbench.plots.speedup as figure
from hptbench.errors import UserError
from hptbench.plots.speedup import speedup


def rows(task: str, method: str, points: list[tuple[int, float]]) -> list[dict[str, object]]:
    return [
        {"task": task, "method": method, "workers": w, "speedup": s, "low": s / 2, "high": s * 2, "runs": 5}
        for w, s in points
    ]


def test_draws_what_can_be_compared_and_writes_it_beside(tmp_path: Path) -> None:
    table = pd.DataFrame(
        rows("a", "asha", [(1, 1.0), (4, 3.5), (64, 20.0)])
        + rows("b", "asha", [(1, 1.0), (4, 0.0), (64, 2.0)])
        + rows("b", "random", [(1, math.nan), (4, math.nan)])
    )
    side = speedup(table, tmp_path / "s.png", regret=0.1, command="c")
    found = json.loads(side.read_text())
    assert (tmp_path / "s.png").read_bytes()[:4] == b"\x89PNG"
    assert found["data"]["a"]["asha"]["x"] == [1, 4, 64]
    assert found["data"]["b"] == {"asha": {"seeds": 5, "x": [1, 64], "mean": [1, 2], "low": [0.5, 1], "high": [2, 4]}}
    assert "regret of 0.1" in found["caption"]


def test_a_band_without_an_upper_end_goes_to_the_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr(figure, "save", lambda drawn, path, *_: (shown.append(drawn), path.write_bytes(b"")))
    table = pd.DataFrame(rows("a", "asha", [(1, 1.0), (4, 3.0)]))
    table.loc[1, "high"] = math.inf
    speedup(table, tmp_path / "s.png", regret=0.1)
    [axes] = shown[0].axes
    [band] = axes.collections
    [outline] = band.get_paths()
    assert {1.5} <= set(outline.vertices[:, 1]), "its lower end"
    assert 4 < axes.get_ylim()[1] < 6 < outline.vertices[:, 1].max() < math.inf


def test_one_number_of_workers_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least two numbers of workers"):
        speedup(pd.DataFrame(rows("a", "asha", [(4, 1.0)])), tmp_path / "s.png", regret=0.1)
