from __future__ import annotations

import numpy as np
import pytest

from hptbench.methods._draws import Uniform
from hptbench.methods.hyperband import Hyperband
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Fidelity, Method, Problem
from hptbench.testing.problems import Bowl


def test_uniform_draws_are_those_of_the_space() -> None:
    space = Bowl().space
    uniform = Uniform(space, np.random.default_rng(0))
    expected = space.decode(space.sample(np.random.default_rng(0), 64))
    assert [uniform.draw() for _ in range(64)] == [(config, {}) for config in expected]
    assert uniform.draw()[0] not in expected


@pytest.mark.parametrize("method", [RandomSearch(), Hyperband()])
@pytest.mark.parametrize("sizes", [[1] * 150, [3] * 50, [100, 7, 43]])
def test_draws_do_not_depend_on_how_many_are_asked_for(method: Method, sizes: list[int]) -> None:
    space, rng = Bowl().space, np.random.default_rng(0)
    problem = Problem(space, ("loss",), Fidelity(1, 27), Budget(max_jobs=1000))
    search = method.begin(problem, np.random.default_rng(0))
    drawn = [proposal.config for n in sizes for proposal in search.ask(n, [])]
    assert drawn == [config for _ in range(3) for config in space.decode(space.sample(rng, 64))][:150]
