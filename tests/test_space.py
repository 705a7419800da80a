from __future__ import annotations

import math
import pickle

import ConfigSpace as CS
import numpy as np
import pytest

from hptbench.errors import UserError
from hptbench.space import Kind, Space
from hptbench.spacefile import packaged_space, space_from_yaml

CONDITIONAL = {
    "kernel": {"type": "categorical", "choices": ["linear", "poly", "rbf"], "default": "rbf"},
    "cost": {"type": "float", "lower": 1e-4, "upper": 1e4, "log": True},
    "gamma": {"type": "float", "lower": 1e-4, "upper": 1e4, "log": True, "when": {"kernel": "rbf"}},
    "degree": {"type": "integer", "lower": 2, "upper": 5, "when": {"kernel": "poly"}},
    "shrinking": {"type": "categorical", "choices": [True, False]},
    "trees": {"type": "integer", "lower": 1, "upper": 1000, "log": True},
    "size": {"type": "ordinal", "choices": ["s", "m", "l"]},
    "coef": {"type": "float", "lower": 0, "upper": 1, "when": {"kernel": ["poly", "rbf"], "trees": {"above": 30}}},
}


@pytest.fixture
def space() -> Space:
    return space_from_yaml(CONDITIONAL)


def test_configurations_agree_with_configspace(space: Space) -> None:
    for config in space.decode(space.sample(np.random.default_rng(0), 300)):
        CS.Configuration(space.configspace, values=dict(config))  # raises if anything is off
        space.check(config)
        assert all(type(v) in (bool, int, float, str) for v in config.values())


def test_encode_inverts_decode(space: Space) -> None:
    configs = space.decode(space.sample(np.random.default_rng(1), 500))
    again = space.decode(space.encode(configs))
    for a, b in zip(configs, again, strict=True):
        assert a.keys() == b.keys()
        for name, value in a.items():
            assert b[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)


def test_inactive_columns_are_nan_and_only_those(space: Space) -> None:
    u = space.sample(np.random.default_rng(2), 200)
    for row, config in zip(u, space.decode(u), strict=True):
        assert {n for n, x in zip(space.names, row, strict=True) if not np.isnan(x)} == set(config)


def test_values_are_uniform_on_their_scale() -> None:
    space = space_from_yaml(
        {
            "i": {"type": "integer", "lower": 1, "upper": 4},
            "c": {"type": "categorical", "choices": ["a", "b", "c"]},
            "f": {"type": "float", "lower": 1e-3, "upper": 10.0, "log": True},
        }
    )
    configs = space.decode(space.sample(np.random.default_rng(3), 12_000))
    for value in (1, 2, 3, 4):
        assert np.mean([c["i"] == value for c in configs]) == pytest.approx(1 / 4, abs=0.02)
    for value in "abc":
        assert np.mean([c["c"] == value for c in configs]) == pytest.approx(1 / 3, abs=0.02)
    assert np.mean([c["f"] < 0.1 for c in configs]) == pytest.approx(1 / 2, abs=0.02)


def test_values_do_not_depend_on_the_processor() -> None:
    """numpy's exp and log differ in the last digit between processors with and without AVX-512; C's do not."""
    space = Space(CS.ConfigurationSpace({"c": CS.Float("c", (1e-9, 1e4), log=True)}))
    u = np.random.default_rng(0).random((2000, 1))
    low, high = math.log(1e-9), math.log(1e4)
    values = [math.exp(low + x * (high - low)) for x in u[:, 0].tolist()]
    configs = space.decode(u)
    assert [config["c"] for config in configs] == values
    assert space.encode(configs)[:, 0].tolist() == [(math.log(value) - low) / (high - low) for value in values]


def test_bounds_are_reached_and_never_passed(space: Space) -> None:
    corners = space.decode(np.array([np.zeros(len(space)), np.ones(len(space)), np.full(len(space), 1 - 1e-16)]))
    assert corners[0]["cost"] == pytest.approx(1e-4, rel=1e-12)
    assert corners[1]["cost"] == pytest.approx(1e4, rel=1e-12)
    assert (corners[0]["trees"], corners[1]["trees"]) == (1, 1000)
    assert corners[1]["kernel"] == "rbf"
    for config in corners:
        space.check(config)


