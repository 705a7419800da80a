"""BOHB: Bayesian optimisation and Hyperband.

S. Falkner, A. Klein and F. Hutter, "BOHB: Robust and efficient hyperparameter optimization at scale", ICML 2018,
arXiv:1807.01774, Algorithms 1 and 2, with the defaults and the details of the authors' code, HpBandSter: Hyperband
whose configurations come from the ratio of two kernel densities, of good and of bad configurations.

The model is that of the highest fidelity with enough data. Good are the best max(N_min, 15 % of n), bad the next
max(N_min, 85 % of n), N_min = d + 1; both must be more than d. Of 64 draws around good points the one with the smallest
bad(x) / good(x) is taken. Values of inactive parameters are imputed. Failed jobs count as +inf.

Deviations from HpBandSter:

- Bracket sizes are counted in whole numbers (its floating point loses a rung for eta = 3, R = 243), rungs begin with
  their best configuration, and gaps that failed jobs leave in a rung are not filled with new configurations.
- Ordinals, which it refuses, are numbers (cells of [0, 1]). Constants are no dimension of the model.
- Equal losses keep the order in which they were told (there an unstable sort).
- Imputation also works in the first column (its loop stops at index 0).
- Candidates that a forbidden clause excludes are left out; where none is left, the draw is random (there, any
  forbidden winner is replaced by a random draw).
- The models are fitted when they are needed, not at every result, which differs only in the use of random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hptbench.errors import UserError, unknown
from hptbench.methods._asha import Asha
from hptbench.methods._brackets import Brackets, fidelity_of, levels, plan
from hptbench.models.parzen import Parzen, impute
from hptbench.protocol import JSON, Fidelity, Problem, Report, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats, Space

SCHEDULERS = ("hyperband", "asha")


@method("bohb")
@dataclass(frozen=True)
class BOHB:
    """BOHB: Hyperband whose configurations come from kernel densities of good and bad ones."""

    eta: int = 3
    """A rung trains eta times as far as the one below, with 1/eta of its configurations."""
    table: str = "hpbandster"
    """Sizes of the brackets: ``hpbandster`` (the authors' code) or ``paper`` (Hyperband's Algorithm 1)."""
    scheduler: str = "hyperband"
    """``hyperband`` or ``asha``: on the rungs of ASHA, by promotion in one bracket, it is A-BOHB (Klein et al., 2020,
    arXiv:2003.10865), and ``table`` has no meaning."""
    min_points_in_model: int | None = None
    """N_min, at least one more than the dimensions of the model. None: just that."""
    top_n_percent: int = 15
    """Share of the observations that count as good, per cent."""
    num_samples: int = 64
    """Candidates per draw."""
    random_fraction: float = 1 / 3
    """Share of draws that ignore the model."""
    bandwidth_factor: float = 3.0
    """Widens the bandwidths around which candidates are drawn."""
    min_bandwidth: float = 1e-3
    """Keeps some diversity where all good values agree."""
    traits: ClassVar[Traits] = Traits(fidelity=True)

    def __post_init__(self) -> None:
        for name, allowed, ok in (
            ("top_n_percent", "in 1 .. 99", 1 <= self.top_n_percent <= 99),
            ("num_samples", ">= 1", self.num_samples >= 1),
            ("random_fraction", "in [0, 1]", 0 <= self.random_fraction <= 1),
            ("bandwidth_factor", "> 0", self.bandwidth_factor > 0),
            ("min_bandwidth", "> 0", self.min_bandwidth > 0),
        ):
            if not ok:
                raise UserError(f"expected bohb.{name} {allowed}, got {getattr(self, name)}")
        if self.scheduler not in SCHEDULERS:
            raise unknown("scheduler", self.scheduler, SCHEDULERS)

    def begin(self, problem: Problem, rng: np.random.Generator) -> Brackets | Asha:
        fidelity = fidelity_of(problem)
        fidelities = levels(fidelity, self.eta)
        sampler = _Sampler(self, problem.space, fidelity, rng)
        if self.scheduler == "asha":
            return Asha(fidelities, self.eta, sampler)
        return Brackets(plan(self.table, len(fidelities) - 1, self.eta), fidelities, sampler)


class _Sampler:
    """Algorithm 2: draws configurations, by the model once there is one."""

    def __init__(self, method: BOHB, space: Space, fidelity: Fidelity, rng: np.random.Generator) -> None:
        self._method, self._space, self._fidelity, self._rng = method, space, fidelity, rng
        self._free = np.flatnonzero(space.sizes != 1)
        self._categorical = space.categorical
        self._sizes = np.where(self._categorical, space.sizes, 0)[self._free]
        self._minimum = max(len(self._free) + 1, method.min_points_in_model or 0)
        self._rows: dict[float, list[Floats]] = {}
        """Fidelity -> the free columns of what was told there: categories as positions, the others in [0, 1]."""
        self._losses: dict[float, list[float]] = {}
        self._model: tuple[Parzen, Parzen] | None = None
        """Densities of the good and of the bad."""
        self._version: tuple[float, int] | None = None
        """The model's fidelity and number of observations."""

    def learn(self, reports: Sequence[Report]) -> None:
        u = self._space.encode([report.proposal.config for report in reports])
        rows = np.where(self._categorical, self._space.codes(u), u)[:, self._free]
        for row, report in zip(rows, reports, strict=True):
            fidelity = self._fidelity.snap(report.fidelity)
            loss = report.values[0] if math.isfinite(report.values[0]) else math.inf
            self._rows.setdefault(fidelity, []).append(row)
            self._losses.setdefault(fidelity, []).append(loss)

    def draw(self) -> tuple[Config, Mapping[str, JSON]]:
        u = self._model_draw() if self._rng.random() >= self._method.random_fraction else None
        note = {"model": u is not None}
        [config] = self._space.decode(self._space.sample(self._rng, 1) if u is None else u)
        return config, note

    def _model_draw(self) -> Floats | None:
        """(1, d) a point of the unit cube; None without a model, or if no candidate is legal or has a density."""
        self._fit()
        if self._model is None:
            return None
        good, bad = self._model
        drawn = good.near(self._method.num_samples, self._method.bandwidth_factor, self._rng)
        u = self._units(drawn)
        legal = self._space.legal(u)
        best = choose(good.pdf(drawn[legal]), bad.pdf(drawn[legal]))
        return None if best is None else u[legal][[best]]

    def _units(self, drawn: Floats) -> Floats:
        x = np.full((len(drawn), len(self._space)), 0.5)
        x[:, self._free] = drawn
        return np.where(self._categorical, self._space.from_codes(np.where(self._categorical, x, 0.0)), x)

    def _fit(self) -> None:
        """Bring the model up to date: that of the highest fidelity with more than d good and d bad observations."""
        for fidelity in sorted(self._rows, reverse=True):
            good, bad = split(np.array(self._losses[fidelity]), self._minimum, self._method.top_n_percent)
            if min(len(good), len(bad)) > len(self._free) > 0:
                version = fidelity, len(self._rows[fidelity])
                if self._version != version:
                    x = np.array(self._rows[fidelity])
                    self._model, self._version = (self._density(x[good]), self._density(x[bad])), version
                return

    def _density(self, x: Floats) -> Parzen:
        return Parzen(impute(x, self._sizes, self._rng.random(x.shape)), self._sizes, self._method.min_bandwidth)


def split(losses: Floats, minimum: int, percent: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of the good and the bad among ``losses``, (n,), each in order of loss."""
    order, n = np.argsort(losses, kind="stable"), len(losses)
    n_good, n_bad = max(minimum, percent * n // 100), max(minimum, (100 - percent) * n // 100)
    return order[:n_good], order[n_good : n_good + n_bad]


def choose(good: Floats, bad: Floats) -> int | None:
    """The candidate with the smallest bad / good, given both densities, (n,); None if there is none.

    Where a category occurs in no bad configuration, its density may be inf (see Parzen): as in HpBandSter the first
    candidate with an infinite ratio and a finite good density wins, and NaN are passed over."""
    with np.errstate(invalid="ignore"):
        ratio = np.where(bad > 1e-32, bad, 1e-32) / np.where(good < 1e-32, 1e-32, good)  # max() of Python: NaN order
    surprising = np.flatnonzero(~np.isfinite(ratio) & np.isfinite(good))
    if len(surprising):
        return int(surprising[0])
    ratio = np.where(np.isfinite(ratio), ratio, np.inf)
    return int(np.argmin(ratio)) if np.isfinite(ratio).any() else None
