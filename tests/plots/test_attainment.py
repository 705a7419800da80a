from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from hptbench.errors import UserError
from hptbench.plots.anytime import anytime
from hptbench.plots.attainment import attainment
from hptbench.results.fronts import Fronts
from hptbench.results.table import mean_curves

FRONT = {"ideal": [0, 0], "reference_point": [2, 2], "hypervolume": 3.9, "points": [[0, 0.1], [0.1, 0]]}


def study(methods: int = 2, seeds: int = 3, known: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    jobs, runs = [], []
    for method in [*(f"m{i}" for i in range(methods)), "default"]:
        for seed in range(seeds):
            key = {"task": "task", "method": method, "seed": seed, "run": "id"}
            front = json.dumps(FRONT) if known else None
            runs.append(key | {"objectives": ["error", "seconds"], "front": front, "high": 1.0})
            for i, values in enumerate(rng.random((1 if method == "default" else 12, 2)).tolist()):
                hidden = json.dumps({"test_error": values[0], "test_seconds": values[1]})
                row = {"stop": 1.0, "units": 1.0, "ended": i + 1.0, "status": "ok", "constraints": []}
                jobs.append(key | row | {"values": values, "value": values[0], "test": values[0], "hidden": hidden})
    return pd.DataFrame(jobs), pd.DataFrame(runs)


def test_figure_and_side_car(tmp_path: Path) -> None:
    fronts = Fronts(*study())
    beside = attainment(fronts, tmp_path / "a.png", command="hptbench compare x")
    side = json.loads(beside.read_text())
    assert side["command"] == "hptbench compare x"
    assert side["objectives"] == {"task": ["error", "seconds"]}
    assert side["references"]["task"]["reference_point"] == [2, 2]
    found = fronts.attainment("test")["task", "m0"]
    assert side["data"]["task"]["m0"]["seeds"] == 3
    for level, points in found.surfaces.items():
        assert np.array(side["data"]["task"]["m0"][level]) == pytest.approx(points, rel=1e-5)
    for part in ("n = 3", "Bands", "true front", "default configuration", "Test values"):
        assert part in side["caption"]
    image = (imread(tmp_path / "a.png")[..., :3] * 255).round().astype(int)
    for colour in ((0, 114, 178), (213, 94, 0), (153, 153, 153)):
        assert (image == colour).all(axis=-1).sum() > 5


def test_same_fronts_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        attainment(Fronts(*study()), tmp_path / name / "x.png")
    assert (tmp_path / "a/x.png").read_bytes() == (tmp_path / "b/x.png").read_bytes()
    assert (tmp_path / "a/x.json").read_text() == (tmp_path / "b/x.json").read_text()


@pytest.mark.parametrize(("methods", "seeds", "known"), [(5, 3, True), (2, 1, False), (1, 2, False)])
def test_captions_tell_what_is_drawn(methods: int, seeds: int, known: bool, tmp_path: Path) -> None:
    side = json.loads(
        attainment(Fronts(*study(methods, seeds, known)), tmp_path / "a.png", measure="validation").read_text()
    )
    assert ("Bands" in side["caption"]) == (methods <= 3 and seeds > 1)
    assert ("true front" in side["caption"]) == known
    assert ("one run of each" in side["caption"]) == (seeds == 1)
    assert "Validation values" in side["caption"]


def test_runs_that_attain_nothing_are_drawn_as_far_as_they_go(tmp_path: Path) -> None:
    jobs, runs = study(1)
    jobs.loc[jobs["seed"] == 2, "status"] = "failed"
    side = json.loads(attainment(Fronts(jobs, runs), tmp_path / "a.png").read_text())
    assert side["data"]["task"]["m0"].keys() == {"seeds", "best", "median"}


def test_nothing_to_draw_or_no_png(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="besides 'default', got none"):
        attainment(Fronts(*study(0)), tmp_path / "a.png")
    jobs, runs = study()
    with pytest.raises(UserError, match="with test scores"):
        attainment(Fronts(jobs.assign(hidden="{}"), runs), tmp_path / "a.png")
    with pytest.raises(UserError, match=r"ending in \.png"):
        attainment(Fronts(*study()), tmp_path / "a.pdf")
    assert not list(tmp_path.iterdir())


def test_the_anytime_figure_tells_of_regrets(tmp_path: Path) -> None:
    jobs, runs = study()
    fronts = Fronts(jobs, runs).references("test")
    side = json.loads(anytime(mean_curves(jobs, runs), tmp_path / "a.png", fronts=fronts).read_text())
    assert side["y"] == "test hypervolume regret of the front"
    assert side["references"]["task"] == {"reference_point": [2, 2], "ideal": [0, 0], "hypervolume": 3.9}
    assert "share of the reference front's hypervolume" in side["caption"]
    other = jobs.assign(task="single"), runs.assign(task="single", objectives=[["error"]] * len(runs))
    both = pd.concat([jobs, other[0]]), pd.concat([runs, other[1]])
    side = json.loads(anytime(mean_curves(*both), tmp_path / "a.png", fronts=fronts).read_text())
    assert side["y"] == "test loss of the incumbent or test hypervolume regret of the front"
