from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy import stats

from hptbench.methods._acquisition import EI, Acquisition, LogEI, Weighted, log_h
from hptbench.methods._maximise import Maximiser
from hptbench.models.embedding import Embedding
from hptbench.models.gp import GP, fit
from hptbench.space import Floats
from hptbench.spacefile import space_from_yaml
from hptbench.testing.problems import SPACES

MIXED = space_from_yaml(dict(SPACES["mixed"]))
EMBED = Embedding(MIXED)


def process(columns: int = 1) -> tuple[GP, Floats]:
    rng = np.random.default_rng(0)
    u = MIXED.sample(rng, 40)
    y = stats.zscore((EMBED(u) ** 2).sum(axis=1) + 0.1 * rng.standard_normal(40))
    gp = fit(EMBED(u), y, EMBED.inputs)
    return (gp if columns == 1 else gp.given(EMBED(u[:3]), gp.draw(EMBED(u[:3]), columns, rng))), u


def test_log_h_falls_without_gaps() -> None:
    h = log_h(-np.logspace(0, 9, 100_001))
    assert (np.diff(h) < 0).all()  # not so where one is NaN


@pytest.mark.parametrize("z", [5.0, 0.0, -0.5, -1.0, -2.0, -10.0, -40.0, -1e4, -9e4, -2e5, -1e8, -1e10])
def test_log_h_is_exact_wherever_it_is_asked(z: float) -> None:
    with mpmath.workdps(60):
        x = mpmath.mpf(z)
        if z >= -1e5:
            exact = mpmath.log(mpmath.npdf(x) + x * mpmath.ncdf(x))
        else:  # the asymptotic expansion
            exact = -x * x / 2 - mpmath.log(2 * mpmath.pi) / 2 - 2 * mpmath.log(-x)
    assert log_h(np.array([z]))[0] == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("columns", [1, 4])
def test_log_ei_is_the_logarithm_of_ei(columns: int) -> None:
    gp, u = process(columns)
    best = np.full(columns, -0.5)
    assert np.exp(LogEI(gp, best, EMBED)(u)) == pytest.approx(EI(gp, best, EMBED)(u), rel=1e-9)
    mean, variance = gp.predict(EMBED(u[:1]))
    drawn = mean + np.sqrt(variance) * np.random.default_rng(1).standard_normal((400_000, columns))
    assert np.maximum(best - drawn, 0).mean() == pytest.approx(EI(gp, best, EMBED)(u[:1])[0], rel=0.05)


@pytest.mark.parametrize("columns", [1, 4])
@pytest.mark.parametrize("kind", [LogEI, EI, Weighted])
def test_gradients_are_derivatives(kind: type, columns: int) -> None:
    gp, _ = process(columns)
    best = np.full(columns, -0.5)
    f: Acquisition = LogEI(gp, best, EMBED) if kind is Weighted else kind(gp, best, EMBED)
    if kind is Weighted:
        f = Weighted(f, lambda u, n: -n * np.nansum((u - 0.4) ** 2, axis=1), 3)
    u = MIXED.snap(MIXED.sample(np.random.default_rng(7), 5))
    value, gradient = f.gradients(u)
    assert value == pytest.approx(f(u), rel=1e-9)
    for j, kind_of in enumerate(MIXED.kinds):
        if kind_of == "categorical":
            assert not gradient[:, j].any()
            continue
        step = np.zeros(len(MIXED))
        step[j] = 1e-6
        numeric = (f(u + step) - f(u - step)) / 2e-6
        active = ~np.isnan(u[:, j])
        assert gradient[active, j] == pytest.approx(numeric[active], rel=1e-3, abs=1e-5)


def test_ei_vanishes_where_its_logarithm_does_not() -> None:
    gp, u = process()
    best = np.array([-60.0])
    assert not EI(gp, best, EMBED).gradients(u)[1].any()
    assert np.abs(LogEI(gp, best, EMBED).gradients(u)[1]).max() > 1


def test_levels_are_one_apart_and_what_is_inactive_is_nowhere() -> None:
    configs = [
        {"x": 0.0, "rate": 1e-3, "layers": 3, "kind": "plain", "flag": True},
        {"x": 0.0, "rate": 1e-3, "layers": 3, "kind": "deep", "depth": 5, "width": 10.0, "flag": True},
        {"x": 0.0, "rate": 1e-3, "layers": 3, "kind": "wide", "width": 10.0, "flag": True},
    ]
    x = EMBED(MIXED.encode(configs))
    distances = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    assert distances == pytest.approx(1 - np.eye(3))
    assert EMBED.inputs.scales == 7
    assert x.shape == (3, 5 + 3 + 2)


class _Hill:
    """A hill on the mixed space: the higher, the nearer to a configuration."""

    def __init__(self) -> None:
        top = {"x": 1.0, "rate": 1e-3, "layers": 4, "kind": "deep", "depth": 7, "width": 10.0, "flag": False}
        self.top = MIXED.encode([top])

    def __call__(self, u: Floats) -> Floats:
        return -((EMBED(u) - EMBED(self.top)) ** 2).sum(axis=1)

    def gradients(self, u: Floats) -> tuple[Floats, Floats]:
        return self(u), EMBED.back(-2 * (EMBED(u) - EMBED(self.top)))


def test_the_top_of_a_mixed_hill_is_found() -> None:
    hill = _Hill()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        found, others = Maximiser(MIXED, candidates=64, starts=4)(hill, MIXED.sample(rng, 3), rng)
        assert hill(found[:1])[0] > -0.02  # an integer may be one off
        assert hill(found[:1])[0] >= hill(others).max()
        assert (np.diff(hill(others)) <= 0).all()
