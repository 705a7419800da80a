from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from evolving import MIXED, SPHERE, begin, report

from hptbench.errors import UserError
from hptbench.methods._population import Individual
from hptbench.methods.nsga2 import NSGA2, ranks
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Method
from hptbench.space import Config, Floats
from hptbench.spacefile import space_from_yaml

INF = math.inf
CUBE = space_from_yaml({f"x{i}": {"type": "float", "lower": 0, "upper": 1} for i in range(8)})


def zdt2(config: Config) -> tuple[float, float]:
    """Zitzler, Deb & Thiele (2000): the front is concave."""
    x = [float(v) for v in config.values()]
    g = 1 + 9 * math.fsum(x[1:]) / 7
    return x[0], g * (1 - (x[0] / g) ** 2)


def area(points: list[tuple[float, float]]) -> float:
    """Hypervolume up to (1.1, 6)."""
    total, height = 0.0, 6.0
    for a, b in sorted(points):
        if a < 1.1 and b < height:
            total, height = total + (1.1 - a) * (height - b), b
    return total


def found(method: Method, seed: int, n: int = 200) -> float:
    search = begin(method, CUBE, seed=seed, jobs=n, objectives=2)
    points = []
    for _ in range(n):
        [proposal] = search.ask(1, [])
        points.append(zdt2(proposal.config))
        search.tell([report(proposal.config, *points[-1])])
    return area(points)


def test_it_is_far_better_than_random_search() -> None:
    own = [found(NSGA2(), seed) for seed in range(6)]
    random = [found(RandomSearch(), seed) for seed in range(6)]
    assert np.median(own) > max(random)
    assert min(own) > np.median(random)


def plain_ranks(values: Floats, violation: Floats) -> list[int]:
    """Definition 1 and the peeling of fronts, pair by pair."""

    def dominates(i: int, j: int) -> bool:
        if violation[i] == 0 and violation[j] == 0:
            pairs = list(zip(values[i], values[j], strict=True))
            return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
        return bool(violation[i] < violation[j])

    left, out, front = set(range(len(values))), [0] * len(values), 0
    while left:
        first = {j for j in left if not any(dominates(i, j) for i in left)}
        for j in first:
            out[j] = front
        left, front = left - first, front + 1
    return out


@pytest.mark.parametrize("seed", range(4))
def test_ranks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(6, size=(60, 2 + seed % 2)).astype(float)
    violation = np.where(rng.random(60) < 0.4, rng.integers(4, size=60), 0).astype(float)
    failed = rng.random(60) < 0.1
    values[failed], violation[failed] = INF, INF if seed % 2 else 0.0
    assert ranks(values, violation).tolist() == plain_ranks(values, violation)


def test_feasible_before_infeasible_before_failed() -> None:
    search = begin(NSGA2(population=3), SPHERE, objectives=2, constraints=("c", "d"))
    told = [
        ((0.0, 0.0), (2.0, 0.0)), ((9.0, 9.0), (0.0, -1.0)), ((INF, INF), (INF, INF)), ((0.0, 0.0), (0.5, 0.5)),
        ((8.0, 9.5), (-1.0, -1.0)), ((0.0, 0.0), (1.0, 3.0)),
    ]  # fmt: skip
    for values, constraints in told:
        [proposal] = search.ask(1, [])
        search.tell([report(proposal.config, *values, constraints=constraints)])
    assert {i.values for i in search._parents[:2]} == {(9.0, 9.0), (8.0, 9.5)}
    assert search._parents[2].violation == 1.0


def test_the_least_crowded_of_a_front_survive() -> None:
    search = begin(NSGA2(population=4), SPHERE, objectives=2)
    front = [(0.0, 10.0), (1.0, 9.0), (1.1, 8.9), (1.2, 8.8), (5.0, 5.0), (10.0, 0.0), (11.0, 11.0), (12.0, 12.0)]
    for values in front:
        [proposal] = search.ask(1, [])
        search.tell([report(proposal.config, *values)])
    assert {i.values for i in search._parents} == {(0.0, 10.0), (10.0, 0.0), (5.0, 5.0), (1.2, 8.8)}
    assert {i.values for i in search._parents[:2]} == {(0.0, 10.0), (10.0, 0.0)}, "the best first"


def test_children_lie_between_and_near_their_parents() -> None:
    """Without mutation the two children of a pair have the parents' mean (Deb & Agrawal)."""
    search = begin(NSGA2(population=20, crossover_prob=1.0, crossover_eta=5.0), CUBE, objectives=2)
    search._rate = 0.0
    a, b = np.random.default_rng(0).random((2, 8))
    search._parents = [Individual(u, {}) for u in (a, b)] * 10
    means, changed = [], 0
    for _ in range(300):
        children = search._offspring()
        means.append(children.mean(axis=0))
        changed += int((~np.isclose(children, a) & ~np.isclose(children, b)).sum())
    np.testing.assert_allclose(np.mean(means, axis=0), (a + b) / 2, atol=0.06)
    assert changed / (300 * 20 * 8) == pytest.approx(0.5 * 0.5, abs=0.06), (
        "half of the pairs differ, half of their genes"
    )


def test_mixed_and_conditional_spaces() -> None:
    def objectives(config: Config) -> tuple[float, float]:
        return float(config["kind"] != "deep") + float(config["x"]) ** 2, float(config["layers"])

    search = begin(NSGA2(), MIXED, objectives=2)
    points = []
    for _ in range(100):
        [proposal] = search.ask(1, [])
        MIXED.check(proposal.config)
        points.append(objectives(proposal.config))
        search.tell([report(proposal.config, *points[-1])])
    assert min(a for a, b in points if b == 1) < 0.3


def test_budgets_and_populations() -> None:
    assert [begin(NSGA2(), SPHERE, jobs=n, objectives=2)._size for n in (50, 450, 5000)] == [20, 30, 50]


@pytest.mark.parametrize(
    "wrong", [{"population": 1}, {"crossover_prob": 1.5}, {"crossover_eta": -1.0}, {"mutation_eta": -1.0}]
)
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"nsga2.{next(iter(wrong))}"):
        NSGA2(**wrong)
