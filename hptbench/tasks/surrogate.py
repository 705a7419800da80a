"""Learners on data sets, from surrogates that were fitted to tables of trainings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.learners import FRACTION
from hptbench.paths import surrogates_dir
from hptbench.protocol import JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.registry import task
from hptbench.rng import entropy, stream
from hptbench.space import Space
from hptbench.tasks._surrogates import ARTEFACT, Group, Stamp, Surface, load, stamp


@task("surrogate")
@dataclass(frozen=True)
class SurrogateTask:
    """Asks a model of a table of trainings: of a learner on a data set, with test scores that no method sees.

    The model is a Gaussian process per data set (:mod:`hptbench.tasks._surrogates`); how well it ranks configurations
    that it never saw is in the learner's ``card.yaml``. The fidelity is the share of the training rows; a training does
    not go on: every segment starts anew. ``cost`` is predicted processor time, seconds, without noise.

    ``noise``: what the model leaves unexplained is drawn once for each trial, for validation and test loss and all
    fidelities together, with the covariance that the table's residuals have. Another trial of the same configuration
    sees another value. ``hidden``: ``value``, the validation loss at full fidelity without noise, and ``test``, the
    loss on test rows at the level reached, with its noise.
    """

    data: str
    """Name of a data set."""
    learner: str
    """Name of a folder of surrogates."""
    metric: str = ""
    """A loss of the surrogate: log_loss, error, auc_error; rmse, mae. Default: the first one that there is."""
    noise: bool = True
    """Else equal configurations are equal."""
    path: str | None = None
    """Folder of surrogates; None: those that come with hptbench."""

    constraints: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    measured: ClassVar[bool] = False

    def __post_init__(self) -> None:
        folder = self._folder.parent
        if not self._artefact.is_file():
            there = [file.parent.name for file in folder.glob(f"*/{ARTEFACT}")]
            raise unknown(f"surrogate of {folder}", self.learner, there)
        groups = load(self._artefact).values()
        if not any(self.data in group.data for group in groups):
            raise unknown(f"data set of the surrogate {self.learner}", self.data, [d for g in groups for d in g.data])
        if not isinstance(self.noise, bool):
            raise UserError(f"expected noise to be true or false, got {self.noise!r}")
        if self.metric and self.metric not in self._group.metrics:
            raise unknown(f"metric of {self.data}", self.metric, self._group.metrics)
        object.__setattr__(self, "metric", self.metric or self._group.metrics[0])

    @property
    def name(self) -> str:
        other = "" if self.metric == self._group.metrics[0] else f"-{self.metric}"
        return f"surrogate-{self.data}-{self.learner}{other}{'' if self.noise else '-exact'}"

    @property
    def unit(self) -> str:
        return self.data

    @property
    def licence(self) -> str | None:
        """Of the surrogate, as its card states it; the data set is no part of it."""
        import yaml

        card = self._folder / "card.yaml"
        stated = yaml.safe_load(card.read_text(encoding="utf-8")).get("licence") if card.is_file() else None
        return f"{stated} (the surrogate)" if stated else None

    @property
    def space(self) -> Space:
        return self._group.space

    @property
    def objectives(self) -> tuple[str, ...]:
        return (self.metric,)

    @property
    def fidelity(self) -> Fidelity:
        levels = self._group.levels
        return Fidelity(levels[0], levels[-1], FRACTION.unit, integer=False)

    @property
    def optimum(self) -> None:
        """Not known."""

    def identity(self) -> dict[str, JSON]:
        return {
            "data": self.data, "learner": self.learner, "metric": self.metric, "noise": self.noise,
            "sha256": _sha256(self._artefact, stamp(self._artefact)),
        }  # fmt: skip

    @property
    def surface(self) -> Surface:
        """The model, for arrays of points."""
        return _surface(self._artefact, stamp(self._artefact), self.data, self.metric)

    @property
    def _folder(self) -> Path:
        return (Path(self.path).expanduser() if self.path else surrogates_dir()) / self.learner

    @property
    def _artefact(self) -> Path:
        return self._folder / ARTEFACT

    @property
    def _group(self) -> Group:
        return next(group for group in load(self._artefact).values() if self.data in group.data)

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        if not jobs:
            return []
        surface = self.surface
        u = self.space.encode([job.proposal.config for job in jobs])
        normal = None
        if self.noise:
            streams = [stream(entropy(*job.seed, "surrogate")) for job in jobs]
            normal = np.stack([one.standard_normal(surface.draws) for one in streams])
        found = surface(u, np.array([job.stop for job in jobs]), normal)
        return [
            Outcome(Status.OK, (Point(job.stop, (seen,)),), cost, {"value": full, "test": test})
            for job, seen, test, full, cost in zip(jobs, *(part.tolist() for part in found), strict=True)
        ]


@lru_cache(maxsize=64)
def _surface(artefact: Path, _: Stamp, data: str, metric: str) -> Surface:
    group = next(group for group in load(artefact).values() if data in group.data)
    return Surface(group, data, metric)


@lru_cache(maxsize=16)
def _sha256(artefact: Path, _: Stamp) -> str:
    return hashlib.sha256(artefact.read_bytes()).hexdigest()
