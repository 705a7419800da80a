from __future__ import annotations

import numpy as np
import pytest

from hptbench.methods._climb import climb
from hptbench.methods._moves import neighbourhoods
from hptbench.spacefile import space_from_yaml
from hptbench.testing.problems import SPACES

MIXED, SPHERE, POINT = (space_from_yaml(dict(SPACES[name])) for name in ("mixed", "sphere", "point"))
LEVELS = space_from_yaml({
    "a": {"type": "categorical", "choices": list("uvwxyz")},
    "b": {"type": "categorical", "choices": list("uvwxyz")},
    "c": {"type": "categorical", "choices": [1, 2, 3], "when": {"a": ["u", "v", "w"]}},
})  # fmt: skip


def table(space, seed):
    """A value for every configuration of a finite space, at random."""
    values: dict[str, float] = {}
    rng = np.random.default_rng(seed)

    def f(u):
        return np.array([values.setdefault(space.key(c), float(rng.random())) for c in space.decode(u)])

    return f


@pytest.mark.parametrize("seed", range(5))
def test_every_search_ends_where_no_neighbour_is_better(seed):
    f, rng = table(LEVELS, seed), np.random.default_rng(seed)
    starts = LEVELS.sample(rng, 8)
    before = f(starts)
    ends, values = climb(LEVELS, f, starts, rng)
    assert np.array_equal(values, f(ends))
    assert (values >= before).all()
    assert (values > before).any()
    around, origins = neighbourhoods(LEVELS, ends, rng)
    kept = LEVELS.codes(around)[:, 2] == LEVELS.codes(ends)[origins, 2]  # a parameter that awakes is drawn at random
    assert (f(around)[kept] <= values[origins][kept]).all()


def test_starts_do_not_mix():
    """Each row climbs the hill that it stands on."""

    def f(u):
        return -np.minimum(((u - 0.1) ** 2).sum(axis=1), ((u - 0.9) ** 2).sum(axis=1))

    starts = np.array([[0.2] * 3, [0.75] * 3, [0.05] * 3])
    ends, _ = climb(SPHERE, f, starts, np.random.default_rng(0))
    assert np.abs(ends - np.array([0.1, 0.9, 0.1])[:, None]).max() < 0.15


def test_what_is_found_is_legal_and_snapped():
    def f(u):
        return np.nansum(u, axis=1)

    ends, values = climb(MIXED, f, MIXED.snap(MIXED.sample(np.random.default_rng(0), 20)), np.random.default_rng(1))
    for config in MIXED.decode(ends):
        MIXED.check(config)
    assert np.allclose(ends, MIXED.snap(ends), rtol=0, atol=1e-12, equal_nan=True)
    assert values.max() > 5.5  # of 7 parameters


def test_a_point_is_where_it_is():
    u = POINT.encode([{"only": 1}])
    ends, values = climb(POINT, lambda u: np.ones(len(u)), u, np.random.default_rng(0))
    assert np.array_equal(ends, u)
    assert values.tolist() == [1.0]
