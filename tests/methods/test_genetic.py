from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from evolving import MIXED, SPHERE, begin, bowl, drive

from hptbench.errors import UserError
from hptbench.methods._population import Individual
from hptbench.methods.genetic import Genetic


def test_the_elite_survives_and_the_rest_does_not() -> None:
    search = begin(Genetic(population=6, elites=2), SPHERE)
    drive(search, bowl, 6)
    best = search._parents[:2]
    assert [i.values for i in search._parents] == sorted(i.values for i in search._parents)
    drive(search, lambda config: 100.0 + bowl(config), 4)
    assert search._parents[:2] == best
    assert len(search._parents) == 6
    assert all(i.values[0] > 99 for i in search._parents[2:])


def family(method: Genetic, space: Any = SPHERE) -> tuple[Any, np.ndarray[Any, Any]]:
    """A search whose two parents differ in every gene, and 1000 of its children."""
    search = begin(method, space)
    d = len(space)
    search._parents = [Individual(np.full(d, x), {}, 0, (x,)) for x in (0.2, 0.8)]
    return search, np.concatenate([search._offspring() for _ in range(1000 // method.population + 1)])[:1000]


def test_children_mix_the_genes_of_their_parents() -> None:
    _, children = family(Genetic(tournament=1, std=1e-9))
    from_first = np.abs(children - 0.2) < 1e-6
    assert (from_first | (np.abs(children - 0.8) < 1e-6)).all()
    assert from_first.mean() == pytest.approx(0.5, abs=0.03)
    # Half of the pairs differ; of these nine in ten are crossed, of which three in four mix three genes.
    mixed = ~(from_first.all(axis=1) | ~from_first.any(axis=1))
    assert mixed.mean() == pytest.approx(0.5 * 0.9 * 0.75, abs=0.05)


def test_tournaments_prefer_the_better() -> None:
    _, children = family(Genetic(tournament=4, crossover_prob=0.0, std=1e-9))
    assert (np.abs(children - 0.2) < 1e-6).all(axis=1).mean() == pytest.approx(1 - 0.5**4, abs=0.03)


def test_one_gene_in_d_mutates_numbers_a_little_and_categories_anywhere() -> None:
    search, _ = family(Genetic(), MIXED)
    search._parents = [Individual(np.full(7, 0.5), {}, 0, (0.0,))] * 2
    children = np.concatenate([search._offspring() for _ in range(300)])
    changed = children != 0.5
    assert changed.mean() == pytest.approx(1 / 7, abs=0.01)
    x, kind = MIXED.names.index("x"), MIXED.names.index("kind")
    steps = children[changed[:, x], x] - 0.5
    assert steps.std() == pytest.approx(0.2, rel=0.1)
    assert children[changed[:, kind], kind].std() == pytest.approx(math.sqrt(1 / 12), rel=0.1)


@pytest.mark.parametrize(
    "wrong", [{"population": 1}, {"elites": 10}, {"tournament": 0}, {"crossover_prob": -0.1}, {"std": 0.0}]
)
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"genetic.{next(iter(wrong))}"):
        Genetic(**wrong)
