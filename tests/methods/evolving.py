"""Driving an evolution by hand: what the tests of several methods share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hptbench.protocol import Budget, Method, Problem, Proposal, Report, Status
from hptbench.space import Config, Space
from hptbench.spacefile import space_from_yaml
from hptbench.testing.problems import SPACES

MIXED = space_from_yaml(dict(SPACES["mixed"]))
SPHERE = space_from_yaml(dict(SPACES["sphere"]))
POINT = space_from_yaml(dict(SPACES["point"]))
SMALL = space_from_yaml(
    {"n": {"type": "integer", "lower": 1, "upper": 4}, "c": {"type": "categorical", "choices": ["a", "b", "c"]}}
)
"""Twelve configurations."""


def begin(method: Method, space: Space, seed: int = 0, jobs: int = 100, objectives: int = 1, **more: Any) -> Any:
    """A search on ``space`` with a budget of ``jobs`` evaluations."""
    names = tuple(f"loss{i}" for i in range(objectives))
    problem = Problem(space, names, None, Budget(max_jobs=jobs), **more)
    return method.begin(problem, np.random.default_rng(seed))


def report(config: Config, *values: float, constraints: tuple[float, ...] = (), fidelity: float = 1.0) -> Report:
    """Of a job that cost 1; failed if a value is not finite."""
    status = Status.OK if all(map(math.isfinite, values)) else Status.FAILED
    return Report(0, 0, Proposal(config), fidelity, status, values, (), 1.0, constraints)


def drive(search: Any, loss: Callable[[Config], float | Sequence[float]], n: int) -> list[Config]:
    """One evaluation after the other."""
    configs = []
    for _ in range(n):
        [proposal] = search.ask(1, [])
        value = loss(proposal.config)
        search.tell([report(proposal.config, *(value if isinstance(value, Sequence) else (value,)))])
        configs.append(proposal.config)
    return configs


def bowl(config: Config) -> float:
    """The squared distance of the sphere's configuration from 0.3."""
    return math.fsum((float(x) - 0.3) ** 2 for x in config.values())
