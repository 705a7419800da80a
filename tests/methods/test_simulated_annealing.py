from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from evolving import MIXED, SPHERE, begin, bowl, drive, report

from hptbench.errors import UserError
from hptbench.methods.simulated_annealing import SimulatedAnnealing, first_temperature


def test_the_first_temperature_accepts_a_mean_step_as_often_as_asked() -> None:
    losses = [1.0, 4.0, 2.0, math.inf]
    mean = (3 + 1 + 2) / 3
    assert math.exp(-mean / first_temperature(losses, 0.3)) == pytest.approx(0.3)
    assert first_temperature([1.0, 1.0], 0.3) == 0
    assert first_temperature([math.inf, 1.0], 0.3) == 0
    assert first_temperature([1.7e308, -1.7e308], 0.3) == math.inf


def test_the_best_of_the_first_is_the_start_and_what_follows_are_its_neighbours() -> None:
    search = begin(SimulatedAnnealing(initial=8), SPHERE)
    configs = drive(search, bowl, 8)
    start = min(configs, key=bowl)
    assert search._current.config == start
    for _ in range(10):
        [proposal] = search.ask(1, [])
        assert sum(proposal.config[name] != start[name] for name in SPHERE.names) == 1
        search.tell([report(proposal.config, 1e9)])
        assert search._current.config == start, "far too bad to be accepted"


@pytest.mark.parametrize("spent", [0.0, 0.5, 1.0])
def test_worse_steps_are_accepted_with_the_probability_of_metropolis(spent: float) -> None:
    """Temperatures are T_0 cooling^s, s the share of the budget since the first draws."""
    search = begin(SimulatedAnnealing(initial=2, acceptance=0.5, cooling=0.1), SPHERE, jobs=102)
    drive(search, lambda config: float(len(search._first)), 2)
    assert search._hot == pytest.approx(1 / math.log(2))
    search._jobs = 2 + round(100 * spent)
    temperature = search._hot * 0.1**spent
    worse = 0.7 * temperature
    accepted = np.mean([search._accepts(worse) for _ in range(4000)])
    assert accepted == pytest.approx(math.exp(-0.7), abs=0.03)
    assert search._accepts(0.0), "ties are accepted"
    assert not search._accepts(math.inf)


def test_a_temperature_that_underflows_accepts_nothing_worse() -> None:
    search = begin(SimulatedAnnealing(initial=2), SPHERE, jobs=12)
    losses = iter([0.0, 1e-320])
    drive(search, lambda config: next(losses), 2)
    search._jobs = 12
    assert search._hot > 0
    assert not search._accepts(1.0)
    assert search._accepts(0.0)


def test_workers_step_from_the_current_configuration_at_once() -> None:
    search = begin(SimulatedAnnealing(initial=4), SPHERE, workers=6)
    drive(search, bowl, 4)
    steps = search.ask(6, [])
    start = search._current.config
    assert all(sum(p.config[name] != start[name] for name in SPHERE.names) == 1 for p in steps)
    search.tell([report(steps[5].config, -1.0)])
    assert search._current.config == steps[5].config
    search.tell([report(steps[0].config, -2.0)])
    assert search._current.config == steps[0].config


def test_it_leaves_a_failed_start() -> None:
    search = begin(SimulatedAnnealing(initial=3), MIXED)
    drive(search, lambda config: math.inf, 3)
    [config] = drive(search, lambda config: 5.0, 1)
    assert search._current.config == config


@pytest.mark.parametrize("wrong", [{"initial": 1}, {"acceptance": 1.0}, {"cooling": 0.0}, {"std": 0.0}])
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"simulated_annealing.{next(iter(wrong))}"):
        SimulatedAnnealing(**wrong)
