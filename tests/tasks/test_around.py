from __future__ import annotations

import numpy as np
import pytest
from wrapping import BRANIN, ONES, configs, job, jobs

from hptbench.errors import UserError
from hptbench.tasks.cropped import Cropped
from hptbench.tasks.guessed import Guessed
from hptbench.tasks.padded import Padded
from hptbench.tasks.synthetic import SyntheticTask

# padded


def test_padding_changes_nothing_but_the_number_of_parameters():
    task = Padded(ONES, 20, 7)
    assert len(task.space) == 20
    assert task.space.names == tuple(f"x{i:02}" for i in range(20))
    for config, outcome in zip(configs(task), task.evaluate([job(task, c) for c in configs(task)]), strict=True):
        inner = task.inner_config(config)
        ONES.space.check(inner)
        assert [outcome] == ONES.evaluate([job(ONES, inner)])
    assert task.unit == ONES.unit


def test_the_padded_parameters_lie_anywhere_in_order():
    places = [[int(name[1:]) for name, _ in Padded(BRANIN, 6, seed)._padding[1]] for seed in range(200)]
    assert all(a < b for a, b in places)
    counts = np.bincount(np.ravel(places), minlength=6)
    assert counts.min() > 40  # 67 expected
    assert Padded(BRANIN, 2, 0).space == BRANIN.space


# cropped


def test_the_optimum_of_a_cropped_function_lies_anywhere():
    inner = SyntheticTask("quadratic", 2)
    lows = np.array([[hp.lower for hp in Cropped(inner, s).space.configspace.values()] for s in range(400)])
    assert ((lows >= -1) & (lows <= 0)).all()
    assert np.abs(np.quantile(-lows.ravel(), [0.1, 0.25, 0.5, 0.75, 0.9]) - [0.1, 0.25, 0.5, 0.75, 0.9]).max() < 0.06
    task = Cropped(inner, 3)
    assert all(hp.upper - hp.lower == pytest.approx(1) for hp in task.space.configspace.values())
    [outcome] = task.evaluate([job(task, inner.optimal_configs[0])])
    task.space.check(inner.optimal_configs[0])
    assert outcome.curve[0].values == (0.0,)


def test_a_crop_stays_within_the_range():
    inner = SyntheticTask("hartmann6")
    for seed in range(20):
        task = Cropped(inner, seed)
        assert all(hp.lower >= 0 and hp.upper <= 1 for hp in task.space.configspace.values())
        task.space.check(inner.optimal_configs[0])


def test_only_floats_are_cropped():
    with pytest.raises(UserError, match="floats on a linear scale"):
        Cropped(ONES, 1)


# guessed


@pytest.mark.parametrize("distance", [0.0, 0.1, 0.5])
def test_a_guess_misses_the_optimum_by_its_distance_on_either_side(distance):
    sides = set()
    for seed in range(20):
        task = Guessed(Cropped(SyntheticTask("levy", 3), seed), distance, seed)
        guess, [best] = task.space.default(), task.optimal_configs
        misses = [(guess[n] - best[n]) / (hp.upper - hp.lower) for n, hp in task.space.configspace.items()]
        assert np.abs(misses) == pytest.approx([distance] * 3)
        sides |= set(np.sign(misses))
        assert task.evaluate([job(task, best)])[0].curve[0].values[0] == pytest.approx(0, abs=1e-12)
    assert sides >= ({-1, 1} if distance else set())
    assert task.inner.space.default() != task.space.default()


def test_guesses_are_drawn_from_their_seed_and_change_nothing_else():
    inner = SyntheticTask("hartmann6")
    tasks = [Guessed(inner, 0.05, seed) for seed in range(8)]
    assert len({str(task.space.default()) for task in tasks}) >= 5
    assert tasks[0].space == Guessed(inner, 0.05, 0).space
    for task in tasks:
        bounds = [(hp.lower, hp.upper) for hp in task.space.configspace.values()]
        assert bounds == [(0, 1)] * 6
        assert [o.curve for o in task.evaluate(jobs(inner))] == [o.curve for o in inner.evaluate(jobs(inner))]
