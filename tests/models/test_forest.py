from __future__ import annotations

import numpy as np
import pytest

from hptbench.models.forest import Forest, imputed


def data(n, d=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random((n, d))
    return x, np.sin(5 * x[:, 0]) + x[:, 1] ** 2


def by_hand(forest, x, y, q, log=False):
    """Mean and variance at ``q`` from the observations in its leaves; all trees have seen all of ``x``."""
    means, variances = [], []
    for tree in forest._trees:
        home, leaves = tree.apply(x.astype(np.float32)), tree.apply(q.astype(np.float32))
        inside = [y[home == leaf] for leaf in leaves]
        means.append([np.log(np.exp(v).mean()) if log else v.mean() for v in inside])
        variances.append([v.var() for v in inside])
    return np.mean(means, axis=0), np.var(means, axis=0) + np.mean(variances, axis=0)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("leaf", [1, 7])
def test_mean_and_variance_are_those_of_the_mixture_of_leaves(log, leaf):
    (x, y), q = data(60), np.random.default_rng(1).random((40, 3))
    forest = Forest(x, y, np.random.default_rng(2), trees=5, min_samples_leaf=leaf, bootstrap=False, log=log)
    mean, variance = forest.predict(q)
    expected = by_hand(forest, x, y, q, log)
    assert mean == pytest.approx(expected[0], abs=1e-12)
    assert variance == pytest.approx(expected[1], abs=1e-12)


def test_without_bootstrap_observations_are_reproduced_and_sure():
    x, y = data(50)
    mean, variance = Forest(x, y, np.random.default_rng(0), bootstrap=False).predict(x)
    assert mean == pytest.approx(y)
    assert variance == pytest.approx(np.zeros(50), abs=1e-12)


def test_it_learns_and_is_less_sure_between_observations():
    x, y = data(200)
    q, truth = data(500, seed=1)
    mean, variance = Forest(x, y, np.random.default_rng(0), trees=30).predict(q)
    assert np.corrcoef(mean, truth)[0, 1] > 0.95
    _, known = Forest(x, y, np.random.default_rng(0), trees=30).predict(x)
    assert np.median(variance) > 1.5 * np.median(known) > 0


def test_trees_differ_by_where_they_split():
    """Without bootstrap and with all columns: the only difference is the random threshold."""
    x, y = np.array([[0.0], [1.0]]), np.array([0.0, 1.0])
    q = np.linspace(0, 1, 101)[:, None]
    mean, _ = Forest(x, y, np.random.default_rng(0), trees=2000, bootstrap=False).predict(q)
    assert np.abs(mean - q[:, 0]).max() < 0.05  # the share of thresholds below q: uniform


def test_the_generator_decides_all():
    (x, y), q = data(40), np.random.default_rng(1).random((20, 3))
    first, again, other = (Forest(x, y, np.random.default_rng(s)).predict(q)[0] for s in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_min_samples_and_ratio_of_features_are_obeyed():
    x, y = data(80)
    forest = Forest(x, y, np.random.default_rng(0), min_samples_leaf=10)
    assert all(tree.n_node_samples.min() >= 10 for tree in forest._trees)
    forest = Forest(x, y, np.random.default_rng(0), min_samples_split=30)
    assert all(tree.n_node_samples[tree.children_left >= 0].min() >= 30 for tree in forest._trees)
    strong = np.stack([y, *np.random.default_rng(0).random((2, 80))], axis=1)
    roots = [
        np.mean([tree.feature[0] == 0 for tree in Forest(strong, y, np.random.default_rng(0), 50, r)._trees])
        for r in (1.0, 1 / 3)
    ]
    assert roots[0] > 0.9
    assert roots[1] == pytest.approx(1 / 3, abs=0.2)


def test_a_constant_and_a_single_observation():
    for n in (1, 5):
        mean, variance = Forest(np.full((n, 2), 0.5), np.full(n, 3.0), np.random.default_rng(0)).predict(
            np.array([[0.1, 0.9]])
        )
        assert (mean[0], variance[0]) == (3.0, 0.0)


def test_inactive_parameters_are_apart_from_all_active_ones():
    assert imputed(np.array([[0.0, np.nan]])).tolist() == [[0.0, -1.0]]
