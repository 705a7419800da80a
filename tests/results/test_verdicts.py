from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from hptbench.errors import UserError
from hptbench.results.claims import (
    CONTRADICTED,
    NOT_SHOWN,
    PARTLY,
    REPRODUCED,
    Comparison,
    Judgement,
    Results,
    judged,
    results,
    verdict_of,
)
from hptbench.results.regret import Axis, evaluations
from hptbench.rng import entropy, stream

SEEDS = 8


def found(differences: dict[str, list[float]], units: dict[str, str] | None = None, seeds: int = SEEDS) -> Results:
    """Scores of ``new`` less those of ``old`` on each problem: of each seed, or one for all seeds."""
    base = np.arange(seeds) / 10
    scores = {}
    for problem, each in differences.items():
        scores[problem, "old"] = base[:, None]
        # a little more for each seed: no ties among the ranks of the differences
        scores[problem, "new"] = (base + np.resize(each, seeds) * (1 + base / 100))[:, None]
    return Results(evaluations(1), scores, scores, {}, units or {problem: problem for problem in differences})


def verdict(differences: dict[str, list[float]], margin: float = 0.0, units: dict[str, str] | None = None) -> str:
    [one] = judged([Comparison("new", "old", 1, margin)], found(differences, units), list(differences))
    return one.verdict


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ("-", REPRODUCED),
        ("+", CONTRADICTED),
        ("0", NOT_SHOWN),
        ("--0", REPRODUCED),  # on more than half
        ("-00", NOT_SHOWN),
        ("-0", NOT_SHOWN),  # on half
        ("--+", NOT_SHOWN),  # worse on one
        ("---+", NOT_SHOWN),
        ("++0", CONTRADICTED),
        ("++-", NOT_SHOWN),
    ],
)
def test_with_few_units_problems_are_counted(signs: str, expected: str) -> None:
    each = {"-": [-1.0], "+": [1.0], "0": [-1.0, 1.0]}
    assert verdict({f"p{i}": each[sign] for i, sign in enumerate(signs)}) == expected


def test_all_seeds_in_one_direction_are_as_significant_as_holm_lets_them() -> None:
    # eight seeds agree: p = 2 / 2^8 on each problem, times the number of problems by Holm: 6 / 128 < 0.05 < 7 / 128
    [one] = judged([Comparison("new", "old", 1)], found({f"p{i}": [-1.0] for i in range(3)}), ["p0", "p1", "p2"])
    assert [pair.p for pair in one.problems.values()] == pytest.approx([2 / 2**8] * 3)
    assert [pair.p_holm for pair in one.problems.values()] == pytest.approx([3 * 2 / 2**8] * 3)
    assert one.over_units is None
    five = {f"p{i}": "same" if i < 2 else f"u{i}" for i in range(7)}  # six units of seven problems
    assert verdict({problem: [-1.0] for problem in list(five)[:5]}, units=five) == REPRODUCED
    [many] = judged([Comparison("new", "old", 1)], found({problem: [-1.0] for problem in five}, five), list(five))
    assert max(pair.p_holm for pair in many.problems.values()) == pytest.approx(7 * 2 / 2**8)
    assert many.over_units is not None
    assert many.over_units.units == 6
    assert many.verdict == REPRODUCED  # by the units: p = 2 / 2^6


def test_with_six_units_they_decide_and_not_the_problems() -> None:
    names = [f"p{i}" for i in range(6)]
    # on four of six problems significantly better, on two worse by more: no direction over the units
    mixed = {name: [-1.0] if i < 4 else [2.0] for i, name in enumerate(names)}
    assert verdict(mixed) == NOT_SHOWN
    # on no problem significant, but in the mean always better
    weak = {name: [-1.0 - i / 10, 0.9] for i, name in enumerate(names)}
    assert verdict(weak) == REPRODUCED
    assert verdict({name: [-d for d in each] for name, each in weak.items()}) == CONTRADICTED
    assert verdict({name: weak[name] for name in names[:5]}) == NOT_SHOWN


