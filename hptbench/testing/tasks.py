"""What every task must do. Each check takes a task and raises AssertionError if it does not."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from dataclasses import fields, replace

from hptbench.ledger import Ledger
from hptbench.protocol import Budget, Clock, Job, Outcome, Problem, Proposal, Report, Status, Task
from hptbench.rng import entropy, stream
from hptbench.space import Config


def describes_itself(task: Task) -> None:
    """Name, unit, version, space, objectives; identity is JSON; all of it survives pickling."""
    assert task.name
    assert task.unit
    assert task.version >= 1
    assert task.objectives
    json.dumps(dict(task.identity()))
    again = pickle.loads(pickle.dumps(task))
    assert (again.name, again.identity(), again.space) == (task.name, task.identity(), task.space)
    task.space.check(task.space.default())


def evaluates(task: Task) -> None:
    """The default and random configurations, at the lowest and the highest fidelity."""
    for job in _jobs(task, 3):
        [outcome] = task.evaluate([job])
        assert outcome.status is Status.OK, outcome.message
        assert outcome.cost > 0
        assert outcome.curve[-1].fidelity == job.stop
        assert [p.fidelity for p in outcome.curve] == sorted({p.fidelity for p in outcome.curve})
        assert all(len(p.values) == len(task.objectives) for p in outcome.curve)
        assert all(len(p.constraints) == len(task.constraints) for p in outcome.curve)
        assert all(map(math.isfinite, outcome.curve[-1].values + outcome.curve[-1].constraints))
        assert "test" in outcome.hidden, "every evaluation also scores what stays hidden"


def is_pure(task: Task) -> None:
    """The same job gives the same outcome again, whatever its number."""
    for job in _jobs(task, 2):
        [a], [b] = task.evaluate([job]), task.evaluate([replace(job, id=job.id + 17, trial=job.trial + 5)])
        assert _shown(a) == _shown(b)


def does_not_see_the_batch(task: Task) -> None:
    """``evaluate(batch)[i] == evaluate([batch[i]])[0]``, bit for bit."""
    jobs = _jobs(task, 4)
    for job, outcome in zip(jobs, task.evaluate(jobs), strict=True):
        [alone] = task.evaluate([job])
        assert _shown(alone) == _shown(outcome)


def continues_exactly(task: Task) -> None:
    """Two segments are one segment; a lost state is made again; a state can be used twice."""
    if task.fidelity is None or not task.fidelity.continues:
        return
    for config in _configs(task, 2):
        ledger = _ledger(task)
        middle = task.fidelity.snap(task.fidelity.high / 2)
        whole = ledger.open(Proposal(config))
        [one] = task.evaluate([whole])
        first = replace(whole, id=1, stop=middle)
        [half] = task.evaluate([first])
        second = replace(whole, id=2, start=middle, before=first, state=half.state)
        [kept], [twice], [lost] = (task.evaluate([job]) for job in (second, second, replace(second, state=None)))
        assert _end(kept) == _end(one), "two segments differ from one"
        assert _end(twice) == _end(one), "a state was changed by its use"
        assert _end(lost) == _end(one), "a state that was lost is not made again as it was"
        if task.fidelity.inherits:
            copy = replace(second, id=3, trial=1, proposal=Proposal(_configs(task, 3)[2]), seed=(1, 2, 3, 4))
            [kept], [lost] = (task.evaluate([job]) for job in (copy, replace(copy, state=None)))
            assert _end(lost) == _end(kept), "a state of another configuration is not made again as it was"


def hides_what_is_hidden(task: Task) -> None:
    """Nothing hidden is in a report, nor in a message; a real task does not validate on what it tests on."""
    ledger = _ledger(task)
    pairs = []
    for job in _jobs(task, 3, ledger):
        [outcome] = task.evaluate([job])
        _, _, report = ledger.close(job, outcome)
        assert {f.name for f in fields(Report)}.isdisjoint({"hidden", "state"})
        assert not any(repr(value) in outcome.message for value in outcome.hidden.values())
        pairs.append((report.values[0], outcome.hidden["test"]))
    if task.measured:
        assert any(value != test for value, test in pairs), "the value that is told is the hidden test score"


TASK_CHECKS: tuple[Callable[[Task], None], ...] = (
    describes_itself,
    evaluates,
    is_pure,
    does_not_see_the_batch,
    continues_exactly,
    hides_what_is_hidden,
)


def _configs(task: Task, n: int) -> list[Config]:
    rng = stream(entropy("conformance", task.name))
    return [task.space.default(), *task.space.decode(task.space.sample(rng, n - 1))]


def _jobs(task: Task, n: int, ledger: Ledger | None = None) -> list[Job]:
    ledger = ledger or _ledger(task)
    levels = {task.fidelity.low, task.fidelity.high} if task.fidelity else {None}
    return [ledger.open(Proposal(config, level)) for config in _configs(task, n) for level in levels]


def _ledger(task: Task) -> Ledger:
    budget = Budget(max_jobs=1000)
    problem = Problem(task.space, task.objectives, task.fidelity, budget, constraints=task.constraints)
    return Ledger(problem, (task.name, 0), Clock.UNITS)


def _shown(outcome: Outcome) -> str:
    """As text, in which NaN is NaN."""
    return repr((outcome.status, outcome.curve, sorted(outcome.hidden.items())))


def _end(outcome: Outcome) -> str:
    return _shown(replace(outcome, curve=outcome.curve[-1:]))
