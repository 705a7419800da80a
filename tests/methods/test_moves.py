from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hptbench.methods._moves import complete, neighbourhoods, neighbours, truncated_normal
from hptbench.spacefile import space_from_yaml
from hptbench.testing.problems import SPACES

MIXED = space_from_yaml(dict(SPACES["mixed"]))
POINT = space_from_yaml(dict(SPACES["point"]))
U = MIXED.encode([{"x": 1.0, "rate": 1e-3, "layers": 5, "kind": "deep", "depth": 9, "width": 10.0, "flag": True}])[0]


def test_a_neighbour_differs_in_one_parameter_and_what_depends_on_it() -> None:
    rows = neighbours(MIXED, U, np.random.default_rng(0))
    base = MIXED.decode(U[None])[0]
    assert len(rows) > 15
    changes = []
    for config in MIXED.decode(rows):
        MIXED.check(config)
        changed = {n for n in base.keys() & config.keys() if base[n] != config[n]}
        assert len(changed) == 1
        assert base.keys() == config.keys() or changed == {"kind"}
        changes += changed
    assert set(changes) == set(MIXED.names)
    assert changes.count("x") == 4
    assert changes.count("flag") == 1
    assert changes.count("kind") == 2


def test_neighbours_of_numbers_are_near() -> None:
    rng, x = np.random.default_rng(0), MIXED.names.index("x")
    values = np.concatenate([neighbours(MIXED, U, rng, std=0.02)[:, x] for _ in range(200)])
    steps = values[values != U[x]] - U[x]
    assert len(steps) == 800
    assert np.std(steps) == pytest.approx(0.02, rel=0.1)


def test_a_point_has_no_neighbours() -> None:
    assert len(neighbours(POINT, POINT.encode([{"only": 1}])[0], np.random.default_rng(0))) == 0


def test_what_becomes_active_is_drawn_and_what_becomes_inactive_goes() -> None:
    kind, depth, width = (MIXED.names.index(name) for name in ("kind", "depth", "width"))
    u = np.tile(U, (500, 1))
    u[:, [depth, width]] = np.nan
    rows = complete(MIXED, u, np.random.default_rng(0))
    assert stats.kstest(rows[:, depth], "uniform").pvalue > 1e-3
    u[:, kind] = MIXED.encode([{"kind": "plain"}])[0, kind]
    u[:, depth] = 0.5
    assert np.isnan(complete(MIXED, u, np.random.default_rng(0))[:, [depth, width]]).all()


def test_a_truncated_normal_is_one() -> None:
    x = truncated_normal(np.full(2000, 0.1), 0.3, np.random.default_rng(0))
    assert stats.kstest(x, stats.truncnorm(-1 / 3, 3, 0.1, 0.3).cdf).pvalue > 1e-3


def test_neighbourhoods_are_those_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    u = np.concatenate([MIXED.sample(rng, 5), U[None]])
    rows, origins = neighbourhoods(MIXED, u, rng, per_number=3, std=np.array([1e-20, 0.01, 0.1, 0.1, 0.1, 0.1]))
    assert set(origins.tolist()) == set(range(6))
    for i in range(6):
        [base], mine = MIXED.decode(u[[i]]), MIXED.decode(rows[origins == i])
        changes = [[n for n in base.keys() & config.keys() if base[n] != config[n]] for config in mine]
        assert all(len(change) == 1 for change in changes)
        assert [c[0] for c in changes].count("kind") == 2
        floats = [c[0] for c in changes if c[0] in ("x", "rate", "width")]
        active = sum(n in base for n in ("x", "rate", "width"))
        assert len(floats) == (0 if i == 0 else 3 * active)
    x = MIXED.names.index("x")
    steps = np.abs(rows[:, x] - MIXED.snap(u)[origins, x])
    assert 0 < steps[origins == 1].max() < 0.06 < steps[origins > 1].max()
