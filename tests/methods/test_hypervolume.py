from __future__ import annotations

import math

import moocore
import numpy as np
import pytest
from scipy import stats

from hptbench.methods._hypervolume import LogEHVI, behind, boxes, nondominated
from hptbench.space import Floats


class Normal:
    """A process of one column whose mean and standard deviation are linear in the first of the inputs."""

    def __init__(self, slope: float, std: float) -> None:
        self._slope, self._std = slope, std

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        return self._slope * x[:, :1], (self._std * (1 + x[:, 0])) ** 2

    def gradients(self, x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        mean, variance = self.predict(x)
        return mean, variance, np.full((len(x), 1, 1), self._slope), 2 * self._std**2 * (1 + x)

    def draw(self, x: float, n: int, rng: np.random.Generator) -> Floats:
        return rng.normal(self._slope * x, self._std * (1 + x), n)


class Plain:
    """No embedding."""

    def __call__(self, u: Floats) -> Floats:
        return u

    def back(self, by_x: Floats) -> Floats:
        return by_x


def criterion(m: int, front: Floats, reference: Floats) -> tuple[LogEHVI, list[Normal]]:
    gps = [Normal(0.3 + 0.1 * k, 0.2 / (k + 1)) for k in range(m)]
    return LogEHVI(gps, front, reference, Plain()), gps  # type: ignore[arg-type]


@pytest.mark.parametrize("m", [2, 3, 5])
def test_the_front_is_that_of_another_library(m: int) -> None:
    rng = np.random.default_rng(m)
    for n in (1, 40, 300):
        values = rng.random((n, m)).round(1)  # with ties
        assert np.array_equal(nondominated(values), moocore.is_nondominated(values))
    assert nondominated(np.empty((0, m))).size == 0


@pytest.mark.parametrize("m", [2, 3])
@pytest.mark.parametrize("digits", [1, 15])
def test_boxes_are_disjoint_and_make_up_what_is_not_dominated(m: int, digits: int) -> None:
    rng = np.random.default_rng(m)
    for n in (0, 1, 2, 7, 60):
        front, reference = rng.random((n, m)).round(digits), np.full(m, 0.9)
        lower, upper = boxes(front, reference)
        assert len(lower) <= 2 * n + 1
        assert (lower < upper).all()
        inside = np.prod(upper - np.maximum(lower, 0), axis=1).sum()
        dominated = moocore.hypervolume(front, ref=reference) if n else 0.0
        assert inside + dominated == pytest.approx(0.9**m, abs=1e-12)
        z = rng.random((500, m)) * 0.9
        count = ((lower < z[:, None]) & (z[:, None] <= upper)).all(axis=2).sum(axis=1)
        free = ~(front <= z[:, None]).all(axis=2).any(axis=1)
        assert np.array_equal(count, free.astype(int))


@pytest.mark.parametrize("m", [2, 3])
def test_the_criterion_is_the_expected_gain_of_hypervolume(m: int) -> None:
    rng = np.random.default_rng(m)
    front, reference = rng.random((8, m)), np.full(m, 1.1)
    own, gps = criterion(m, front, reference)
    before = moocore.hypervolume(front, ref=reference)
    for x in (0.3, 0.9):
        drawn = np.column_stack([gp.draw(x, 3000, rng) for gp in gps])
        gains = np.array([moocore.hypervolume(np.vstack([front, y]), ref=reference) - before for y in drawn])
        error = gains.std() / math.sqrt(len(gains))
        assert math.exp(own(np.array([[x]]))[0]) == pytest.approx(gains.mean(), abs=4 * error)


def test_the_criterion_of_one_point_by_quadrature() -> None:
    front, reference = np.array([[0.5, 0.4]]), np.array([1.0, 1.2])
    own, _ = criterion(2, front, reference)
    one, two = stats.norm(0.3, 0.4), stats.norm(0.4, 0.2)  # at x = 1
    a, b = (np.linspace(-3, end, 4001) for end in reference)
    free = (a[:, None] < 0.5) | (b < 0.4)
    want = np.trapezoid(np.trapezoid(one.cdf(a)[:, None] * two.cdf(b) * free, b), a)
    assert math.exp(own(np.array([[1.0]]))[0]) == pytest.approx(want, abs=1e-3)


@pytest.mark.parametrize("m", [2, 3])
def test_the_gradient_is_that_of_the_criterion(m: int) -> None:
    front, reference = np.random.default_rng(0).random((9, m)), np.full(m, 1.1)
    own, _ = criterion(m, front, reference)
    x = np.array([[0.1], [0.9], [1.5], [30.0]])
    value, gradient = own.gradients(x)
    assert value == pytest.approx(own(x), rel=1e-12)
    assert gradient == pytest.approx(((own(x + 1e-6) - own(x - 1e-6)) / 2e-6)[:, None], rel=1e-5)


def test_far_from_the_front_neither_it_nor_its_gradient_vanishes() -> None:
    gps = [Normal(1.0, 1e-3), Normal(2.0, 1e-3)]
    own = LogEHVI(gps, np.array([[0.1, 0.3], [0.3, 0.1]]), np.array([0.5, 0.5]), Plain())  # type: ignore[arg-type]
    value, gradient = own.gradients(np.array([[50.0], [40.0]]))
    assert np.isfinite(value).all()
    assert value[0] < value[1] < -500
    assert (gradient < -1).all()


def test_edges_that_rounding_makes_equal_do_no_harm() -> None:
    front = np.array([[0.3, 0.4], [np.nextafter(0.3, 1), 0.3], [0.5, 0.1]])
    own, _ = criterion(2, front, np.array([1.0, 1.0]))
    without, _ = criterion(2, front[1:], np.array([1.0, 1.0]))
    x = np.array([[0.2], [1.0]])
    assert own(x) == pytest.approx(without(x), rel=1e-9)
    assert own.gradients(x)[1] == pytest.approx(without.gradients(x)[1], rel=1e-6)


def test_how_far_points_are_behind_the_front() -> None:
    values = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0], [1.5, 1.5], [2.0, 2.0], [0.0, 2.2]])
    front = values[:3]
    assert behind(values, front) == pytest.approx([0, 0, 0, 0.25, 0.5, 0.2 / 2.2])
    assert behind(np.ones((3, 2)), np.ones((1, 2))).tolist() == [0, 0, 0]
