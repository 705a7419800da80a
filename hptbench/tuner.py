"""Ask and tell: a method at work on a problem that is evaluated elsewhere, by whoever asks.

    tuner = Tuner({"lr": {"type": "float", "lower": 1e-5, "upper": 1, "log": True}}, method="gp", seed=0)
    while job := tuner.ask():
        tuner.tell(job, train(**job.config))
    print(tuner.best)

It is the same method, driven by the same book as a run of a study (:mod:`hptbench.ledger`), and with the same name,
seed, budget and number of workers it proposes the same. The journal holds what was asked and told, in that order; to
load it is to ask and tell again.
"""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, Self, overload

from hptbench import registry
from hptbench.check import check_pair
from hptbench.errors import UserError, unknown
from hptbench.files import write_whole
from hptbench.given import budget_of, chosen_method, made, names, numbers, pair, whole
from hptbench.identity import digest, encoded
from hptbench.journal import Log, asked_entry, header, lines_of, outcome_entry, outcome_of
from hptbench.ledger import Ledger
from hptbench.protocol import JSON, Budget, Clock, Fidelity, Job, Method, Outcome, Point, Problem, Status
from hptbench.rng import entropy, seed32, stream
from hptbench.space import Config
from hptbench.spacefile import space_of
from hptbench.suggestions import Result, Suggestion, best_of, front_of

_LEAST_S = 1e-9
"""What a job costs at least: costs are above 0."""
_VALUES = "a value for each objective"


