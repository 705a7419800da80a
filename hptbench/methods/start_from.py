"""Warm starts: any method, given configurations to begin with.

No method of one paper: configurations that did well elsewhere as an initial design are M. Feurer, J. T. Springenberg
and F. Hutter, "Initializing Bayesian hyperparameter optimization via meta-learning", AAAI 2015. Where they come from is
not this method's business: a list, an earlier study, or what the problem advises.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hptbench import registry
from hptbench.errors import UserError, unknown
from hptbench.protocol import GoesOn, Problem, Proposal, Report, Search, Traits
from hptbench.registry import method
from hptbench.space import Config

_COLUMNS = ["task", "status", "value", "stop", "config"]


@method("start_from")
@dataclass(frozen=True)
class StartFrom:
    """Any method, which is first given configurations: they are evaluated to the end, and it is told of them.

    First those of ``configs``, then the best of ``study``, then the problem's advice; equal ones once; without any of
    these, the task's default configuration. An earlier study is read at once and takes its place in ``configs``: a run
    is known by what it starts from, not by where that lay."""

    inner: str = "random"
    """The method."""
    settings: Any = None
    """Its own hyperparameters: ``'+method.start_from.settings={initial: 5}'``."""
    configs: Any = None
    """A list of configurations; parameters that one leaves out have their default values."""
    study: str | None = None
    """Folder of an earlier study with the same search space, or a table of its jobs (parquet)."""
    task: str | None = None
    """Which task of the study. None: its only one."""
    top: int = 5
    """How many of the study's best, by value among those that were trained furthest."""
    traits: ClassVar[Traits] = Traits(max_objectives=1_000_000, advice=True)

    def __post_init__(self) -> None:
        if self.top < 1:
            raise UserError(f"expected start_from.top >= 1, got {self.top}")
        for name, kind in (("settings", Mapping), ("configs", Sequence)):
            given = getattr(self, name)
            if given is not None and (isinstance(given, str) or not isinstance(given, kind)):
                raise UserError(f"expected start_from.{name} to be a {kind.__name__.lower()}, got {given!r}")
        for config in self.configs or ():
            if not isinstance(config, Mapping):
                raise UserError(f"expected start_from.configs to hold mappings from parameters, got {config!r}")
        if self.study is not None:
            configs = [*(self.configs or ()), *_best(Path(self.study), self.task, self.top)]
            object.__setattr__(self, "configs", configs)
            object.__setattr__(self, "study", None)

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        cls: Any = registry.find("method", self.inner)
        n = len(problem.objectives)
        if not cls.traits.min_objectives <= n <= cls.traits.max_objectives:
            raise UserError(f"expected start_from.inner to take {n} objective(s), got {self.inner!r}, which does not")
        try:
            inner = cls(**(self.settings or {}))
        except TypeError as error:
            raise UserError(f"start_from.settings of {self.inner}: {error}") from error
        return _Search(inner.begin(problem, rng), problem, self._first(problem))

    def _first(self, problem: Problem) -> list[Config]:
        space, found = problem.space, dict[str, Config]()
        given = [{**_defaults(problem), **config} for config in self.configs or ()]
        for config in [*given, *problem.advice.configs] or [space.default()]:
            for name in config:
                if name not in space.names:
                    raise unknown("start_from: parameter", name, space.names)
            whole = space.canonical(config)
            space.check(whole)
            found.setdefault(space.key(whole), whole)
        return list(found.values())


class _Search:
    def __init__(self, inner: Search, problem: Problem, first: Sequence[Config]) -> None:
        self._inner = inner
        high = problem.fidelity.high if problem.fidelity else None
        self._first = [Proposal(config, high, note={"start": i}) for i, config in enumerate(first)][::-1]

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out = [self._first.pop() for _ in range(min(n, len(self._first)))]
        return out + list(self._inner.ask(n - len(out), [*running, *out])) if len(out) < n else out

    def tell(self, reports: Sequence[Report]) -> None:
        self._inner.tell(reports)

    @property
    def in_training(self) -> int:
        """As many as the inner method says."""
        return self._inner.in_training if isinstance(self._inner, GoesOn) else 0


def _defaults(problem: Problem) -> dict[str, Any]:
    """The default value of every parameter, inactive ones included."""
    space: Any = problem.space.configspace
    values = {name: parameter.default_value for name, parameter in space.items()}
    return {name: v.item() if isinstance(v, np.generic) else v for name, v in values.items()}


def _best(path: Path, task: str | None, top: int) -> list[Config]:
    """The ``top`` best different configurations among the jobs that were trained furthest, the best first."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = path / "jobs.parquet" if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"start_from.study: expected a study with jobs.parquet, or such a table, got {path}")
    try:
        rows = pq.read_table(file, columns=_COLUMNS).to_pylist()
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"start_from.study: {file} is damaged or no table of jobs ({reason})") from error
    names = sorted({row["task"] for row in rows})
    if task is None and len(names) != 1:
        raise UserError(f"start_from.task: expected one of the tasks of {path}: {', '.join(names) or 'it has none'}")
    if task is not None and task not in names:
        raise unknown(f"task of {path}", task, names)
    rows = [row for row in rows if row["task"] == (task or names[0]) and row["status"] == "ok"]
    if not rows:
        raise UserError(f"start_from.study: expected a job that succeeded on {task or names[0]} in {path}, got none")
    furthest = max(row["stop"] for row in rows)
    full = sorted((row["value"], row["config"]) for row in rows if row["stop"] == furthest)
    return [json.loads(config) for config in list(dict.fromkeys(config for _, config in full))[:top]]
