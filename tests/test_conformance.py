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


LONG = {"is_not_worse_than_random", "is_pure", "keeps_within_the_budget", "survives"}
"""Checks that need many jobs."""
ON_GP = {"ablr", "ehvi", "hebo", "parego", "pibo", "quantile_transfer", "rgpe", "turbo"}
"""Think tens of milliseconds about each job, with the model of ``gp`` or a network, and have tests of their own against
random search or ``gp``: the long checks of them are marked slow."""


def _case(name: str, check: Callable[[Method], None]) -> Any:
    costly = check.__name__ == "is_not_worse_than_random" and registry.methods()[name].traits.costly
    slow = costly or (name in ON_GP and check.__name__ in LONG)
    marks = [pytest.mark.slow] if slow else []
    return pytest.param(name, check, id=f"{name}-{check.__name__}", marks=marks)


@pytest.mark.parametrize(("name", "check"), [_case(name, check) for name in OWN for check in METHOD_CHECKS])
def test_method(name: str, check: Callable[[Method], None]) -> None:
    check(registry.find("method", name)())


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("task", [Bowl(), Bowl(fidelity=None), Bowl(fidelity=Fidelity(1, 9))], ids=repr)
def test_task(task: Task, check: Callable[[Task], None]) -> None:
    check(task)
