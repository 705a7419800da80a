"""What a surrogate benchmark is: a table of trainings, and Gaussian processes over configurations that share a kernel.

All data sets of a learner were trained with the same configurations, so they can share the kernel's hyperparameters
(E. V. Bonilla, K. M. A. Chai and C. K. I. Williams, "Multi-task Gaussian process prediction", NeurIPS 2007, with
independent tasks). Losses are modelled by their ranks within a data set, as normal scores (D. Salinas, H. Shen and
V. Perrone, "A quantile-based approach for hyperparameter transfer learning", ICML 2020, section 4): their scales
differ by orders of magnitude, and a prediction is never better than the best nor worse than the worst training.
The artefact holds the table itself, in 32 bits, and the hyperparameters: no trees, no network, no pickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from hptbench.errors import UserError
from hptbench.files import write_whole
from hptbench.learners import TaskType, find_learner
from hptbench.models.embedding import Embedding
from hptbench.models.gp import GP
from hptbench.space import Config, Floats, Space
from hptbench.spacefile import packaged_space

FORMAT = 1
ARTEFACT = "model.npz"
_TILE = 128
"""Rows that are predicted together, always so many: sums of another number of rows may differ in the last bits."""
_ARRAYS = ("losses", "costs", "by_loss", "by_cost", "noise")


@dataclass(frozen=True, eq=False)
class Group:
    """A learner on n data sets of one kind: c configurations at m fidelities, k metrics."""

    learner: str
    kind: TaskType
    metrics: tuple[str, ...]
    """The first one is the default."""
    data: tuple[str, ...]
    configs: tuple[Config, ...]
    levels: tuple[float, ...]
    """Fidelities, rising: shares of the training rows."""
    losses: Floats
    """(n, k, 2, m, c) on validation and on test rows."""
    costs: Floats
    """(n, m, c) seconds of processor time."""
    by_loss: Floats
    """Hyperparameters (``GP.theta``) of the processes of losses."""
    by_cost: Floats
    """Those of the processes of the logarithms of costs."""
    noise: Floats
    """(k, 2 m, 2 m) covariance of what the processes leave unexplained: normal scores, validation before test."""

    @property
    def space(self) -> Space:
        """The learner's search space."""
        return packaged_space(find_learner(self.learner).spaces[self.kind])


class Predicted(NamedTuple):
    """(n,) each."""

    validation: Floats
    """Loss at the fidelity asked for."""
    test: Floats
    full: Floats
    """Validation loss at full fidelity, without noise."""
    cost: Floats
    """Seconds."""


class Surface:
    """The losses of a learner on one data set, and what its trainings cost."""

    def __init__(self, group: Group, data: str, metric: str) -> None:
        i, j = group.data.index(data), group.metrics.index(metric)
        self._space, self._logs = group.space, np.log(group.levels)
        self._embed = Embedding(self._space, warp=True)
        x = self._embed(self._space.encode(group.configs))
        columns = group.losses[i, j].reshape(-1, len(group.configs)).T
        targets = scores(columns)
        self._losses = GP(x, targets, self._embed.inputs, group.by_loss)
        self._known = [np.unique(pair, axis=0).T for pair in np.stack([targets, columns], axis=2).transpose(1, 0, 2)]
        """Of each column, the scores that occur, rising, and the losses that have them."""
        times, self._mean, self._std = standardised_logs(group.costs[i].T)
        self._costs = GP(x, times, self._embed.inputs, group.by_cost)
        spread, axes = np.linalg.eigh(group.noise[j])
        self._root = axes * np.sqrt(np.maximum(spread, 0.0))

    @property
    def draws(self) -> int:
        """Standard normal numbers that make the noise of a trial."""
        return len(self._root)

    def __call__(self, u: Floats, fidelity: Floats, normal: Floats | None = None) -> Predicted:
        """For points (n, d) of the unit cube at fidelities (n,); ``normal`` (n, draws): the noise of each trial.

        Between two levels losses and logarithms of costs are linear in the logarithm of the fidelity. A row of the
        result does not depend on the other rows."""
        n, m = len(u), len(self._logs)
        means, times = np.empty((n, 2 * m)), np.empty((n, m))
        for first in range(0, n, _TILE):
            rows = slice(first, min(first + _TILE, n))
            x = self._embed(u[np.minimum(np.arange(first, first + _TILE), n - 1)])
            count = rows.stop - first
            means[rows], times[rows] = self._losses.mean(x)[:count], self._costs.mean(x)[:count]
        full = self._loss(means[:, m - 1], m - 1)
        if normal is not None:
            means = means + (normal[:, None, :] * self._root).sum(axis=2)
        losses = np.stack([self._loss(means[:, c], c) for c in range(2 * m)], axis=1)
        at = np.log(fidelity)
        cost = np.exp(self._between(times * self._std + self._mean, at))
        return Predicted(self._between(losses[:, :m], at), self._between(losses[:, m:], at), full, cost)

    def _loss(self, score: Floats, column: int) -> Floats:
        known, losses = self._known[column]
        return np.asarray(np.interp(score, known, losses))

    def _between(self, values: Floats, at: Floats) -> Floats:
        """(n,) of (n, m) values at the levels, those at logarithms (n,) of the fidelity."""
        right = np.clip(np.searchsorted(self._logs, at), 1, len(self._logs) - 1)
        rows, low, high = np.arange(len(at)), self._logs[right - 1], self._logs[right]
        share = np.clip((at - low) / (high - low), 0.0, 1.0)
        return np.asarray((1 - share) * values[rows, right - 1] + share * values[rows, right])


