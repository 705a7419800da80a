"""RGPE: an ensemble of Gaussian processes, one for each past task and one for this, weighted by how well they rank.

M. Feurer, B. Letham and E. Bakshy, "Scalable meta-learning for Bayesian optimization using ranking-weighted Gaussian
process ensembles", AutoML workshop at ICML 2018, arXiv:1802.02219 (later versions: M. Feurer, B. Letham, F. Hutter and
E. Bakshy, "Practical transfer learning for Bayesian optimization"):

- the ranking loss of a model is the number of pairs of observations of this task that it puts in the wrong order
  (section 4.1), of this task's own model without the observation that it predicts;
- a model's weight is the share of draws from the posteriors in which its loss is the least; ties are split evenly, as
  in the later versions (in the first one the own model has them);
- weight dilution (section 4.3): a past model is left out if the median of its losses > the 95 % quantile of the own
  model's;
- the ensemble is normal with mean sum w_i mu_i and variance sum w_i^2 sigma_i^2 (section 4).

All draws are of the function, without the noise of observations; a pair counts as wrong if (f_i < f_j) differs from
(y_i < y_j).

Deviations from it: the own model's draw at an observation that was left out is compared with the values of the others
(f_i < y_j), not with its draws there, which lie near them; the acquisition function is the logarithm of the expected
improvement below the ensemble's lowest mean at an observation (as in :mod:`hptbench.methods.gp`; before the first one,
at what was tried in the past), not their noisy expected improvement; pending jobs count as if they had returned what
each model expects. Before there are three observations all past models weigh the same and the own one nothing. Losses
are transformed as in :mod:`hptbench.methods._surrogate`, of each task on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._from_past import FromPast
from hptbench.methods._surrogate import Surrogate, transformed
from hptbench.models.gp import GP, Priors
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Floats

_DILUTED = 0.95
_FEWEST = 3
"""Observations from which on models are weighted."""


@method("rgpe")
@dataclass(frozen=True)
class RGPE:
    """RGPE: Gaussian processes of past tasks and of this one, weighted by how well they rank what is observed here."""

    draws: int = 256
    """Of each model's posterior, by which weights are found."""
    candidates: int = 512
    """As in ``gp``."""
    starts: int = 6
    """As in ``gp``."""
    max_points: int = 200
    """Of a task that its model sees; see ``gp``."""
    traits: ClassVar[Traits] = Traits(advice=True, past=True, costly=True)

    def __post_init__(self) -> None:
        for name, least in (("draws", 1), ("candidates", 1), ("starts", 1), ("max_points", 10)):
            if getattr(self, name) < least:
                raise UserError(f"expected rgpe.{name} >= {least}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(FromPast):
    def __init__(self, method: RGPE, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__("rgpe", problem, rng, True, method.candidates, method.starts)
        self._method = method
        self._own = self._surrogate()
        self._past = (
            [self._surrogate().fit(task.u, transformed(task.losses)).gp for task in self._tasks] if self._varies else []
        )

    def _surrogate(self) -> Surrogate:
        return Surrogate(self._embed, Priors(), self._method.max_points)

    def believed(self) -> Ensemble:
        values = self.history.values[:, 0]
        if np.isfinite(values).sum() < _FEWEST:
            return Ensemble(self._past, np.full(len(self._past), 1 / len(self._past)))
        fitted = self._own.fit(self.history.u, transformed(values))
        x, y = self._embed(fitted.u), fitted.targets
        losses = [misranked(gp.draw(x, self._method.draws, self.rng, noisy=False), y) for gp in self._past]
        means, variances = fitted.gp.left_out()
        without_noise = np.maximum(variances - fitted.gp.noise, 1e-12)
        own = means + np.sqrt(without_noise)[:, None] * self.rng.standard_normal((len(y), self._method.draws))
        losses.append(misranked(own, y, others_known=True))
        return Ensemble([*self._past, fitted.gp], ranking_weights(np.stack(losses)))


def misranked(draws: Floats, y: Floats, others_known: bool = False) -> Floats:
    """(S,) the number of ordered pairs of targets ``y``, (n,), that each column of ``draws``, (n, S), puts in the wrong
    order; ``others_known``: the second one of a pair is not drawn but the target."""
    second = y[None, :, None] if others_known else draws[None]
    wrong = (draws[:, None] < second) != (y[:, None] < y)[:, :, None]
    wrong[np.diag_indices(len(y))] = False
    return np.asarray(wrong.sum(axis=(0, 1)), float)


def ranking_weights(losses: Floats) -> Floats:
    """(t,) weights, with sum 1, of models with ``losses`` (t, S); the last one is the own model."""
    kept = np.median(losses, axis=1) <= np.quantile(losses[-1], _DILUTED)
    kept[-1] = True
    least = (losses == losses[kept].min(axis=0)) & kept[:, None]
    return np.asarray((least / least.sum(axis=0)).mean(axis=1))


class Ensemble:
    """A weighted sum of independent processes with one column each."""

    def __init__(self, gps: Sequence[GP], weights: Floats) -> None:
        self._parts = [(gp, float(w)) for gp, w in zip(gps, weights, strict=True) if w > 0]

    def expecting(self, x: Floats) -> Ensemble:
        """The same after targets at ``x``, (m, D), that are as each process expects them."""
        gps = [gp.given(x, gp.mean(x)) for gp, _ in self._parts]
        return Ensemble(gps, np.array([w for _, w in self._parts]))

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Means (m, 1) and variances (m,)."""
        parts = [(w, gp.predict(x)) for gp, w in self._parts]
        mean, variance = sum(w * mean for w, (mean, _) in parts), sum(w * w * v for w, (_, v) in parts)
        return np.asarray(mean), np.asarray(variance)

    def gradients(self, x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """The same, and their derivatives by ``x``: (m, 1, D) and (m, D)."""
        parts = [(w, *gp.gradients(x)) for gp, w in self._parts]
        mean, by_mean = sum(p[0] * p[1] for p in parts), sum(p[0] * p[3] for p in parts)
        variance, by_variance = sum(p[0] ** 2 * p[2] for p in parts), sum(p[0] ** 2 * p[4] for p in parts)
        return np.asarray(mean), np.asarray(variance), np.asarray(by_mean), np.asarray(by_variance)
