"""The shipped conformance suites over the registries: adding a file adds its tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hptbench import registry
from hptbench.protocol import Fidelity, Method, Task
from hptbench.testing import METHOD_CHECKS, TASK_CHECKS
from hptbench.testing.problems import Bowl

OWN = [name for name, cls in registry.methods().items() if not cls.traits.requires]
"""Methods that wrap another library have tests of their own (tests/methods/test_peers.py)."""


SHORT = {"is_a_frozen_recipe", "proposes_plain_values_in_the_space", "is_pure", "refuses_what_it_cannot_do"}
"""Of methods that think long, the fast tests have these alone: proposals lie in the space, and a run repeats itself
without clock and global random state."""
AS_GP = {
    "ablr", "bananas", "bore", "bounding_box", "curve_prior", "dyhpo", "ehvi", "freeze_thaw", "hebo", "on_rungs",
    "parego", "pibo", "quantile_transfer", "turbo",
}  # fmt: skip
"""Think tens of milliseconds about each job. ``gp``, ``rf``, ``mobster`` (on rungs) and ``rgpe`` (from past tasks)
stand for them in the fast tests."""
COMPARED = {"gp", "rf"}
"""Are far better than random search in tests of their own."""
AS_HYPERBAND = {"asha_stopping", "median_stopping", "moasha", "pasha", "pbt", "priorband"}
"""Do many jobs for each full evaluation. ``successive_halving``, ``hyperband``, ``asha`` and ``bohb`` stand for them
where random search is compared with."""


def _case(name: str, check: Callable[[Method], None]) -> Any:
    compares = check.__name__ == "is_not_worse_than_random"
    slow = compares and (name in COMPARED | AS_HYPERBAND or registry.methods()[name].traits.costly)
    slow = slow or (name in AS_GP and check.__name__ not in SHORT)
    marks = [pytest.mark.slow] if slow else []
    return pytest.param(name, check, id=f"{name}-{check.__name__}", marks=marks)


def test_methods_with_fewer_fast_checks_are_there() -> None:
    assert set(OWN) >= AS_GP | COMPARED | AS_HYPERBAND


@pytest.mark.parametrize(("name", "check"), [_case(name, check) for name in OWN for check in METHOD_CHECKS])
def test_method(name: str, check: Callable[[Method], None]) -> None:
    check(registry.find("method", name)())


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("task", [Bowl(), Bowl(fidelity=None), Bowl(fidelity=Fidelity(1, 9))], ids=repr)
def test_task(task: Task, check: Callable[[Task], None]) -> None:
    check(task)
