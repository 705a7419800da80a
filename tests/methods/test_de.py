from __future__ import annotations

import math
from itertools import count
from typing import Any

import numpy as np
import pytest
from evolving import SPHERE, begin, bowl, drive, report

from hptbench.errors import UserError
from hptbench.methods.de import DE
from hptbench.space import Config, Floats


def golden(config: Config) -> tuple[float, ...]:
    return tuple(round(float(x), 6) for x in config.values())


def test_first_proposals() -> None:
    configs = drive(begin(DE(population=4), SPHERE), bowl, 12)
    assert [golden(config) for config in configs[6:]] == GOLDEN


def plain(losses: Any, n: int, seed: int) -> list[Floats]:
    """The ``n`` different points of rand/1/bin with immediate replacement, gene by gene, on the same draws."""
    rng = np.random.default_rng(seed)
    population = [list(row) for row in rng.random((5, 3))]
    worth = [losses(row) for row in population]
    asked = [np.array(row) for row in population]
    for k in count(5):
        i = k % 5
        a, b, c = rng.choice([j for j in range(5) if j != i], 3, replace=False)
        mutant = [population[a][g] + 0.5 * (population[b][g] - population[c][g]) for g in range(3)]
        anew = rng.random(3)
        mutant = [anew[g] if not 0 <= mutant[g] <= 1 else mutant[g] for g in range(3)]
        coins, sure = rng.random(3), rng.integers(3)
        trial = [mutant[g] if coins[g] <= 0.5 or g == sure else population[i][g] for g in range(3)]
        if not any(np.array_equal(trial, row) for row in asked):
            asked.append(np.array(trial))
        if losses(trial) <= worth[i]:
            population[i], worth[i] = trial, losses(trial)
        if len(asked) == n:
            break
    return asked


@pytest.mark.parametrize("seed", range(3))
def test_trial_vectors_are_those_of_a_plain_version(seed: int) -> None:
    configs = drive(begin(DE(population=5), SPHERE, seed=seed), bowl, 60)
    expected = plain(lambda row: math.fsum((x - 0.3) ** 2 for x in row), 60, seed)
    np.testing.assert_allclose(SPHERE.encode(configs), expected, rtol=1e-12)


def test_a_trial_competes_with_its_target_whenever_it_comes_back() -> None:
    search = begin(DE(population=4), SPHERE)
    drive(search, lambda config: 1.0, 4)
    trials = search.ask(8, [])  # two for each target
    search.tell([report(trials[1].config, 0.5)])
    search.tell([report(trials[5].config, 0.7)])
    assert search._losses.tolist() == [1.0, 0.5, 1.0, 1.0]
    search.tell([report(trials[0].config, math.inf), report(trials[4].config, 1.0)])
    assert search._losses.tolist() == [1.0, 0.5, 1.0, 1.0]
    np.testing.assert_allclose(search._u[0], SPHERE.encode([trials[4].config])[0], err_msg="a tie replaces")


def test_reports_of_others_fill_the_population_up_then_replace_the_worst() -> None:
    search = begin(DE(population=4), SPHERE)
    u = SPHERE.sample(np.random.default_rng(3), 6)
    configs = SPHERE.decode(u)
    search.tell([report(config, float(value)) for config, value in zip(configs, [5, 1, 9, 3, 4, 8], strict=True)])
    assert sorted(search._losses.tolist()) == [1, 3, 4, 5]
    assert search._there.all()


def test_who_wins_a_place_back_brings_its_own_genes() -> None:
    search = begin(DE(population=4), SPHERE)
    founders = search.ask(4, [])
    search.tell([report({"a": 0.1, "b": 0.2, "c": 0.3}, 5.0)])  # takes the first place while its founder runs
    search.tell([report(founders[0].config, 1.0)])
    assert search._losses[0] == 1.0
    np.testing.assert_allclose(search._u[0], SPHERE.encode([founders[0].config])[0])


def test_budgets_and_populations() -> None:
    sizes = [begin(DE(), SPHERE, jobs=jobs)._np for jobs in (27, 100, 450, 5000)]
    assert sizes == [10, 10, 15, 20]
    assert begin(DE(population=7), SPHERE, jobs=5000)._np == 7


@pytest.mark.parametrize("wrong", [{"population": 3}, {"mutation_factor": 0.0}, {"crossover_prob": 1.5}])
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"de.{next(iter(wrong))}"):
        DE(**wrong)


GOLDEN = [
    (0.606636, 0.268495, 0.301858),
    (0.341908, 0.542174, 0.002739),
    (0.148892, 0.269787, 0.674067),
    (0.57078, 0.541528, 0.052021),
    (0.474272, 0.405335, 0.387686),
    (0.341908, 0.542174, 0.698709),
]