def test_weights_of_categories_apply() -> None:
    configspace = CS.ConfigurationSpace()
    configspace.add(CS.CategoricalHyperparameter("c", ["a", "b"], weights=[1, 3]))
    space = Space(configspace)
    u = space.sample(np.random.default_rng(4), 8000)
    assert np.mean([c["c"] == "b" for c in space.decode(u)]) == pytest.approx(0.75, abs=0.02)
    assert space.decode(space.encode([{"c": "a"}, {"c": "b"}])) == [{"c": "a"}, {"c": "b"}]


def _space_with_clauses() -> Space:
    configspace = CS.ConfigurationSpace()
    a, b = CS.Integer("a", (1, 10)), CS.Integer("b", (1, 10))
    c = CS.Categorical("c", ["x", "y"])
    configspace.add(a, b, c)
    configspace.add(CS.ForbiddenGreaterThanRelation(a, b))
    configspace.add(CS.ForbiddenAndConjunction(CS.ForbiddenEqualsClause(c, "x"), CS.ForbiddenInClause(a, [1, 2])))
    return Space(configspace)


def test_forbidden_clauses_hold_and_agree_with_configspace() -> None:
    space = _space_with_clauses()
    u = np.random.default_rng(5).random((500, 3))
    legal = space.legal(u)
    assert 0 < legal.sum() < 500
    for ok, config in zip(legal, space.decode(u), strict=True):
        try:
            CS.Configuration(space.configspace, values=dict(config))
            assert ok
        except CS.exceptions.ForbiddenValueError:
            assert not ok
    assert space.legal(space.sample(np.random.default_rng(6), 500)).all()
    with pytest.raises(UserError, match="forbidden"):
        space.check({"a": 9, "b": 1, "c": "y"})


def test_all_conditions_of_configspace() -> None:
    configspace = CS.ConfigurationSpace()
    o = CS.OrdinalHyperparameter("o", ["s", "m", "l", "xl"])
    n = CS.Integer("n", (0, 100))
    children = [CS.Float(f"f{i}", (0.0, 1.0)) for i in range(5)]
    configspace.add(o, n, *children)
    configspace.add(CS.NotEqualsCondition(children[0], o, "m"))
    configspace.add(CS.GreaterThanCondition(children[1], o, "m"))
    configspace.add(CS.LessThanCondition(children[2], n, 20))
    configspace.add(
        CS.OrConjunction(CS.EqualsCondition(children[3], o, "s"), CS.GreaterThanCondition(children[3], n, 60))
    )
    configspace.add(CS.NotEqualsCondition(children[4], children[0], 2.0 / 3))
    space = Space(configspace)
    for config in space.decode(space.sample(np.random.default_rng(7), 300)):
        CS.Configuration(configspace, values=dict(config))
    configs = space.decode(space.sample(np.random.default_rng(8), 300))
    assert any("f4" not in c for c in space.decode(np.full((1, 7), 2 / 3)))
    assert all("f4" in c for c in configs if "f0" not in c)  # ConfigSpace: 'not equal' holds for an inactive parent


def test_codes_count_categories(space: Space) -> None:
    u = space.sample(np.random.default_rng(9), 100)
    codes = space.codes(u)
    j = space.names.index("kernel")
    kernels = [c["kernel"] for c in space.decode(u)]
    assert [("linear", "poly", "rbf")[int(x)] for x in codes[:, j]] == kernels
    assert space.decode(space.from_codes(codes)) == space.decode(u)
    assert space.kinds[j] is Kind.CATEGORICAL
    assert space.sizes[j] == 3


def test_key_ignores_inactive_values_and_order(space: Space) -> None:
    config = dict(space.default())
    assert space.key({**config, "degree": 4}) == space.key(dict(reversed(config.items())))
    assert space.key(config) != space.key({**config, "trees": 3})


def test_check_says_what_is_wrong(space: Space) -> None:
    good = dict(space.default())
    for bad, message in [
        ({**good, "gama": 1.0}, "Did you mean 'gamma'"),
        ({**good, "cost": 1e9}, "expected float in"),
        ({**good, "trees": 2.5}, "expected integer in"),
        ({**good, "trees": True}, "expected integer in"),
        ({**good, "kernel": "rbff"}, "expected one of"),
        ({**good, "degree": 3}, "inactive"),
        ({k: v for k, v in good.items() if k != "gamma"}, "gamma"),
    ]:
        with pytest.raises(UserError, match=message):
            space.check(bad)


