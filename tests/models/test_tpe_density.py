from __future__ import annotations

import math

import ConfigSpace as CS
import numpy as np
import pytest
from scipy import stats

from hptbench.models.tpe_density import Densities, Rules
from hptbench.space import Floats, Space
from hptbench.spacefile import space_from_yaml

MIXED = space_from_yaml(
    {
        "kind": {"type": "categorical", "choices": ["a", "b", "c"]},
        "x": {"type": "float", "lower": -1, "upper": 3},
        "rate": {"type": "float", "lower": 1e-4, "upper": 1, "log": True},
        "layers": {"type": "integer", "lower": 1, "upper": 6},
        "units": {"type": "integer", "lower": 1, "upper": 300, "log": True},
        "size": {"type": "ordinal", "choices": ["s", "m", "l"]},
        "flag": {"type": "categorical", "choices": [True, False]},
        "only": {"type": "constant", "value": 1},
        "depth": {"type": "integer", "lower": 1, "upper": 4, "when": {"kind": "a"}},
        "width": {"type": "float", "lower": 1, "upper": 9, "when": {"kind": ["a", "b"]}},
        "mode": {"type": "categorical", "choices": ["p", "q", "r", "s"], "when": {"flag": True}},
    }
)
RULES = [
    Rules(),
    Rules(multivariate=False),
    Rules(bandwidth="scott", min_bandwidth=0.01, magic_exponent=np.inf, whole_cells=True, categorical_bandwidth=0.2),
    Rules(bandwidth="optuna", magic_exponent=1.0),
    Rules(bandwidth="neighbours", min_bandwidth=0.01, magic_exponent=1.0),
    Rules(multivariate=False, bandwidth="scott", min_bandwidth=0.1, categorical_bandwidth=0.1),
]


class Density:
    """One of the two: all observations are good."""

    def __init__(self, space: Space, rules: Rules, u: Floats, weights: Floats, prior_weight: float) -> None:
        self.both = Densities(space, rules)
        self.both.fit(u, np.ones(len(u), dtype=bool), weights, (prior_weight, 1.0))

    def logpdf(self, x: Floats) -> Floats:
        return self.both.logpdf(x)[0]

    def sample(self, rng: np.random.Generator, m: int) -> Floats:
        return self.both.sample(rng, m)

    @property
    def sigma(self) -> list[float]:
        return self.both._sigma[0, 1 : self.both._n].tolist()


def snapped(space: Space, seed: int, n: int) -> Floats:
    return space.encode(space.decode(space.sample(np.random.default_rng(seed), n)))


def normal(z: float) -> float:
    """Its distribution function."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def plain_bandwidths(rules: Rules, values: list[float], prior: bool, d: int, size: int) -> list[float]:
    """Of one parameter's kernels, by loops; the prior is the last."""
    n = len(values)
    if rules.bandwidth in ("hyperopt", "neighbours"):
        ends = [0.0, 1.0] if rules.bandwidth == "hyperopt" else [min(values), max(values)] if values else [0.0, 0.0]
        points = sorted([*ends, *values])
        out = []
        first = n - 1 if prior else -1  # of equal values the prior
        order = sorted(range(n), key=lambda k: (values[k], k != first, k))
        for k in range(n):
            at = order.index(k) + 1
            out.append(max(points[at] - points[at - 1], points[at + 1] - points[at]))
    elif rules.bandwidth == "scott":
        iqr = float(np.subtract(*np.percentile(values, [75, 25]))) if n else 0.0
        std = float(np.std(values, ddof=int(n > 1))) if n else 0.0
        out = [1.059 * min(iqr / 1.34, std) * n**-0.2] * n
    else:
        out = [0.2 * max(n - prior, 1) ** (-1 / ((d if rules.multivariate else 1) + 4))] * n
    least = max(rules.min_bandwidth, (1 + n) ** -rules.magic_exponent)
    out = [min(max(s, least), 1.0) for s in out]
    if prior:
        out[-1] = 1.0
    return [max(s, 1 / size) for s in out] if rules.whole_cells and size else out


