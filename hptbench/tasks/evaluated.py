"""Learners on data sets, from a table of evaluations that were made before."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.inferred import inferred_space
from hptbench.learners import FRACTION, TaskType, find_learner, learners
from hptbench.protocol import JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.space import Config, Floats, Space
from hptbench.spacefile import packaged_space
from hptbench.store.layout import NONE_STATED
from hptbench.tasks._metrics import METRICS
from hptbench.tasks._parquet import read_parquet

if TYPE_CHECKING:
    import pandas as pd

_VALIDATION, _TEST = "validation_", "test_"
_DEFAULT = ("log_loss", "error", "rmse")
"""The first of these that was measured is the objective."""
_SHORTEST = 1e-6
"""Seconds that a training takes at least: a task's cost is above 0."""


@task("evaluated")
@dataclass(frozen=True)
class EvaluatedTask:
    """Looks the trainings of a learner on a data set up in a table of ``collect-evaluations``.

    An approximation: a configuration is worth what the nearest one of the table is, as a nearest-neighbour surrogate
    (so do Syne Tune's blackbox repositories). Near: the sum over parameters of the distance in the unit cube, 1 for
    another category and for a parameter that only one of the two has; the first of equally near ones. With the 64 to
    128 configurations that a table has the landscape is one of plateaus, whose ``optimum`` is known exactly.

    The fidelity is the share of the training rows. Between two levels of the table losses and costs are interpolated,
    linearly in the logarithm of the fidelity. A training does not go on: every segment starts anew. ``cost`` is the
    recorded time, seconds. ``hidden``: ``value``, the validation loss at full fidelity, and ``test``, the loss on the
    outer test rows at the level reached.

    Of networks a table has the learning curve (``suite.curves=true``): the fidelity is the number of epochs, a training
    goes on (but not under another configuration) and is told the loss of each epoch; one that diverged is NaN.

    In a table that was made elsewhere (``import``) a learner that is none of ours has the space that its
    configurations span (:mod:`hptbench.inferred`); without test losses those are NaN, and without times a training
    costs its fidelity.
    """

    path: str
    """A file of ``collect-evaluations``, e.g. results/evaluations/tabular.parquet."""
    data: str
    """Name of a data set in the table."""
    learner: str
    """Or a family of networks, such as neural_mlp."""
    metric: str = ""
    """A loss of the table: error, log_loss, brier, rmse, … Default: log_loss (error without probabilities); rmse."""

    constraints: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    measured: ClassVar[bool] = False

    def __post_init__(self) -> None:
        losses = self._grid.losses
        if not losses:
            raise UserError(
                f"{self.path}: expected a finite validation loss of every configuration of {self.learner} on "
                f"{self.data}, and test losses of all or of none, got none such; choose another data set or learner"
            )
        name = self.metric or next((name for name in (*_DEFAULT, *losses) if name in losses), "")
        if name not in losses:
            raise unknown(f"metric of {self.data}", name, losses)
        object.__setattr__(self, "metric", name)

    @property
    def name(self) -> str:
        return f"evaluated-{self.data}-{self.learner}"

    @property
    def unit(self) -> str:
        return self.data

    @property
    def licence(self) -> str | None:
        """As the card beside the table states it."""
        card = Path(self.path).expanduser().with_suffix(".md")
        lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
        found = next((line for line in lines if line.startswith(f"| {self.data} | ")), None)
        stated = found.split(" | ")[1].strip() if found else ""
        return None if stated in ("", NONE_STATED) else stated

    @property
    def space(self) -> Space:
        return self._grid.space

    @property
    def objectives(self) -> tuple[str, ...]:
        return (self.metric,)

    @property
    def fidelity(self) -> Fidelity:
        low, high = float(self._grid.levels[0]), float(self._grid.levels[-1])
        if _of_networks(self.learner):
            return Fidelity(low, high, "epoch", continues=True, inherits=False)
        return Fidelity(low, high, FRACTION.unit, integer=False)

    @property
    def optimum(self) -> float:
        """The least validation loss of the table at full fidelity."""
        return float(np.nanmin(self._grid.losses[self.metric][0][:, -1]))

    def identity(self) -> dict[str, JSON]:
        return {"data": self.data, "learner": self.learner, "metric": self.metric, "sha256": self._grid.sha256}

    @property
    def _grid(self) -> _Grid:
        return _grid(self.path, self.data, self.learner)

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        grid = self._grid
        validation, test = grid.losses[self.metric]
        out = []
        for job, row in zip(jobs, grid.nearest([job.proposal.config for job in jobs]), strict=True):
            if _of_networks(self.learner):
                epochs = range(int(job.start), int(job.stop))
                finite = [epoch for epoch in epochs if np.isfinite(validation[row, epoch])]
                curve = [Point(epoch + 1.0, (float(validation[row, epoch]),)) for epoch in finite]
                curve += [Point(job.stop, (math.nan,))] if len(finite) < len(epochs) else []
                cost = float(grid.costs[row, epochs[-1]] - (grid.costs[row, epochs[0] - 1] if epochs[0] else 0.0))
                hidden = float(test[row, epochs[-1]])
            else:
                seen, hidden, cost = (grid.at(values[row], job.stop) for values in (validation, test, grid.costs))
                curve = [Point(job.stop, (seen,))]
            kept = {"test": hidden, "value": float(validation[row, -1])}
            out.append(Outcome(Status.OK, tuple(curve), cost, kept))
        return out


def _of_networks(learner: str) -> bool:
    """Whether it is a family of networks, of which a table has every epoch."""
    return learner.startswith("neural_")


