"""The types that methods, tasks and runners exchange. Imports nothing but space and errors."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np

from hptbench.errors import UserError
from hptbench.space import Config, Space, Value

State: TypeAlias = Any
"""A training state (checkpoint), opaque to methods and runners; a cache: ``Job.before`` can make it again."""
JSON: TypeAlias = Any


class Status(enum.StrEnum):
    """How a job ended."""

    OK = "ok"
    FAILED = "failed"
    """Raised an exception, or its worker died."""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    NAN = "nan"
    """Returned a value that is not a finite number."""


class Clock(enum.StrEnum):
    """What moves a simulated run's time."""

    UNITS = "units"
    """The fidelity trained, in full evaluations: repeatable on any machine."""
    COST = "cost"
    """``Outcome.cost``, seconds: measured (repeatable through the journal) or recorded."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How far a configuration can be trained: from ``low`` to ``high``, in ``unit``."""

    low: float
    high: float
    unit: str = "epoch"
    integer: bool = True
    """Only whole numbers of ``unit`` make sense."""
    continues: bool = False
    """A training can go on from the state that it left; else every segment starts anew."""
    inherits: bool = True
    """If it continues: also from a state that another trial left (exploit). Else such a segment starts anew."""

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < math.inf:
            raise UserError(
                f"expected a fidelity with 0 < low <= high, got low={self.low}, high={self.high} ({self.unit})"
            )

    def snap(self, level: float) -> float:
        """The valid fidelity next to ``level``."""
        return min(max(float(round(level)) if self.integer else level, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Budget:
    """When a run ends: at the first limit reached. None means no limit."""

    max_time: float | None = None
    """Virtual wall-clock time of the run, in seconds. Needs a clock in seconds."""
    max_full_evals: float | None = None
    """Training consumed, in full evaluations: trained fidelity / high, summed over segments."""
    max_jobs: int | None = None
    cpu_hours: float | None = None
    """Processor time of the jobs, of those that were killed their worker's time. Needs jobs on workers of their own."""
    gpu_hours: float | None = None
    """Time of the jobs on graphics cards (``Outcome.gpu``). Needs a task that trains on one."""
    energy_kwh: float | None = None
    """Energy of processors and cards while jobs ran, each job's added up: at least what they took. Needs a meter."""

    def __post_init__(self) -> None:
        limits = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if all(v is None for v in limits.values()):
            raise UserError(f"expected a budget with at least one limit, got none; set one of {', '.join(limits)}")
        for name, limit in limits.items():
            if limit is None:
                continue
            if not 0 < limit < math.inf:
                raise UserError(f"expected budget.{name} > 0, got {limit}")
            if name == "max_jobs" and not float(limit).is_integer():
                raise UserError(f"expected budget.max_jobs to be a whole number, got {limit}")
            object.__setattr__(self, name, int(limit) if name == "max_jobs" else float(limit))

    def to_json(self) -> dict[str, float | int | None]:
        """The limits by name; those on resources only if they are set, as a run without them is as it always was."""
        limits = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: limit for name, limit in limits.items() if limit is not None or name.startswith("max_")}


@dataclass(frozen=True, slots=True)
class Front:
    """The best trade-offs between the objectives of a task, by which hypervolumes are scaled."""

    ideal: tuple[float, ...]
    """The least value of each objective on the front."""
    reference_point: tuple[float, ...]
    """What is not below it in every objective does not count."""
    hypervolume: float
    """Of the whole front, below the reference point."""
    points: tuple[tuple[float, ...], ...] = ()
    """Some of its points, to draw two objectives: in order of the first one. May be empty."""


@dataclass(frozen=True, slots=True)
class PastTask:
    """What is known of an earlier task with the same search space."""

    name: str
    weight: float
    """How much it counts for this task; those of an advice sum to 1."""
    configs: tuple[Config, ...]
    """What was tried there."""
    losses: tuple[float, ...]
    """Of these, to be minimised: comparable within a task only."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What meta-learning knows of a task before the run; empty by default."""

    configs: tuple[Config, ...] = ()
    """Recommended configurations, the best first."""
    prior: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Parameter -> {mean, std} of a number or {level: probability} of a category: where good configurations lay on past
    tasks, in the form of ``pibo.prior``."""
    ranges: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    """Parameter -> (least, greatest) of a number or the levels of a category, outside which no good one lay."""
    past: tuple[PastTask, ...] = ()
    """The past tasks that count most."""


@dataclass(frozen=True, slots=True)
class Problem:
    """All that a method may see of a task. Every objective is minimised."""

    space: Space
    objectives: tuple[str, ...]
    fidelity: Fidelity | None
    budget: Budget
    workers: int = 1
    advice: Advice = Advice()
    constraints: tuple[str, ...] = ()
    """Names of what must not be above 0; a configuration that keeps all of them is feasible."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A wish of a method: train ``config`` up to ``fidelity`` (None: to the end), from nothing
    or from the state that job ``source`` left. With the config of the source, and the source
    the latest job of its trial, that trial goes on (promotion); else a new trial is opened
    (with another config: exploit and explore)."""

    config: Config
    fidelity: float | None = None
    source: int | None = None
    note: Mapping[str, JSON] = field(default_factory=dict)
    """The method's own bookkeeping (bracket, rung, member); comes back in the report."""


@dataclass(frozen=True, slots=True)
class Job:
    """A proposal on a worker: one segment of one trial."""

    id: int
    trial: int
    proposal: Proposal
    start: float
    """Fidelity already trained when the segment starts; 0 if the task cannot continue."""
    stop: float
    """Fidelity at which the segment ends; 1 for a task without fidelity."""
    seed: tuple[int, ...]
    """Entropy of the trial's own random stream: the same for all its segments, so that two
    segments can give what one would."""
    state: State = None
    """What the job before left, if it is still there."""
    before: Job | None = field(default=None, repr=False, compare=False)
    """The job that this one goes on from (``start > 0``). The chain back to a fresh start is
    the recipe by which a lost state is made again."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a learning curve: the objectives' values at a fidelity."""

    fidelity: float
    values: tuple[float, ...]
    constraints: tuple[float, ...] = ()
    """The constraints' values: kept where <= 0, violated by that much where > 0."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an evaluation returned."""

    status: Status
    curve: tuple[Point, ...]
    """Points of this segment in increasing fidelity; the last one counts. May be empty if the job failed."""
    cost: float
    """Worker time of this segment, seconds, > 0."""
    hidden: Mapping[str, float] = field(default_factory=dict)
    """Measures that no method may ever see, test scores above all."""
    state: State = None
    message: str = ""
    """Why it failed, in one line; or what else went wrong (the hidden test score)."""
    cpu: float | None = None
    """Processor time of its worker during the job, seconds, scoring included. None where it was not measured: jobs
    without a worker of their own, and such as were killed."""
    memory: float | None = None
    """Highest resident memory of its worker during the job, libraries and data included, 10^6 bytes; or None."""
    trained: float | None = None
    """Fidelity at which the training was stopped early. Charged is what lies between the segment's start and it:
    nothing if that was in an earlier segment. The curve goes on to the segment's end, level. None: not stopped."""
    energy: float | None = None
    """Energy of all processors of the machine during the job, joules, whatever else ran there; None: not readable."""
    gpu: float | None = None
    """Seconds of a graphics card: the job's time, or its share of that of jobs trained together, if it was on one."""
    gpu_energy: float | None = None
    """Energy of all NVIDIA cards of the machine during the job, joules, as :attr:`energy`."""
    left: float | None = None
    """Size of the state as its worker pickled it, 10^6 bytes. None: there is none, or the job had no worker."""

    def bare(self) -> Outcome:
        """Without the state."""
        return self if self.state is None else replace(self, state=None)


def check_outcome(outcome: Outcome, objectives: int, constraints: int) -> None:
    """ValueError if a task returned what makes no sense: that is a mistake of the task, not a failed training."""
    if not 0 < outcome.cost < math.inf:
        raise ValueError(f"expected a finite cost > 0 s, got {outcome.cost}")
    if outcome.status is not Status.OK:
        return
    last = outcome.curve[-1] if outcome.curve else Point(0.0, ())
    if (len(last.values), len(last.constraints)) != (objectives, constraints):
        raise ValueError(
            f"expected a curve that ends in {objectives} value(s) and {constraints} constraint(s), got {outcome.curve}"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """An outcome without ``hidden`` and ``state``: what a method is told of a finished job."""

    job: int
    trial: int
    proposal: Proposal
    fidelity: float
    """Fidelity that the trial has now reached."""
    status: Status
    values: tuple[float, ...]
    """The objectives at the end of the segment; +inf each if the job failed."""
    curve: tuple[Point, ...]
    cost: float
    """Seconds, as far as the run's clock lets a method see them; under ``units`` the fidelity
    trained in full evaluations."""
    constraints: tuple[float, ...] = ()
    """The constraints at the end of the segment, kept where <= 0; +inf each if the job failed."""


@dataclass(frozen=True, slots=True)
class Record:
    """A finished job with its place in the run's time (the clock's unit, 0 = the run's start)."""

    job: Job
    outcome: Outcome
    began: float
    ended: float
    worker: int


class Search(Protocol):
    """A method at work on one problem."""

    def ask(self, n: int, running: Sequence[Proposal]) -> Sequence[Proposal]:
        """At most ``n`` proposals, given those running (in the order they began). None at all
        means: wait for a report, or, with nothing running, that the search is over."""
        ...

    def tell(self, reports: Sequence[Report]) -> None:
        """Take in finished jobs, also such as this search did not propose."""
        ...


@runtime_checkable
class GoesOn(Protocol):
    """A search that goes on from the states of many trainings in turn, in any order."""

    @property
    def in_training(self) -> int:
        """How many trainings that is: the latest state of each is kept."""
        ...


@dataclass(frozen=True, slots=True)
class Traits:
    """What a method can deal with and what it needs."""

    fidelity: bool = False
    """Needs a task with a fidelity."""
    max_objectives: int = 1
    min_objectives: int = 1
    costly: bool = False
    """Trains in small steps and thinks milliseconds about each: it is checked with fewer jobs."""
    constraints: bool = False
    """Looks at the constraints; else it sees the objectives only, and may search where nothing is feasible."""
    finite: bool = False
    """A fixed design that may end before the budget (a grid)."""
    advice: bool = False
    """Begins with the problem's advice; others are wrapped in ``start_from`` where there is one (``meta=auto``)."""
    past: bool = False
    """Learns from the past tasks of the advice, and refuses to begin without any."""
    requires: tuple[str, ...] = ()
    """Modules of another library that the method wraps; none for our own methods. Only such may be missing."""


@runtime_checkable
class Method(Protocol):
    """A recipe: a frozen dataclass whose fields are the method's own hyperparameters."""

    traits: ClassVar[Traits]

    def begin(self, problem: Problem, rng: np.random.Generator) -> Search: ...


@runtime_checkable
class Task(Protocol):
    """A problem with an evaluator: a frozen dataclass, cheap to pickle (data loads lazily)."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str:
        """The data set (or function) behind it; tasks of one unit are not independent."""
        ...

    @property
    def version(self) -> int:
        """Raised when the same job gives another outcome than before."""
        ...

    @property
    def space(self) -> Space: ...
    @property
    def objectives(self) -> tuple[str, ...]: ...
    @property
    def constraints(self) -> tuple[str, ...]:
        """Names of the constraints, mostly none; see :class:`Point`."""
        ...

    @property
    def fidelity(self) -> Fidelity | None: ...
    @property
    def measured(self) -> bool:
        """``Outcome.cost`` is time measured here and now (so the default clock is ``units``)."""
        ...

    def identity(self) -> Mapping[str, JSON]:
        """All that can change an outcome, e.g. data hash, learner, split: hashed into run ids."""
        ...

    def evaluate(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        """One outcome per job: a pure function of each job alone (batch-invariant)."""
        ...


@runtime_checkable
class Together(Protocol):
    """A task that evaluates several jobs together in less time than one by one."""

    @property
    def together(self) -> int:
        """How many jobs a worker process is given at once, at most."""
        ...


COMPUTED = "no data set, computed"
"""What a task has as ``licence`` that needs nobody's data: a function, a generator, a simulation. Others have that of
their data, as the source states it, or None; it is no part of the identity, as it changes no outcome."""


@runtime_checkable
class HasFront(Protocol):
    """A task of several objectives that may know their true front; what has none is scaled by a study's results."""

    @property
    def front(self) -> Front | None:
        """None: not known."""
        ...
