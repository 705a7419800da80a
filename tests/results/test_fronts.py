from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence

import moocore
import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.protocol import Front
from hptbench.results.fronts import BEST, MEDIAN, REGRET, WORST, Fronts, pooled_front, surfaces
from hptbench.results.table import final_table, mean_curves, scores

HIGH = 9.0
TRUE = Front((0.0, 0.0), (4.0, 4.0), 16.0, ((0.0, 0.0),))
Point = tuple[float, float]
Row = tuple[Point | None, dict[str, object]]


def job(values: Point | None, **columns: object) -> Row:
    """A job that is told ``values`` (None: failed); by default its test scores are those halved."""
    return values, columns


def study(
    runs: dict[tuple[str, str, int], Sequence[Row]], known: Front | None = TRUE
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Jobs and runs of {(task, method, seed): jobs} with the objectives a and b; the unit of task ``u-x`` is ``u``."""
    job_rows, run_rows = [], []
    for (task, method, seed), jobs in runs.items():
        key = {"task": task, "method": method, "seed": seed, "run": f"id{seed}"}
        front = json.dumps(dataclasses.asdict(known)) if known else None
        fields = {"objective": "a", "objectives": np.array(["a", "b"]), "front": front, "high": HIGH}
        run_rows.append(key | {"unit": task.split("-")[0]} | fields)
        for i, (values, columns) in enumerate(jobs):
            hidden = {"test_a": values[0] / 2, "test_b": values[1] / 2} if values else {}
            row = {"job": i, "stop": HIGH, "ended": i + 1.0, "units": 1.0, "units_from_zero": 1.0, "constraints": []}
            row |= {"status": "ok" if values else "failed", "values": None if values is None else np.array(values)}
            row |= {"value": values[0] if values else None, "test": hidden.get("test_a"), "hidden": json.dumps(hidden)}
            job_rows.append(key | row | columns)
    return pd.DataFrame(job_rows), pd.DataFrame(run_rows)


def regret(jobs: Sequence[Row], known: Front | None = TRUE, measure: str = "validation") -> list[float]:
    return list(Fronts(*study({("t", "m", 0): jobs}, known)).regret(("t", "m", 0, "id0"), measure))  # type: ignore[arg-type]


def test_regret_is_the_missing_share_of_the_true_hypervolume() -> None:
    jobs = [job((2, 3)), job((3, 2)), job((3, 3)), job((5, 0)), job((0, 0))]
    assert regret(jobs) == pytest.approx([1 - 2 / 16, 1 - 3 / 16, 1 - 3 / 16, 1 - 3 / 16, 0])
    assert regret(jobs, measure="test") == pytest.approx(
        [1 - 3 * 2.5 / 16, 1 - 8.75 / 16, 1 - 8.75 / 16, 1 - 10.25 / 16, 0]
    )


def test_only_full_feasible_successes_count() -> None:
    jobs = [job(None), job((1, 1), stop=3.0), job((1, 1), constraints=[0.1]), job((2, 2), constraints=[0.0, -1.0])]
    assert regret(jobs) == [1, 1, 1, 0.75]
    assert regret(jobs[:3]) == [1, 1, 1]
    assert Fronts(*study({("t", "m", 0): jobs[:3]})).final(("t", "m", 0, "id0"), "test") == 1


def test_test_scores_are_those_of_the_front_by_validation() -> None:
    overtuned = {"hidden": json.dumps({"test_a": 3.0, "test_b": 3.0})}
    jobs = [job((2, 2), hidden=json.dumps({"test_a": 1.0, "test_b": 1.0})), job((1, 1), **overtuned)]
    assert regret(jobs, measure="test") == pytest.approx([1 - 9 / 16, 1 - 1 / 16])
    for hidden in ({"test": 1.0}, {"test_a": 1.0}, {"test_a": 1.0, "test_b": math.inf}):
        seen = regret([job((2, 2), hidden=json.dumps(hidden)), job((1, 1))], measure="test")
        assert math.isnan(seen[0])
        assert seen[1] == pytest.approx(1 - 3.5**2 / 16)


def test_equal_points_keep_the_first() -> None:
    jobs = [job((1, 1)), job((1, 1), hidden=json.dumps({"test_a": 0.0, "test_b": 0.0}))]
    assert regret(jobs, measure="test")[-1] == pytest.approx(1 - 3.5**2 / 16)


def test_regrets_agree_with_the_hypervolume_of_all_points_so_far() -> None:
    rng = np.random.default_rng(0)
    for m in (2, 3, 5):
        points = rng.random((60, m))
        front = Front((0.0,) * m, (1.0,) * m, 1.0)
        rows = [(tuple(p), {"hidden": "{}"}) for p in points.tolist()]
        jobs, runs = study({("t", "m", 0): [job((0, 0))] * 60}, front)
        jobs["values"] = [np.array(values) for values, _ in rows]
        runs["objectives"] = [np.array([f"f{i}" for i in range(m)])]
        got = Fronts(jobs, runs).regret(("t", "m", 0, "id0"), "validation")
        assert got == pytest.approx([1 - moocore.hypervolume(points[: i + 1], ref=1.0) for i in range(60)])
        assert (np.diff(got) <= 1e-12).all()


def test_the_pooled_reference_lies_a_tenth_behind_the_front() -> None:
    front = pooled_front(np.array([[1.0, 30.0], [2.0, 20.0], [3.0, 10.0], [9.0, 90.0], [2.0, 20.0]]))
    assert front.ideal == (1, 10)
    assert front.reference_point == pytest.approx((3.2, 32))
    assert front.hypervolume == pytest.approx(2.2 * 2 + 1.2 * 10 + 0.2 * 10)
    assert front.points == ((1, 30), (2, 20), (3, 10))


@pytest.mark.parametrize(("point", "reference"), [((2.0, -4.0), (2.2, -3.6)), ((0.0, 1.0), (0.1, 1.1))])
def test_the_pooled_reference_of_one_point(point: Point, reference: Point) -> None:
    front = pooled_front(np.array([point]))
    assert front.reference_point == pytest.approx(reference)
    assert front.hypervolume > 0


def test_without_a_known_front_all_runs_are_pooled_and_scaling_changes_nothing() -> None:
    runs = {("t", "m", 0): [job((1, 30))], ("t", "m", 1): [job((2, 20)), job(None)], ("t", "n", 0): [job((3, 10))]}
    fronts = Fronts(*study(runs, None))
    assert not fronts.is_known("t")
    assert fronts.references("validation")["t"] == pooled_front(np.array([[1, 30], [2, 20], [3, 10]], dtype=float))
    assert fronts.references("test")["t"].points == ((0.5, 15), (1, 10), (1.5, 5))
    ours = [fronts.final(key, "validation") for key in fronts]
    assert ours == pytest.approx([1 - 2.2 * 2 / 18.4, 1 - 1.2 * 12 / 18.4, 1 - 0.2 * 22 / 18.4])
    moved = {k: [(v and (7 * v[0] - 3, v[1] / 100 + 8), {}) for v, _ in rows] for k, rows in runs.items()}
    again = Fronts(*study(moved, None))
    assert [again.final(key, "validation") for key in again] == pytest.approx(ours)


def test_pooled_regrets_are_never_negative_though_test_fronts_change() -> None:
    rng = np.random.default_rng(1)
    rows = [
        job((float(a), float(b)), hidden=json.dumps({"test_a": float(c), "test_b": float(d)}))
        for a, b, c, d in rng.random((80, 4))
    ]
    assert min(regret(rows, None, "test")) >= 0
    assert min(regret(rows, None)) == 0


def test_nothing_found_anywhere_has_no_reference() -> None:
    assert np.isnan(regret([job(None)], None)).all()
    jobs, runs = study({("t", "m", 0): [job(None)], ("t", "n", 0): [job(None)]}, None)
    assert final_table(jobs, runs)["without"].tolist() == [1, 1]
    assert Fronts(jobs, runs).references("validation") == {}
    empty = Fronts(jobs.iloc[:0], runs)
    assert math.isnan(empty.final(("t", "m", 0, "id0"), "test"))
    assert empty.regret(("t", "m", 0, "id0"), "test").size == 0


def test_tables_and_statistics_take_regrets_as_scores() -> None:
    runs = {}
    for unit in "ab":
        for seed in (0, 1):
            runs[f"{unit}-x", "default", seed] = [job((2, 2))]
            runs[f"{unit}-x", "random", seed] = [job((1, 3)), job((2 - seed, 2))]
            runs[f"{unit}-x", "ehvi", seed] = [job(None), job((1, 1))]
    jobs, of_runs = study(runs)
    table = final_table(jobs, of_runs, "validation").set_index(["task", "method"])
    assert set(table["objective"]) == {REGRET}
    assert table.loc["a-x", "validation"].to_dict() == pytest.approx(
        {"default": 0.75, "ehvi": 7 / 16, "random": 21 / 32}
    )
    assert table.loc[("a-x", "ehvi"), ["failed", "without", "below"]].tolist() == [2, 0, 0]
    assert table.loc[("a-x", "random"), "minus_default"] == pytest.approx(21 / 32 - 0.75)
    assert table["validation_low"].notna().all()
    found = scores(jobs, of_runs, "validation")
    assert found.name == "normalised validation hypervolume regret (default configuration = 1)"
    assert found.matrix.loc["b", "ehvi"] == pytest.approx(7 / 16 / 0.75)
    curves = mean_curves(jobs, of_runs, measure="validation").set_index("method")
    assert curves.loc["ehvi", "mean"].iloc[:2].tolist() == [1, 7 / 16]
    with pytest.raises(UserError, match="expected test scores, got none; compare with --measure validation"):
        scores(jobs.assign(hidden="{}"), of_runs)


def test_the_attainment_surfaces_are_what_so_many_runs_dominate() -> None:
    rng = np.random.default_rng(2)
    fronts = [rng.random((6, 2)) for _ in range(5)]
    found = surfaces(fronts)
    grid = rng.random((400, 2)) * 1.2
    attained = np.array([[(front <= z).all(axis=1).any() for front in fronts] for z in grid]).sum(axis=1)
    for level, runs in ((BEST, 1), (MEDIAN, 3), (WORST, 5)):
        inside = np.array([(found[level] <= z).all(axis=1).any() for z in grid])
        assert (inside == (attained >= runs)).all()
        assert (np.diff(found[level][:, 0]) > 0).all()
        assert (np.diff(found[level][:, 1]) < 0).all()


def test_runs_without_a_front_attain_nothing() -> None:
    empty, point = np.empty((0, 2)), np.array([[1.0, 2.0]])
    assert {level: rows.tolist() for level, rows in surfaces([empty, point, point]).items()} == {
        BEST: [[1, 2]], MEDIAN: [[1, 2]],
    }  # fmt: skip
    assert surfaces([empty, empty, point]).keys() == {BEST}
    assert surfaces([empty]) == {}


def test_studies_of_one_objective_have_no_fronts() -> None:
    jobs, runs = study({("t", "m", 0): [job((1, 1))]}, None)
    runs["objectives"] = [np.array(["a"])]
    fronts = Fronts(jobs, runs)
    assert list(fronts) == []
    assert fronts.attainment("test") == {}
    assert final_table(jobs, runs)["objective"].tolist() == ["a"]
