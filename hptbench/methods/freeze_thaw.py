"""Freeze-thaw Bayesian optimisation.

K. Swersky, J. Snoek and R. P. Adams, "Freeze-thaw Bayesian optimization", 2014, arXiv:1406.3896: all learning curves
are one Gaussian process (:mod:`hptbench.models.freeze_thaw`), and the next step of training goes where it is expected
to tell most about which configuration has the lowest asymptote (Algorithm 1): among a basket of the trials and of the
new configurations with the greatest expected improvement, one more value is fantasised for each, and the entropy of the
distribution over where the minimum is (P_min) is compared before and after.

Deviations from the paper, whose code was not published:

- Hyperparameters at the posterior's mode, not slice-sampled, with the prior over length scales of the method ``gp``;
  they are fitted again when the values have grown by a fifth. Inputs are not warped.
- A curve's kernel has a scale of its own (the paper's is 1 before the values are scaled).
- The fantasised values are at evenly spaced quantiles, not drawn; P_min is estimated from the same draws before and
  after, so that noise cancels.
- New configurations for the basket come from a fixed number of draws, not from optimising the expected improvement.
- Values are transformed towards a normal distribution, as in the method ``gp``; the model sees at most ``max_trials``.
- Pending steps are believed to end at their predicted means. Failed trials count as the worst value seen.
- A training ends at the task's highest fidelity. Trials that are finished or running stay in the basket, but cannot be
  chosen. Where no step tells anything (P_min is certain), the greatest expected improvement decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import ndtri

from hptbench.errors import UserError
from hptbench.methods._acquisition import log_h
from hptbench.methods._freeze_thaw import Curves, FreezeThaw
from hptbench.methods._surrogate import transformed
from hptbench.models.embedding import Embedding
from hptbench.models.freeze_thaw import Data, FreezeThawGP, fit
from hptbench.models.gp import cholesky
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Floats

_ANEW = 1.2
"""Growth of the data after which hyperparameters are fitted again."""


@method("freeze_thaw")
@dataclass(frozen=True)
class FreezeThawBO:
    """Freeze-thaw Bayesian optimisation: trains on, step by step, what may turn out to be best."""

    initial: int = 5
    """Configurations of a Sobol sequence that are trained for one step before the first model."""
    steps: int = 50
    """Steps of a full training, at most: epochs, if there are no more; where trainings begin anew with each step, the
    rungs of successive halving."""
    old: int = 10
    """Trials in the basket (B_old)."""
    new: int = 3
    """New configurations in the basket (B_new)."""
    fantasies: int = 5
    """Values that are fantasised per candidate (n_fant)."""
    draws: int = 500
    """Draws of the asymptotes from which P_min is estimated."""
    pool: int = 256
    """New configurations that are looked at."""
    max_trials: int = 300
    """The model sees no more trials: half of them the best, half the latest of the others."""
    traits: ClassVar[Traits] = Traits(fidelity=True, costly=True)

    def __post_init__(self) -> None:
        for name in ("initial", "steps", "old", "new", "fantasies", "draws", "pool", "max_trials"):
            if getattr(self, name) < 1:
                raise UserError(f"expected freeze_thaw.{name} >= 1, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(FreezeThaw):
    def __init__(self, method: FreezeThawBO, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng, method.initial, method.steps, method.pool, method.max_trials)
        self._method = method
        self._embed = Embedding(problem.space)
        self._theta: Floats | None = None
        self._anew = 0.0

    def scores(self, curves: Curves, pool: Floats) -> Floats:
        values = transformed(curves.value)
        model, rows = self._model(curves, values)
        if len(curves.pending):
            x = self._embed(curves.u)
            means = [model.predict(rows.get(row), x[row], step)[0] for row, step in curves.pending.tolist()]
            model, rows = self._given(curves.u, *curves.with_pending(values, np.array(means)))
        return self._information(model, rows, curves, pool)

    def _model(self, curves: Curves, values: Floats) -> tuple[FreezeThawGP, dict[int, int]]:
        """The model of what was observed, and the row in its data of each trial that has a value."""
        if self._theta is None or self.observed >= self._anew:
            data, _ = _data(self._embed(curves.u), curves.trial, curves.step, values)
            self._theta = fit(data, self._embed.inputs, () if self._theta is None else (self._theta,)).theta
            self._anew = _ANEW * self.observed
        return self._given(curves.u, curves.trial, curves.step, values)

    def _given(
        self, u: Floats, trial: np.ndarray, step: np.ndarray, values: Floats
    ) -> tuple[FreezeThawGP, dict[int, int]]:
        assert self._theta is not None
        data, rows = _data(self._embed(u), trial, step, values)
        return FreezeThawGP(data, self._embed.inputs, self._theta), rows

    def _information(self, model: FreezeThawGP, rows: dict[int, int], curves: Curves, pool: Floats) -> Floats:
        """Algorithm 1: the expected gain of information; -inf outside of the basket."""
        method, frozen = self._method, curves.frozen
        known = np.array(list(rows), dtype=np.intp)
        x = np.concatenate([self._embed(curves.u[known]), self._embed(pool)])
        mean, variance = model.asymptotes(x)
        std = np.sqrt(variance)
        improvement = log_h((mean[: len(known)].min() - mean) / std) + np.log(std)
        order = np.argsort(-improvement, kind="stable")
        old, new = order[order < len(known)][: method.old], order[order >= len(known)][: method.new]
        basket = np.concatenate([old, new])
        reached = curves.reached
        place = {int(row): i for i, row in enumerate(frozen)}
        candidates, where = [], []
        for i, at in enumerate(basket.tolist()):
            row = int(known[at]) if at < len(known) else None
            if row is None or row in place:
                given = model.given_asymptote(None, 1.0) if row is None else model.given_asymptote(
                    rows[row], reached[row] + 1.0
                )  # fmt: skip
                candidates.append((i, *given[1:]))
                where.append(len(frozen) + at - len(known) if row is None else place[row])
        out = np.full(len(frozen) + len(pool), -np.inf)
        if candidates:
            normal = self.rng.standard_normal((method.draws, len(basket)))
            gains = information(*model.joint(x[basket]), candidates, method.fantasies, normal)
            out[where] = gains + 1e-9 * improvement[basket[[i for i, _, _ in candidates]]]  # where gains are equal
        return out


def _data(x: Floats, trial: np.ndarray, step: np.ndarray, values: Floats) -> tuple[Data, dict[int, int]]:
    """The data of the trials that have a value, and their rows in it."""
    known, rows = np.unique(trial, return_inverse=True)
    return Data(x[known], rows, step.astype(float), values), {int(row): i for i, row in enumerate(known)}


def information(
    mean: Floats, covariance: Floats, candidates: list[tuple[int, float, float]], fantasies: int, normal: Floats
) -> Floats:
    """By how much one more value of each candidate is expected to reduce the entropy of P_min, nats.

    ``mean``, (b,), and ``covariance`` of the basket's asymptotes; a candidate is (i, b, v): its value is normal with
    the slope b in asymptote i and the variance v. ``normal``: (draws, b) standard normal draws."""
    before = _entropies(mean + normal @ cholesky(covariance).T)
    steps = ndtri((np.arange(fantasies) + 0.5) / fantasies)[:, None, None]
    out = []
    for i, slope, variance in candidates:
        by_f = slope * covariance[i]
        total = slope * by_f[i] + variance
        draws = mean + normal @ cholesky(covariance - np.outer(by_f, by_f) / total).T
        out.append(float(before - _entropies(draws + steps * (by_f / np.sqrt(total))).mean()))
    return np.array(out)


def _entropies(draws: Floats) -> Floats:
    """(...) of the distributions over which column of (..., draws, b) is the least."""
    b = draws.shape[-1]
    least = draws.argmin(axis=-1).reshape(-1, draws.shape[-2])
    cells = least + b * np.arange(len(least))[:, None]
    shares = np.bincount(cells.ravel(), minlength=b * len(least)).reshape(*draws.shape[:-2], b) / draws.shape[-2]
    return np.asarray(-np.sum(shares * np.log(np.maximum(shares, 1e-300)), axis=-1))