class Tuner:
    """A method that is asked for jobs and told what came of them. Safe to use from several threads."""

    def __init__(
        self,
        space: Any,
        method: str | Method = "gp",
        seed: int = 0,
        *,
        budget: float | Budget | Mapping[str, Any] = 100,
        fidelity: Fidelity | Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        start: Sequence[Config] = (),
        objectives: Sequence[str] = ("value",),
        constraints: Sequence[str] = (),
        workers: int = 1,
        clock: str = Clock.UNITS,
        path: str | Path | None = None,
        checkpoints: str | Path | None = None,
        name: str = "tuner",
    ) -> None:
        """``space``: see :func:`hptbench.spacefile.space_of`. ``method``: a registered name, with its hyperparameters
        in ``settings``, or an object. ``budget``: full evaluations, after which nothing more is proposed, or a Budget
        (methods may plan by it; not in time, which is the caller's). ``start``: configurations to begin with.
        ``workers``: how many jobs will run at a time, as far as you know. ``clock``: under ``units`` the method sees
        the fidelity trained as a job's cost, under ``cost`` the seconds told. ``path``: the journal; one that is
        there is gone on with, if it is of these settings. ``checkpoints``: a folder, for trainings that go on.
        ``name`` and ``seed`` name the random streams.

        UserError for what does not fit together, and for a journal of something else."""
        chosen, about = chosen_method(method, settings, start)
        limits = budget_of(budget)
        if clock not in set(Clock):
            raise unknown("clock", clock, list(Clock))
        whole("seed", seed, 0), whole("workers", workers, 1)
        axis: Fidelity | None = made(Fidelity, fidelity, "fidelity") if isinstance(fidelity, Mapping) else fidelity
        if not isinstance(axis, Fidelity | None):
            raise UserError(f"expected fidelity to be a Fidelity, or its fields, got {fidelity!r}")
        self._problem = Problem(
            space_of(space),
            tuple(names("objectives", objectives)),
            axis,
            limits,
            workers,
            constraints=tuple(names("constraints", constraints)),
        )
        named: Any = registry.find("method", str(method)) if start else chosen
        if named.traits.fidelity and axis is None:
            raise UserError(
                f"{about['method']} trains part of the way, but there is no fidelity: say how far one can train, "
                "fidelity=Fidelity(low, high, unit), or take a method that trains every configuration to the end"
            )
        check_pair(str(about["method"]), chosen, name, self._problem)
        self.about: Mapping[str, JSON] = {
            "space": self.space.to_json(), **about, "seed": seed, "budget": limits.to_json(),
            "fidelity": axis and dataclasses.asdict(axis), "objectives": list(objectives),
            "constraints": list(constraints), "workers": workers, "clock": str(clock), "name": name,
        }  # fmt: skip
        """All settings that decide what is proposed, as JSON."""
        self._lock = threading.RLock()
        self._ledger = Ledger(self._problem, (name, seed), Clock(clock))
        self._search = chosen.begin(self._problem, stream(entropy(name, seed, "search")))
        self._jobs: dict[int, Job] = {}
        """Pending ones, in the order in which they were asked for."""
        self._since: dict[int, float] = {}
        self._told: dict[int, tuple[Result, Outcome]] = {}
        self._waits = False
        """The method has nothing to propose until it is told something."""
        self._checkpoints = None if checkpoints is None else Path(checkpoints)
        if self._checkpoints is not None:
            self._checkpoints.mkdir(parents=True, exist_ok=True)
        self._entries: list[dict[str, Any]] = []
        self._written = 0
        self.closed = False
        """Nothing more can be asked or told: it was closed, or its method has raised an exception."""
        self._log: Log | None = None
        self._head = {"format": 1, "run": digest([self.about, encoded(chosen, "method")]), "tuner": self.about}
        if path is not None:
            self._open(Path(path))

    @classmethod
    def load(cls, path: str | Path, *, method: Method | None = None, checkpoints: str | Path | None = None) -> Self:
        """The tuner whose journal is at ``path``, which it goes on with. ``method``: the same object as before, if it
        was no registered one. UserError if the code has changed since, so that it proposes something else."""
        about = header(Path(path)).get("tuner")
        if about is None:
            raise UserError(f"expected the journal of a tuner, got {path}, which is that of a run")
        given: dict[str, Any] = {**about, "path": path, "checkpoints": checkpoints}
        if method is not None:
            given |= {"method": method, "settings": None}
        return cls(**given)

    @property
    def space(self) -> Any:
        """The search space."""
        return self._problem.space

    @overload
    def ask(self) -> Suggestion | None: ...
    @overload
    def ask(self, n: int) -> list[Suggestion]: ...
    def ask(self, n: int | None = None) -> Suggestion | list[Suggestion] | None:
        """The next job, or at most ``n`` in a list. None, or fewer: wait until a pending job is told, or, with nothing
        pending, that the search is over (:attr:`over`)."""
        if n is not None and n < 1:
            raise UserError(f"expected to ask for at least 1 job, got {n}")
        with self._lock:
            self._ready()
            with self._at_work():
                jobs = self._ask(1 if n is None else n)
            self._flush()
            shown = [self._shown(job) for job in jobs]
        return shown if n is not None else (shown[0] if shown else None)

    def tell(
        self,
        job: int | Suggestion,
        value: float | Sequence[float] | None = None,
        *,
        constraints: float | Sequence[float] = (),
        cost: float | None = None,
        status: str = Status.OK,
        message: str = "",
        curve: Sequence[tuple[float, float | Sequence[float]]] = (),
    ) -> Result:
        """What came of a pending job: its ``value`` (several objectives: a sequence), to be minimised, or a ``status``
        other than ok. A value that is not finite is a failure, too. ``cost``: seconds; None: those since it was asked
        for. ``curve``: (fidelity, value) before the job's end, increasing. Telling the same again does nothing.

        UserError if the job is not pending, or the values are not as many numbers as there are objectives."""
        number = job.id if isinstance(job, Suggestion) else job
        with self._lock:
            self._ready()
            if number in self._told:
                return self._again(number, value, constraints, status)
            if number not in self._jobs:
                raise UserError(f"job {number!r} is not pending; pending: {', '.join(map(str, self._jobs)) or 'none'}")
            if cost is None:
                cost = time.monotonic() - self._since[number]
            outcome = self._outcome(self._jobs[number], value, constraints, cost, status, message, curve)
            with self._at_work():
                result = self._close(number, outcome)
            self._flush()
            return result

    @property
    def pending(self) -> list[Suggestion]:
        """Jobs asked for and not told of, in that order; after a crash, what is to be done again."""
        with self._lock:
            return [self._shown(job) for job in self._jobs.values()]

    @property
    def over(self) -> bool:
        """Nothing is pending, and nothing more will be proposed."""
        with self._lock:
            return not self._jobs and (self._waits or not self._ledger.room(0.0, 1))

    @property
    def history(self) -> list[Result]:
        """What was told, in that order."""
        with self._lock:
            return [result for result, _ in self._told.values()]

    @property
    def best(self) -> Result | None:
        """The incumbent, see :func:`hptbench.suggestions.best_of`. UserError for several objectives."""
        if len(self._problem.objectives) > 1:
            raise UserError(f"none is the best by {len(self._problem.objectives)} objectives; see the tuner's front")
        return best_of(self.history)

    @property
    def front(self) -> list[Result]:
        """The best trade-offs, see :func:`hptbench.suggestions.front_of`."""
        return front_of(self.history)

    def save(self, path: str | Path) -> None:
        """Write a copy of the journal, which :meth:`load` reads. With ``path=`` everything is written as it happens."""
        target = Path(path)
        with self._lock:
            text = lines_of([self._head, *self._entries])
            write_whole(target, lambda part: part.write_bytes(text))

    def close(self) -> None:
        """Let go of the journal: nothing more can be asked or told, as it would be lost."""
        with self._lock:
            self.closed = True
            if self._log is not None:
                self._log.close()
                self._log = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, n: int) -> list[Job]:
        if self._waits or not (room := self._ledger.room(0.0, n)):
            return []
        proposals = self._search.ask(room, [job.proposal for job in self._jobs.values()])
        if len(proposals) > room:
            raise ValueError(f"expected at most {room} proposals, got {len(proposals)}")
        self._waits = len(proposals) < room
        jobs = []
        for proposal in proposals:
            if self._ledger.room(0.0, 1):
                if proposal.source is None:
                    self.space.check(proposal.config)
                job = self._ledger.open(proposal)
                self._jobs[job.id] = job
                self._since[job.id] = time.monotonic()
                jobs.append(job)
        self._entries.append({"ask": n, "jobs": [asked_entry(job) for job in jobs]})
        return jobs

    def _close(self, number: int, outcome: Outcome) -> Result:
        job = self._jobs[number]
        _, kept, report = self._ledger.close(job, outcome)
        result = Result(self._shown(job), report.status, report.values, report.constraints, kept.cost, kept.message)
        del self._jobs[number], self._since[number]
        self._told[number] = (result, outcome)
        self._waits = False
        self._search.tell([report])
        self._entries.append({"tell": number, "outcome": outcome_entry(outcome)})
        return result

    def _outcome(
        self, job: Job, value: Any, constraints: Any, cost: float, status: str, message: str, curve: Sequence[Any]
    ) -> Outcome:
        if status not in set(Status):
            raise unknown("status", status, list(Status))
        seconds = numbers([cost], 1, "a cost in seconds")[0]
        if not 0 <= seconds < math.inf:
            raise UserError(f"expected a finite cost in seconds that is not below 0, got {cost}")
        cost = max(seconds, _LEAST_S)
        if status != Status.OK:
            return Outcome(Status(status), (), cost, message=message)
        n, m = len(self._problem.objectives), len(self._problem.constraints)
        values, kept = self._numbers(value, constraints)
        points = [Point(at, numbers(there, n, _VALUES), (0.0,) * m) for at, there in map(pair, curve)]
        points.append(Point(job.stop, values, kept))
        steps = [job.start, *(point.fidelity for point in points)]
        if any(not a < b for a, b in pairwise(steps)):
            raise UserError(
                f"expected a curve that increases between {job.start:g} and {job.stop:g}, got {steps[1:-1]}"
            )
        return Outcome(Status.OK, tuple(points), cost, message=message)

    def _numbers(self, value: Any, constraints: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The objectives and constraints told of a job."""
        n, m = len(self._problem.objectives), len(self._problem.constraints)
        return numbers(value, n, _VALUES), numbers(constraints, m, "a value for each constraint")

    def _again(self, number: int, value: Any, constraints: Any, status: str) -> Result:
        """What was told of a job already, if the same is told again: an answer may have been lost on its way."""
        result, was = self._told[number]
        given = None if status != Status.OK else self._numbers(value, constraints)
        before = (was.curve[-1].values, was.curve[-1].constraints) if was.curve else None
        if was.status != status or repr(given) != repr(before):
            told = f"{result.status}, {result.values}{result.constraints or ''}"
            raise UserError(f"job {number} was told before ({told}): a result stays as it is")
        return result

    def _shown(self, job: Job) -> Suggestion:
        source = job.before.id if job.before is not None else None
        load = save = None
        if self._checkpoints is not None:
            save = self._checkpoints / str(job.id) if job.stop < self._high else None
            load = None if source is None else self._checkpoints / str(source)
        return Suggestion(
            job.id, job.trial, dict(job.proposal.config), job.stop if self._problem.fidelity else None, job.start,
            source, seed32(job.seed), dict(job.proposal.note), load if load and load.exists() else None, save,
        )  # fmt: skip

    @property
    def _high(self) -> float:
        return self._problem.fidelity.high if self._problem.fidelity else 1.0

    def _open(self, path: Path) -> None:
        """Replay the journal, if there is one, and go on in it."""
        self._log = Log(path, str(self._head["run"]), {"tuner": self.about})
        try:
            for entry in self._log.entries:
                if "tell" in entry:
                    self._close(entry["tell"], outcome_of(entry["outcome"]))
                else:
                    self._replay(entry)
            self._written = len(self._entries)
            self._log.sync()
        except BaseException:
            self.close()
            raise

    def _replay(self, entry: Mapping[str, Any]) -> None:
        now, was = json.loads(json.dumps([asked_entry(job) for job in self._ask(entry["ask"])])), entry["jobs"]
        if now != was:
            odd = next((a or b for a, b in zip_longest(was, now) if a != b), None)
            assert odd is not None, "lists that differ differ in an entry"
            raise UserError(
                f"{self._log and self._log.path}: job {odd['job']} is not what the method proposes now: the code or "
                "the environment changed since. Go back to it to go on, or start anew with another path"
            )

    def _ready(self) -> None:
        if self.closed:
            raise UserError(
                "expected a tuner that is open, got one that was closed, or whose method has raised an exception: "
                "Tuner.load goes on from its journal, or from a copy that save() writes"
            )
        self._flush()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Interrupted, the method may be ahead of the journal, which could then not be replayed: so that is the end."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _flush(self) -> None:
        """Write what is not written yet: nothing is given out, and no answer is final, before it is on the disk."""
        if self._log is not None and self._written < len(self._entries):
            self._log.write(self._entries[self._written :])
            self._log.sync()
            self._written = len(self._entries)
