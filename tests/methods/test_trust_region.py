from __future__ import annotations

import ConfigSpace as CS
import numpy as np
import pytest

from hptbench.methods._trust_region import Candidates
from hptbench.models.embedding import Embedding
from hptbench.space import Floats, Space
from hptbench.spacefile import space_from_yaml
from hptbench.testing.problems import SPACES


def floats(d: int) -> Space:
    return space_from_yaml({f"x{i}": {"type": "float", "lower": 0, "upper": 1} for i in range(d)})


def candidates(space: Space, centre: Floats, lengths: Floats, length: float = 0.4, radius: float = 0.5) -> Floats:
    return Candidates(space, Embedding(space).numbers)(centre, length, lengths, radius, np.random.default_rng(0))


def test_the_box_has_the_proportions_of_the_length_scales_and_the_volume_of_the_cube() -> None:
    lengths = np.array([0.5, 1.0, 2.0])
    u = candidates(floats(3), np.full(3, 0.5), lengths)
    sides = np.ptp(u, axis=0)
    assert sides == pytest.approx(0.4 * np.array([0.5, 1.0, 2.0]), rel=0.02)
    assert np.abs(u.mean(axis=0) - 0.5).max() < 0.01
    corner = candidates(floats(3), np.array([0.0, 1.0, 0.5]), lengths)
    assert corner.min() == pytest.approx(0, abs=1e-3)
    assert corner.max() == pytest.approx(1, abs=1e-3)
    assert np.ptp(corner[:, 0]) == pytest.approx(0.1, rel=0.02)


def test_in_many_dimensions_candidates_change_twenty_parameters() -> None:
    u = candidates(floats(50), np.full(50, 0.5), np.ones(50))
    assert u.shape == (1024, 50)
    changed = (u != 0.5).sum(axis=1)
    assert changed.min() >= 1
    assert changed.mean() == pytest.approx(20, abs=0.5)


def test_as_many_categories_differ_from_the_centre_as_the_radius_says() -> None:
    space = space_from_yaml({f"c{i}": {"type": "categorical", "choices": ["a", "b", "c"]} for i in range(8)})
    centre = space.snap(np.full((1, 8), 0.5))[0]
    for share, radius in ((1.0, 8), (0.5, 4), (0.26, 3), (0.01, 1)):
        counts = (candidates(space, centre, np.ones(8), radius=share) != centre).sum(axis=1)
        assert sorted(set(counts.tolist())) == list(range(1, radius + 1))


def test_parameters_that_become_active_are_drawn_and_the_others_left_out() -> None:
    space = space_from_yaml(SPACES["mixed"])
    centre = space.snap(space.encode([{"x": 0.0, "rate": 0.01, "layers": 3, "kind": "plain", "flag": True}]))[0]
    u = candidates(space, centre, np.ones(6), 0.1)
    kinds = np.array([config["kind"] for config in space.decode(u)])
    depth = u[:, space.names.index("depth")]
    assert set(kinds) == {"plain", "deep", "wide"}
    assert np.array_equal(~np.isnan(depth), kinds == "deep")
    assert np.ptp(depth[kinds == "deep"]) > 0.8
    layers = {config["layers"] for config in space.decode(u)}
    assert layers == {2, 3, 4}  # to the next integer, however small the box


def test_integers_on_a_logarithmic_scale_reach_the_next_one() -> None:
    space = space_from_yaml({"n": {"type": "integer", "lower": 1, "upper": 1024, "log": True}})
    for n, near in ((1, {2}), (2, {1, 3}), (5, {4, 6}), (300, {299, 301})):
        u = candidates(space, space.encode([{"n": n}])[0], np.ones(1), length=2**-9)
        assert near <= {config["n"] for config in space.decode(u)}


def test_where_the_region_is_forbidden_points_of_the_space_are_drawn() -> None:
    number = CS.Integer("n", (1, 100), default=80)
    inner = CS.ConfigurationSpace({"n": number})
    inner.add(CS.ForbiddenInClause(inner["n"], list(range(1, 61))))
    space = Space(inner)
    u = candidates(space, space.encode([{"n": 20}])[0], np.ones(1), length=0.1)
    assert min(config["n"] for config in space.decode(u)) == 61
    u = candidates(space, space.encode([{"n": 20}])[0], np.ones(1), length=0.9)
    assert {config["n"] for config in space.decode(u)} == set(range(61, 66))
