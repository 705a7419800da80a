"""Where an acquisition function is greatest, on spaces of floats, integers, categories and conditions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hptbench.methods._acquisition import Acquisition
from hptbench.methods._moves import complete, neighbours, truncated_normal
from hptbench.space import Floats, Kind, Space

_SCALES = (-2.5, -0.5)
"""Powers of ten between which the steps around good points are drawn."""
_ROUNDS = 10
"""Of one-exchange search, at most."""
_NEIGHBOURS = 0.1
"""Standard deviation of one-exchange steps: an integer with ten values mostly goes up or down by one."""


class Maximiser:
    """Many points first; then, from the best of them, gradients for the floats and one-exchange search for the rest.

    The plan of BoTorch's ``optimize_acqf_mixed_alternating`` and of Optuna's sampler, with all starts at once: an array
    operation for them together costs hardly more than for one."""

    def __init__(self, space: Space, candidates: int = 512, starts: int = 6) -> None:
        """``candidates``: so many uniform draws, and as many around good points; ``starts`` of them are improved."""
        self._space, self._candidates, self._starts = space, candidates, starts
        self._floats = np.flatnonzero([kind is Kind.FLOAT for kind in space.kinds])
        self._categorical = space.categorical
        self._mixed = len(self._floats) < int((space.sizes != 1).sum())

    def __call__(self, acquisition: Acquisition, near: Floats, rng: np.random.Generator) -> Iterator[Floats]:
        """Two batches (m, d) of points, the best first: the maxima that were found, then all that was looked at.

        ``near``: (k, d) good points, the best first."""
        u = self._space.snap(np.concatenate([self._space.sample(rng, self._candidates), self._around(near, rng)]))
        values = acquisition(u)
        order = np.argsort(-values, kind="stable")
        tops = order[: self._starts]
        best, best_values = self._ascend(acquisition, u[tops], values[tops])
        if self._mixed:
            best, best_values = self._exchange(acquisition, best, best_values, rng)
        yield best[np.argsort(-best_values, kind="stable")]
        yield u[order]

    def _around(self, near: Floats, rng: np.random.Generator) -> Floats:
        """Points near good ones: in half of them all numbers move, in the others about two parameters."""
        n, d = self._candidates, near.shape[1]
        base = near[np.minimum(rng.geometric(0.3, n) - 1, len(near) - 1)]
        two = min(1.0, 2 / d)
        moves = rng.random((n, d)) < np.where(self._categorical | (rng.random((n, 1)) < 0.5), two, 1.0)
        std = 10 ** rng.uniform(*_SCALES, (n, 1))
        moved = truncated_normal(np.where(np.isnan(base), 0.5, base), std, rng)
        moved = np.where(self._categorical, rng.random((n, d)), moved)
        out = complete(self._space, np.where(moves & ~np.isnan(base), moved, base), rng)
        return out[self._space.legal(out)]

    def _ascend(self, acquisition: Acquisition, u: Floats, values: Floats) -> tuple[Floats, Floats]:
        """All rows together, by L-BFGS on the sum of their values, along the floats that are active in them."""
        from scipy.optimize import minimize

        rows, places = np.nonzero(~np.isnan(u[:, self._floats]))
        columns = self._floats[places]
        if not len(rows):
            return u, values
        out = u.copy()

        def negative(flat: Floats) -> tuple[float, Floats]:
            out[rows, columns] = flat
            value, gradient = acquisition.gradients(out)
            return -float(value.sum()), -gradient[rows, columns]

        box = [(0.0, 1.0)] * len(rows)
        found = minimize(
            negative, u[rows, columns], jac=True, method="L-BFGS-B", bounds=box, options={"maxiter": 30, "ftol": 1e-5}
        )
        out[rows, columns] = np.clip(found.x, 0.0, 1.0)
        after = acquisition(out)
        better = (after > values) & self._space.legal(out)
        return np.where(better[:, None], out, u), np.where(better, after, values)

    def _exchange(
        self, acquisition: Acquisition, u: Floats, values: Floats, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """From the better half of the rows to the best one-exchange neighbour while there is a better one; then along
        the floats again."""
        kept = np.argsort(-values, kind="stable")[: (len(u) + 1) // 2]
        u, values = u[kept], values[kept]
        for i in range(len(u)):
            for _ in range(_ROUNDS):
                around = neighbours(self._space, u[i], rng, std=_NEIGHBOURS)
                if not len(around):
                    break
                seen = acquisition(around)
                top = int(seen.argmax())
                if seen[top] <= values[i]:
                    break
                u[i], values[i] = around[top], seen[top]
        return self._ascend(acquisition, u, values)
