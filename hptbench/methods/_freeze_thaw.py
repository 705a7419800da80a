"""Freeze-thaw search, shared by methods with a model of learning curves: a trial trains for one step, is frozen, and
competes with all other frozen trials and with new configurations for the next step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError
from hptbench.methods._brackets import fidelity_of, levels
from hptbench.methods._draws import Uniform, sobol
from hptbench.methods._history import Rows, key_of
from hptbench.methods._moves import complete, truncated_normal
from hptbench.methods._surrogate import kept
from hptbench.protocol import Fidelity, Problem, Proposal, Report
from hptbench.space import Config, Floats

Integers = NDArray[np.intp]
_TRIES = 64
_ETA = 3
"""Points of the Sobol sequence, and random draws, that may be known already before any is taken."""
_NEAR = 5
"""Best trials around which new configurations are drawn."""
_SCALES = (-2.0, -0.5)
"""Powers of ten between which the steps around them are drawn."""
_ROUNDING = 1e-9
"""Three times a tenth ends the step that ends at 0.3."""


@dataclass(frozen=True)
class Curves:
    """What is known: T trials, N observed values. Failed trials have a single value, the worst seen, at the step at
    which they failed."""

    u: Floats
    """(T, d) the trials' configurations in the unit cube, NaN where inactive."""
    trial: Integers
    """(N,) the row of each value's trial: sorted."""
    step: Integers
    """(N,) the step after which each was observed, 1 .. S: rising within a trial."""
    value: Floats
    """(N,) finite."""
    pending: Integers
    """(P, 2) rows of trials, and the steps that they are being trained to."""
    frozen: Integers
    """(F,) rows of the trials that can go on, in order of their start."""
    steps: int
    """S, the step at which a training ends."""

    @property
    def reached(self) -> Integers:
        """(T,) the last observed step of each trial; 0 without any."""
        out = np.zeros(len(self.u), dtype=np.intp)
        np.maximum.at(out, self.trial, self.step)
        return out

    def with_pending(self, values: Floats, believed: Floats) -> tuple[Integers, Integers, Floats]:
        """``trial``, ``step`` and ``values``, (N,), with the pending steps, which end at ``believed``, (P,)."""
        trial = np.concatenate([self.trial, self.pending[:, 0]])
        step = np.concatenate([self.step, self.pending[:, 1]])
        order = np.lexsort([step, trial])
        return trial[order], step[order], np.concatenate([values, believed])[order]


@dataclass(eq=False)
class _Trial:
    config: Config
    u: Floats
    """(d,) the configuration in the unit cube."""
    own: bool = True
    """Proposed by this search: it may go on."""
    seen: Floats = field(default_factory=lambda: np.empty((0, 2)))
    """Rows of step and value, in order of steps."""
    failed: bool = False
    """Then ``seen`` has one row, of the step that it failed to reach; its value does not count."""
    job: int | None = None
    """Its latest job."""

    @property
    def reached(self) -> int:
        return int(self.seen[-1, 0]) if len(self.seen) else 0

    def learn(self, values: Mapping[int, float]) -> None:
        """Steps and what was observed after them."""
        known = {**dict(self.seen.tolist()), **values}
        self.seen = np.array(sorted(known.items()), dtype=float)


def steps_of(fidelity: Fidelity, most: int) -> tuple[float, ...]:
    """The fidelities at which steps end, rising: evenly spaced up to the highest, every whole one if those are no more
    than ``most``. Where trainings begin anew with each step, which the papers do not think of, most of such steps would
    repeat what is known: there they are the rungs of successive halving (eta 3), the highest ``most`` of them.
    UserError unless ``most`` is positive."""
    if most < 1:
        raise UserError(f"expected at least 1 step, got {most}")
    if not fidelity.continues:
        return levels(fidelity, _ETA)[-most:]
    n = min(most, max(1, math.floor(fidelity.high))) if fidelity.integer else most
    return tuple(dict.fromkeys(fidelity.snap(fidelity.high * i / n) for i in range(1, n + 1)))