def test_the_problems_of_a_unit_count_once() -> None:
    # two units of ten problems each: not enough, so that problems are counted, and Holm leaves nothing of 8 seeds
    units = {f"p{i}": f"u{i % 2}" for i in range(20)}
    assert verdict({problem: [-1.0] for problem in units}, units=units) == NOT_SHOWN
    units = {f"p{i}": f"u{i // 2}" for i in range(12)}
    differences = {f"p{i}": [-1.0] if i % 2 else [0.5 - i / 100] for i in range(12)}
    [one] = judged([Comparison("new", "old", 1)], found(differences, units), list(units))
    assert one.over_units is not None
    assert (one.over_units.wins, one.over_units.losses) == (6, 0)  # in the mean of both problems


def test_several_comparisons_are_one_family_and_need_more_units() -> None:
    six = found({f"p{i}": [-1.0] for i in range(6)})
    compare = [Comparison("new", "old", 1), Comparison("old", "new", 1)]
    first, second = judged(compare, six, [f"p{i}" for i in range(6)])
    assert first.over_units is None  # 2 * 2 / 2^6 > 0.05
    assert {pair.family for pair in (*first.problems.values(), *second.problems.values())} == {12}
    seven = found({f"p{i}": [-1.0] for i in range(7)})
    first, second = judged(compare, seven, [f"p{i}" for i in range(7)])
    assert first.over_units is not None
    assert first.over_units.p_holm == pytest.approx(2 * 2 / 2**7)
    assert (first.verdict, second.verdict) == (REPRODUCED, CONTRADICTED)


def test_a_margin_asks_for_no_worse_and_contradicts_only_what_is_worse() -> None:
    small_loss, large_loss, none = {"p": [0.05]}, {"p": [0.5]}, {"p": [-0.01, 0.01]}
    assert verdict(small_loss) == CONTRADICTED
    assert verdict(small_loss, margin=0.1) == REPRODUCED  # worse, but by less than what matters
    assert verdict(large_loss, margin=0.1) == CONTRADICTED
    assert verdict(none) == NOT_SHOWN
    assert verdict(none, margin=0.1) == REPRODUCED
    assert verdict({"p": [-0.3, 0.3]}, margin=0.1) == NOT_SHOWN


def test_scores_are_read_after_the_evaluations_compared_and_paired_by_seed() -> None:
    rng = stream(entropy("claims"))
    scores = {("p", name): rng.normal(size=(20, 5)) for name in ("new", "old")}
    [one] = judged([Comparison("new", "old", 3)], Results(evaluations(3), scores, scores, {}, {"p": "p"}), ["p"])
    new, old = scores["p", "new"][:, 2], scores["p", "old"][:, 2]
    assert one.problems["p"].p == pytest.approx(wilcoxon(new, old).pvalue)
    assert one.problems["p"].wins == (new < old).sum()
    scores["p", "old"] = scores["p", "old"][:19]
    with pytest.raises(ValueError, match="as many runs of new as of old on p"):
        judged([Comparison("new", "old", 3)], Results(evaluations(3), scores, scores, {}, {"p": "p"}), ["p"])


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([REPRODUCED, REPRODUCED], REPRODUCED),
        ([REPRODUCED, NOT_SHOWN], PARTLY),
        ([NOT_SHOWN, NOT_SHOWN], NOT_SHOWN),
        ([REPRODUCED, CONTRADICTED], CONTRADICTED),
        ([NOT_SHOWN, CONTRADICTED], CONTRADICTED),
    ],
)
def test_a_claim_stands_if_all_of_it_does_and_falls_with_a_part(verdicts: list[str], expected: str) -> None:
    one = Judgement(Comparison("a", "b", 1), "", {}, None)
    assert verdict_of(replace(one, verdict=verdict) for verdict in verdicts) == expected


