from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.results.schema import JOBS, RUNS
from hptbench.results.table import final_table, incumbent_curve, mean_curves, scores
from hptbench.stats.intervals import t_interval

HIGH = 9.0
Segment = tuple[float, float | None]
"""(fidelity reached, validation value; None: failed)"""


def study(runs: dict[tuple[str, str, int], Sequence[Segment]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Jobs and runs of {(task, method, seed): segments}; the test score is the value + 0.5, the unit of
    task ``u-x`` is ``u``. Like random searches of one configuration, seeds share the run's id."""
    job_rows, run_rows = [], []
    for (task, method, seed), segments in runs.items():
        key = {"task": task, "method": method, "seed": seed, "run": f"id{seed}"}
        run_rows.append(
            key
            | {"unit": task.split("-")[0], "objective": "error", "objectives": ["error"], "front": None, "high": HIGH}
        )
        for i, (stop, value) in enumerate(segments):
            ok = value is not None
            job_rows.append(
                key
                | {
                    "job": i,
                    "stop": stop,
                    "ended": 10.0 * (i + 1),
                    "status": "ok" if ok else "failed",
                    "value": value if ok else math.nan,
                    "test": value + 0.5 if ok else math.nan,
                    "constraints": [] if ok else None,
                    "units": 1 / HIGH,
                    "units_from_zero": stop / HIGH,
                }
            )
    columns = [
        c.name
        for c in JOBS
        if c.name in ("job", "stop", "ended", "status", "value", "test", "constraints", *_UNITS, *_KEY)
    ]
    return pd.DataFrame(job_rows, columns=columns), pd.DataFrame(run_rows)


_KEY = ("task", "method", "seed", "run")
_UNITS = ("units", "units_from_zero")


def one(*segments: Segment) -> pd.DataFrame:
    return study({("t", "m", 0): segments})[0]


def full(value: float) -> list[Segment]:
    return [(HIGH, value)]


def test_the_columns_used_are_those_of_the_schema() -> None:
    jobs, runs = study({("t", "m", 0): full(1)})
    assert set(jobs) <= {c.name for c in JOBS}
    assert set(runs) <= {c.name for c in RUNS}


def test_incumbent_has_highest_fidelity_then_lowest_value_then_earliest_end() -> None:
    jobs, runs = study({("t", "m", 0): [(1, 0.1), (9, None), (3, 0.5), (3, 0.4), (3, 0.4), (1, 0.0)]})
    row = final_table(jobs.assign(test=jobs["job"]), runs).loc[0]
    assert row[["validation", "test", "without", "below"]].tolist() == [0.4, 3, 0, 1]


def test_an_incumbent_keeps_all_constraints() -> None:
    jobs = one((9, 3), (9, 1), (9, 2), (9, None))
    jobs["constraints"] = [[-1.0, 0.0], [0.1, -1.0], [0.0, 0.0], None]
    assert incumbent_curve(jobs)["value"].tolist() == [3, 3, 2, 2]
    jobs["constraints"] = [[1.0]] * 3 + [None]
    assert incumbent_curve(jobs)["value"].isna().all()


def test_curve_rises_when_a_higher_fidelity_is_first_reached() -> None:
    curve = incumbent_curve(one((9, None), (1, 0.4), (1, 0.2), (3, 0.7), (1, 0.1), (3, 0.7), (3, 0.3)))
    assert curve["value"].tolist() == pytest.approx([math.nan, 0.4, 0.2, 0.7, 0.7, 0.7, 0.3], nan_ok=True)
    assert (curve["test"] - curve["value"]).dropna().tolist() == pytest.approx([0.5] * 6)


def test_curve_counts_by_each_accounting_failed_jobs_too() -> None:
    jobs = one((1, 0.4), (9, None), (3, 0.2))
    assert incumbent_curve(jobs)["x"].tolist() == pytest.approx([1 / 9, 2 / 9, 3 / 9])
    assert incumbent_curve(jobs, "from_zero")["x"].tolist() == pytest.approx([1 / 9, 10 / 9, 13 / 9])
    assert incumbent_curve(jobs, "time")["x"].tolist() == [10, 20, 30]
    with pytest.raises(UserError, match=r"unknown accounting 'credit'.*mean 'credited'"):
        incumbent_curve(jobs, "credit")  # type: ignore[arg-type]


def test_end_of_the_curve_is_the_incumbent() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.integers(5, size=30)
        segments = [(f, None if v == 4 else float(v)) for f, v in zip(rng.choice([1, 3, 9], 30), values, strict=True)]
        jobs, runs = study({("t", "m", 0): segments})
        best = final_table(jobs, runs).loc[0, ["validation", "test"]]
        assert incumbent_curve(jobs).iloc[-1][["value", "test"]].tolist() == best.tolist()


def test_mean_curves_start_with_the_last_seed_and_keep_the_final_incumbent() -> None:
    jobs, runs = study(
        {
            ("t", "m", 0): [(9, 4.0), (9, 2.0), (9, 3.0)],
            ("t", "m", 1): [(9, None), (9, 6.0), (9, 6.0), (9, 1.0), (9, 1.0)],
            ("t", "m", 2): [(9, None)],
        }
    )
    curve = mean_curves(jobs, runs, "time", "validation")
    assert curve["x"].tolist() == [20, 40, 50]
    assert curve["mean"].tolist() == [4, 1.5, 1.5]
    assert curve["seeds"].tolist() == [2, 2, 2]
    bounds = t_interval([2.0, 6.0])
    assert curve.loc[0, ["low", "high"]].tolist() == pytest.approx([bounds.low, bounds.high])
    assert mean_curves(jobs, runs, "time", "test")["mean"].tolist() == [4.5, 2.0, 2.0]


def test_methods_whose_runs_share_an_id_stay_apart() -> None:
    jobs, runs = study({("t", "a", 0): full(1), ("t", "b", 0): full(3)})
    assert mean_curves(jobs, runs)["mean"].tolist() == [1.5, 3.5]
    assert final_table(jobs, runs)["test"].tolist() == [1.5, 3.5]


def test_mean_curves_without_scores() -> None:
    jobs, runs = study({("t", "m", 0): [(9, None)]})
    with pytest.raises(UserError, match="expected validation scores, got none; no job succeeded"):
        mean_curves(jobs, runs, measure="validation")
    jobs, runs = study({("t", "m", 0): full(1)})
    with pytest.raises(UserError, match="expected test scores, got none; compare with --measure validation"):
        mean_curves(jobs.assign(test=np.nan), runs)


@pytest.fixture
def small() -> tuple[pd.DataFrame, pd.DataFrame]:
    return study(
        {
            ("a-x", "default", 0): full(1.5),
            ("a-x", "default", 1): full(3.5),
            ("a-x", "random", 0): full(2.5),
            ("a-x", "random", 1): full(1.5),
            ("a-x", "bohb", 0): [(1, 0.0), (9, 1.5), (9, None)],
            ("a-x", "bohb", 1): full(0.5),
            ("b-x", "default", 0): full(3.5),
            ("b-x", "default", 1): full(3.5),
            ("b-x", "random", 0): full(3.5),
            ("b-x", "bohb", 0): full(1.5),
            ("b-x", "bohb", 1): [(9, None), (9, None)],
        }
    )


def test_final_table(small: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table = final_table(*small).set_index(["task", "method"])
    assert list(table.index) == [(t, m) for t in ("a-x", "b-x") for m in ("bohb", "default", "random")]
    row = table.loc[("a-x", "bohb")]
    assert row[["unit", "objective"]].tolist() == ["a", "error"]
    assert row[["runs", "expected", "without", "below", "jobs", "failed"]].tolist() == [2, 2, 0, 0, 4, 1]
    interval = t_interval([2.0, 1.0])
    assert row[["test", "test_low", "test_high"]].tolist() == pytest.approx(list(interval))
    assert row["validation"] == 1
    assert row[["default", "minus_default", "random", "minus_random"]].tolist() == [3, -1.5, 2.5, -1]
    assert table.loc[("a-x", "default"), "minus_default"] == 0
    assert final_table(*small, measure="validation").loc[0, ["default", "minus_default"]].tolist() == [2.5, -1.5]


def test_final_table_shows_what_is_missing(small: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table = final_table(*small).set_index(["task", "method"])
    counts = table[["runs", "expected", "without", "jobs", "failed"]]
    assert counts.loc[("b-x", "bohb")].tolist() == [2, 2, 1, 3, 2]
    assert counts.loc[("b-x", "random")].tolist() == [1, 2, 0, 1, 0]
    assert table.loc[("b-x", "random"), "test"] == 4
    assert math.isnan(table.loc[("b-x", "random"), "test_low"])
    jobs, runs = small
    absent = final_table(jobs[jobs["method"] != "random"], runs[(runs["method"] != "random") | (runs["task"] == "a-x")])
    row = absent.set_index(["task", "method"]).loc[("b-x", "random")]
    assert row[["runs", "expected"]].tolist() == [0, 2]
    assert row[["validation", "test", "minus_default"]].isna().all()


def test_references_are_compared_on_the_common_seeds_only() -> None:
    runs = {("t", "default", 0): full(1), ("t", "default", 1): full(3), ("t", "default", 2): full(11)}
    runs |= {("t", "m", 1): full(2), ("t", "m", 2): [(9, None)], ("t", "m", 3): full(50)}
    runs |= {("t", "random", 0): full(2), ("t", "random", 2): full(4)}
    table = final_table(*study(runs), measure="validation").set_index("method")
    columns = ["default", "minus_default", "random", "minus_random"]
    assert table.loc["m", columns].tolist() == pytest.approx([3, -1, math.nan, math.nan], nan_ok=True)
    assert table.loc["random", columns].tolist() == [6, -3, 3, 0]
    assert table.loc["default", columns].tolist() == [5, 0, 3, 3]


def test_final_table_without_references() -> None:
    table = final_table(*study({("t", "m", 0): full(1)}))
    assert table[["default", "minus_default", "random", "minus_random"]].isna().all(axis=None)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_test_score_that_is_not_finite_is_missing(bad: float) -> None:
    jobs, runs = study(complete())
    jobs.loc[(jobs["task"] == "a-y") & (jobs["method"] == "bohb") & (jobs["seed"] == 1), "test"] = bad
    with pytest.raises(UserError, match="got no finite test score of a-y/bohb seed 1; finish"):
        scores(jobs, runs)
    assert scores(jobs, runs, missing="drop").dropped == ("a",)
    row = final_table(jobs, runs).set_index(["task", "method"]).loc[("a-y", "bohb")]
    assert row[["test", "test_low"]].isna().all()
    assert row[["validation", "without"]].tolist() == [49.5, 0]
    assert mean_curves(jobs, runs)["mean"].isna().sum() == 1


def test_validation_below_the_full_fidelity_is_counted_and_not_compared() -> None:
    low: dict[tuple[str, str, int], Sequence[Segment]] = {
        ("b-x", "bohb", seed): [(3, 1.0), (1, 0.5)] for seed in (0, 1)
    }
    jobs, runs = study(complete() | low)
    assert final_table(jobs, runs).set_index(["task", "method"])["below"].to_dict()["b-x", "bohb"] == 2
    assert final_table(jobs, runs)["below"].sum() == 2
    with pytest.raises(UserError, match="lower ones of b-x/bohb seed 0, b-x/bohb seed 1, whose validation"):
        scores(jobs, runs, measure="validation")
    assert scores(jobs, runs).matrix.loc["b", "bohb"] == 1.5 / 4


def test_two_runs_of_one_seed_are_refused(small: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    jobs, runs = small
    runs = pd.concat([runs, runs.iloc[:1].assign(run="other")])
    for table in (final_table, scores):
        with pytest.raises(UserError, match="got several: a-x/default/0/id0, a-x/default/0/other"):
            table(jobs, runs)


def test_no_runs_or_no_jobs(small: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    jobs, runs = small
    for table in (final_table, scores):
        with pytest.raises(UserError, match="at least one finished run, got none"):
            table(jobs.iloc[:0], runs.iloc[:0])
    table = final_table(jobs.iloc[:0], runs)
    assert (table["without"] == table["runs"]).all()
    assert table["test"].isna().all()
    with pytest.raises(UserError, match="expected test scores, got none"):
        mean_curves(jobs.iloc[:0], runs)


def complete() -> dict[tuple[str, str, int], Sequence[Segment]]:
    """Unit a has tasks a-x (scale 1) and a-y (scale 100), unit b one task; tests are value + 0.5."""
    runs: dict[tuple[str, str, int], Sequence[Segment]] = {}
    for seed, shift in enumerate([-0.5, 0.5]):
        runs |= {
            ("a-x", "default", seed): full(1.5 + shift),
            ("a-y", "default", seed): full(199.5 + shift),
            ("b-x", "default", seed): full(3.5 + shift),
            ("a-x", "bohb", seed): full(0.5 + shift),
            ("a-y", "bohb", seed): full(49.5 + shift),
            ("b-x", "bohb", seed): full(7.5 + shift),
        }
    return runs


def test_scores_are_normalised_per_task_then_averaged_over_the_unit() -> None:
    result = scores(*study(complete()))
    assert list(result.matrix.index) == ["a", "b"]
    assert list(result.matrix.columns) == ["bohb", "default"]
    assert result.matrix.to_numpy() == pytest.approx(np.array([[(1 / 2 + 50 / 200) / 2, 1], [8 / 4, 1]]))
    assert result.dropped == ()
    assert result.name == "normalised test loss (default configuration = 1)"
    raw = scores(*study(complete()), anchor="none", measure="validation")
    assert raw.matrix["bohb"].tolist() == [25, 7.5]
    assert raw.name == "validation loss"


@pytest.mark.parametrize("how", ["absent", "failed"])
def test_scores_name_what_is_missing_or_drop_its_unit(how: str) -> None:
    runs = complete()
    if how == "absent":
        del runs["a-y", "bohb", 1]
    else:
        runs["a-y", "bohb", 1] = [(9, None)]
    with pytest.raises(UserError, match="got no finite test score of a-y/bohb seed 1; finish these runs"):
        scores(*study(runs))
    result = scores(*study(runs), missing="drop")
    assert result.dropped == ("a",)
    assert result.matrix.loc["b"].tolist() == [2, 1]


def test_scores_of_nothing_complete() -> None:
    runs = complete()
    del runs["a-x", "bohb", 0], runs["b-x", "default", 1]
    with pytest.raises(UserError, match="each of a, b lacks a score"):
        scores(*study(runs), missing="drop")


def test_long_lists_of_missing_runs_are_cut() -> None:
    runs = {("t", "m", seed): full(1) for seed in range(12)} | {("t", "default", 0): full(1)}
    with pytest.raises(UserError, match="t/default seed 8 and 3 more; finish"):
        scores(*study(runs))


def test_scores_never_fall_back_silently() -> None:
    jobs, runs = study(complete())
    with pytest.raises(UserError, match="expected test scores, got none; compare with --measure validation"):
        scores(jobs.assign(test=np.nan), runs)
    assert scores(jobs.assign(test=np.nan), runs, measure="validation").matrix.loc["b", "bohb"] == 7.5 / 3.5
    with pytest.raises(UserError, match=r"unknown measure 'tests'.*mean 'test'"):
        scores(jobs, runs, measure="tests")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="unknown anchor 'best'"):
        scores(jobs, runs, anchor="best")  # type: ignore[arg-type]


def test_the_anchor_must_be_there_and_above_zero() -> None:
    runs = complete()
    with pytest.raises(UserError, match="got only bohb; run it too, or compare with --anchor none"):
        scores(*study({k: v for k, v in runs.items() if k[1] != "default"}))
    runs |= {("b-x", "default", seed): full(-0.75) for seed in (0, 1)}
    with pytest.raises(UserError, match=r"got -0\.25 on b-x; compare with --anchor none"):
        scores(*study(runs))


def test_different_objectives_are_not_averaged_without_an_anchor() -> None:
    jobs, runs = study(complete())
    runs.loc[runs["task"] == "a-y", "objective"] = "seconds"
    with pytest.raises(UserError, match="tasks of a have different objectives"):
        scores(jobs, runs, anchor="none")
    assert len(scores(jobs, runs).matrix) == 2
