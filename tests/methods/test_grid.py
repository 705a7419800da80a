from __future__ import annotations

import itertools

import ConfigSpace as CS
import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.methods.grid import Grid
from hptbench.protocol import Budget, Problem, Proposal
from hptbench.space import Space
from hptbench.spacefile import space_from_yaml
from hptbench.testing.problems import Bowl

JOBS = Budget(max_jobs=1000)


def cube(d: int) -> Space:
    return space_from_yaml({f"x{j}": {"type": "float", "lower": 0, "upper": 1} for j in range(d)})


def proposals(method: Grid, space: Space, budget: Budget = JOBS, seed: int = 0) -> list[Proposal]:
    """The whole grid, asked for in threes."""
    search = method.begin(Problem(space, ("loss",), None, budget), np.random.default_rng(seed))
    out: list[Proposal] = []
    while batch := search.ask(3, []):
        out += batch
    return out


def test_a_plain_grid_in_lexicographic_order() -> None:
    grid = proposals(Grid(points=2, shuffle=False), cube(2))
    assert [(p.config["x0"], p.config["x1"]) for p in grid] == [(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)]
    assert [p.note for p in grid] == [{"grid_point": i, "grid_size": 4, "points": 2} for i in range(4)]


def test_levels_by_kind() -> None:
    space = space_from_yaml(
        {
            "log": {"type": "float", "lower": 1e-4, "upper": 1.0, "log": True},
            "few": {"type": "integer", "lower": 3, "upper": 5},
            "many": {"type": "integer", "lower": 1, "upper": 100},
            "low": {"type": "integer", "lower": 1, "upper": 4, "log": True},
            "kind": {"type": "categorical", "choices": ["a", "b", "c", "d", "e"]},
            "size": {"type": "ordinal", "choices": ["s", "m"]},
            "one": {"type": "constant", "value": 7},
        }
    )
    grid = proposals(Grid(points=4, shuffle=False), space)
    seen = {name: sorted({p.config[name] for p in grid}) for name in space.names}  # type: ignore[type-var]
    assert seen["log"] == pytest.approx([10**-3.5, 10**-2.5, 10**-1.5, 10**-0.5])
    assert seen["few"] == [3, 4, 5]
    assert seen["many"] == [13, 38, 63, 88]
    assert seen["low"] == [1, 2, 3, 4]
    assert (seen["kind"], seen["size"], seen["one"]) == (["a", "b", "c", "d", "e"], ["m", "s"], [7])
    assert len(grid) == 4 * 3 * 4 * 4 * 5 * 2
    assert len({space.key(p.config) for p in grid}) == len(grid)


def test_conditional_parameters_multiply_only_where_they_are_active() -> None:
    space = Bowl().space
    grid = proposals(Grid(points=3), space)
    keys = {space.key(p.config) for p in grid}
    assert len(grid) == len(keys) == 3 * 3 * 3 * 2 * (1 + 3 * 3 + 3)
    every = {
        name: sorted({p.config[name] for p in grid if name in p.config}, key=str)
        for name in space.names
    }  # fmt: skip
    product = itertools.product(*(every[name] for name in space.names))
    assert keys == {space.key(dict(zip(space.names, values, strict=True))) for values in product}


def test_forbidden_points_are_left_out() -> None:
    configspace = CS.ConfigurationSpace()
    a, b = CS.Integer("a", (1, 3)), CS.Integer("b", (1, 3))
    configspace.add(a, b)
    configspace["a"].default_value = 3
    configspace.add(CS.ForbiddenLessThanRelation(configspace["a"], configspace["b"]))
    grid = proposals(Grid(points=3), Space(configspace))
    assert {(p.config["a"], p.config["b"]) for p in grid} == {(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)}
    assert len(grid) == 6
    assert grid[0].note["grid_size"] == 6


def test_the_order_is_shuffled_by_the_seed() -> None:
    plain, first, second = (
        [p.note["grid_point"] for p in proposals(Grid(points=4, shuffle=shuffle), cube(3), seed=seed)]
        for shuffle, seed in ((False, 0), (True, 0), (True, 1))
    )
    assert plain == list(range(64))
    assert sorted(first) == sorted(second) == plain
    assert plain != first != second


@pytest.mark.parametrize(
    ("d", "budget", "points", "size"),
    [
        (4, Budget(max_full_evals=256), 4, 256),
        (4, Budget(max_full_evals=255.9), 3, 81),
        (4, Budget(max_full_evals=64), 2, 16),
        (8, Budget(max_jobs=256), 2, 256),
        (1, Budget(max_jobs=37), 37, 37),
        (2, Budget(max_jobs=100, max_full_evals=50, max_time=3.0), 7, 49),
        (6, Budget(max_jobs=10), 2, 64),
        (2, Budget(max_time=60.0), 5, 25),
    ],
)
def test_the_grid_fills_the_budget(d: int, budget: Budget, points: int, size: int) -> None:
    grid = proposals(Grid(), cube(d), budget)
    assert len(grid) == size
    assert grid[0].note["points"] == points


@pytest.mark.parametrize("method", [Grid(), Grid(points=50)])
def test_points_are_at_most_those_that_change_the_grid(method: Grid) -> None:
    kind = {"type": "categorical", "choices": ["a", "b"]}
    few = {"type": "integer", "lower": 1, "upper": 3}
    grid = proposals(method, space_from_yaml({"kind": kind, "few": few}), Budget(max_jobs=100))
    assert grid[0].note["points"] == 3
    assert len(grid) == 6
    grid = proposals(method, space_from_yaml({"kind": kind}), Budget(max_jobs=100))
    assert grid[0].note["points"] == 1


def test_grids_that_cannot_be_enumerated_are_refused() -> None:
    with pytest.raises(UserError, match=r"at most 1000000 points.*method\.grid\.points"):
        proposals(Grid(points=5), cube(9))
    with pytest.raises(UserError, match="use method=random"):
        proposals(Grid(), cube(20))
    with pytest.raises(UserError, match=r"grid\.points >= 1"):
        proposals(Grid(points=0), cube(1))


def test_random_beats_the_grid_where_few_dimensions_matter_and_loses_where_all_do() -> None:
    """Bergstra and Bengio (2012): a quadratic with random optimum, 256 evaluations in four dimensions."""
    space = cube(4)
    grid = space.encode([p.config for p in proposals(Grid(), space, Budget(max_full_evals=256))])
    rng = np.random.default_rng(0)

    def random_wins(matter: int) -> float:
        optima, draws = rng.random((400, matter)), rng.random((400, 256, matter))
        by_grid = ((grid[None, :, :matter] - optima[:, None]) ** 2).sum(2).min(1)
        return float(np.mean(((draws - optima[:, None]) ** 2).sum(2).min(1) < by_grid))

    assert random_wins(1) > 0.9
    assert random_wins(2) > 0.85
    assert 0.25 < random_wins(4) < 0.45
