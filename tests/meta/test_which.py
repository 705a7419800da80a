"""Which method to tune with: what published results say, and what is said where they say nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hptbench
from hptbench.commands.shell import dispatch
from hptbench.errors import UserError
from hptbench.meta.which import DEFAULT, SHIPPED, shape_of, which_method
from hptbench.space import Space
from hptbench.spacefile import packaged_space, space_from_yaml

RESULTS = Path(__file__).parents[2] / "results" / "blackbox"


def floats(n: int) -> Space:
    return space_from_yaml({f"x{i}": {"type": "float", "lower": 0.0, "upper": 1.0} for i in range(n)})


def categories(n: int) -> Space:
    return space_from_yaml({f"x{i}": {"type": "categorical", "choices": ["a", "b"]} for i in range(n)})


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """On numbers `gp` is best at 25 and `tpe` at 100; on categories `rf` is."""
    rng = np.random.default_rng(0)
    problems = []
    for i in range(16):
        base = rng.normal(size=2) * 0.01
        numbers = i < 8
        scores = {
            "gp": [-2.0 if numbers else -0.5, -2.0 if numbers else -0.6],
            "tpe": [-1.0, -3.0 if numbers else -1.0],
            "rf": [-0.5 if numbers else -2.0, -0.7 if numbers else -3.0],
            "random": [0.0, 0.0],
        }
        problems.append({
            "study": "s", "problem": f"p{i}", "at": [25, 100], "shape": [2.0 + i % 2 / 2, float(not numbers), 0.0],
            "scores": {name: (np.array(two) + base).tolist() for name, two in scores.items()},
        })  # fmt: skip
    (tmp_path / "methods.json").write_text(json.dumps({"format": 1, "problems": problems}))
    return tmp_path / "methods.json"


@pytest.mark.parametrize(
    ("space", "budget", "best"),
    [(floats(5), 25, "gp"), (floats(5), 90, "tpe"), (categories(5), 30, "rf"), (categories(4), 150, "rf")],
)
def test_the_most_similar_problems_decide_at_the_budget(made: Path, space: Space, budget: int, best: str) -> None:
    found = which_method(space, budget, made)
    assert found.method == best
    assert found.evidence
    assert set(found.problems[:8]) == {f"p{i}" for i in (range(8) if best != "rf" else range(8, 16))}
    mean, low, high = found.ranks[best]
    assert low <= mean <= high
    assert mean < 2
    assert f"on the {len(found.problems)} published problems" in found.text
    assert list(found.ranks) == sorted(found.ranks, key=lambda name: found.ranks[name][0])


@pytest.mark.parametrize(
    ("space", "budget", "why"),
    [(floats(5), 4, "of 25 to 100 evaluations, not of about 4"), (floats(5), 1000, "not of about 1000"),
     (floats(200), 25, "0 have a space like this one")],
)  # fmt: skip
def test_without_evidence_it_says_so(made: Path, space: Space, budget: int, why: str) -> None:
    found = which_method(space, budget, made)
    assert (found.method, found.evidence, found.ranks) == (DEFAULT, False, {})
    assert found.text.startswith("no evidence: ")
    assert why in found.text
    assert "only the default" in found.text


def test_what_is_not_ahead_of_random_search_is_no_evidence(made: Path) -> None:
    whole = json.loads(made.read_text())
    for i, one in enumerate(whole["problems"]):
        one["scores"]["random"] = [v - 0.1 * (-1) ** i for v in one["scores"]["gp"]]
    made.write_text(json.dumps(whole))
    found = which_method(floats(5), 25, made)
    assert not found.evidence
    assert "no method is clearly ahead of random search" in found.text


@pytest.mark.parametrize("random", [-9.0, None])
def test_where_random_search_is_best_or_unknown_nothing_is_ahead_of_it(made: Path, random: float | None) -> None:
    whole = json.loads(made.read_text())
    for one in whole["problems"]:
        del one["scores"]["random"]
        if random is not None:
            one["scores"]["random"] = [random, random]
    made.write_text(json.dumps(whole))
    found = which_method(floats(5), 25, made)
    assert (found.method, found.evidence) == (DEFAULT, False)
    assert "no method is clearly ahead of random search" in found.text


def test_problems_that_are_equally_near_are_asked_all_or_not_at_all(made: Path) -> None:
    whole = json.loads(made.read_text())
    for one in whole["problems"]:
        one["shape"] = [2.0, 0.0, 0.0]
    made.write_text(json.dumps(whole))
    assert len(which_method(floats(4), 25, made).problems) == 16


def test_what_overlaps_is_named(made: Path) -> None:
    whole = json.loads(made.read_text())
    for i, one in enumerate(whole["problems"]):
        one["scores"]["tpe"] = [v + 0.1 * (-1) ** (i % 5) for v in one["scores"]["gp"]]
    made.write_text(json.dumps(whole))
    assert "not clearly behind it: tpe" in which_method(floats(5), 25, made).text


def test_the_shape_of_a_space() -> None:
    assert shape_of(floats(8)) == (3.0, 0.0, 0.0)
    assert shape_of(categories(2)) == (1.0, 1.0, 0.0)
    dimension, share, depends = shape_of(packaged_space("svm"))
    assert dimension > 1
    assert 0 < share < 1
    assert depends > 0


def test_wrong_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="budget of 1"):
        which_method(floats(2), 0)
    for i, text in enumerate(('{"format": 9, "problems": []}', '{"format": 1, "problems": []}', "[]")):
        (tmp_path / f"{i}.json").write_text(text)
        with pytest.raises(UserError, match="meta methods"):
            which_method(floats(2), 25, tmp_path / f"{i}.json")


def test_what_ships_answers_and_names_methods_that_can_be_used() -> None:
    found = hptbench.which_method(floats(5), 50)
    assert found.evidence
    assert found.method in found.ranks
    assert not [name for name in found.ranks if name.startswith("ext_")]


@pytest.mark.slow
def test_what_ships_is_made_of_the_published_results(tmp_path: Path) -> None:
    assert dispatch(["meta", "methods", str(RESULTS), "--out", str(tmp_path / "m.json")]) == 0
    assert (tmp_path / "m.json").read_bytes() == SHIPPED.read_bytes()


def test_a_folder_without_results_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["meta", "methods", str(tmp_path)]) == 2
    assert "missing or damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_a_problem_is_not_counted_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["meta", "methods", str(RESULTS), str(RESULTS), "--out", str(tmp_path / "m.json")]) == 2
    assert "expected each problem in one study, got ackley6" in capsys.readouterr().err
