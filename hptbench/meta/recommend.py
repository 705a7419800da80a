"""Recommended configurations for a user's own data set: ``hptbench.recommend``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hptbench.errors import UserError
from hptbench.learners import TaskType, learners
from hptbench.meta._recommender import ordered
from hptbench.meta.adaptive import Adaptive, adapted
from hptbench.meta.advice import CONFIGS, Gain, Reason, advise, gains, reasons
from hptbench.meta.artefact import Trained, load
from hptbench.meta.code import code
from hptbench.meta.features import Features, features
from hptbench.meta.frames import Cleaned, cleaned
from hptbench.meta.past import Past, joined
from hptbench.protocol import Advice
from hptbench.space import Config, Floats

if TYPE_CHECKING:
    import pandas as pd

_NEAREST = 5
MOST = 25


@dataclass(frozen=True)
class Ranked:
    """A recommended configuration."""

    learner: str
    config: Config
    gain: Gain
    """What is to be expected of it against the learner's default."""
    code: str
    """Ready to paste: from ``X`` and ``y`` to a fitted ``model``."""


Result: TypeAlias = tuple[Ranked, float]
"""What was tried, and its validation loss."""


@dataclass(frozen=True)
class Recommendation:
    """What is recommended for a data set, and why."""

    kind: TaskType
    metric: str
    """The loss that the gains are of."""
    shape: tuple[int, int]
    """Rows and columns that were learnt from."""
    ranked: tuple[Ranked, ...]
    """The first to try first."""
    nearest: Mapping[str, float]
    """The past data sets that count most -> their weight."""
    reasons: tuple[Reason, ...]
    """The meta-features that matter most."""
    notes: tuple[str, ...]
    """What was changed of the data set, and which meta-features it lacks."""
    advice: Mapping[str, Advice]
    """Learner -> what methods can begin with."""

    @property
    def configs(self) -> list[Config]:
        """The recommended configurations."""
        return [dict(one.config) for one in self.ranked]

    def to_json(self) -> dict[str, Any]:
        """All of it but the past tasks, as JSON; no NaN in it."""
        whole = {key: value for key, value in asdict(self).items() if key != "advice"}
        whole["prior"] = {learner: advice.prior for learner, advice in self.advice.items()}
        whole["ranges"] = {learner: advice.ranges for learner, advice in self.advice.items()}
        out: dict[str, Any] = _without_nan(whole)
        return out


def recommend(
    X: pd.DataFrame | Floats,
    y: Sequence[Any],
    learner: str | None = None,
    n: int = CONFIGS,
    kind: str | None = None,
    results: Sequence[Result] = (),
) -> Recommendation:
    """The ``n`` configurations to try first on a data set, of one learner, or of whichever are expected to do best.

    ``X``: a data frame or an array (rows, columns); ``y``: the target, (rows,). ``kind``: classification or regression;
    None: what the target looks like. ``results``: those of ``ranked`` that have been tried, with their validation
    losses, +inf for failures; what is recommended next follows them and is none of them. Takes a few seconds on any
    data set; nothing is sent anywhere. UserError, in one sentence, for data sets that nothing can be said about."""
    import pandas as pd

    frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X))
    name = "target"
    while name in map(str, frame.columns):
        name += "_"
    target = np.asarray(y)
    if target.ndim != 1 or len(target) != len(frame):
        raise UserError(f"expected as many targets as rows, ({len(frame)},), got {target.shape}")
    return Advisor(cleaned(frame.assign(**{name: target}), name, kind), learner).recommend(n, results)


