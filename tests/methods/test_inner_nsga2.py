from __future__ import annotations

import math

import numpy as np
import pytest

from hptbench.methods._nsga2 import InnerNSGA2, crowding, polynomial, sbx, survivors
from hptbench.space import Floats
from hptbench.spacefile import space_from_yaml
from hptbench.testing.problems import SPACES

SPHERE = space_from_yaml(SPACES["sphere"])
MIXED = space_from_yaml(SPACES["mixed"])


def two_distances(u: Floats) -> Floats:
    """The Pareto set is the segment between (0.2, 0.5, 0.5) and (0.8, 0.5, 0.5)."""
    ends = np.array([[0.2, 0.5, 0.5], [0.8, 0.5, 0.5]])
    return ((u[:, None] - ends) ** 2).sum(axis=2)


def test_it_finds_the_whole_of_a_pareto_set() -> None:
    front, rest = InnerNSGA2(SPHERE, 100, 100)(two_distances, np.empty((0, 3)), np.random.default_rng(0))
    assert len(front) > 80
    assert not len(rest)
    assert np.abs(front[:, 1:] - 0.5).max() < 0.05
    x = np.sort(front[:, 0])
    assert x[[0, -1]] == pytest.approx([0.2, 0.8], abs=0.02)
    assert np.diff(x).max() < 0.05


def test_points_are_snapped_active_legal_and_different() -> None:
    column = MIXED.names.index("layers")

    def objectives(u: Floats) -> Floats:
        assert np.array_equal(u, MIXED.snap(u), equal_nan=True)
        assert np.array_equal(u, MIXED.deactivate(u), equal_nan=True)
        return np.stack([u[:, column], 1 - u[:, column]], axis=1)  # nothing is dominated

    front, rest = InnerNSGA2(MIXED, 30, 5)(objectives, np.empty((0, 7)), np.random.default_rng(0))
    assert not len(rest)
    assert len(np.unique(np.nan_to_num(front, nan=-1), axis=0)) == len(front)
    for config in MIXED.decode(front):
        MIXED.check(config)


def test_a_first_point_that_cannot_be_improved_on_stays() -> None:
    first = MIXED.snap(MIXED.encode([{"x": 1.0, "rate": 0.1, "layers": 2, "kind": "plain", "flag": False}]))

    def objectives(u: Floats) -> Floats:
        return np.tile((u != first)[:, :4].sum(axis=1, dtype=float)[:, None], 2)

    front, _ = InnerNSGA2(MIXED, 20, 10)(objectives, first, np.random.default_rng(0))
    assert np.array_equal(front[:, :4], np.tile(first[:, :4], (len(front), 1)))


def test_survivors_are_the_first_fronts_and_the_least_crowded_of_the_next() -> None:
    values = np.array([[0.0, 4.0], [1.0, 3.0], [1.1, 2.9], [4.0, 0.0], [2.0, 2.0], [5.0, 5.0], [3.0, 3.0]])
    assert set(survivors(values, 5).tolist()) == {0, 1, 2, 3, 4}
    assert set(survivors(values, 6).tolist()) == {0, 1, 2, 3, 4, 6}
    kept = set(survivors(values, 4).tolist())
    assert {0, 3, 4} < kept
    assert kept & {1, 2}
    assert set(survivors(np.array([[0.0, 0.0], [math.inf, math.inf]]), 1).tolist()) == {0}


def test_crowding_is_the_sum_of_the_gaps_between_neighbours() -> None:
    values = np.array([[0.0, 10.0], [4.0, 2.0], [1.0, 6.0], [8.0, 0.0]])
    assert crowding(values).tolist() == pytest.approx([math.inf, 7 / 8 + 6 / 10, 4 / 8 + 8 / 10, math.inf])
    assert crowding(np.array([[0.0, 1.0], [0.2, 1.0], [0.5, 1.0], [1.0, 1.0]]))[1:3] == pytest.approx([0.5, 0.8])
    assert not crowding(np.full((3, 2), math.inf)).any()
    assert crowding(np.array([[-1.7e308, 9.0], [0.0, 3.0], [1.7e308, 0.0]])).tolist() == [math.inf, 2.0, math.inf]


def test_operators_keep_the_mean_and_the_bounds() -> None:
    u = np.linspace(0, 1, 1001)[:-1]
    a, b = np.full(1000, 0.3), np.full(1000, 0.6)
    low, high = sbx(a, b, u, 15.0)
    assert low.min() >= 0
    assert high.max() <= 1
    assert np.median(low) == pytest.approx(0.3, abs=0.01)
    assert np.median(high) == pytest.approx(0.6, abs=0.01)
    assert np.array_equal(sbx(a, a, u, 15.0)[0], a)
    moved = polynomial(a, u, 20.0)
    assert np.all(np.diff(moved) >= 0)
    assert np.median(moved) == pytest.approx(0.3, abs=0.001)
    assert 0 <= moved.min() < 0.1
    assert 0.5 < moved.max() <= 1