def scores(values: Floats) -> Floats:
    """(c, s) each column's ranks as quantiles of the normal distribution; equal values share one."""
    return np.asarray(ndtri((rankdata(values, axis=0) - 0.5) / len(values)))


def standardised_logs(costs: Floats) -> tuple[Floats, Floats, Floats]:
    """(c, m) logarithms with mean 0 and variance 1 by column, and (m,) the means and the standard deviations."""
    logs = np.log(costs)
    mean, std = logs.mean(axis=0), logs.std(axis=0)
    std = np.where(std > 0, std, 1.0)
    return (logs - mean) / std, mean, std


def save(groups: Sequence[Group], path: Path) -> None:
    """Write the artefact of a learner: arrays and JSON, no pickle. The same groups give the same bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    card = []
    for group in groups:
        for name in _ARRAYS:
            exact = name not in ("losses", "costs")
            arrays[f"{group.kind}/{name}"] = getattr(group, name).astype(np.float64 if exact else np.float32)
        card.append({
            "learner": group.learner, "kind": group.kind, "metrics": group.metrics, "data": group.data,
            "configs": group.configs, "levels": group.levels,
        })  # fmt: skip
    text = json.dumps({"format": FORMAT, "groups": card}, sort_keys=True)
    arrays["card"] = np.frombuffer(text.encode(), np.uint8)

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    write_whole(path, write)


Stamp = tuple[int, int]
"""Of a file: time of its last change, nanoseconds, and size. A file that was written anew has another one."""
_ANEW = "make it anew: python -m hptbench surrogate fit"


def stamp(path: Path) -> Stamp:
    """See :data:`Stamp`. UserError if there is no such file."""
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path}: expected a surrogate, got: {error}; {_ANEW}") from error
    return status.st_mtime_ns, status.st_size


def load(path: Path) -> Mapping[TaskType, Group]:
    """What :func:`save` wrote, by kind of task. UserError for a file that is none."""
    return _loaded(path, stamp(path))


@lru_cache(maxsize=16)
def _loaded(path: Path, _: Stamp) -> Mapping[TaskType, Group]:
    try:
        with np.load(path, allow_pickle=False) as file:
            card = json.loads(file["card"].tobytes().decode())
            if card["format"] != FORMAT:
                raise UserError(f"{path}: expected a surrogate of format {FORMAT}, got {card['format']}; {_ANEW}")
            return {one["kind"]: _group(file, one) for one in card["groups"]}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: expected a surrogate, got: {error}; {_ANEW}") from error


def _group(file: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> Group:
    losses, costs, by_loss, by_cost, noise = (file[f"{card['kind']}/{name}"].astype(float) for name in _ARRAYS)
    return Group(
        card["learner"], card["kind"], tuple(card["metrics"]), tuple(card["data"]), tuple(card["configs"]),
        tuple(card["levels"]), losses, costs, by_loss, by_cost, noise,
    )  # fmt: skip
