"""DyHPO: the race of all configurations, supervised by a deep kernel.

M. Wistuba, A. Kadra and J. Grabocka, "Supervising the multi-fidelity race of hyperparameter configurations", NeurIPS
2022, arXiv:2202.09774, Algorithm 1, with the defaults of the authors' code: a Gaussian process whose kernel sees the
configuration, the budget and the learning curve so far (:mod:`hptbench.models.deep_kernel`), and the multi-fidelity
expected improvement, EIMF, of one more step: over the best value at the step where it would end, or, where none was
observed there yet, over the best of all (equation 4).

Deviations from the authors' code:

- Candidates are the trials that can go on and ``pool`` new configurations (uniform draws and draws near the best), as
  the space is no table. The first configuration is a point of a Sobol sequence.
- Losses are standardised, not accuracies; the network sees curves as (worst - value) / (worst - best).
- A candidate's curve holds all its values, as in the paper; in the code the budgets of observations are one lower than
  those of candidates, and curves lack their last value.
- The first configuration is trained for ``first_steps`` steps before there is a model. There it is one, and until
  some trial has a second value, what the network makes of curves and budgets, and so whether it ever asks for one,
  is a matter of its random weights.
- Less training, with steps ten times as large (learning rate 0.01, there 0.001): the first ten trainings share out
  ``train_steps`` (300) and go on from each other, there each takes 1000 from new weights; later ones take
  ``refine_steps`` (30) once the data have grown by a tenth, there 50 with every value.
- A step of training takes ``batch`` observations (the code has the parameter, but takes all), and at most
  ``max_points`` condition the process: the latest values of each curve.
- Pending steps are believed to end at their predicted means. Failed trials count as the worst value seen.
- Categories are one-hot, inactive parameters in the middle (:mod:`hptbench.models.embedding`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._acquisition import log_h
from hptbench.methods._freeze_thaw import Curves, FreezeThaw, Integers
from hptbench.methods._surrogate import standardised
from hptbench.models.deep_kernel import WIDTH, DeepKernel, Rows
from hptbench.models.embedding import Embedding
from hptbench.protocol import Problem, Report, Traits
from hptbench.registry import method
from hptbench.space import Floats

_FIRST = 10
"""Trainings that share out ``train_steps``."""
_ANEW = 1.1
"""Growth of the data after which the network is refined."""
_PATIENCE = 1.2
"""Full trainings' worth of values without a new best one after which the network begins anew."""


