"""What tests of learners on data sets share."""

from __future__ import annotations

from typing import Any

from hptbench import rng
from hptbench.learners import find_learner
from hptbench.protocol import Job, Outcome, Proposal, Status
from hptbench.tasks.dataset import DatasetTask

LEVELS = {"tree": (2, 6), "iteration": (2, 6), "epoch": (1, 3), "fraction": (1 / 9, 1)}


def make(store: str, learner: str, kind: str, **fields: Any) -> DatasetTask:
    low, high = LEVELS[find_learner(learner).fidelity.unit]
    data = "numbers" if kind == "regression" else "classes"
    if learner == "pipeline":  # without forests and networks, which train to their full number
        parts = {name: {"type": "space", "space": name} for name in ("preprocessing", "knn")}
        few = {"type": "categorical", "choices": ["decision_tree", "knn"]}
        fields = {"space": {"learner": few, **parts}, **fields}
    return DatasetTask(data, learner, store, **{"low": low, "high": high, **fields})


def job(task: DatasetTask, stop: float | None = None, config: Any = None, **fields: Any) -> Job:
    config = task.space.default() if config is None else config
    return Job(0, 0, Proposal(config), 0.0, stop or task.fidelity.high, rng.entropy("t", 0), **fields)


def run(task: DatasetTask, *args: Any) -> Outcome:
    [outcome] = task.evaluate([job(task, *args)])
    assert outcome.status is Status.OK, outcome.message
    return outcome


def run_job(task: DatasetTask, one: Job) -> Outcome:
    [outcome] = task.evaluate([one])
    assert outcome.status is Status.OK, outcome.message
    return outcome