def study(values: dict[tuple[str, str, int], list], objectives: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Jobs and runs with the values of {(task, method, seed): values}; NaN: failed, None: infeasible."""
    jobs, runs = [], []
    front = {"ideal": [0, 0], "reference_point": [1, 1], "hypervolume": 1.0, "points": []}
    for (task, method, seed), each in values.items():
        key = {"task": task, "method": method, "seed": seed, "run": f"{task}{method}{seed}"}
        names = [f"f{i}" for i in range(objectives)]
        runs.append(key | {"unit": task[0], "jobs": len(each), "objectives": names, "high": 1.0, "front": None})
        if objectives > 1:
            runs[-1]["front"] = json.dumps(front)
        for i, value in enumerate(each):
            infeasible = value is None
            several = [0.0] * objectives if infeasible else list(np.atleast_1d(value))
            jobs.append(
                key
                | {
                    "job": i, "ended": i + 1.0, "stop": 1.0, "units": 1.0, "units_from_zero": 1.0,
                    "hidden": "{}", "test": None, "value": several[0], "values": several,
                    "status": "failed" if np.isnan(several).any() else "ok", "constraints": [float(infeasible)],
                }
            )  # fmt: skip
    return pd.DataFrame(jobs), pd.DataFrame(runs)


def test_the_tasks_of_a_problem_are_gathered_by_seed() -> None:
    jobs, runs = study({
        ("t1", "random", 1): [9.0, 5.0, 5.0], ("t0", "random", 0): [1.0, 3.0, 5.0], ("t0", "default", 0): [0.0],
        ("t1", "new", 1): [math.nan, None, 3.0], ("t0", "new", 0): [2.0],
    })  # fmt: skip
    got = results(jobs, runs, {"t0": "t", "t1": "t"}, {"t": -1.0})
    assert got.values["t", "random"].tolist() == [[1, 1, 1], [9, 5, 5]]
    assert got.values["t", "new"].tolist() == [[2, 2, 2], [math.inf, math.inf, 3]]
    # random's median 5 is regret 1, the known optimum -1 regret 0
    assert 10 ** got.scores["t", "new"] == pytest.approx(np.array([[3, 3, 3], [10, 10, 4]]) / 6)
    assert got.used["t", "new"].tolist() == [1, 3]
    assert got.units == {"t": "t"}


def test_several_objectives_are_scored_by_hypervolume() -> None:
    jobs, runs = study(
        {("t", "random", 0): [(0.5, 0.5), (0.5, 0.2)], ("t", "new", 0): [(0.1, 0.1), (0.0, 0.0)]}, objectives=2
    )
    got = results(jobs, runs, {"t": "t"}, {})
    assert got.values["t", "random"] == pytest.approx(np.array([[0.75, 0.6]]))
    assert got.values["t", "new"] == pytest.approx(np.array([[0.19, 0.0]]))
    assert got.scores["t", "new"] == pytest.approx(np.array([[math.log10(0.19), -4.0]]))


def test_it_can_count_training_and_ask_what_configurations_are_worth() -> None:
    """Two runs of a third of an evaluation and one: the incumbent is that of the highest fidelity."""
    jobs, runs = study({("t", "random", 0): [4.0, 5.0], ("t", "new", 0): [1.0, 2.0, 3.0]})
    jobs["stop"] = [1.0, 1.0, 1 / 3, 1 / 3, 1.0]
    jobs["units"] = jobs["stop"]
    jobs["hidden"] = ['{"value": 4}', '{"value": 6}', '{"value": 3}', '{"value": 2}', '{"value": 1}']
    at = np.array([0.25, 0.5, 1.0, 2.0])
    seen = results(jobs, runs, {"t": "t"}, {"t": 0.0}, Axis(at, "credited"))
    assert seen.values["t", "new"].tolist() == [[math.inf, math.inf, math.inf, 3.0]]
    full = results(jobs, runs, {"t": "t"}, {"t": 0.0}, Axis(at, "credited", "full"))
    assert full.values["t", "new"].tolist() == [[math.inf, 3.0, 3.0, 1.0]]
    assert full.values["t", "random"].tolist() == [[math.inf, math.inf, 4.0, 4.0]]
    assert full.used["t", "new"] == pytest.approx([5 / 3])
    assert 10 ** full.scores["t", "new"][0, 1] == pytest.approx(3 / 5)
    [one] = judged([Comparison("random", "new", 1.0, than_at=2.0)], full, ["t"])
    assert (one.problems["t"].wins, one.problems["t"].losses) == (0, 1)
    jobs["hidden"] = "{}"
    with pytest.raises(UserError, match="knows what a configuration is worth at the full fidelity, got t"):
        results(jobs, runs, {"t": "t"}, {"t": 0.0}, Axis(at, "credited", "full"))


def test_without_random_search_nothing_is_measured() -> None:
    jobs, runs = study({("t", "new", 0): [1.0, 2.0]})
    with pytest.raises(UserError, match="expected 'random' to find something on t"):
        results(jobs, runs, {"t": "t"}, {})
