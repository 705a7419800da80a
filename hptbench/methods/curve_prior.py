"""Freeze-thaw search under a parametric prior of learning curves, with a random horizon and a random threshold.

In the manner of ifBO: H. Rakotoarison, S. Adriaensen, N. Mallik, S. Garibov, E. Bergman and F. Hutter, "In-context
freeze-thaw Bayesian optimization for hyperparameter optimization", ICML 2024, arXiv:2404.16795, whose acquisition
function this is, MFPI-random (section 4): a horizon h, uniform on 1 .. S, and a threshold T = f + 10^tau (1 - f), f the
best score so far and tau uniform on [-4, -1], are drawn; that configuration goes on for one step whose score is most
probably above T after h more steps (at most at its end).

It is not ifBO, whose surrogate, the transformer FT-PFN, comes with weights. Here the same prior over curves is weighed
against the data by hand (:mod:`hptbench.models.curve_prior`, which says how), a coarse approximation.

Other differences from the paper:

- Losses have no bounds in general, so they are made scores (r - y) / (2 (r - b)) with r the median after the first step
  and b the best so far: f is 1/2, and as much can still be gained as has been. Scores below -1 count as -1.
- Candidates are the trials that can go on and ``pool`` new configurations (uniform draws and draws near the best).
- The process over asymptotes has the length scales of a Gaussian process (as in the method ``gp``) fitted to the scores
  after the first step, anew when the number of trials has grown by a fifth.
- Pending steps are believed to end at their predicted means. Failed trials count as the worst value seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._freeze_thaw import Curves, FreezeThaw, Integers
from hptbench.methods._surrogate import standardised
from hptbench.models.curve_prior import CurvePosterior, draw_shapes
from hptbench.models.embedding import Embedding
from hptbench.models.gp import fit, matern_and_slope, modes, squares
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Floats

_ANEW = 1.2
"""Growth of the number of trials after which length scales are fitted again."""
_TAU = -4.0, -1.0
"""Powers of ten between which lies what a score has to gain, as a share of all that can be gained."""
_LOWEST = -1.0
"""Scores of what is worse are no lower."""


@method("curve_prior")
@dataclass(frozen=True)
class CurvePrior:
    """Freeze-thaw search by the probability of improvement under a prior of learning curves, after ifBO."""

    initial: int = 5
    """Configurations of a Sobol sequence that are trained for one step before the first model."""
    steps: int = 50
    """Steps of a full training, at most: epochs, if there are no more; where trainings begin anew with each step, the
    rungs of successive halving."""
    shapes: int = 300
    """Shapes of curves that are weighed."""
    pool: int = 256
    """New configurations that are looked at."""
    max_trials: int = 200
    """The model sees no more trials: half of them the best, half the latest of the others."""
    traits: ClassVar[Traits] = Traits(fidelity=True, costly=True)

    def __post_init__(self) -> None:
        for name in ("initial", "steps", "shapes", "pool", "max_trials"):
            if getattr(self, name) < 1:
                raise UserError(f"expected curve_prior.{name} >= 1, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(FreezeThaw):
    def __init__(self, method: CurvePrior, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng, method.initial, method.steps, method.pool, method.max_trials)
        self._embed = Embedding(problem.space)
        self._shapes = draw_shapes(method.shapes, self.last, rng)
        self._theta: Floats | None = None
        self._anew = 0.0

    def scores(self, curves: Curves, pool: Floats) -> Floats:
        score, best = normalised(curves.value, curves.step)
        horizon = int(self.rng.integers(1, curves.steps + 1))
        threshold = best + 10 ** self.rng.uniform(*_TAU) * (1 - best)
        x = self._embed(curves.u)
        inverse = self._inverse(x, score, curves)
        z = x * inverse
        known, model = self._weigh(z, curves.trial, curves.step, score)
        if len(curves.pending):
            row, step = curves.pending.T
            begun = np.isin(row, known)
            believed = model.new_expected(_kernel(z[row], z[known]), step)
            believed[begun] = model.expected(np.searchsorted(known, row[begun]), step[begun])
            known, model = self._weigh(z, *curves.with_pending(score, believed))
        ends = np.minimum(curves.reached[curves.frozen] + horizon, curves.steps)
        old = model.above(np.searchsorted(known, curves.frozen), ends, threshold)
        new = model.new_above(_kernel(self._embed(pool) * inverse, z[known]), horizon, threshold)
        return np.concatenate([old, new])

    def _weigh(self, z: Floats, trial: Integers, step: Integers, score: Floats) -> tuple[Integers, CurvePosterior]:
        """The trials that have a score, and the posterior of their curves."""
        known, rows = np.unique(trial, return_inverse=True)
        return known, CurvePosterior(self._shapes, _kernel(z[known], z[known]), rows, step, score)

    def _inverse(self, x: Floats, score: Floats, curves: Curves) -> Floats:
        """(D,) the inverse length scales."""
        inputs = self._embed.inputs
        first = curves.step == curves.step.min()
        if self._theta is None or self.known >= self._anew:
            starts = [modes(inputs)] if self._theta is None else [self._theta, modes(inputs)]
            self._theta = fit(x[curves.trial[first]], standardised(score[first]), inputs, starts=starts, steps=20).theta
            self._anew = _ANEW * self.known
        return np.asarray(np.exp(-self._theta[: inputs.scales])[inputs.groups])


def _kernel(a: Floats, b: Floats) -> Floats:
    return matern_and_slope(squares(a, b))[0]


def normalised(values: Floats, step: Integers) -> tuple[Floats, float]:
    """Scores of values, (N,) each, and the best one; 0 for all, and 1/2 for what would be better, if all are equal."""
    first = values[step == step.min()]
    reference, best = float(np.median(first)), float(values.min())
    if best >= reference:  # nothing is better than the first step's median: measure by what is worse
        reference = float(values.max())
    if best >= reference:
        return np.zeros(len(values)), 0.5
    return np.maximum((reference - values) / (2 * (reference - best)), _LOWEST), 0.5