class FreezeThaw(ABC):
    """A search; a subclass says how promising one more step is for every frozen trial and for new configurations.

    The first ``initial`` configurations are points of a Sobol sequence. Trials that are running are not frozen; with
    more workers a subclass gets them as ``pending``. Failed trials never go on, and count as the worst value seen.
    Reports of jobs that this search did not propose are data; their trials never go on."""

    def __init__(
        self, problem: Problem, rng: np.random.Generator, initial: int, steps: int, pool: int, most: int
    ) -> None:
        """``pool``: new configurations that are looked at. ``most``: the model sees no more trials than that, and those
        that are running: half of them the best, half the latest of the others. The rest stays frozen."""
        self.space, self.rng, self._initial, self._pool, self._most = problem.space, rng, initial, pool, most
        self._levels = steps_of(fidelity_of(problem), steps)
        self._ends = np.array(self._levels)
        self.last = len(self._levels)
        """The step at which a training ends."""
        self._design, self._uniform = sobol(problem.space, rng), Uniform(problem.space, rng)
        self._varies = bool((problem.space.sizes != 1).any())
        self._categorical = problem.space.categorical
        self._trials: list[_Trial] = []
        """Those that something is known of, in the order in which they were told of first."""
        self._best = Rows(1)
        """The lowest value of each; +inf for failed ones."""
        self._places: dict[int, int] = {}
        """Of each in both."""
        self._worst = -math.inf
        self._foreign: dict[int, _Trial] = {}
        """Trials that this search did not propose, by number."""
        self._waiting: dict[int, tuple[Proposal, _Trial]] = {}
        """What was proposed and not told of yet, by number."""
        self._keys: set[frozenset[tuple[str, object]]] = set()
        self._begun = 0
        self.observed = 0
        """Values that are known, whether the model sees them or not."""

    @property
    def known(self) -> int:
        """Trials that something is known of, whether the model sees them or not."""
        return len(self._trials)

    @abstractmethod
    def scores(self, curves: Curves, pool: Floats) -> Floats:
        """(F + m,) how much one more step of each frozen trial promises, and the first of each new configuration in
        ``pool``, (m, d): the highest is taken, the first among equal ones."""

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        out: list[Proposal] = []
        for _ in range(n):
            out.append(self._next([*running, *out]))
        return out

    def tell(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if (trial := self._own(report.proposal, take=True)) is not None:
                trial.job = report.job
            elif (trial := self._foreign.get(report.trial)) is None:
                trial = self._foreign[report.trial] = self._trial(report.proposal.config, own=False)
            if not len(trial.seen):
                self._places[id(trial)] = len(self._trials)
                self._trials.append(trial)
                self._best.append(np.array([[math.inf]]))
                self._keys.add(key_of(trial.config))
            before = len(trial.seen)
            self._observe(trial, report)
            self.observed += len(trial.seen) - before

    def _own(self, proposal: Proposal, take: bool = False) -> _Trial | None:
        """The trial of a proposal that this search waits for; None if it is someone else's."""
        number: Any = proposal.note.get("segment")
        waiting = self._waiting.get(number) if isinstance(number, int) else None
        if waiting is None or waiting[0] != proposal:
            return None
        if take:
            self._waiting.pop(number)
        return waiting[1]

    def _observe(self, trial: _Trial, report: Report) -> None:
        place = self._places[id(trial)]
        if not math.isfinite(report.values[0]):
            trial.failed, trial.seen = True, np.array([[self._step(report.fidelity), math.inf]])
            self._best.array[place] = math.inf
            return
        points = [(point.fidelity, point.values[0]) for point in report.curve if point.values]
        ends = [*points, (report.fidelity, report.values[0])]
        values = {self._step(level): value for level, value in ends if math.isfinite(value)}
        self._worst = max(self._worst, *values.values())
        if not trial.failed:
            trial.learn(values)
            self._best.array[place] = trial.seen[:, 1].min()

    def _step(self, level: float) -> int:
        """The step that a fidelity belongs to: what is reported within a step stands for its end, until that comes."""
        return min(int(np.searchsorted(self._ends, level * (1 - _ROUNDING))), self.last - 1) + 1

    def _trial(self, config: Config, own: bool) -> _Trial:
        return _Trial(config, self.space.encode([config])[0], own)

    def _next(self, pending: Sequence[Proposal]) -> Proposal:
        keys = {key_of(proposal.config) for proposal in pending}
        begun = len(self._trials) + len(keys - self._keys)
        if begun < self._initial or self._worst == -math.inf or not self._varies:
            config = self._first_new(islice(self._design, _TRIES), keys)
            if config is not None:
                return self._propose(self._trial(config, own=True))
        curves, trials = self._curves(pending)
        pool = self._fresh() if self._varies else self.space.sample(self.rng, 0)
        known = self._varies and self._worst > -math.inf
        scores = self.scores(curves, pool) if known else np.zeros(len(curves.frozen) + len(pool))
        for i in np.argsort(-scores, kind="stable").tolist():
            if i < len(curves.frozen):
                return self._propose(trials[curves.frozen[i]])
            config = self._first_new(self.space.decode(pool[[i - len(curves.frozen)]]), keys)
            if config is not None:
                return self._propose(self._trial(config, own=True))
        return self._propose(self._trial(self._uniform.draw()[0], own=True))  # all is known

    def _first_new(self, configs: Iterable[Config], pending: set[frozenset[tuple[str, object]]]) -> Config | None:
        return next((c for c in configs if (key := key_of(c)) not in self._keys and key not in pending), None)

    def _propose(self, trial: _Trial) -> Proposal:
        step, number = trial.reached, self._begun
        self._begun += 1
        proposal = Proposal(trial.config, self._levels[step], trial.job, {"segment": number, "step": step + 1})
        self._waiting[number] = proposal, trial
        return proposal

    def _curves(self, pending: Sequence[Proposal]) -> tuple[Curves, list[_Trial]]:
        """What is known of the trials that the model sees, and those trials."""
        running = [(self._own(p) or self._trial(p.config, own=False), p.fidelity) for p in pending]
        busy = {id(trial) for trial, _ in running}
        told = [self._trials[i] for i in kept(self._best.array[:, 0], self._most)]
        trials = list({id(trial): trial for trial in [*told, *(trial for trial, _ in running)]}.values())
        rows = {id(trial): row for row, trial in enumerate(trials)}
        ends = [(rows[id(t)], self._step(self._levels[-1] if level is None else level)) for t, level in running]
        frozen = [
            row for row, t in enumerate(trials)
            if t.own and not t.failed and id(t) not in busy and t.reached < self.last
        ]  # fmt: skip
        seen = np.concatenate([t.seen for t in trials]) if trials else np.empty((0, 2))
        return Curves(
            np.array([t.u for t in trials]).reshape(len(trials), len(self.space)),
            np.repeat(np.arange(len(trials)), [len(t.seen) for t in trials]),
            seen[:, 0].astype(np.intp),
            np.where(np.isfinite(seen[:, 1]), seen[:, 1], self._worst),
            np.array(ends, dtype=np.intp).reshape(-1, 2),
            np.array(frozen, dtype=np.intp),
            self.last,
        ), trials

    def _fresh(self) -> Floats:
        """(m, d) legal points: half of them uniform draws, half near the best trials."""
        space, rng, n = self.space, self.rng, max(1, self._pool // 2)
        best = np.argsort(self._best.array[:, 0], kind="stable")[:_NEAR]
        best = best[np.isfinite(self._best.array[best, 0])]
        uniform = space.sample(rng, n)
        if not len(best):
            return space.snap(uniform)
        near = np.array([self._trials[i].u for i in best])[rng.integers(len(best), size=n)]
        std = 10 ** rng.uniform(*_SCALES, (n, 1))
        moved = truncated_normal(np.where(np.isnan(near), 0.5, near), std, rng)
        moved = np.where(self._categorical, rng.random(near.shape), moved)
        moves = rng.random(near.shape) < np.where(rng.random((n, 1)) < 0.5, 1.0, 2 / near.shape[1])
        near = complete(space, np.where(moves & ~np.isnan(near), moved, near), rng)
        return space.snap(np.concatenate([uniform, near[space.legal(near)]]))
