"""Measures of classification and regression, all as losses: for a score s (accuracy, AUC, F1, R²) it is 1 − s.

``y`` is (n,) classes 0 .. K-1 or numbers. ``p`` is (n, K) probabilities, or any scores per class of which the largest
says the predicted class; or (n,) predicted numbers. They equal scikit-learn's functions (the tests compare them), but
take microseconds: every trial computes all of them, twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown
from hptbench.learners import TaskType
from hptbench.space import Floats

Loss: TypeAlias = Callable[[NDArray[Any], Floats], float]

QUANTILE = 0.9
"""Of the pinball loss: predicting too little costs nine times what predicting too much does."""
_CLIP = 1e-15
"""Smallest probability in the logarithmic loss."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure by name."""

    name: str
    """Of the loss; what is told, logged and minimised."""
    loss: Loss
    score: str = ""
    """Its name in the literature if that is a score, 1 − loss; accepted as a name, too."""
    probabilities: bool = False
    """Needs probabilities of classes."""


def _error(y: NDArray[Any], p: Floats) -> float:
    return float(np.mean(p.argmax(axis=1) != y))


def _balanced_error(y: NDArray[Any], p: Floats) -> float:
    """1 − mean recall of the classes that occur in ``y``."""
    right, total = (np.bincount(labels, minlength=p.shape[1]) for labels in (y[p.argmax(axis=1) == y], y))
    there = total > 0
    return float(1.0 - np.mean(right[there] / total[there]))


def _f1_error(y: NDArray[Any], p: Floats) -> float:
    """1 − mean F1 (macro) of the classes that occur in ``y`` or are predicted."""
    guess, k = p.argmax(axis=1), p.shape[1]
    right, guessed, total = (np.bincount(labels, minlength=k) for labels in (y[guess == y], guess, y))
    there = guessed + total > 0
    return float(1.0 - np.mean(2 * right[there] / (guessed + total)[there]))


def _auc_error(y: NDArray[Any], p: Floats) -> float:
    """1 − area under the ROC curve; of several classes the mean over those that occur, each against the rest. NaN
    where only one class occurs."""
    areas = []
    for label in range(1 if p.shape[1] == 2 else 0, p.shape[1]):
        is_label = y == label
        positive, negative = p[is_label, label], np.sort(p[~is_label, label])
        if len(positive) and len(negative):
            # the statistic of Mann and Whitney: pairs (positive, negative) in the right order, ties half
            below = (
                np.searchsorted(negative, positive, "left").sum() + np.searchsorted(negative, positive, "right").sum()
            )
            areas.append(below / 2 / (len(positive) * len(negative)))
    return float(1.0 - np.mean(areas)) if areas else math.nan


def _log_loss(y: NDArray[Any], p: Floats) -> float:
    return float(-np.mean(np.log(np.clip(p[np.arange(len(y)), y], _CLIP, 1.0))))


def _brier(y: NDArray[Any], p: Floats) -> float:
    """Half the squared distance to the vertex of the true class (Brier, 1950): 0 to 1, for two classes (p − y)²."""
    return float(((p**2).sum(axis=1) - 2 * p[np.arange(len(y)), y] + 1.0).mean() / 2)


def _rmse(y: NDArray[Any], p: Floats) -> float:
    return float(np.sqrt(np.mean((y - p) ** 2)))


def _mae(y: NDArray[Any], p: Floats) -> float:
    return float(np.mean(np.abs(y - p)))


def _r2_error(y: NDArray[Any], p: Floats) -> float:
    """Residual over total sum of squares. NaN where ``y`` is constant."""
    total = float(((y - y.mean()) ** 2).sum())
    return float(((y - p) ** 2).sum()) / total if total > 0 else math.nan


def _pinball(y: NDArray[Any], p: Floats) -> float:
    return float(np.mean(np.maximum(QUANTILE * (y - p), (QUANTILE - 1) * (y - p))))


METRICS: Mapping[TaskType, tuple[Metric, ...]] = {
    "classification": (
        Metric("error", _error, "accuracy"),
        Metric("balanced_error", _balanced_error, "balanced_accuracy"),
        Metric("log_loss", _log_loss, probabilities=True),
        Metric("auc_error", _auc_error, "auc"),
        Metric("f1_error", _f1_error, "f1"),
        Metric("brier", _brier, probabilities=True),
    ),
    "regression": (
        Metric("rmse", _rmse),
        Metric("mae", _mae),
        Metric("r2_error", _r2_error, "r2"),
        Metric("pinball", _pinball),
    ),
}


def measured(metrics: Sequence[Metric], y: NDArray[Any], p: Floats) -> dict[str, float]:
    """Metric -> loss; all NaN if a prediction is no finite number."""
    finite = bool(np.isfinite(p).all())
    return {metric.name: metric.loss(y, p) if finite else math.nan for metric in metrics}


def defined(name: str, y: NDArray[Any]) -> bool:
    """Whether a metric has a value on these rows, whatever is predicted."""
    return name not in ("auc_error", "r2_error") or bool((y != y[0]).any())


def computable(kind: TaskType, probabilities: bool) -> tuple[Metric, ...]:
    """What can be computed of a learner that predicts probabilities, or does not."""
    return tuple(m for m in METRICS[kind] if probabilities or not m.probabilities)


def objectives(kind: TaskType, names: str | Sequence[str], learner: str, probabilities: bool) -> tuple[str, ...]:
    """The losses behind one name or several; by default log_loss (error without probabilities) or rmse.

    UserError for a name that is none, that comes twice, or that the learner cannot be measured by."""
    chosen = [names] if isinstance(names, str) else list(names)
    if chosen in ([], [""]):
        default = "rmse" if kind == "regression" else "log_loss" if probabilities else "error"
        return (default,)
    found = []
    for name in chosen:
        metric = next((m for m in METRICS[kind] if name and name in (m.name, m.score)), None)
        if metric is None:
            raise unknown(f"metric of a {kind} task", name, [m.score or m.name for m in METRICS[kind]])
        if metric.probabilities and not probabilities:
            other = ", ".join(m.score or m.name for m in computable(kind, probabilities))
            raise UserError(f"metric {name} needs probabilities, which {learner} has not; set metric to one of {other}")
        if metric.name in found:
            raise UserError(f"expected different metrics, got {metric.name} twice in {chosen}")
        found.append(metric.name)
    return tuple(found)