def test_decode_refuses_nan_in_an_active_column(space: Space) -> None:
    u = space.encode([space.default()])
    u[0, space.names.index("cost")] = np.nan
    with pytest.raises(ValueError, match="cost"):
        space.decode(u)


def test_empty_and_unsupported_spaces_are_refused() -> None:
    with pytest.raises(UserError, match="at least one parameter"):
        space_from_yaml({})
    configspace = CS.ConfigurationSpace()
    configspace.add(CS.NormalFloatHyperparameter("x", mu=0, sigma=1, lower=-1, upper=1))
    with pytest.raises(UserError, match="NormalFloat"):
        Space(configspace)


def test_one_point_space() -> None:
    space = space_from_yaml({"c": {"type": "constant", "value": 3}})
    assert space.decode(space.sample(np.random.default_rng(0), 2)) == [{"c": 3}, {"c": 3}]
    assert space.default() == {"c": 3}


def test_equal_bounds_make_a_constant() -> None:
    space = space_from_yaml({"x": {"type": "float", "lower": 0.5, "upper": 0.5}})
    assert (space.default(), space.kinds) == ({"x": 0.5}, (Kind.CONSTANT,))


def test_space_that_is_all_forbidden_is_an_error_not_a_hang() -> None:
    configspace = CS.ConfigurationSpace()
    c = CS.Categorical("c", ["x", "y"], default="x")
    configspace.add(c, CS.Float("f", (0, 1)))
    configspace.add(CS.ForbiddenEqualsClause(c, "y"))
    space = Space(configspace)
    space._forbidden.append(lambda x: np.ones(len(x[0]), bool))
    with pytest.raises(UserError, match="exclude nearly all"):
        space.sample(np.random.default_rng(0), 1)


