from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hptbench.report.data import Data
from hptbench.report.objectives import fronts, projections
from hptbench.results.collect import Study

FRONT = {"ideal": [0, 0], "reference_point": [2, 2], "hypervolume": 3.9, "points": [[0, 0.1], [0.1, 0]]}


def study(methods: int = 2, seeds: int = 3, known: bool = True, objectives: int = 2) -> Data:
    rng = np.random.default_rng(0)
    jobs, runs, names = [], [], ["error", "seconds", "size"][:objectives]
    for method in [*(f"m{i}" for i in range(methods)), "default"]:
        for seed in range(seeds):
            key = {"task": "task", "method": method, "seed": seed, "run": "id"}
            front = json.dumps(FRONT) if known else None
            runs.append(key | {"objectives": names, "objective": "error", "front": front, "high": 1.0})
            for i, values in enumerate(rng.random((1 if method == "default" else 12, objectives)).tolist()):
                hidden = json.dumps({f"test_{name}": value for name, value in zip(names, values, strict=True)})
                row = {"stop": 1.0, "units": 1.0, "ended": i + 1.0, "status": "ok", "constraints": []}
                jobs.append(key | row | {"values": values, "value": values[0], "test": values[0], "hidden": hidden})
    return Data(Study(Path(), pd.DataFrame(jobs), pd.DataFrame(runs), ()))


def test_surfaces_are_those_that_the_runs_attain() -> None:
    data = study()
    figure = fronts(data)
    assert figure is not None
    assert figure.name == "attainment"
    assert figure.also["references"]["task"] == {
        "reference_point": (2, 2), "ideal": (0, 0), "hypervolume": 3.9,
    }  # fmt: skip
    assert "Runs of a method: 3." in figure.caption
    [panel] = figure.panels
    assert (panel.x.label, panel.y.label) == ("error", "seconds")
    attained = data.fronts.attainment("test")["task", "m0"]
    own = [mark for mark in panel.marks if mark.series == "m0"]
    assert [mark.faint for mark in own] == [True, True, False]
    for mark, level in zip(own, ("best", "worst", "median"), strict=True):
        inside = np.column_stack([mark.columns["x"], mark.columns["y"]])[1:-1]
        assert inside == pytest.approx(attained.surfaces[level])
        assert (mark.columns["y"][0], mark.columns["x"][-1]) == (2, 2)
    true = panel.marks[0]
    assert (true.kind, true.series, list(true.columns["y"])) == ("dots", "", [0.1, 0])


def test_one_seed_and_no_known_front_leave_medians_alone() -> None:
    figure = fronts(study(1, 1, known=False))
    assert figure is not None
    assert [(mark.series, mark.faint) for mark in figure.panels[0].marks] == [("m0", False), ("default", False)]


def test_runs_that_attain_nothing_have_no_worst_surface() -> None:
    data = study(1)
    data.jobs.loc[data.jobs["seed"] == 2, "status"] = "failed"
    figure = fronts(data)
    assert figure is not None
    assert [mark.faint for mark in figure.panels[0].marks if mark.series == "m0"] == [True, False]


def test_three_objectives_are_shown_pair_by_pair() -> None:
    data = study(known=False, objectives=3)
    assert fronts(data) is None
    figure = projections(data)
    assert figure is not None
    assert [(p.x.label, p.y.label) for p in figure.panels] == [
        ("error", "seconds"), ("error", "size"), ("seconds", "size"),
    ]  # fmt: skip
    assert [mark.series for mark in figure.panels[0].marks] == ["m0", "m1", "default"]
    runs = data.fronts.ends("test")["task", "m1"]
    assert len(runs) == 3
    points = np.vstack(runs)
    assert list(figure.panels[2].marks[1].columns["y"]) == points[:, 2].tolist()
    for run in runs:  # each a front: nobody beats another one in everything
        assert not any((a <= b).all() and (a < b).any() for a in run for b in run)
    assert projections(study()) is None
    assert projections(study(0, objectives=3)) is None


def test_nothing_to_draw() -> None:
    assert fronts(study(0)) is None
    data = study()
    data.jobs["hidden"] = "{}"
    assert fronts(data) is None
