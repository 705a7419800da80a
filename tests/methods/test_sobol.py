from __future__ import annotations

import ConfigSpace as CS
import numpy as np
import pytest
from scipy.stats import qmc

from hptbench.errors import UserError
from hptbench.methods.sobol import Sobol
from hptbench.protocol import Budget, Problem, Search
from hptbench.space import Config, Space
from hptbench.spacefile import space_from_yaml
from hptbench.testing.problems import Bowl


def begin(space: Space, seed: int = 0) -> Search:
    return Sobol().begin(Problem(space, ("loss",), None, Budget(max_jobs=99)), np.random.default_rng(seed))


def asked(space: Space, *sizes: int, seed: int = 0) -> list[Config]:
    search = begin(space, seed)
    return [proposal.config for n in sizes for proposal in search.ask(n, [])]


def test_points_are_those_of_scipys_scrambled_sequence() -> None:
    space = Bowl(over="sphere").space
    u = space.encode(asked(space, 100))
    np.testing.assert_allclose(u, qmc.Sobol(3, rng=np.random.default_rng(0)).random(128)[:100], rtol=1e-12)
    assert qmc.discrepancy(u) < qmc.discrepancy(np.random.default_rng(1).random((100, 3))) / 3


def test_points_do_not_depend_on_how_many_are_asked_for_but_on_the_seed() -> None:
    space = Bowl().space
    assert asked(space, 130) == asked(space, *[1] * 63, 64, 3)
    assert asked(space, 5) != asked(space, 5, seed=1)


def test_inactive_parameters_are_left_out() -> None:
    space = Bowl().space
    for config in asked(space, 64):
        space.check(config)


def halves(forbidden: list[int]) -> Space:
    configspace = CS.ConfigurationSpace(seed=0)
    number = CS.OrdinalHyperparameter("n", list(range(4)), default_value=3)
    configspace.add(number, CS.Float("x", (0, 1)))
    configspace.add(CS.ForbiddenInClause(number, forbidden))
    return Space(configspace)


def test_forbidden_points_are_skipped() -> None:
    configs = asked(halves([0, 2]), 64)
    assert [sum(c["n"] == n for c in configs) for n in range(4)] == [0, 32, 0, 32]


def test_more_parameters_than_direction_numbers_are_refused() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qmc.Sobol, "MAXDIM", 2)
        with pytest.raises(UserError, match="at most 2 parameters"):
            begin(Bowl(over="sphere").space)


def test_a_space_without_legal_points_is_an_error_and_no_endless_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    space = space_from_yaml({"x": {"type": "float", "lower": 0, "upper": 1}})
    monkeypatch.setattr(space, "legal", lambda u: np.zeros(len(u), bool))
    with pytest.raises(UserError, match="no legal point"):
        begin(space).ask(1, [])
