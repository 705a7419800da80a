"""Training what was recommended for a user's data set, as a task of the family ``dataset`` would."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from hptbench.learners import find_learner
from hptbench.meta.frames import Cleaned
from hptbench.meta.recommend import Recommendation
from hptbench.protocol import Job, Proposal
from hptbench.rng import entropy
from hptbench.space import Config
from hptbench.spacefile import packaged_space
from hptbench.tasks.dataset import DatasetTask

_NAME = "yours"


def evaluate(data: Cleaned, found: Recommendation, count: int) -> list[dict[str, Any]]:
    """The default of each learner among the first ``count`` recommendations, then these: ``what``, ``config``,
    ``validation``, ``test``, ``seconds``. The rows lie in a temporary folder meanwhile."""
    chosen = [(f"{i + 1}. {one.learner}", one.learner, one.config) for i, one in enumerate(found.ranked[:count])]
    learners = dict.fromkeys(learner for _, learner, _ in chosen)
    defaults = [
        (f"default {name}", name, packaged_space(find_learner(name).spaces[data.kind]).default()) for name in learners
    ]
    with tempfile.TemporaryDirectory() as folder:
        data.frame.to_parquet(Path(folder) / f"{_NAME}.parquet", index=False)
        pd.DataFrame([{"name": _NAME, "task_type": data.kind}]).to_csv(Path(folder) / "index.csv", index=False)
        tasks = {name: DatasetTask(data=_NAME, learner=name, store=folder, axis="rows") for name in learners}
        return [_row(what, tasks[name], config, i) for i, (what, name, config) in enumerate([*defaults, *chosen])]


def _row(what: str, task: DatasetTask, config: Config, number: int) -> dict[str, Any]:
    job = Job(number, number, Proposal(config), 0.0, task.fidelity.high, entropy("recommend", number))
    [outcome] = task.evaluate([job])
    return {
        "what": what, "config": dict(config), "validation": outcome.curve[-1].values[0],
        "test": outcome.hidden["test"], "seconds": outcome.cost,
    }  # fmt: skip
