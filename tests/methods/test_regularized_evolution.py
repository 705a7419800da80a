from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from evolving import MIXED, SPHERE, begin, bowl, drive, report
from scipy import stats

from hptbench.errors import UserError
from hptbench.methods.regularized_evolution import RegularizedEvolution


def test_the_oldest_dies_even_if_it_is_the_best() -> None:
    search = begin(RegularizedEvolution(population=5, sample=2), SPHERE)
    configs = drive(search, lambda config: float(len(search._alive)), 5)
    assert [i.config for i in search._alive] == configs
    later = drive(search, lambda config: 9.0, 3)
    assert [i.config for i in search._alive] == configs[3:] + later


def test_a_child_differs_from_one_of_the_living_in_one_parameter_only() -> None:
    search = begin(RegularizedEvolution(population=8, sample=3), MIXED)
    drive(search, lambda config: 1.0, 8)
    for _ in range(60):
        parents = [i.u for i in search._alive]
        child = search._breed()
        assert min(int((child.u != parent).sum()) for parent in parents) == 1
        MIXED.check(child.config)
        search.tell([report(child.config, 1.0)])


def test_the_parent_is_the_best_of_a_sample() -> None:
    """With S = 25 of P = 100, drawn with replacement, the best of all is the parent with probability 1 - 0.99^25."""
    search = begin(RegularizedEvolution(), SPHERE)
    drive(search, bowl, 100)
    best = min(search._alive, key=lambda i: i.values[0])
    parents = [int((search._breed().u == best.u).sum()) == 2 for _ in range(2000)]
    assert np.mean(parents) == pytest.approx(1 - 0.99**25, abs=0.04)


def test_a_mutation_draws_from_the_whole_range() -> None:
    search = begin(RegularizedEvolution(population=1, sample=1), SPHERE)
    drive(search, bowl, 1)
    [parent] = search._alive
    drawn = [float(child.u[child.u != parent.u][0]) for child in (search._breed() for _ in range(600))]
    assert stats.kstest(drawn, "uniform").pvalue > 1e-3


def test_the_first_p_are_random_and_reports_of_others_count() -> None:
    search = begin(RegularizedEvolution(population=6, sample=2), SPHERE)
    search.tell([report(config, 1.0) for config in SPHERE.decode(SPHERE.sample(np.random.default_rng(4), 2))])
    drive(search, bowl, 4)
    assert search._founders == 0
    assert len(search._alive) == 6
    child = search._breed()
    assert min(int((child.u != i.u).sum()) for i in search._alive) == 1


def test_failed_ones_are_parents_only_among_themselves() -> None:
    search = begin(RegularizedEvolution(population=4, sample=40), SPHERE)
    drive(search, lambda config: math.inf if len(search._alive) else 1.0, 4)
    good = search._alive[0]
    assert all(int((search._breed().u != good.u).sum()) == 1 for _ in range(20))


@pytest.mark.parametrize("wrong", [{"population": 0}, {"sample": 0}])
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"regularized_evolution.{next(iter(wrong))}"):
        RegularizedEvolution(**wrong)
