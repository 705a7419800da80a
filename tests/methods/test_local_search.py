from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from evolving import POINT, SMALL, SPHERE, begin, bowl, drive, report

from hptbench.errors import UserError
from hptbench.methods.local_search import LocalSearch
from hptbench.space import Config


def differ(a: Config, b: Config) -> int:
    return sum(a[name] != b[name] for name in SPHERE.names)


def test_the_descent_begins_at_the_best_of_the_first_draws() -> None:
    search = begin(LocalSearch(initial=6), SPHERE)
    configs = drive(search, bowl, 6)
    assert search._here.config == min(configs, key=bowl)
    assert len(search._untried) == 12, "four neighbours of each number"
    assert all(differ(i.config, search._here.config) == 1 for i in search._untried)


def test_the_first_that_is_no_worse_is_taken() -> None:
    search = begin(LocalSearch(initial=1), SPHERE)
    drive(search, lambda config: 1.0, 1)
    start = search._here
    drive(search, lambda config: 2.0, 3)
    assert search._here is start
    [tie] = drive(search, lambda config: 1.0, 1)
    assert search._here.config == tie
    [better] = drive(search, lambda config: 0.5, 1)
    assert search._here.config == better
    assert differ(better, tie) == 1


def test_from_a_local_optimum_three_steps_lead_on_and_the_better_optimum_stays() -> None:
    search = begin(LocalSearch(initial=1, restart_prob=0.0), SPHERE)
    drive(search, lambda config: 1.0, 1)
    first = search._here
    drive(search, lambda config: 2.0, 12)  # all neighbours are worse
    assert search._home is first
    assert search._here is None
    [start] = drive(search, lambda config: 5.0, 1)
    assert search._here.config == start
    assert 1 <= differ(start, first.config) <= 3
    drive(search, lambda config: 6.0, 12)
    assert search._home is first, "5 is worse than 1"
    [start] = drive(search, lambda config: 1.0, 1)
    drive(search, lambda config: 6.0, 12)
    assert search._home.config == start, "a tie moves on"


def test_restarts_are_random_and_forget_the_optimum() -> None:
    search = begin(LocalSearch(initial=1, restart_prob=1.0), SPHERE)
    drive(search, lambda config: 1.0, 1)
    drive(search, lambda config: 2.0, 12)
    assert search._home is None
    [start] = drive(search, lambda config: 3.0, 1)
    assert search._here.config == start
    drive(search, lambda config: 4.0, 12)
    assert search._home is None


def test_workers_never_wait() -> None:
    search = begin(LocalSearch(initial=1), SPHERE, workers=20)
    drive(search, lambda config: 1.0, 1)
    first = search._here
    many = search.ask(20, [])  # twelve neighbours, and eight more
    assert all(differ(p.config, first.config) == 1 for p in many)
    search.tell([report(p.config, 2.0) for p in many[:19]])
    assert search._here is first, "the neighbourhood is not over"
    search.tell([report(many[19].config, 2.0)])
    assert search._here is None


def test_late_ones_of_this_descent_may_be_taken_those_of_an_earlier_one_only_kept() -> None:
    search = begin(LocalSearch(initial=1, restart_prob=0.0), SPHERE, workers=12)
    drive(search, lambda config: 1.0, 1)
    near = search.ask(12, [])
    search.tell([report(near[0].config, 0.9)])
    search.tell([report(near[1].config, 0.8)])
    assert search._here.config == near[1].config
    search.tell([report(p.config, 2.0) for p in search.ask(12, near[2:])])
    assert search._home.config == near[1].config
    [start] = drive(search, lambda config: 9.0, 1)
    search.tell([report(near[2].config, 0.7)])
    assert search._here.config == start
    assert search._home.config == near[2].config


def test_plateaus_end() -> None:
    """On a flat function every configuration is accepted once; all twelve are seen, and no call hangs."""
    configs = drive(begin(LocalSearch(), SMALL), lambda config: 1.0, 12)
    assert len({tuple(config.items()) for config in configs}) == 12


def test_a_point_and_failures() -> None:
    assert drive(begin(LocalSearch(), POINT), lambda config: 1.0, 20) == [{"only": 1}] * 20
    search = begin(LocalSearch(initial=2), SPHERE)
    drive(search, lambda config: math.inf, 5)
    [config] = drive(search, lambda config: 1.0, 1)
    assert search._here.config == config


def test_it_goes_deep() -> None:
    best = [min(map(bowl, drive(begin(LocalSearch(), SPHERE, seed=seed), bowl, 150))) for seed in range(3)]
    assert np.median(best) < 3e-4


@pytest.mark.parametrize("wrong", [{"initial": 0}, {"strength": 0}, {"restart_prob": 2.0}, {"std": 0.0}])
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"local_search.{next(iter(wrong))}"):
        LocalSearch(**wrong)