def plain_logpdf(
    space: Space,
    rules: Rules,
    u: Floats,
    weights: Floats,
    prior_weight: float,
    point: Floats,
    midpoint: bool = True,
) -> float:
    """By loops; the density in the middle of narrow cells or, without ``midpoint``, their exact masses."""
    prior = prior_weight > 0
    w = [*weights, *([prior_weight] if prior else [])]
    free = [j for j in range(len(space)) if space.sizes[j] != 1]
    columns = {}
    for j in free:
        seen = [*u[:, j], *([0.5] if prior else [])]
        active = [k for k, v in enumerate(seen) if not np.isnan(v)]
        cells, values = space.cells(j), [seen[k] for k in active]
        size = int(space.sizes[j])
        bands = dict(zip(active, plain_bandwidths(rules, values, prior, len(free), size), strict=True))
        kernels = []
        for k, v in enumerate(seen):
            is_prior = k not in bands or (prior and k == len(seen) - 1)
            y = point[j]
            at = int(np.searchsorted(cells[1:-1], y, "right"))
            if space.kinds[j].value == "categorical":
                share = np.diff(cells)
                if rules.categorical_bandwidth is None:
                    level = np.full(size, 1 / len(active))
                    level[int(np.searchsorted(cells[1:-1], v, "right"))] += 1
                else:
                    level = np.full(size, rules.categorical_bandwidth / (size - 1))
                    level[int(np.searchsorted(cells[1:-1], v, "right"))] = 1 - rules.categorical_bandwidth
                kernels.append(share[at] if is_prior else level[at] / level.sum())
                continue
            mu, sigma = (0.5, 1.0) if is_prior else (v, bands[k])
            inside = normal((1 - mu) / sigma) - normal(-mu / sigma)
            mass = normal((cells[at + 1] - mu) / sigma) - normal((cells[at] - mu) / sigma)
            width = cells[at + 1] - cells[at]
            narrow = size and width <= rules.min_bandwidth / 2
            y = (cells[at] + cells[at + 1]) / 2 if narrow and midpoint else y
            pdf = math.exp(-0.5 * ((y - mu) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
            kernels.append((pdf * width if narrow and midpoint else mass if size else pdf) / inside)
        columns[j] = (kernels, active)
    there = [j for j in free if not np.isnan(point[j])]
    if rules.multivariate:
        terms = [w[k] * np.prod([columns[j][0][k] for j in there]) for k in range(len(w))]
        return float(np.log(sum(terms) / sum(w)))
    total = 0.0
    for j in there:
        kernels, active = columns[j]
        total += np.log(sum(w[k] * kernels[k] for k in active) / sum(w[k] for k in active))
    return total


@pytest.mark.parametrize("rules", RULES, ids=range(len(RULES)))
@pytest.mark.parametrize("prior_weight", [0.7, 0.0])
def test_the_density_is_that_of_a_plain_version(rules: Rules, prior_weight: float) -> None:
    u, weights = snapped(MIXED, 0, 15), np.random.default_rng(2).random(15) + 0.1
    density = Density(MIXED, rules, u, weights, prior_weight)
    points = np.concatenate(
        [
            MIXED.sample(np.random.default_rng(1), 4),
            MIXED.deactivate(density.sample(np.random.default_rng(1), 12)),
            u[:2],
        ]
    )
    expected = [plain_logpdf(MIXED, rules, u, weights, prior_weight, p) for p in points]
    np.testing.assert_allclose(density.logpdf(points), expected, rtol=1e-9, atol=1e-9)
    exact = [plain_logpdf(MIXED, rules, u, weights, prior_weight, p, midpoint=False) for p in points]
    np.testing.assert_allclose(density.logpdf(points), exact, atol=0.02)


def test_a_single_kernel_is_scipys_truncated_normal() -> None:
    space = space_from_yaml({"x": {"type": "float", "lower": 0, "upper": 1}})
    points = np.linspace(0, 1, 9)[:, None]
    density = Density(space, Rules(), np.array([[0.2]]), np.ones(1), 0.0)
    expected = stats.truncnorm.logpdf(points[:, 0], -0.2 / 0.8, 0.8 / 0.8, loc=0.2, scale=0.8)
    np.testing.assert_allclose(density.logpdf(points), expected)


def test_without_observations_there_is_the_prior() -> None:
    density = Density(MIXED, Rules(), np.empty((0, len(MIXED))), np.empty(0), 0.0)
    points = MIXED.sample(np.random.default_rng(0), 5)
    expected = [plain_logpdf(MIXED, Rules(), np.empty((0, len(MIXED))), np.empty(0), 1.0, p) for p in points]
    np.testing.assert_allclose(density.logpdf(points), expected)


def test_bandwidths_by_hand() -> None:
    space = space_from_yaml({"x": {"type": "float", "lower": 0, "upper": 1}})
    u = np.array([[0.1], [0.9], [0.4]])

    def bandwidths(rules: Rules, prior_weight: float = 1.0) -> list[float]:
        return Density(space, rules, u, np.ones(3), prior_weight).sigma

    # Neighbours, the ends and the prior's centre, 0.5, included: 0, 0.1, 0.4, 0.5, 0.9, 1.
    assert bandwidths(Rules(magic_exponent=np.inf)) == pytest.approx([0.3, 0.4, 0.3])
    assert bandwidths(Rules(magic_exponent=np.inf), 0.0) == pytest.approx([0.3, 0.5, 0.5])
    assert bandwidths(Rules(bandwidth="neighbours", magic_exponent=np.inf)) == pytest.approx([0.3, 0.4, 0.3])
    assert bandwidths(Rules(bandwidth="neighbours", magic_exponent=np.inf), 0.0) == pytest.approx([0.3, 0.5, 0.5])
    # Magic clipping: at least (1 + 4)^-0.5.
    assert bandwidths(Rules(magic_exponent=0.5)) == pytest.approx([5**-0.5] * 3)
    assert bandwidths(Rules(bandwidth="optuna")) == pytest.approx([0.2 * 3**-0.2] * 3)
    # Of 0.1, 0.4, 0.5, 0.9: quartiles 0.325 and 0.6, deviation 0.330.
    assert bandwidths(Rules(bandwidth="scott")) == pytest.approx([1.059 * 0.275 / 1.34 * 4**-0.2] * 3)


def test_equal_values_have_the_least_bandwidth_but_for_the_outer_ones() -> None:
    space = space_from_yaml({"x": {"type": "float", "lower": 0, "upper": 1}})
    density = Density(space, Rules(), np.full((4, 1), 0.25), np.ones(4), 1.0)
    assert density.sigma == pytest.approx([0.25, 1 / 36, 1 / 36, 0.25], abs=3e-3)


@pytest.mark.parametrize("rules", [r for r in RULES if r.multivariate], ids=lambda r: r.bandwidth)
def test_the_density_sums_to_one_over_a_space_with_conditions(rules: Rules) -> None:
    """If multivariate; otherwise each parameter's density does by itself."""
    space = space_from_yaml(
        {
            "kind": {"type": "categorical", "choices": ["a", "b"]},
            "n": {"type": "integer", "lower": 1, "upper": 3, "when": {"kind": "a"}},
            "x": {"type": "float", "lower": 0, "upper": 1, "when": {"kind": "b"}},
        }
    )
    density = Density(space, rules, snapped(space, 3, 12), np.arange(1.0, 13.0), 2.0)
    names = space.names
    total = 0.0
    for n in (1, 2, 3):
        total += np.exp(density.logpdf(space.encode([{"kind": "a", "n": n}])))[0]
    grid = np.linspace(0, 1, 4001)
    u = np.full((4001, 3), np.nan)
    u[:, names.index("kind")], u[:, names.index("x")] = space.encode([{"kind": "b", "x": 0.5}])[0, 0], grid
    total += np.trapezoid(np.exp(density.logpdf(u)), grid)
    assert total == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("rules", RULES[:2], ids=["multivariate", "univariate"])
def test_draws_follow_the_density(rules: Rules) -> None:
    space = space_from_yaml(
        {
            "i": {"type": "integer", "lower": 1, "upper": 4},
            "c": {"type": "categorical", "choices": ["a", "b", "c"]},
            "x": {"type": "float", "lower": 0, "upper": 1},
        }
    )
    density = Density(space, rules, snapped(space, 4, 6), np.array([3.0, 1.0, 2.0, 1.0, 5.0, 1.0]), 1.0)
    drawn = density.sample(np.random.default_rng(5), 6000)
    names = list(space.names)
    i, c, x = names.index("i"), names.index("c"), names.index("x")
    configs = space.decode(drawn)
    seen, expected = [], []
    for value in (1, 2, 3, 4):
        for level in "abc":
            point = space.encode([{"i": value, "c": level, "x": 0.5}])
            point[:, x] = np.nan  # integrated out
            expected.append(float(np.exp(density.logpdf(point))[0]))
            seen.append(sum(config["i"] == value and config["c"] == level for config in configs))
    assert sum(expected) == pytest.approx(1.0)
    assert stats.chisquare(seen, np.array(expected) * 6000).pvalue > 0.001
    grid = np.full((1001, 3), np.nan)
    grid[:, x] = np.linspace(0, 1, 1001)
    cdf = (
        np.concatenate([[0.0], np.cumsum(np.exp(density.logpdf(grid))[:-1] + np.exp(density.logpdf(grid))[1:])]) / 2000
    )
    assert stats.kstest(drawn[:, x], lambda v: np.interp(v, grid[:, x], cdf)).pvalue > 0.001
    assert not np.isnan(drawn[:, [i, c]]).any()


def test_weights_of_categories_are_the_prior() -> None:
    configspace = CS.ConfigurationSpace()
    configspace.add(CS.CategoricalHyperparameter("c", ["a", "b"], weights=[1, 3]))
    space = Space(configspace)
    points = space.encode([{"c": "a"}, {"c": "b"}])
    density = Density(space, Rules(), np.empty((0, 1)), np.empty(0), 1.0)
    assert np.exp(density.logpdf(points)) == pytest.approx([0.25, 0.75])
    # One observation of "a": kept with probability 1 / (1 + 2 / 2), else drawn anew; the prior has the same weight.
    density = Density(space, Rules(), points[:1], np.ones(1), 1.0)
    assert np.exp(density.logpdf(points)) == pytest.approx([(0.625 + 0.25) / 2, (0.375 + 0.75) / 2])


def test_a_space_of_constants_has_a_flat_density() -> None:
    space = space_from_yaml({"only": {"type": "constant", "value": 1}})
    density = Density(space, Rules(), np.full((3, 1), 0.5), np.ones(3), 1.0)
    assert density.logpdf(np.full((2, 1), 0.5)) == pytest.approx([0.0, 0.0])
    assert density.sample(np.random.default_rng(0), 2).tolist() == [[0.5], [0.5]]


def test_far_points_have_finite_densities() -> None:
    u = np.repeat(snapped(MIXED, 7, 1), 30, axis=0)
    rules = Rules(bandwidth="scott", min_bandwidth=0.001, magic_exponent=np.inf)
    for prior_weight in (1.0, 0.0):
        density = Density(MIXED, rules, u, np.ones(30), prior_weight)
        assert np.isfinite(density.logpdf(MIXED.sample(np.random.default_rng(8), 50))).all()


@pytest.mark.parametrize("rules", RULES, ids=range(len(RULES)))
def test_fitted_again_and_again_the_densities_are_those_fitted_once(rules: Rules) -> None:
    """What is kept from fit to fit, and how it grows, makes no difference: also where groups change."""
    u, rng = snapped(MIXED, 9, 150), np.random.default_rng(10)
    points = np.concatenate([MIXED.sample(rng, 5), u[:5]])
    growing = Densities(MIXED, rules)
    for n in (0, 1, 3, 60, 61, 64, 65, 140, 20, 150):
        good, weights = rng.random(n) < 0.2, rng.random(n) + 0.1
        fresh = Densities(MIXED, rules)
        for densities in (growing, fresh):
            densities.fit(u[:n], good, weights, (0.5, 1.0))
        for kept, new in zip(growing.logpdf(points), fresh.logpdf(points), strict=True):
            np.testing.assert_allclose(kept, new, rtol=1e-12)
        draws = [d.sample(np.random.default_rng(n), 5) for d in (growing, fresh)]
        np.testing.assert_array_equal(*draws)


def test_the_other_density_is_that_of_the_others() -> None:
    u = snapped(MIXED, 11, 20)
    good = np.arange(20) < 6
    both, other = Densities(MIXED, Rules()), Densities(MIXED, Rules())
    both.fit(u, good, np.ones(20), (1.0, 2.0))
    other.fit(u[6:], np.ones(14, dtype=bool), np.ones(14), (2.0, 1.0))
    np.testing.assert_allclose(both.logpdf(u)[1], other.logpdf(u)[0], rtol=1e-12)


def test_integers_of_many_values_are_as_continuous_ones() -> None:
    """No table of two thousand million cells, which no memory holds."""
    x = np.random.default_rng(0).random((30, 1))
    whole, real = (
        Density(
            space_from_yaml({"x": {"type": kind, "lower": 0, "upper": 2**31 - 1, "default": 1}}),
            Rules(), x[:20], np.ones(20), 1.0,
        )
        for kind in ("integer", "float")
    )  # fmt: skip
    assert whole.logpdf(x[20:]) == pytest.approx(real.logpdf(x[20:]))
    assert whole.sample(np.random.default_rng(1), 5).tolist() == real.sample(np.random.default_rng(1), 5).tolist()
