"""Training what was recommended for a user's data set, as a task of the family ``dataset`` would."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from hptbench.errors import UserError
from hptbench.learners import find_learner
from hptbench.meta.recommend import Advisor, Result
from hptbench.protocol import Job, Proposal
from hptbench.rng import entropy
from hptbench.space import Config
from hptbench.spacefile import packaged_space
from hptbench.tasks.dataset import DatasetTask

_NAME = "yours"


def evaluate(advisor: Advisor, count: int) -> tuple[list[dict[str, Any]], list[Result]]:
    """Train ``count`` configurations, each recommended when the results of those before it are known: a row each of
    ``what``, ``config``, ``validation`` and ``test`` losses, ``seconds``, ``message``; and the results. A loss is
    None where a training failed or its score is not finite, ``message`` says why, and the result is +inf. The default
    of each learner that is among them is trained before its first one, unless that is the default itself. The rows of
    the data lie in a temporary folder meanwhile. UserError if the data set cannot be used."""
    rows: list[dict[str, Any]] = []
    results: list[Result] = []
    tasks: dict[str, DatasetTask] = {}
    data = advisor.data
    with tempfile.TemporaryDirectory() as folder:
        data.frame.to_parquet(Path(folder) / f"{_NAME}.parquet", index=False)
        pd.DataFrame([{"name": _NAME, "task_type": data.kind}]).to_csv(Path(folder) / "index.csv", index=False)
        for i in range(count):
            [one] = advisor.recommend(1, results).ranked
            todo = [(f"{i + 1}. {one.learner}", one)]
            if one.learner not in tasks:
                tasks[one.learner] = DatasetTask(data=_NAME, learner=one.learner, store=folder, axis="rows")
                default = packaged_space(find_learner(one.learner).spaces[data.kind]).default()
                if default != one.config:
                    todo.insert(0, (f"default {one.learner}", replace(one, config=default)))
            for what, tried in todo:
                rows.append(_row(what, tasks[one.learner], tried.config, len(rows)))
                loss = rows[-1]["validation"]
                results.append((tried, math.inf if loss is None else loss))
    return rows, results


def _row(what: str, task: DatasetTask, config: Config, number: int) -> dict[str, Any]:
    job = Job(number, number, Proposal(config), 0.0, task.fidelity.high, entropy("recommend", number))
    row: dict[str, Any] = {"what": what, "config": dict(config), "validation": None, "test": None}
    began = time.perf_counter()
    try:
        [outcome] = task.evaluate([job])
    except UserError:
        raise
    except Exception as error:  # a failed training, whatever it was
        message = " ".join(f"{type(error).__name__}: {error}".split())
        return row | {"seconds": time.perf_counter() - began, "message": message}
    losses = {"validation": outcome.curve[-1].values[0], "test": outcome.hidden["test"]}
    row |= {name: loss for name, loss in losses.items() if math.isfinite(loss)}
    message = outcome.message or ("" if row["validation"] is not None else "its validation loss is not finite")
    return row | {"seconds": outcome.cost, "message": message}