def test_pickle_and_equality(space: Space) -> None:
    assert pickle.loads(pickle.dumps(space)) == space
    assert space != space_from_yaml(
        {**CONDITIONAL, "cost": {"type": "float", "lower": 1e-4, "upper": 1e3, "log": True}}
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"x": {"type": "floot", "lower": 0, "upper": 1}}, "Did you mean 'float'"),
        ({"x": {"type": "float", "lower": 0}}, "upper"),
        ({"x": {"type": "float", "lower": 0, "uper": 1}}, "Did you mean 'upper'"),
        ({"x": {"type": "float", "lower": 2, "upper": 1}}, "space.x"),
        ({"x": {"type": "float", "lower": 0, "upper": 1, "log": True}}, "space.x"),
        ({"x": {"type": "float", "lower": "a", "upper": 1}}, "space.x"),
        ({"x": {"type": "float", "lower": 2, "upper": 3, "default": 1}}, "set space.x.default, too"),
        ({"x": {"type": "integer", "lower": 2, "upper": 3.5}}, "space.x.upper: expected a whole number"),
        ({"x": {"type": "float", "lower": 2, "upper": 3, "log": "yes"}}, "space.x.log: expected true or false"),
        ({"x": 3}, "mapping with a type"),
        ({"x": {"type": "float", "lower": 0, "upper": 1, "when": {"y": 1}}}, "unknown space.x.when"),
        (
            {"x": {"type": "integer", "lower": 1, "upper": 4}, "y": {"type": "constant", "value": 1, "when": {"x": 9}}},
            "space.y",
        ),
    ],
)
def test_yaml_mistakes_are_named(spec: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        space_from_yaml(spec)  # type: ignore[arg-type]


def test_a_space_within_a_space() -> None:
    space = space_from_yaml({
        "learner": {"type": "categorical", "choices": ["svm", "knn"]},
        "svm": {"type": "space", "space": "svm", "when": {"learner": "svm"}},
        "other": {"type": "space", "space": "knn"},
    })  # fmt: skip
    assert {n for n in space.names if n.startswith("svm:")} == {f"svm:{n}" for n in packaged_space("svm").names}
    assert space.configspace["svm:cost"].upper == packaged_space("svm").configspace["cost"].upper
    configs = space.decode(space.sample(np.random.default_rng(0), 200))
    for config in configs:
        assert ("svm:kernel" in config) == (config["learner"] == "svm")
        assert ("svm:degree" in config) == (config.get("svm:kernel") == "poly"), "its own conditions hold, too"
        assert "other:p" in config
    assert len({config.get("svm:kernel") for config in configs}) == 4


@pytest.mark.parametrize(("spec", "message"), [
    ({"type": "space", "space": "knnn"}, "Did you mean 'knn'"),
    ({"type": "space"}, r"got no \['space'\]"),
    ({"type": "space", "space": "svm", "upper": 3}, "field 'upper'"),
    ({"type": "space", "space": "svm", "when": {"nobody": 1}}, "'nobody'"),
])  # fmt: skip
def test_mistakes_in_a_space_within_a_space(spec: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        space_from_yaml({"x": {"type": "float", "lower": 0, "upper": 1}, "s": spec})


def test_spaces_that_hold_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = {name: {"in": {"type": "space", "space": other}} for name, other in ("ab", "ba")}
    monkeypatch.setattr("hptbench.spacefile._packaged", spaces.__getitem__)
    with pytest.raises(UserError, match="a > b > a include each other"):
        space_from_yaml({"s": {"type": "space", "space": "a"}})


def test_points_of_one_configuration_snap_to_one_point() -> None:
    mixed = space_from_yaml(CONDITIONAL)
    u = mixed.sample(np.random.default_rng(3), 200)
    snapped = mixed.snap(u)
    assert np.allclose(snapped, mixed.encode(mixed.decode(u)), equal_nan=True, atol=1e-12)
    discrete = [j for j, size in enumerate(mixed.sizes) if size]
    assert np.array_equal(snapped[:, discrete], mixed.encode(mixed.decode(u))[:, discrete], equal_nan=True)
    assert np.array_equal(mixed.snap(snapped), snapped, equal_nan=True)


def test_cells_hold_what_decodes_to_their_value(space: Space) -> None:
    rng = np.random.default_rng(13)
    for name in ("kernel", "trees", "size", "shrinking"):
        j = space.names.index(name)
        cells = space.cells(j)
        assert (len(cells), cells[0], cells[-1]) == (space.sizes[j] + 1, 0.0, 1.0)
        i = rng.integers(space.sizes[j], size=200)
        u = np.full((200, len(space)), 0.5)
        u[:, j] = cells[i] + rng.uniform(0.001, 0.999, 200) * (cells[i + 1] - cells[i])
        values = [config[name] for config in space.decode(u)]
        expected = {"kernel": ["linear", "poly", "rbf"], "size": ["s", "m", "l"], "shrinking": [True, False]}
        assert values == [expected[name][k] if name in expected else k + 1 for k in i]
    assert space.cells(space.names.index("cost")).tolist() == [0.0, 1.0]


def test_the_cell_of_a_value_is_found_without_all_cells(space: Space) -> None:
    u = space.sample(np.random.default_rng(15), 300)
    low, high = space.cells_of(u)
    for j in range(len(space)):
        if not space.sizes[j]:
            assert np.isnan(low[:, j]).all()
            continue
        there = ~np.isnan(u[:, j])
        edges = space.cells(j)
        i = edges[1:-1].searchsorted(u[there, j], "right")
        np.testing.assert_allclose(low[there, j], edges[i], atol=1e-12)
        np.testing.assert_allclose(high[there, j], edges[i + 1], atol=1e-12)
        assert np.isnan(low[~there, j]).all()
    wide = space_from_yaml({"n": {"type": "integer", "lower": 0, "upper": 2**31 - 1}})
    low, high = wide.cells_of(np.array([[0.0], [0.5], [1.0]]))
    assert (low[0, 0], high[2, 0]) == (0.0, 1.0)
    assert high - low == pytest.approx(np.full((3, 1), 2.0**-31), rel=1e-5)


def test_one_row_is_converted_like_many(space: Space) -> None:
    u = space.sample(np.random.default_rng(14), 60)
    configs = space.decode(u)
    assert [space.decode(row[None])[0] for row in u] == configs
    assert np.array_equal(np.concatenate([space.encode([c]) for c in configs]), space.encode(configs), equal_nan=True)
    assert np.array_equal(np.concatenate([space.snap(row[None]) for row in u]), space.snap(u), equal_nan=True)
    assert np.array_equal(space.from_codes(space.codes(space.snap(u))), space.snap(u), equal_nan=True)
