"""Tuning a recommender: matrix factorisation of ratings (explicit) or of choices (implicit feedback)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from hptbench import rng
from hptbench.errors import UserError, unknown
from hptbench.learners import quiet_single_thread
from hptbench.protocol import COMPUTED, JSON, Fidelity, Job, Outcome, Point, Status
from hptbench.recommenders import Factors, Feedback, Interactions, Recommender, find_recommender
from hptbench.registry import task
from hptbench.space import Space
from hptbench.tasks import _interactions, _ranking
from hptbench.tasks._jobs import hidden_scores, lost_since
from hptbench.tasks._space import resolved

_METRICS: Mapping[Feedback, Mapping[str, Any]] = {"explicit": _ranking.RATINGS, "implicit": _ranking.RANKINGS}
_KEPT = 3
"""A user with fewer than so many times ``leave_out`` interactions only trains."""
_BLOCK = 1024
"""Users ranked at once, which bounds the memory."""


class Parts(NamedTuple):
    """The interactions of a task, of the same users and items."""

    training: Interactions
    validation: Interactions
    test: Interactions


@task("recommender")
@dataclass(frozen=True)
class RecommenderTask:
    """Matrix factorisation of ratings or choices, trained sweep by sweep, with interactions of each user held out.

    Of each user with at least three times as many interactions, ``leave_out`` random ones validate, as many test, and
    the rest train; the others only train. Which, depends on the data set's name and ``split`` alone. What is told is
    the score on the validation interactions. ``hidden`` holds the same model's scores on those that test: ``test``
    in the task's metric, ``test_<metric>`` in all, and ``validation_<metric>``. Where they cannot be computed, the
    message says why; the job stays ok. Nothing is trained again.

    Ratings are predicted within the range of the training ratings. Rankings are of all items that the user has not
    trained with; for the test scores also without those that validate. ``cost`` is the time of training and
    validation, without making a lost state again.
    """

    constraints: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    measured: ClassVar[bool] = True

    data: str
    """Name of synthetic interactions (``hptbench/tasks/_interactions.py``), or of those in ``path``."""
    model: str
    path: str | None = None
    """A parquet file with the columns user, item and rating; its content counts, not its place. Without ratings all
    are 1 (implicit); several rows of a pair are added up (implicit)."""
    metric: str = ""
    """rmse, mae (explicit); ndcg_error, recall_error (implicit), which are 1 - score. Default: the first."""
    leave_out: int = 3
    cutoff: int = 10
    """How many items are recommended (implicit)."""
    split: int = 0
    low: int | None = None
    """Fewest epochs or sweeps; None: the model's."""
    high: int | None = None
    space: Space = None  # type: ignore[assignment]
    """Also the parameters of a space as in YAML, or None for the packaged one of the model. May lack parameters,
    which then keep the model's defaults."""

    def __post_init__(self) -> None:
        feedback = _interactions.feedback_of(self.data, self.path)
        if feedback not in (None, self._model.feedback):
            raise UserError(
                f"expected a model of {feedback} feedback for {self.data!r}, got {self.model!r}, whose feedback is "
                f"{self._model.feedback}; choose another model"
            )
        if self.metric and self.metric not in self._metrics:
            raise unknown(f"metric of {self._model.feedback} feedback", self.metric, self._metrics)
        for name in ("leave_out", "cutoff"):
            if getattr(self, name) < 1:
                raise UserError(f"expected {name} >= 1, got {getattr(self, name)}")
        low, high = self.fidelity.low, self.fidelity.high
        if not (float(low).is_integer() and float(high).is_integer()):
            raise UserError(f"expected whole numbers ({self.fidelity.unit}), got low={low}, high={high}")
        object.__setattr__(self, "space", resolved(self.space, self._model.space, self.model))

    # what the task is

    @property
    def name(self) -> str:
        return f"{self.data}-{self.model}" + (f"-s{self.split}" if self.split else "")

    @property
    def unit(self) -> str:
        return self.data

    @property
    def licence(self) -> str | None:
        return COMPUTED if self.path is None else None

    @property
    def objectives(self) -> tuple[str, ...]:
        return (self.metric or next(iter(self._metrics)),)

    @property
    def fidelity(self) -> Fidelity:
        natural = self._model.fidelity
        low = natural.low if self.low is None else self.low
        return replace(natural, low=low, high=natural.high if self.high is None else self.high)

    def identity(self) -> Mapping[str, JSON]:
        """UserError if the interactions cannot be used."""
        settings = ("data", "model", "leave_out", "cutoff", "split")
        key = self.data, self.path, self._model.feedback
        return {name: getattr(self, name) for name in settings} | {
            "metric": self.objectives[0],
            "low": self.fidelity.low,
            "high": self.fidelity.high,
            "sha256": _interactions.fingerprint(*key),
        }

    @classmethod
    def space_name(cls, model: str, **_: Any) -> str:
        """Which packaged space a task with these fields has: the key under ``spaces`` of a suite."""
        return find_recommender(model).space

    # evaluation

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job. UserError if the interactions cannot be used; a training that raises, raises."""
        parts = _parts(self.data, self.path, self._model.feedback, self.leave_out, self.split)
        with quiet_single_thread():
            return [self._evaluate(job, parts) for job in jobs]

    def _evaluate(self, job: Job, parts: Parts) -> Outcome:
        model, lost = lost_since(job)
        for earlier in lost:
            model = self._train(earlier, model, parts)
        began = time.perf_counter()
        model = self._train(job, model, parts)
        scores = self._score(model, parts.training, parts.validation, ())
        cost = time.perf_counter() - began
        hidden, message = hidden_scores(
            lambda: self._score(model, parts.training, parts.test, (parts.validation,)), scores, self.objectives[0]
        )
        hidden |= {f"validation_{name}": score for name, score in scores.items()}
        return Outcome(Status.OK, (Point(job.stop, (scores[self.objectives[0]],)),), cost, hidden, model, message)

    def _train(self, job: Job, before: Factors | None, parts: Parts) -> Factors:
        segment = int(job.start), int(job.stop)
        return self._model.train(job.proposal.config, job.seed, parts.training, *segment, before)

    def _score(
        self, model: Factors, training: Interactions, held: Interactions, also_seen: Sequence[Interactions]
    ) -> dict[str, float]:
        """Every metric on the held-out interactions; NaN for a model that is not finite."""
        if self._model.feedback == "explicit":
            predicted = model.of_pairs(held.users, held.items)
            args = held.values, np.clip(predicted, training.values.min(), training.values.max())
        else:
            if not all(np.isfinite(part).all() for part in model):
                return dict.fromkeys(self._metrics, math.nan)
            args = _ranked(model, (training, *also_seen), held, self.cutoff)
        return {name: metric(*args) for name, metric in self._metrics.items()}

    # what the fields stand for

    @property
    def _model(self) -> Recommender:
        return find_recommender(self.model)

    @property
    def _metrics(self) -> Mapping[str, Any]:
        return _METRICS[self._model.feedback]


def _ranked(model: Factors, seen: Sequence[Interactions], held: Interactions, cutoff: int) -> tuple[Any, Any]:
    """(users, cutoff) hits among each user's best unseen items, and (users,) how many were held out."""
    users = np.unique(held.users)
    found = []
    for at in range(0, len(users), _BLOCK):
        block = users[at : at + _BLOCK]
        allowed, chosen = (np.full((len(block), held.n_items), fill) for fill in (True, False))
        for part, mask, value in [*((one, allowed, False) for one in seen), (held, chosen, True)]:
            row = np.searchsorted(block, part.users)
            there = block[np.minimum(row, len(block) - 1)] == part.users
            mask[row[there], part.items[there]] = value
        found.append(_ranking.hits(model.of_users(block), allowed, chosen, cutoff))
    return np.concatenate(found), np.bincount(held.users)[users].astype(np.float64)


@lru_cache(maxsize=16)
def _parts(data: str, path: str | None, feedback: Feedback, leave_out: int, split: int) -> Parts:
    whole = _interactions.load(data, path, feedback)
    draw = rng.stream(rng.entropy("recommender", data, split))
    order = np.lexsort((draw.random(len(whole.users)), whole.users))
    many = np.bincount(whole.users, minlength=whole.n_users)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.repeat(np.cumsum(many) - many, many)
    held = (many >= _KEPT * leave_out)[whole.users]
    if not held.any():
        raise UserError(
            f"interactions {data!r}: expected a user with at least {_KEPT * leave_out}, got at most "
            f"{many.max(initial=0)} of one; set leave_out lower"
        )
    test, validation = held & (place < leave_out), held & (place >= leave_out) & (place < 2 * leave_out)
    return Parts(whole.take(~test & ~validation), whole.take(validation), whole.take(test))