class Curves(NamedTuple):
    """What a table has of one learner on one data set: n configurations at m fidelities."""

    configs: list[Config]
    fidelities: Floats
    """(m,) rising; of networks the epochs 1, 2, …"""
    cost: Floats
    """(n, m) seconds of a training from nothing to there."""
    losses: dict[str, Floats]
    """training_<loss> (of networks), validation_<loss>, test_<loss> -> (n, m); NaN from where a training diverged."""


def curves(path: str, data: str, learner: str = "neural_mlp") -> Curves:
    """The learning curves in a table of ``collect-evaluations``, of configurations that were evaluated at every
    fidelity or diverged before. UserError if there are none."""
    frame = _table(str(path))
    for column, value in (("data", data), ("learner", learner)):
        there = frame[column].astype(str).unique().tolist()
        if value not in there:
            raise unknown(f"{'data set' if column == 'data' else column} of {path}", value, there)
        frame = frame[frame[column] == value]
        if frame.empty:
            raise UserError(f"{path} has no evaluations of {learner} on {data}; choose another of the two")
    ok = frame[frame["status"] == "ok"]
    levels = np.sort(ok["fidelity"].unique().astype(float)).round(7)  # 32 bits hold no more
    networks = _of_networks(learner)
    if networks and levels.tolist() != list(range(1, len(levels) + 1)):
        raise UserError(
            f"{path}: expected every epoch of {learner} on {data}, got epochs {levels.tolist()}; "
            "collect with suite.curves=true"
        )
    rows = frame[frame["status"].isin(["ok", "nan"])] if networks else ok
    ended = rows.groupby("configuration")["status"].agg(lambda some: len(some) == len(levels) or "nan" in set(some))
    rows = rows[rows["configuration"].isin(ended.index[ended])]
    if rows.empty:
        raise UserError(
            f"{path}: expected configurations of {learner} on {data} evaluated at every fidelity, got none; finish "
            "collect-evaluations, or choose another data set"
        )
    wide = rows.pivot(index="configuration", columns="fidelity")
    cost = wide["cost"].to_numpy(float)
    each = cost[:, :1]
    cost = np.where(np.isnan(cost), each * levels, cost)  # of the epochs that a diverged training has not had
    cost = np.where(np.isnan(cost), levels, np.maximum(cost, _SHORTEST))  # times are not known, or rounded to 0
    names = [name for name in map(str, frame) if name.startswith((_VALIDATION, _TEST, "training_"))]
    numbers = {name: wide[name].to_numpy(float, na_value=np.nan) for name in names}
    losses = {name: values for name, values in numbers.items() if not np.isnan(values).all()}
    configs = rows.groupby("configuration")["config"].first().astype(str)
    return Curves([json.loads(text) for text in configs], levels, cost, losses)


class _Grid(NamedTuple):
    """The same as tasks look it up."""

    space: Space
    codes: Floats
    """(n, d) the configurations in the unit cube, categories as positions, NaN where inactive."""
    levels: Floats
    """(m,) fidelities, rising."""
    costs: Floats
    """(n, m) seconds."""
    losses: dict[str, tuple[Floats, Floats]]
    """Metric -> (n, m) on validation and on test rows."""
    sha256: str
    """Of all this."""

    def nearest(self, configs: Sequence[Config]) -> list[int]:
        """The row that stands for each configuration."""
        codes = self.space.codes(self.space.encode(configs))
        named = self.space.categorical
        out = []
        for one in codes:
            gap = np.abs(self.codes - one)
            gap = np.where(named, gap > 0, gap)
            gap = np.where(np.isnan(self.codes) & np.isnan(one), 0.0, np.where(np.isnan(gap), 1.0, gap))
            out.append(int(gap.sum(axis=1).argmin()))
        return out

    def at(self, values: Floats, level: float) -> float:
        """(m,) ``values`` at a fidelity."""
        return float(np.interp(np.log(level), np.log(self.levels), values))


@lru_cache(maxsize=4)
def _table(path: str) -> pd.DataFrame:
    frame = read_parquet(Path(path), "table of evaluations")
    lacking = {"data", "learner", "configuration", "fidelity", "status", "cost", "config"} - set(frame)
    if lacking:
        raise UserError(
            f"{path}: expected a table of collect-evaluations, got one without {', '.join(sorted(lacking))}; "
            "correct path"
        )
    return frame


@lru_cache(maxsize=64)
def _grid(path: str, data: str, learner: str) -> _Grid:
    configs, levels, costs, of = curves(path, data, learner)
    losses = {}
    for name in dict.fromkeys(m.name for kind in METRICS.values() for m in kind):
        parts = [of.get(part + name, np.full_like(costs, np.nan)) for part in (_VALIDATION, _TEST)]
        seen, hidden = (np.isfinite(part) for part in parts)
        if (
            (seen.any() and hidden.any())
            if _of_networks(learner)
            else seen.all() and (hidden.all() or not hidden.any())
        ):
            losses[name] = (parts[0], parts[1])
    kind: TaskType = "regression" if any(m.name in losses for m in METRICS["regression"]) else "classification"
    if _of_networks(learner):
        space = packaged_space(learner)
    elif learner in learners():
        space = packaged_space(find_learner(learner).spaces[kind])
    else:  # all data sets have the same one
        frame = _table(path)
        texts = frame.loc[frame["learner"] == learner, "config"].astype(str).unique()
        space = inferred_space([json.loads(text) for text in texts])
    codes = space.codes(space.encode(configs))
    digest = hashlib.sha256(repr((levels.tolist(), configs)).encode())
    for values in (costs, *(part for pair in losses.values() for part in pair)):
        digest.update(np.ascontiguousarray(values).tobytes())
    return _Grid(space, codes, levels, costs, losses, digest.hexdigest())
