"""The book of a run: trials, their states, what has been spent. Shared by simulated and live runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from hptbench.errors import UserError
from hptbench.protocol import (
    Budget,
    Clock,
    Job,
    Outcome,
    Point,
    Problem,
    Proposal,
    Report,
    Status,
    check_outcome,
)
from hptbench.rng import entropy
from hptbench.states import States

_ROUNDING = 1e-9
"""27 segments of 1/27 are one full evaluation, although their sum in floating point is less."""
_RUNNING, _DONE, _FAILED = range(3)


class Ledger:
    """Opens jobs for proposals and closes them with their outcomes, within the budget."""

    def __init__(
        self, problem: Problem, key: tuple[str | int, ...], clock: Clock, states: States | None = None
    ) -> None:
        check_clock(problem.budget, clock)
        self._problem, self._key, self._clock = problem, key, clock
        self._high = problem.fidelity.high if problem.fidelity else 1.0
        self._continues = problem.fidelity is not None and problem.fidelity.continues
        self._inherits = self._continues and problem.fidelity is not None and problem.fidelity.inherits
        self._jobs: list[Job] = []
        self._fates = bytearray()
        """Per job what became of it: a byte, as there may be millions."""
        self._tips: list[int] = []
        """Per trial its latest job."""
        self._states = States() if states is None else states
        self._failed = Point(0.0, *((math.inf,) * len(names) for names in (problem.objectives, problem.constraints)))
        self.full_evals = 0.0
        self._cpu_seconds = self._card_seconds = self._joules = 0.0

    def room(self, now: float, free: int) -> int:
        """How many of ``free`` workers may begin a job at ``now``."""
        b = self._problem.budget
        if b.max_time is not None and now >= b.max_time:
            return 0
        if b.cpu_hours is not None and self._cpu_seconds >= 3600 * b.cpu_hours:
            return 0
        if b.gpu_hours is not None and self._card_seconds >= 3600 * b.gpu_hours:
            return 0
        if b.energy_kwh is not None and self._joules >= 3.6e6 * b.energy_kwh:
            return 0
        if b.max_full_evals is not None and self.full_evals >= b.max_full_evals - _ROUNDING:
            return 0
        return free if b.max_jobs is None else min(free, b.max_jobs - len(self._jobs))

    def open(self, proposal: Proposal) -> Job:
        """The job for a proposal. ValueError if the method broke the protocol."""
        start, before, trial = 0.0, None, len(self._tips)
        if proposal.source is not None:
            if not 0 <= proposal.source < len(self._fates) or self._fates[proposal.source] == _RUNNING:
                raise ValueError(f"a proposal starts from job {proposal.source}, which has not ended")
            source = self._jobs[proposal.source]
            goes_on = source.proposal.config == proposal.config and self._tips[source.trial] == source.id
            if (self._inherits if not goes_on else self._continues) and self._fates[source.id] == _DONE:
                start, before = source.stop, source
            if goes_on:
                trial = source.trial
        stop = self._high if proposal.fidelity is None else proposal.fidelity
        if not start < stop <= self._high:
            raise ValueError(f"fidelity {stop} is not above {start} (already trained) and at most {self._high}")
        if self._problem.fidelity and self._problem.fidelity.snap(stop) != stop:
            raise ValueError(f"fidelity {stop} is none of {self._problem.fidelity}; use its snap()")
        job = Job(len(self._jobs), trial, proposal, start, stop, entropy(*self._key, "trial", trial), None, before)
        if trial == len(self._tips):
            self._tips.append(job.id)
        else:
            self._tips[trial] = job.id
        self._jobs.append(job)
        self._fates.append(_RUNNING)
        self.full_evals += (stop - start) / self._high
        if before is not None and (state := self._states.lend(before.id)) is not None:
            return Job(job.id, trial, proposal, start, stop, job.seed, state, before)
        return job

    def close(self, job: Job, outcome: Outcome) -> tuple[Job, Outcome, Report]:
        """What to keep of a finished job (without its states) and what to tell the method.

        The one rule of failure: a failed job's values are told as +inf, it is charged like any
        other, it leaves nothing to go on from, and it never ends a run."""
        outcome = self._judged(job, outcome)
        self._cpu_seconds += outcome.cost if outcome.cpu is None else outcome.cpu
        self._card_seconds += self._on_cards(job, outcome)
        self._joules += self._energy(job, outcome)
        ok = outcome.status is Status.OK
        self._fates[job.id] = _DONE if ok else _FAILED
        if job.before is not None:
            self._states.give_back(job.before.id, over=ok and job.before.trial == job.trial)
        if outcome.trained is not None:  # charged when it began, but not trained
            self.full_evals -= (job.stop - max(outcome.trained, job.start)) / self._high
        if ok and job.stop < self._high:
            self._states.keep(job.id, outcome.state, job.stop, outcome.curve[-1].values[0])
        outcome = outcome.bare()
        last = outcome.curve[-1] if ok else self._failed
        bare = self._jobs[job.id]
        report = Report(
            job.id, job.trial, job.proposal, job.stop, outcome.status, last.values, outcome.curve,
            self.duration(bare, outcome), last.constraints,
        )  # fmt: skip
        return bare, outcome, report

    def _on_cards(self, job: Job, outcome: Outcome) -> float:
        """Seconds. Those of a job that failed may be unknown, and are then all that it took."""
        if outcome.gpu is None and self._problem.budget.gpu_hours is not None:
            if outcome.status is not Status.OK:
                return outcome.cost
            raise UserError(
                f"budget.gpu_hours cannot be kept: expected job {job.id} on a graphics card, got one elsewhere; "
                "train on one (docs/NEURAL.md), or limit the run by budget.cpu_hours or budget.max_full_evals"
            )
        return outcome.gpu or 0.0

    def _energy(self, job: Job, outcome: Outcome) -> float:
        """Joules. Of a job that failed they may be unknown, and count as none: its worker may have died early."""
        if outcome.energy is None and outcome.status is Status.OK and self._problem.budget.energy_kwh is not None:
            raise UserError(
                f"budget.energy_kwh cannot be kept: expected the energy of job {job.id}, got none, since the counters "
                "(/sys/class/powercap/intel-rapl:*) can no longer be read. The run's finished jobs are kept in its "
                "journal; limit it by budget.cpu_hours, or make the counters readable and move its folder away"
            )
        return (outcome.energy or 0.0) + (outcome.gpu_energy or 0.0)

    def duration(self, job: Job, outcome: Outcome) -> float:
        """How long a job takes by the run's clock."""
        return units(job, outcome.trained, self._high) if self._clock is Clock.UNITS else outcome.cost

    def _judged(self, job: Job, outcome: Outcome) -> Outcome:
        check_outcome(outcome, len(self._problem.objectives), len(self._problem.constraints))
        if outcome.status is not Status.OK:
            return outcome
        last = outcome.curve[-1]
        if not _finite(last.values + last.constraints):
            constraints = f" and constraint {last.constraints}" if last.constraints else ""
            message = f"value {last.values}{constraints} at fidelity {job.stop:g}"
            return replace(outcome, status=Status.NAN, message=message)
        return outcome


def units(job: Job, trained: float | None, high: float) -> float:
    """Full evaluations that a job has trained: less than its segment if the training was stopped at ``trained``."""
    stop = job.stop if trained is None else max(trained, job.start)
    return (stop - job.start) / high


def check_clock(budget: Budget, clock: Clock) -> None:
    """UserError for a budget in seconds under a clock that knows none."""
    if budget.max_time is not None and clock is Clock.UNITS:
        raise UserError(
            "budget.max_time is in seconds, but the clock counts full evaluations; "
            "set clock=cost, or limit the run by budget.max_full_evals"
        )


def _finite(values: Sequence[float]) -> bool:
    return all(map(math.isfinite, values))
