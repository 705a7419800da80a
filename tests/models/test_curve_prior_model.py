"""Curves under a parametric prior: exact cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from hptbench.models.curve_prior import CurvePosterior, Shapes, draw_shapes


def test_shapes_rise_from_the_start_and_saturate() -> None:
    shapes = draw_shapes(2000, 40, np.random.default_rng(0))
    assert shapes.way.shape == (2000, 40)
    assert np.isfinite(shapes.way).all()
    assert shapes.way.max() <= 1 + 1e-12
    assert (shapes.start < 0).all()
    assert (np.diff(shapes.way, axis=1) >= -1e-12).all(axis=1).mean() > 0.2  # the others turn after saturation


def test_with_one_shape_it_is_a_normal_model() -> None:
    """y = y0 (1 - g) + y_inf g + noise: a curve's posterior follows from the others only through the process."""
    way = np.array([[0.2, 0.5, 0.9]])
    shapes = Shapes(way, np.array([-0.3]), np.array([0.01]))
    score = np.array([0.1, 0.2, 0.3])
    posterior = CurvePosterior(shapes, np.eye(1), np.zeros(3, dtype=int), np.array([1, 2, 3]), score)
    level, spread = posterior._level, posterior._spread**2
    precision = 1 / spread + (way[0] ** 2).sum() / 0.01
    mean = (level / spread + (way[0] * (score + 0.3 * (1 - way[0]))).sum() / 0.01) / precision
    assert posterior.mean[0, 0] == pytest.approx(mean)
    assert posterior.variance[0, 0] == pytest.approx(1 / precision)
    at_end = -0.3 * 0.1 + 0.9 * mean
    assert posterior.expected(np.array([0]), np.array([3]))[0] == pytest.approx(at_end)
    chance = norm.sf(0.4, at_end, np.sqrt(0.81 / precision + 0.01))
    assert posterior.above(np.array([0]), np.array([3]), 0.4)[0] == pytest.approx(chance)


def test_shapes_are_weighed_by_the_marginal_likelihood() -> None:
    shapes = Shapes(np.array([[0.2, 0.5, 0.9], [0.8, 0.9, 1.0]]), np.array([-0.3, -0.1]), np.array([0.01, 0.02]))
    score = np.array([0.1, 0.2, 0.3])
    posterior = CurvePosterior(shapes, np.eye(1), np.zeros(3, dtype=int), np.array([1, 2, 3]), score)
    level, spread = posterior._level, posterior._spread**2
    likelihoods = [
        multivariate_normal(y0 * (1 - g) + g * level, spread * np.outer(g, g) + noise * np.eye(3)).pdf(score)
        for g, y0, noise in zip(shapes.way, shapes.start, shapes.noise, strict=True)
    ]
    expected = posterior.prior * likelihoods
    np.testing.assert_allclose(posterior.weights[0], expected / expected.sum())


def test_configurations_near_good_curves_are_expected_to_be_good() -> None:
    shapes = draw_shapes(300, 10, np.random.default_rng(1))
    trial, step = np.repeat([0, 1], 10), np.tile(np.arange(1, 11), 2)
    score = np.where(trial == 0, 0.5, 0.0) * (1 - 0.5**step)
    posterior = CurvePosterior(shapes, np.array([[1, 0.1], [0.1, 1]]), trial, step, score)
    near_good, near_bad = posterior.new_above(np.array([[0.95, 0.1], [0.1, 0.95]]), 10, 0.4)
    assert near_good > 0.5 > near_bad
    assert posterior.asymptotes(np.array([[0.95, 0.1]]))[1][0] < posterior.asymptotes(np.array([[0.1, 0.1]]))[1][0]
