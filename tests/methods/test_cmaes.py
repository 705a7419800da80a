from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from evolving import MIXED, POINT, SPHERE, begin, bowl, drive, report

from hptbench.errors import UserError
from hptbench.methods.cmaes import CMAES
from hptbench.space import Config
from hptbench.spacefile import space_from_yaml

LEVELS = space_from_yaml({f"c{i}": {"type": "categorical", "choices": ["a", "b", "c"]} for i in range(6)})
WIDE = space_from_yaml(
    {
        "n": {"type": "integer", "lower": 0, "upper": 2**31 - 1},
        "log": {"type": "integer", "lower": 1, "upper": 1000, "log": True},
    }
)


def golden(config: Config) -> tuple[float, ...]:
    return tuple(round(float(x), 6) for x in config.values())


def test_first_proposals() -> None:
    assert [golden(config) for config in drive(begin(CMAES(), SPHERE), bowl, 10)] == GOLDEN


def test_it_starts_at_the_centre_with_a_sixth_of_the_box() -> None:
    rows = [begin(CMAES(), SPHERE, seed=seed).ask(7, []) for seed in range(300)]
    u = SPHERE.encode([proposal.config for row in rows for proposal in row])
    assert u.mean(axis=0) == pytest.approx([0.5] * 3, abs=0.02)
    assert u.std(axis=0) == pytest.approx([1 / 6] * 3, abs=0.005)


def test_it_starts_at_the_best_of_what_it_is_told_before() -> None:
    search = begin(CMAES(), SPHERE)
    for x, value in ((0.9, 2.0), (0.1, 1.0), (0.5, math.inf)):
        search.tell([report({"a": x, "b": x, "c": x}, value)])
    search.ask(1, [])
    assert search._gaussian.mean == pytest.approx([0.1] * 3)


def test_reports_of_others_and_late_ones_are_injected() -> None:
    search = begin(CMAES(), SPHERE, workers=14)
    own: list[Any] = []
    search._start()
    update = search._gaussian.update
    search._gaussian.update = lambda x, best, mine: (own.append(mine.tolist()), update(x, best, mine))
    first = search.ask(9, [])
    search.tell([report(p.config, 1.0) for p in first[:7]])
    second = search.ask(3, first[7:])
    search.tell([report(p.config, 1.0) for p in [*first[7:], *second]])
    search.tell([report({"a": x, "b": 0.5, "c": 0.5}, 1.0) for x in (0.1, 0.2)])
    assert own == [[True] * 7, [False] * 2 + [True] * 3 + [False] * 2]


def test_a_flat_function_brings_a_restart_with_twice_the_population_elsewhere() -> None:
    search = begin(CMAES(), SPHERE, jobs=1000)
    drive(search, lambda config: 1.0, 7 * (10 + math.ceil(90 / 7)))
    assert search._size == 14
    assert search._gaussian.sigma == 1 / 6
    assert search._gaussian.mean.tolist() != [0.5] * 3
    late = search._generation
    first = search.ask(20, [])
    assert search._began == late
    search.tell([report(p.config, 1.0) for p in first])
    assert search._generation == late + 1


def test_individuals_of_before_a_restart_do_not_count() -> None:
    search = begin(CMAES(), SPHERE, jobs=1000)
    [early] = search.ask(1, [])
    while search._size == 7:
        [proposal] = search.ask(1, [early])
        search.tell([report(proposal.config, 1.0)])
    search.tell([report(early.config, 0.0)])
    assert search._told == []


def test_categories_alone() -> None:
    def loss(config: Config) -> float:
        return -float(sum(value == "b" for value in config.values()))

    search = begin(CMAES(), LEVELS)
    configs = drive(search, loss, 100)
    assert min(map(loss, configs)) == -6
    assert search._gaussian is None
    assert min(q[1] for q in search._categories.q) > 0.6


def test_mixed_and_conditional_spaces() -> None:
    def loss(config: Config) -> float:
        width = math.log10(float(config["width"])) / 2 if "width" in config else 1.0
        return (float(config["x"]) / 10) ** 2 + (width - 0.3) ** 2 + (int(config["layers"]) - 4) ** 2 / 16

    best = [min(map(loss, drive(begin(CMAES(), MIXED, seed=seed), loss, 150))) for seed in range(3)]
    assert max(best) < 1e-3


def test_wide_and_logarithmic_integers() -> None:
    def loss(config: Config) -> float:
        return abs(int(config["n"]) / 2**31 - 0.77) + abs(math.log10(int(config["log"])) - 2)

    assert min(map(loss, drive(begin(CMAES(), WIDE, jobs=200), loss, 200))) < 1e-3


def test_a_point() -> None:
    assert drive(begin(CMAES(), POINT), lambda config: 1.0, 20) == [{"only": 1}] * 20


def test_a_failed_generation_is_no_error() -> None:
    search = begin(CMAES(), SPHERE)
    drive(search, lambda config: math.inf, 30)
    assert np.isfinite(search._gaussian.mean).all()


@pytest.mark.parametrize("wrong", [{"population": 3}, {"sigma": 0.0}, {"growth": 0.5}])
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"cmaes.{next(iter(wrong))}"):
        CMAES(**wrong)


GOLDEN = [
    (0.520955, 0.477983, 0.606737),
    (0.517483, 0.410722, 0.560266),
    (0.717333, 0.657847, 0.382711),
    (0.289096, 0.396121, 0.506888),
    (0.112495, 0.463535, 0.292348),
    (0.377955, 0.40929, 0.447283),
    (0.568605, 0.673752, 0.478578),
    (0.267508, 0.191264, 0.503279),
    (0.403068, 0.361682, 0.607239),
    (0.344665, 0.440707, 0.292876),
]
