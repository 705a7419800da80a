from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from hptbench.methods._categories import Categories, _root
from hptbench.methods._cma import recombination_weights

SIZES = [2, 3, 4]


def weights(size: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    w = np.maximum(recombination_weights(size), 0)
    return np.asarray(w / w.sum())


def test_it_is_that_of_the_package_cmaes() -> None:
    """After 25 generations; numbers of ``cmaes.CatCMA`` 0.13.1 on the same draws."""
    categories, rng = Categories(SIZES), np.random.default_rng(9)
    for _ in range(25):
        positions = np.stack([rng.integers(size, size=8) for size in SIZES], axis=1)
        order = np.argsort(positions.sum(axis=1) + 0.1 * rng.random(8))
        rng.standard_normal((8, 2))
        categories.update(positions[order], weights(8))
    expected = [
        [0.7091136080981651, 0.2908863919018349],
        [0.6565464574716052, 0.2936592098330798, 0.04979433269531491],
        [0.4107143619469762, 0.3713505476803365, 0.1647902994486417, 0.05314479092404554],
    ]
    for q, numbers in zip(categories.q, expected, strict=True):
        np.testing.assert_allclose(q, numbers, rtol=1e-9)
    assert categories._delta == pytest.approx(6.548594689308059, rel=1e-9)


def test_levels_are_drawn_as_often_as_their_probabilities_say() -> None:
    categories = Categories(SIZES)
    categories.q[1][:] = [0.1, 0.7, 0.2]
    drawn = categories.sample(20_000, np.random.default_rng(0))
    assert np.bincount(drawn[:, 1].astype(int)) / 20_000 == pytest.approx([0.1, 0.7, 0.2], abs=0.015)
    assert np.bincount(drawn[:, 2].astype(int)) / 20_000 == pytest.approx([0.25] * 4, abs=0.015)


def test_no_level_falls_below_the_margin() -> None:
    """(1 - 0.73^(1 / categories)) / (levels - 1)."""
    categories = Categories(SIZES)
    for _ in range(60):
        categories.update(np.zeros((8, 3), dtype=int), weights(8))
    for q, size in zip(categories.q, SIZES, strict=True):
        least = (1 - 0.73 ** (1 / 3)) / (size - 1)
        np.testing.assert_allclose(q, [1 - (size - 1) * least] + [least] * (size - 1))


def test_the_root_is_one_of_the_fisher_information() -> None:
    q, g = np.array([0.2, 0.3, 0.1, 0.4]), np.array([0.05, -0.1, 0.2, -0.15])
    fisher = np.diag(1 / q[:-1]) + 1 / q[-1]
    length = np.linalg.norm(sqrtm(fisher) @ g[:-1])
    assert np.linalg.norm(_root(g, q)) == pytest.approx(float(length))