class Advisor:
    """What can be recommended for a data set, of one learner or of several: see :func:`recommend`."""

    def __init__(self, data: Cleaned, learner: str | None = None, trained: Trained | None = None) -> None:
        self.data, self._learner, self._trained = data, learner, trained or load()
        self._found = features(data.table)
        pasts = [self._trained.past(learner, data.kind)] if learner else _comparable(self._trained, data.kind)
        self._past, self._place = joined(pasts)
        self._pasts, self._auto = pasts, self._trained.autos[data.kind]
        missing = [] if learner else [one for one in self._trained.learners(data.kind) if not learners()[one].installed]
        self._left_out = tuple(
            f'{one} is not installed and left out; pip install "hptbench[boosting]"' for one in missing
        )
        self._x = np.array([self._found.values.get(name, math.nan) for name in self._past.names])
        self._weights = self._auto.weights(self._past, self._x)
        self._own = [self._auto.weights(one, self._x) for one in pasts]

    def recommend(self, n: int, results: Sequence[Result] = ()) -> Recommendation:
        """The ``n`` configurations to try next when the ``results`` are known."""
        if not 1 <= n <= MOST:
            raise UserError(f"expected 1 to {MOST} configurations, got {n}")
        pasts, place, past, x = self._pasts, self._place, self._past, self._x
        tried, losses = [self._number(one) for one, _ in results], [_loss(loss) for _, loss in results]
        if len(set(tried)) < len(tried):
            raise UserError("expected one result of each configuration, got two of one; keep one of them")
        strength = Adaptive().strength
        weights = adapted(past, self._weights, tried, losses, strength)
        own = []
        for i, one in enumerate(pasts):
            its = [k for k, c in enumerate(tried) if place[c][0] == i]
            known = [place[tried[k]][1] for k in its], [losses[k] for k in its]
            own.append(adapted(one, self._own[i], *known, strength))
        expected = [gains(pasts[i], own[i], c) for i, c in place]
        # among several learners, a complement that its learner's own default would beat is none
        worth = None if self._learner else np.array([gain.middle >= 0 for gain in expected])
        order = ordered(past.losses, weights, n + len(tried), worth, np.array(tried, np.intp))[len(tried) :]
        if not len(order):
            raise UserError(f"expected a configuration that was not tried yet, got results of all {len(tried)}")
        ranked = []
        for i in order:
            one, c, gain = pasts[place[i][0]], place[i][1], expected[i]
            ranked.append(Ranked(one.learner, one.configs[c], gain, code(one.learner, one.configs[c], self.data.table)))
        positive = np.maximum(weights, 0) / np.maximum(weights, 0).sum()
        near = np.argsort(-positive, kind="stable")[:_NEAREST]
        used = list(dict.fromkeys(one.learner for one in ranked))
        data = self.data
        return Recommendation(
            data.kind, past.metric, (len(data.table), data.table.X.shape[1]), tuple(ranked),
            {past.data[i]: float(positive[i]) for i in near}, tuple(reasons(past, x)),
            (*data.notes, *self._left_out, *_lacking(self._found, past)),
            {name: advise(self._trained.past(name, data.kind), self._auto, x, n) for name in used},
        )  # fmt: skip

    def _number(self, one: Ranked) -> int:
        """Of a configuration among all that may be recommended."""
        for number, (i, c) in enumerate(self._place):
            past = self._pasts[i]
            if past.learner == one.learner and past.configs[c] == one.config:
                return number
        raise UserError(
            f"expected results of configurations that were recommended, got one of {one.learner} "
            f"{dict(one.config)}; give those of Recommendation.ranked, as they are"
        )


def _loss(loss: float) -> float:
    if math.isnan(loss):
        raise UserError(
            "expected losses of results to be numbers, or inf for failures, got nan; leave out what was not tried"
        )
    return float(loss)


def _comparable(trained: Trained, kind: TaskType) -> list[Past]:
    """The pasts of the installed learners of a kind with the most frequent metric."""
    of_kind = [trained.past(name, kind) for name in trained.learners(kind) if learners()[name].installed]
    [(metric, _)] = Counter(past.metric for past in of_kind).most_common(1)
    return [past for past in of_kind if past.metric == metric]


def _lacking(found: Features, past: Past) -> list[str]:
    """Which of the meta-features that count the data set lacks, by reason."""
    missing = Counter(found.reasons[name] for name in past.compared if name in found.reasons)
    return [f"{count} meta-features are not defined and count as usual: {why}" for why, count in missing.items()]


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
