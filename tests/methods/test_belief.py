from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from hptbench.errors import UserError
from hptbench.methods._belief import Belief
from hptbench.spacefile import space_from_yaml
from hptbench.testing.problems import SPACES

SPACE = space_from_yaml({
    "rate": {"type": "float", "lower": 1e-4, "upper": 1.0, "log": True, "default": 0.01},
    "depth": {"type": "integer", "lower": 1, "upper": 10, "default": 2},
    "size": {"type": "ordinal", "choices": ["s", "m", "l"], "default": "m"},
    "kernel": {"type": "categorical", "choices": ["rbf", "poly", "linear"], "default": "linear"},
    "degree": {"type": "integer", "lower": 2, "upper": 5, "when": {"kernel": "poly"}},
    "flag": {"type": "categorical", "choices": [True, False], "default": True},
    "fixed": {"type": "constant", "value": 1},
})  # fmt: skip
PRIOR = {
    "rate": {"mean": 0.1, "std": 0.2}, "depth": {"mean": 9}, "kernel": {"poly": 0.6, "rbf": 0.3}, "flag": {False: 0.9}
}  # fmt: skip


def column(name):
    return SPACE.names.index(name)


def point(**values):
    config = {"rate": 0.1, "depth": 9, "size": "m", "kernel": "rbf", "flag": True, "fixed": 1, **values}
    return SPACE.encode([config])


def test_numbers_have_a_truncated_normal_on_their_own_scale():
    belief = Belief(SPACE, PRIOR, 0.25, 0.75)
    u = np.linspace(0, 1, 101)
    points = np.tile(point(), (101, 1))
    points[:, column("rate")] = u
    own = belief.log_density(points) - belief.log_density(point())
    mean = 0.75  # 0.1 is three of the four decades up
    expected = stats.truncnorm(-mean / 0.2, (1 - mean) / 0.2, mean, 0.2)
    assert own == pytest.approx(expected.logpdf(u) - expected.logpdf(mean))


def test_the_density_of_a_configuration_is_the_product():
    belief = Belief(SPACE, PRIOR, 0.25, 0.75)
    parts = [
        stats.truncnorm(-0.75 / 0.2, 0.25 / 0.2, 0.75, 0.2).pdf(0.75),  # rate
        stats.truncnorm(-0.85 / 0.25, 0.15 / 0.25, 0.85, 0.25).pdf(0.85),  # depth 9 of 10: the cell's middle is 0.85
        stats.truncnorm(-2, 2, 0.5, 0.25).pdf(0.5),  # size: the default, the second of three
        0.3,  # rbf
        0.1,  # flag is True
    ]
    assert belief.log_density(point()) == pytest.approx(np.log(np.prod(parts)))
    degree = stats.truncnorm(-2.5, 1.5, 0.625, 0.25).pdf(0.375)  # 3 of 2 .. 5, where 4 is the default
    poly = [*parts[:3], 0.6, 0.1, degree]
    assert belief.log_density(point(kernel="poly", degree=3)) == pytest.approx(np.log(np.prod(poly)))
    assert np.exp(belief.log_density(point(kernel="linear"))) == pytest.approx(np.prod(parts) / 3)


def test_what_is_left_out_is_near_the_default():
    belief = Belief(SPACE, {}, 0.25, 0.75)
    assert belief.mode()[0] == pytest.approx(SPACE.encode([SPACE.default()])[0], nan_ok=True)
    densities = np.exp([belief.log_density(point(kernel=k))[0] for k in ("rbf", "poly", "linear")])
    assert densities[2] / densities[0] == pytest.approx(0.75 / 0.125)


def test_draws_follow_the_density():
    belief = Belief(SPACE, PRIOR, 0.25, 0.75)
    u = belief.sample(np.random.default_rng(0), 4000)
    for config in SPACE.decode(u[:50]):
        SPACE.check(config)
    expected = stats.truncnorm(-0.75 / 0.2, 0.25 / 0.2, 0.75, 0.2)
    assert stats.kstest(u[:, column("rate")], expected.cdf).pvalue > 1e-3
    kernels = np.bincount(SPACE.codes(u)[:, column("kernel")].astype(int)) / 4000
    assert kernels == pytest.approx([0.3, 0.6, 0.1], abs=0.03)
    poly = SPACE.codes(u)[:, column("kernel")] == 1
    assert np.array_equal(np.isnan(u[:, column("degree")]), ~poly)


