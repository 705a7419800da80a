"""ABLR: Bayesian linear regressions of the past tasks and of this one, on features of one network that all share.

V. Perrone, R. Jenatton, M. Seeger and C. Archambeau, "Scalable hyperparameter transfer learning", NeurIPS 2018: what
configurations look like to the regressions, the last of three layers of 50 tanh units, and each task's two precisions
are learnt together by the sum of the tasks' log marginal likelihoods, this one's included, anew after every evaluation
(section 3); then the expected improvement of this task's regression is maximised. What is transferred are features, not
losses: a past whose losses are all turned round teaches the same ones. Costs are linear in the number of evaluations.

Deviations from it: before there are three successes the mean of the past tasks' regressions is believed, as in
:mod:`hptbench.methods.rgpe`, for a regression on features alone knows nothing of where to begin; after the first
training (``iterations``) each goes on from the last one for a few steps (``refine``); precisions have bounds
(:mod:`hptbench.models.shared_features`); the logarithm of the expected improvement below the lowest mean at an
observation is maximised, as in :mod:`hptbench.methods.gp`; pending jobs count as if they had returned what is expected.
Losses are transformed as in :mod:`hptbench.methods._surrogate`, of each task on its own. Meta-features of tasks
(section 4 there) are not among the inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._from_past import FromPast
from hptbench.methods._surrogate import kept, transformed
from hptbench.models.shared_features import Regression, SharedFeatures
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Floats

_FEWEST = 3
"""Successes from which on this task has a regression of its own."""


@method("ablr")
@dataclass(frozen=True)
class ABLR:
    """ABLR: a Bayesian linear regression on features that a network learnt from past tasks and this one together."""

    layers: int = 3
    """Of the network."""
    width: int = 50
    """Units of each layer, and so the number of features."""
    iterations: int = 100
    """Of L-BFGS, in the first training."""
    refine: int = 20
    """Of L-BFGS, after each evaluation."""
    candidates: int = 512
    """As in ``gp``."""
    starts: int = 6
    """As in ``gp``."""
    max_points: int = 200
    """Of a task that its regression sees; see ``gp``."""
    traits: ClassVar[Traits] = Traits(advice=True, past=True, costly=True)

    def __post_init__(self) -> None:
        least = {"layers": 1, "width": 1, "iterations": 1, "refine": 0, "candidates": 1, "starts": 1, "max_points": 10}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise UserError(f"expected ablr.{name} >= {value}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(FromPast):
    def __init__(self, method: ABLR, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__("ablr", problem, rng, False, method.candidates, method.starts)
        self._method = method
        self._past = [self._seen(task.u, task.losses) for task in self._tasks]
        self._own = False
        """Whether the network knows of this task."""
        if self._varies:
            self._network = SharedFeatures(
                self._past[0][0].shape[1], len(self._past), rng.spawn(1)[0], method.layers, method.width
            )
            self._network.train(self._past, method.iterations)

    def _seen(self, u: Floats, losses: Floats) -> tuple[Floats, Floats]:
        """What a regression sees of a task: inputs and targets."""
        targets = transformed(losses)
        rows = kept(targets, self._method.max_points)
        return self._embed(u[rows]), targets[rows]

    def believed(self) -> Regressions:
        values, network = self.history.values[:, 0], self._network
        if np.isfinite(values).sum() < _FEWEST:
            return Regressions(network, [network.regression(x, y, t) for t, (x, y) in enumerate(self._past)])
        own = self._seen(self.history.u, values)
        if not self._own:
            network.add_task()
            self._own = True
        network.train([*self._past, own], self._method.refine)
        return Regressions(network, [network.regression(*own, len(self._past))])


class Regressions:
    """The mean of independent regressions on the features of a network; of one, what that one says."""

    def __init__(self, network: SharedFeatures, regressions: Sequence[Regression]) -> None:
        self._network, self._regressions = network, regressions

    def expecting(self, x: Floats) -> Regressions:
        """The same after targets at ``x``, (m, D), that are as each regression expects them."""
        phi = self._network.features(x)
        return Regressions(self._network, [one.expecting(phi) for one in self._regressions])

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Means (m, 1) and variances (m,)."""
        phi, k = self._network.features(x), len(self._regressions)
        parts = [one.predict(phi) for one in self._regressions]
        mean, variance = sum(mean for mean, _ in parts), sum(variance for _, variance in parts)
        return np.asarray(mean)[:, None] / k, np.asarray(variance) / k**2

    def gradients(self, x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """The same, and their derivatives by ``x``: (m, 1, D) and (m, D)."""
        phi, k = self._network.features(x), len(self._regressions)
        parts = [one.gradients(phi) for one in self._regressions]
        by_mean = np.broadcast_to(sum(mean for mean, _ in parts) / k, phi.shape)
        by_variance = np.asarray(sum(variance for _, variance in parts)) / k**2
        slopes = [self._network.by_inputs(x, by_phi) for by_phi in (by_mean, by_variance)]
        return *self.predict(x), slopes[0][:, None], slopes[1]
