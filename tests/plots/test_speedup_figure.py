from __future__ import annotations

import math

import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.plots.speedup import speedup


def rows(task: str, method: str, points: list[tuple[int, float]]) -> list[dict[str, object]]:
    return [
        {"task": task, "method": method, "workers": w, "speedup": s, "low": s / 2, "high": s * 2, "runs": 5}
        for w, s in points
    ]


def test_draws_what_can_be_compared() -> None:
    table = pd.DataFrame(
        rows("a", "asha", [(1, 1.0), (4, 3.5), (64, 20.0)])
        + rows("b", "asha", [(1, 1.0), (4, 0.0), (64, 2.0)])
        + rows("b", "random", [(1, math.nan), (4, math.nan)])
    )
    figure = speedup(table, 0.1)
    found = {panel.task: panel.marks for panel in figure.panels}
    assert [(mark.series, list(mark.columns["y"])) for mark in found["a"]] == [("", [1, 64]), ("asha", [1, 3.5, 20])]
    [ideal, asha] = found["b"]
    assert ideal.faint
    assert {name: list(column) for name, column in asha.columns.items()} == {
        "x": [1, 64], "y": [1, 2], "low": [0.5, 1], "high": [2, 4],
    }  # fmt: skip
    assert "regret of 0.1" in figure.caption


def test_one_number_of_workers_is_nothing_to_draw() -> None:
    with pytest.raises(UserError, match="at least two numbers of workers"):
        speedup(pd.DataFrame(rows("a", "asha", [(4, 1.0)])), 0.1)
