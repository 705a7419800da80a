from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

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


def test_a_panel_per_task_and_a_line_per_method() -> None:
    figure = drift(curves())
    assert figure.name == "drift"
    assert [panel.task for panel in figure.panels] == ["friedman", "sea"]
    line = figure.panels[1].marks[1]
    assert line.series == "warm"
    assert list(line.columns["x"]) == [1, 2, 3, 4, 5, 6]
    assert list(line.columns["y"]) == pytest.approx(np.linspace(2, 3, 6).tolist())
    assert list(line.columns["low"]) == pytest.approx((np.linspace(2, 3, 6) - 0.1).tolist())
    for part in ("95 % t interval", "n = 5", "best configuration by validation on the block itself"):
        assert part in figure.caption


@pytest.mark.parametrize(("seeds", "methods", "says"), [(1, 2, "One seed: no bands"), (5, 9, "hide so many lines")])
def test_no_bands(seeds: int, methods: int, says: str) -> None:
    figure = drift(curves(tuple(f"m{i}" for i in range(methods)), seeds))
    assert says in figure.caption
    assert all("low" not in mark.columns for panel in figure.panels for mark in panel.marks)
