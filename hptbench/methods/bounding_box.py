"""Search spaces learnt from past tasks: the box around their best configurations, within which any method searches.

V. Perrone, H. Shen, M. Seeger, C. Archambeau and R. Jenatton, "Learning search spaces for Bayesian optimization:
another view of hyperparameter transfer learning", NeurIPS 2019, arXiv:1909.12552, section 4.1: the lower and the upper
ends of the box are the least and the greatest value, over the past tasks, of each number in a task's best
configuration.

Beyond it: a category has the levels that were in a best configuration (as in Syne Tune's code); one on which others
depend keeps all of its levels. Numbers that were active in no best configuration keep their range. With
``slack`` the box is wider by that share of the parameter's range on each side; the paper's slack variables, which leave
outlying tasks out, are not here. Jobs outside the box that others told of are not passed on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hptbench import registry
from hptbench.errors import UserError
from hptbench.methods._past import Past, past_of
from hptbench.protocol import Advice, GoesOn, Problem, Proposal, Report, Search, Traits
from hptbench.registry import method
from hptbench.space import Config, Kind, Space, from_json

_ROUNDING = 1e-6
"""Least slack, or the best configurations would lie outside by the rounding of bounds."""


@method("bounding_box")
@dataclass(frozen=True)
class BoundingBox:
    """Any method, within the box around the best configurations of past tasks."""

    inner: str = "gp"
    """The method."""
    settings: Any = None
    """Its own hyperparameters: ``'+method.bounding_box.settings={initial: 5}'``."""
    slack: float = 0.0
    """Share of a number's range by which the box is wider on each side."""
    traits: ClassVar[Traits] = Traits(advice=True, past=True)

    def __post_init__(self) -> None:
        if not 0 <= self.slack <= 1:
            raise UserError(f"expected bounding_box.slack in [0, 1], got {self.slack}")
        if self.settings is not None and not isinstance(self.settings, Mapping):
            raise UserError(f"expected bounding_box.settings to be a mapping, got {self.settings!r}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        cls: Any = registry.find("method", self.inner)
        try:
            inner = cls(**(self.settings or {}))
        except TypeError as error:
            raise UserError(f"bounding_box.settings of {self.inner}: {error}") from error
        box = box_of(problem.space, past_of(problem, "bounding_box"), self.slack)
        return _Search(inner.begin(replace(problem, space=box, advice=Advice()), rng), box)


class _Search:
    def __init__(self, inner: Search, box: Space) -> None:
        self._inner, self._box = inner, box

    def ask(self, n: int, running: Sequence[Proposal]) -> Sequence[Proposal]:
        return self._inner.ask(n, [proposal for proposal in running if _lies_in(proposal.config, self._box)])

    def tell(self, reports: Sequence[Report]) -> None:
        self._inner.tell([report for report in reports if _lies_in(report.proposal.config, self._box)])

    @property
    def in_training(self) -> int:
        """As many as the inner method says."""
        return self._inner.in_training if isinstance(self._inner, GoesOn) else 0


def box_of(space: Space, past: Sequence[Past], slack: float = 0.0) -> Space:
    """The space around the best configurations of the past tasks."""
    best = np.stack([task.u[int(task.losses.argmin())] for task in past])
    configs = space.decode(best)
    whole = space.to_json()
    parts: Any = {part["name"]: part for part in whole["hyperparameters"]}
    kept = _depended_on(space) | {name for name in space.names if json.dumps(name) in json.dumps(whole["forbiddens"])}
    for j, (name, kind) in enumerate(zip(space.names, space.kinds, strict=True)):
        values, part = [config[name] for config in configs if name in config], parts[name]
        if not values or space.sizes[j] == 1 or name in kept:
            continue
        if kind is Kind.CATEGORICAL or space.levels(name):
            levels = space.levels(name)
            at = [levels.index(value) for value in values]
            named = kind is Kind.CATEGORICAL
            left = [v for i, v in enumerate(levels) if (i in at if named else min(at) <= i <= max(at))]
            default = part["default_value"] if part["default_value"] in left else left[0]
            part |= {"choices" if named else "sequence": left, "default_value": default}
            if named:
                part["weights"] = None
            continue
        row, wider = best[~np.isnan(best[:, j])], max(slack, _ROUNDING)
        ends = np.repeat(row[:1], 2, axis=0)
        ends[:, j] = np.clip([row[:, j].min() - wider, row[:, j].max() + wider], 0.0, 1.0)
        low, high = (config[name] for config in space.decode(ends))
        if low == high:
            parts[name] = {"type": "constant", "name": name, "value": low, "meta": None}
        else:
            part |= {"lower": low, "upper": high, "default_value": min(max(part["default_value"], low), high)}
    return from_json(json.dumps({**whole, "hyperparameters": list(parts.values())}))


def _depended_on(space: Space) -> set[str]:
    """The parameters that are in a condition of another one."""
    return {parent.name for name in space.names for parent in space.configspace.parents_of[name]}


def _lies_in(config: Config, box: Space) -> bool:
    try:
        box.check(config)
    except UserError:
        return False
    return True