@method("dyhpo")
@dataclass(frozen=True)
class DyHPO:
    """DyHPO: one more step for the configuration that a deep-kernel Gaussian process expects to improve most."""

    initial: int = 1
    """Configurations before the first model."""
    steps: int = 52
    """Steps of a full training, at most: epochs, if there are no more; where trainings begin anew with each step, the
    rungs of successive halving."""
    first_steps: int = 5
    """Steps of the first configuration before the first model."""
    train_steps: int = 300
    """Steps of Adam for a new network."""
    refine_steps: int = 30
    """Steps of Adam when it is refined."""
    learning_rate: float = 1e-2
    """Of Adam."""
    batch: int = 64
    """Observations per step of Adam."""
    pool: int = 256
    """New configurations that are looked at."""
    max_points: int = 300
    """Observations that the process is conditioned on."""
    traits: ClassVar[Traits] = Traits(fidelity=True, costly=True)

    def __post_init__(self) -> None:
        for name, least in (
            ("initial", 1), ("steps", 1), ("first_steps", 1), ("train_steps", _FIRST), ("refine_steps", 0),
            ("batch", 2), ("pool", 1), ("max_points", 10),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise UserError(f"expected dyhpo.{name} >= {least}, got {getattr(self, name)}")
        if not 0 < self.learning_rate < math.inf:
            raise UserError(f"expected dyhpo.learning_rate > 0, got {self.learning_rate}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(FreezeThaw):
    def __init__(self, method: DyHPO, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng, method.initial, method.steps, method.pool, method.max_points)
        self._method = method
        self._embed = Embedding(problem.space)
        self._model: DeepKernel | None = None
        self._trained, self._anew = 0, 0.0
        self._lowest = math.inf
        self._barren = 0.0
        """Values since the lowest one."""

    def tell(self, reports: Sequence[Report]) -> None:
        super().tell(reports)
        for report in reports:
            better = report.values[0] < self._lowest
            self._lowest = min(self._lowest, report.values[0])
            self._barren = 0.0 if better else self._barren + 1

    def scores(self, curves: Curves, pool: Floats) -> Floats:
        reached = curves.reached
        if reached.max() < min(self._method.first_steps, curves.steps):
            out = np.zeros(len(curves.frozen) + len(pool))
            out[: len(curves.frozen)] = reached[curves.frozen]
            return out
        y = standardised(curves.value)
        table = _table(curves)
        x = self._embed(curves.u)
        keep = latest(curves.trial, self._method.max_points)
        seen, y_seen = _rows(x, table, curves.trial[keep], curves.step[keep], curves.steps), y[keep]
        model = self._train(seen, y_seen, curves.steps)
        if len(curves.pending):
            row, step = curves.pending.T
            pending = _rows(x, table, row, step, curves.steps)
            believed, _ = model.predict(seen, y_seen, pending)
            seen = Rows(np.concatenate([seen.x, pending.x]), np.concatenate([seen.curve, pending.curve]))
            y_seen = np.concatenate([y_seen, believed])
        ends = np.concatenate([reached[curves.frozen] + 1, np.ones(len(pool), dtype=np.intp)])
        rows = _rows(
            np.concatenate([x[curves.frozen], self._embed(pool)]),
            np.concatenate([table[curves.frozen], np.zeros((len(pool), table.shape[1]))]),
            np.arange(len(ends)),
            ends,
            curves.steps,
        )
        mean, variance = model.predict(seen, y_seen, rows)
        best = np.full(curves.steps + 1, np.inf)
        np.minimum.at(best, curves.step, y)
        best[np.isinf(best)] = y.min()
        std = np.sqrt(variance)
        return log_h((best[ends] - mean) / std) + np.log(std)

    def _train(self, seen: Rows, y: Floats, steps: int) -> DeepKernel:
        method, n = self._method, self.observed
        if self._barren >= int(_PATIENCE * steps):
            self._model, self._barren = None, -math.inf  # once until a new best value comes
        if self._model is None:
            self._model, self._trained, self._anew = DeepKernel(seen.x.shape[1], self.rng), 0, 0.0
        if n >= self._anew:
            first = self._trained < _FIRST
            amount = method.train_steps // _FIRST if first else method.refine_steps
            self._model.train(seen, y, amount, method.learning_rate, method.batch, self.rng)
            self._trained += 1
            self._anew = n + 1 if first else _ANEW * n
        return self._model


def _table(curves: Curves) -> Floats:
    """(T, L) every curve as the network sees it: 0 for the worst value and where nothing was observed, 1 for the best;
    L is the longest curve's length, as far as the convolution allows."""
    out = np.zeros((len(curves.u), max(int(curves.step.max()), WIDTH)))
    worst, best = curves.value.max(), curves.value.min()
    out[curves.trial, curves.step - 1] = (worst - curves.value) / (worst - best) if worst > best else 0.0
    return out


def _rows(x: Floats, table: Floats, trial: Integers, step: Integers, steps: int) -> Rows:
    """Observations, or candidates, of the trials in these rows after these steps, of ``steps``: what was seen before
    them."""
    before = np.arange(table.shape[1]) < step[:, None] - 1
    return Rows(np.column_stack([x[trial], step / steps]), np.where(before, table[trial], 0.0))


def latest(trial: Integers, most: int) -> Integers:
    """Positions of at most ``most`` observations, rising: those that the fewest of their trial follow; among equals
    the trials that were told of last."""
    if len(trial) <= most:
        return np.arange(len(trial))
    ends = np.searchsorted(trial, trial, "right")
    after = ends - np.arange(len(trial))
    return np.sort(np.lexsort([-trial, after])[:most])
