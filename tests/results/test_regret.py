from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hptbench.errors import UserError
from hptbench.results.regret import (
    FLOOR,
    Axis,
    Reference,
    evaluations,
    incumbents,
    log_regrets,
    references,
    standing,
    steps,
    worth,
)

NAN = float("nan")


def jobs(runs: dict[tuple[str, str, int], list[float]]) -> pd.DataFrame:
    """Full evaluations with the values of {(task, method, seed): values}; NaN: failed."""
    frame = pd.DataFrame(
        [
            {
                "task": task, "method": method, "seed": seed, "job": i, "ended": float(i + 1), "value": value,
                "status": "ok" if value == value else "failed", "constraints": [], "stop": 1.0, "units": 1.0,
                "units_from_zero": 1.0, "hidden": "{}",
                "test": value,
            }
            for (task, method, seed), values in runs.items() for i, value in enumerate(values)
        ]
    )  # fmt: skip
    return worth(frame, dict.fromkeys(frame["task"], 1.0), "seen")


STUDY = jobs({
    ("t", "random", 0): [5.0, 4.0, 7.0], ("t", "random", 1): [3.0, 6.0, NAN],
    ("t", "own", 0): [NAN, 3.0, 1.0], ("t", "own", 1): [4.0],
    ("t", "default", 0): [2.0],
})  # fmt: skip


def test_references_are_the_best_of_all_and_the_median_of_random_search() -> None:
    assert references(STUDY) == {"t": Reference(1.0, 5.0)}
    assert references(STUDY, {"t": 0.5, "u": -1.0}) == {"t": Reference(0.5, 5.0)}
    assert references(STUDY, {"t": 3.0}) == {"t": Reference(1.0, 5.0)}


def test_references_need_random_search_and_a_better_value() -> None:
    with pytest.raises(UserError, match="expected 'random' to find something on t"):
        references(STUDY[STUDY["method"] == "own"])
    with pytest.raises(UserError, match="something better than the median"):
        references(jobs({("t", "random", 0): [1.0, 1.0]}))


def test_regrets_follow_the_incumbents_and_keep_the_floor() -> None:
    curves = log_regrets(incumbents(steps(STUDY, "seen"), evaluations(3)), references(STUDY))
    assert set(curves) == {("t", "random"), ("t", "own")}
    assert 10 ** curves["t", "random"] == pytest.approx(np.array([[1.0, 0.75, 0.75], [0.5, 0.5, 0.5]]))
    # before its first success a run has the task's largest regret; after its end it keeps its incumbent
    assert 10 ** curves["t", "own"] == pytest.approx(np.array([[1.0, 0.5, FLOOR], [0.75, 0.75, 0.75]]))


def test_where_nobody_has_an_incumbent_yet_all_are_worth_a_random_configuration() -> None:
    early = log_regrets(incumbents(steps(STUDY, "seen"), Axis(np.array([0.5]), "time")), references(STUDY))
    assert all((curve == 0).all() for curve in early.values())


def test_what_violates_a_constraint_is_no_incumbent() -> None:
    study = STUDY.assign(constraints=[[] if value != 1.0 else [0.5] for value in STUDY["value"]])
    study = worth(study, {"t": 1.0}, "seen")
    assert references(study) == {"t": Reference(2.0, 5.0)}
    assert incumbents(steps(study, "seen"), evaluations(3))["t", "own"].tolist() == [
        [np.inf, 3.0, 3.0],
        [4.0, 4.0, 4.0],
    ]


def test_jobs_count_in_the_order_of_their_end() -> None:
    late = STUDY.assign(ended=lambda frame: -frame["ended"])
    curves = log_regrets(incumbents(steps(late, "seen"), evaluations(3)), references(late))
    assert 10 ** curves["t", "random"][0] == pytest.approx([1.5, 0.75, 0.75])


def test_tasks_of_a_unit_count_once() -> None:
    runs = {
        (task, method, 0): values
        for task, scale in (("a1", 1.0), ("a2", 10.0), ("b", 1.0))
        for method, values in (("random", [2.0 * scale, 2.0 * scale]), ("own", [scale, 0.0]))
    }
    study = jobs(runs)
    found = standing(
        log_regrets(incumbents(steps(study, "seen"), evaluations(2)), references(study)),
        {"a1": "a", "a2": "a", "b": "b"},
        evaluations(2),
    )
    assert (found.units, found.methods) == (("a", "b"), ("own", "random"))
    assert found.scores[:, :, 0] == pytest.approx(np.log10([[0.5, 0.5], [FLOOR, FLOOR]]))
    assert found.ranks().tolist() == [[1.0, 2.0], [1.0, 2.0]]


def test_a_method_that_is_missing_is_named() -> None:
    study = jobs({
        ("a", "random", 0): [2.0, 1.0], ("a", "own", 0): [1.0, 0.0], ("b", "random", 0): [2.0, 1.0],
    })  # fmt: skip
    with pytest.raises(UserError, match="none of own on b"):
        standing(
            log_regrets(incumbents(steps(study, "seen"), evaluations(2)), references(study)),
            {"a": "a", "b": "b"},
            evaluations(2),
        )


def test_incumbents_along_training_and_time() -> None:
    study = jobs({("t", "own", 0): [3.0, 2.0, 1.0]}).assign(units=[0.5, 0.25, 1.0], units_from_zero=[0.5, 0.75, 1.0])
    for by, at, expected in (
        ("credited", [0.4, 0.5, 0.75, 1.74, 1.75, 9.0], [np.inf, 3, 2, 2, 1, 1]),
        ("from_zero", [0.4, 0.5, 1.24, 1.25, 2.25], [np.inf, 3, 3, 2, 1]),
        ("time", [0.9, 1.0, 2.5, 3.0], [np.inf, 3, 2, 1]),
        ("evaluations", [1, 2, 3], [3, 2, 1]),
    ):
        assert incumbents(steps(study, "seen"), Axis(np.array(at, float), by))["t", "own"].tolist() == [expected]


def test_of_lower_fidelities_nothing_counts_but_what_they_used() -> None:
    frame = jobs({("t", "own", 0): [1.0, 3.0, 2.0]}).assign(stop=[0.5, 1.0, 1.0])
    seen = worth(frame, {"t": 1.0}, "seen")
    assert incumbents(steps(seen, "seen"), evaluations(3))["t", "own"].tolist() == [[np.inf, 3.0, 2.0]]
