"""Wrappers: tasks that change one thing of another task, found by name and composed from YAML.

wrap: [{shifted: {seed: 3}}, {noisy: {std: 0.1}}]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.protocol import JSON, Fidelity, Front, HasFront, Job, Outcome, Task, Together
from hptbench.registry import tasks
from hptbench.rng import entropy, stream
from hptbench.space import Config, Space


@dataclass(frozen=True)
class Wrapper:
    """A task that passes everything on to ``inner``; a subclass changes one thing."""

    inner: Task

    wrapper: ClassVar[str]
    """Its name in YAML, set by :func:`wrapper`."""
    revision: ClassVar[int] = 1
    """Raised when the same settings change an outcome otherwise than before."""

    @property
    def settings(self) -> dict[str, JSON]:
        """The subclass's own fields."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)[1:]}

    @property
    def name(self) -> str:
        return f"{self.inner.name}+{self.wrapper}{'-'.join(map(str, self.settings.values()))}"

    @property
    def unit(self) -> str:
        return self.inner.unit

    @property
    def version(self) -> int:
        return self.inner.version

    @property
    def space(self) -> Space:
        return self.inner.space

    @property
    def objectives(self) -> tuple[str, ...]:
        return self.inner.objectives

    @property
    def constraints(self) -> tuple[str, ...]:
        return self.inner.constraints

    @property
    def fidelity(self) -> Fidelity | None:
        return self.inner.fidelity

    @property
    def measured(self) -> bool:
        return self.inner.measured

    @property
    def together(self) -> int:
        """As many jobs at once as the inner task takes."""
        return self.inner.together if isinstance(self.inner, Together) else 1

    @property
    def front(self) -> Front | None:
        """That of what is seen without noise, which only constraints change."""
        return self.inner.front if isinstance(self.inner, HasFront) else None

    @property
    def optimum(self) -> float | None:
        """The least value without noise, which only constraints change; None if it is not known."""
        optimum: float | None = getattr(self.inner, "optimum", None)
        return optimum

    @property
    def licence(self) -> str | None:
        return getattr(self.inner, "licence", None)

    def identity(self) -> dict[str, JSON]:
        own = {"wrapper": self.wrapper, "revision": self.revision, **self.settings}
        return {**own, "inner": self.inner.identity()}

    def evaluate(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        return self.inner.evaluate(jobs)

    def stream(self, job: Job, fidelity: float) -> np.random.Generator:
        """This wrapper's random stream for a trial at a fidelity; nested wrappers have different ones."""
        return stream(entropy(*job.seed, self.name, repr(float(fidelity))))


@dataclass(frozen=True)
class Translated(Wrapper):
    """A wrapper whose configurations stand for others of ``inner``; a subclass has a ``space`` of its own and says for
    which. UserError for a space with conditions or forbidden clauses, which a translation would break."""

    def __post_init__(self) -> None:
        if self.inner.space.conditional or self.inner.space.configspace.forbidden_clauses:
            raise UserError(
                f"expected a space without conditions and forbidden clauses, got that of {self.inner.name}; "
                f"{self.wrapper} is for test functions"
            )
        for name, value in self.settings.items():
            if name == "seed" and (not isinstance(value, int) or isinstance(value, bool)):
                raise UserError(f"expected an integer seed, got {value!r}")

    def inner_config(self, config: Config) -> Config:
        """The configuration of ``inner`` that ``config`` stands for."""
        raise NotImplementedError

    def evaluate(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        return self.inner.evaluate([self._inner_job(job) for job in jobs])

    def _inner_job(self, job: Job) -> Job:
        """``job`` and all that it goes on from, in the configurations of ``inner``."""
        chain: list[Job] = []
        link = job.before
        while link is not None:
            chain.append(link)
            link = link.before
        before = None
        for link in reversed(chain):
            before = self._inner_link(link, before)
        return self._inner_link(job, before)

    def _inner_link(self, job: Job, before: Job | None) -> Job:
        proposal = replace(job.proposal, config=self.inner_config(job.proposal.config))
        return replace(job, proposal=proposal, before=before)


W = TypeVar("W", bound=type[Wrapper])
_FOUND: dict[str, type[Wrapper]] = {}


def wrapper(name: str) -> Callable[[W], W]:
    """Register a subclass of :class:`Wrapper`, a frozen dataclass, under its name in YAML."""

    def register(cls: W) -> W:
        cls.wrapper = name
        _FOUND[name] = cls
        return cls

    return register


def wrap(task: Task, specs: Sequence[Mapping[str, Mapping[str, Any]]]) -> Task:
    """``task`` inside the wrappers of ``specs``, the first one innermost, each ``{name: settings}``.

    UserError for an unknown wrapper or setting, or one that is missing or out of range."""
    tasks()  # wrappers register as their modules are imported, beside the task families
    if isinstance(specs, str | Mapping):
        raise UserError(f"wrap: expected a list such as [{{noisy: {{std: 0.1}}}}], got {specs!r}")
    for spec in specs:
        if not isinstance(spec, Mapping) or len(spec) != 1:
            raise UserError(f"wrap: expected one wrapper with its settings, e.g. {{noisy: {{std: 0.1}}}}, got {spec!r}")
        [(name, settings)] = spec.items()
        task = _wrapped(task, name, settings)
    return task


def _wrapped(task: Task, name: str, settings: Mapping[str, Any]) -> Task:
    if name not in _FOUND:
        raise unknown("wrapper", name, _FOUND)
    cls = _FOUND[name]
    if not isinstance(settings, Mapping):
        raise UserError(f"wrap.{name}: expected its settings, e.g. {{std: 0.1}}, got {settings!r}")
    known = [f.name for f in dataclasses.fields(cls)[1:]]
    for setting in settings:
        if setting not in known:
            raise unknown(f"wrap.{name}: setting", setting, known)
    try:
        return cls(task, **settings)
    except (TypeError, ValueError) as error:
        raise UserError(f"wrap.{name}: {error}") from error
