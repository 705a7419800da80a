"""Advice for tasks that tune a learner on a data set: ``meta=auto``. Nothing is learnt from the task's own family."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hptbench.errors import UserError
from hptbench.learners import TaskType
from hptbench.meta._likeness import NEAR, unlikeness
from hptbench.meta.advice import CONFIGS, advise
from hptbench.meta.artefact import Trained, load
from hptbench.meta.described import families_of
from hptbench.meta.features import features
from hptbench.protocol import Advice, Task
from hptbench.space import Config, Floats, Space
from hptbench.tasks.dataset import DatasetTask
from hptbench.tasks.evaluated import EvaluatedTask
from hptbench.tasks.surrogate import SurrogateTask

_SAME = {"breast_cancer": "wdbc", "diabetes": "diabetes_sklearn", "digits": "optdigits"}
"""scikit-learn's data sets under the names of the past."""


class Advised(NamedTuple):
    """What the past says of a task."""

    advice: Advice
    trainings: int
    """On other data sets that it was learnt from."""


def advice_for(task: Task, trained: Trained | None = None, n: int = CONFIGS) -> Advised:
    """What the past says of a task of the families ``dataset``, ``openml``, ``evaluated`` or ``surrogate``.

    Left out of the past are the data set, its family (the store's index names it), and all families with a data set of
    nearly the same meta-features. Only rows that may be learnt from are looked at. Of a search space that is not the
    packaged one, only configurations that lie in it are recommended, and nothing else. UserError for other tasks, and
    for learners of which the past says nothing."""
    trained = trained or load()
    if isinstance(task, DatasetTask):
        rows = task.outer().rest
        kind: TaskType = "classification" if rows.n_classes else "regression"
        past = trained.past(task.learner, kind)
        found = features(rows).values
        x = np.array([found.get(name, np.nan) for name in past.names])
    elif isinstance(task, EvaluatedTask | SurrogateTask):
        kind = "regression" if task.metric in ("rmse", "mae", "r2_error", "pinball") else "classification"
        past = trained.past(task.learner, kind)
        if task.data not in past.data:
            raise UserError(
                f"expected the meta-features of {task.data}, got none; describe it (meta features) and train"
            )
        x = past.features[past.data.index(task.data)]
    else:
        raise UserError(
            "meta=auto is for tasks that tune a learner on a data set (dataset, openml, evaluated, surrogate), got "
            f"{task.name}"
        )
    rest = trained.without(relatives(trained, task, x, (task.learner, kind)))
    known = rest.past(task.learner, kind)
    trainings = len(known.data) * len(known.configs)
    if task.space == past.space:
        return Advised(advise(known, rest.autos[kind], x, n), trainings)
    return Advised(_inside(advise(known, rest.autos[kind], x, len(past.configs)), task.space, n), trainings)


def relatives(
    trained: Trained, task: DatasetTask | EvaluatedTask | SurrogateTask, x: Floats, key: tuple[str, TaskType]
) -> set[str]:
    """The families of the past that a task must not learn from."""
    names = {task.data, _SAME.get(task.data, task.data)}
    out = set(names)
    store = getattr(task, "store", None)
    if store is not None and (Path(store).expanduser() / "index.csv").is_file():
        own = families_of(Path(store).expanduser() / "index.csv")
        out.add(own.get(task.data, task.data))
    for past in trained.pasts.values():
        out |= {str(f) for name, f in zip(past.data, past.families, strict=True) if name in names}
    past = trained.pasts[key]
    return out | {str(family) for family in past.families[unlikeness(past, x)[1] < NEAR]}


def _inside(advice: Advice, space: Space, n: int) -> Advice:
    configs = tuple(config for config in advice.configs if _lies_in(config, space))[:n]
    if not configs:
        raise UserError(
            "expected a recommendation within the search space, got none; widen the space, or set meta=none"
        )
    return Advice(configs)


def _lies_in(config: Config, space: Space) -> bool:
    try:
        space.check(config)
    except UserError:
        return False
    return True
