"""Training what was recommended for a user's data set, as a task of the family ``dataset`` would."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

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
    ``what``, ``config``, ``validation``, ``test`` and ``seconds``; and the results. The default of each learner that is
    among them is trained before its first one, unless that is the default itself. The rows of the data lie in a
    temporary folder meanwhile."""
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
                results.append((tried, rows[-1]["validation"]))
    return rows, results


def _row(what: str, task: DatasetTask, config: Config, number: int) -> dict[str, Any]:
    job = Job(number, number, Proposal(config), 0.0, task.fidelity.high, entropy("recommend", number))
    [outcome] = task.evaluate([job])
    return {
        "what": what, "config": dict(config), "validation": outcome.curve[-1].values[0],
        "test": outcome.hidden["test"], "seconds": outcome.cost,
    }  # fmt: skip