def test_in_steps_it_takes_so_many_values_and_one_is_no_belief():
    belief = Belief(SPACE, {"rate": {"mean": 0.1, "std": 0.2}}, 0.25, 1 / 3)
    points = np.tile(point(depth=2), (1001, 1))
    points[:, column("rate")] = np.linspace(0, 1, 1001)
    exact = np.exp(belief.log_density(points))
    stepped = np.exp(belief.log_density(points, 6))
    assert len(np.unique(stepped.round(12))) == 6
    assert stepped.max() == pytest.approx(exact.max())
    assert stepped.min() == 0.0
    assert np.abs(stepped - exact).max() < 0.3 * exact.max()
    assert len(np.unique(belief.log_density(points, 1))) == 1


def test_it_integrates_to_one():
    space = space_from_yaml({"x": {"type": "float", "lower": 0, "upper": 5, "default": 5}})
    belief = Belief(space, {}, 0.4, 0.5)
    total, _ = integrate.quad(lambda x: float(np.exp(belief.log_density(np.array([[x]])))[0]), 0, 1)
    assert total == pytest.approx(1.0)


def test_forbidden_draws_are_drawn_again():
    import ConfigSpace as CS

    from hptbench.space import Space

    configspace = CS.ConfigurationSpace({"a": ["x", "y"], "b": ["x", "y"]})
    a, b = configspace["a"], configspace["b"]
    configspace.add(CS.ForbiddenAndConjunction(CS.ForbiddenEqualsClause(a, "y"), CS.ForbiddenEqualsClause(b, "y")))
    space = Space(configspace)
    belief = Belief(space, {"a": {"y": 0.9}, "b": {"y": 0.9}}, 0.25, 0.75)
    assert not space.legal(belief.mode())[0]
    assert space.legal(belief.sample(np.random.default_rng(0), 200)).all()


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"rat": {"mean": 1}}, "did you mean 'rate'|rate"),
        ({"rate": 0.1}, r"prior.rate: expected \{mean"),
        ({"rate": {"mean": 2.0}}, r"expected float in \[0.0001, 1\]"),
        ({"rate": {"mean": 0.1, "sd": 1}}, "entry"),
        ({"rate": {"std": 0.0}}, "expected std > 0"),
        ({"kernel": {"rbff": 0.5}}, "level"),
        ({"kernel": {"rbf": 1.5}}, "in \\[0, 1\\]"),
        ({"kernel": {"rbf": 0.8, "poly": 0.8}}, "sum to 1"),
        ({"flag": {True: 0.5, False: 0.2}}, "sum to 1"),
        ({"size": {"mean": "xl"}}, "expected one of"),
    ],
)
def test_beliefs_that_do_not_fit_are_refused(prior, message):
    with pytest.raises(UserError, match=message):
        Belief(SPACE, prior, 0.25, 0.75)


def test_levels_may_be_written_as_text():
    for key in (False, "False"):
        belief = Belief(SPACE, {"flag": {key: 0.9}}, 0.25, 0.75)
        assert SPACE.decode(belief.mode())[0]["flag"] is False


def test_conditional_defaults_have_their_place():
    mixed = space_from_yaml(dict(SPACES["mixed"]))
    belief = Belief(mixed, {"kind": {"deep": 1.0}, "depth": {"mean": 7, "std": 0.05}}, 0.25, 0.75)
    assert mixed.decode(belief.mode())[0]["depth"] == 7
    assert all(c["kind"] == "deep" for c in mixed.decode(belief.sample(np.random.default_rng(0), 50)))


def test_a_category_of_one_level_is_certain():
    space = space_from_yaml(
        {"c": {"type": "categorical", "choices": ["a"]}, "x": {"type": "float", "lower": 0, "upper": 1}}
    )
    belief = Belief(space, {}, 0.25, 0.75)
    u = belief.sample(np.random.default_rng(0), 5)
    assert {config["c"] for config in space.decode(u)} == {"a"}
    assert np.isfinite(belief.log_density(u)).all()
