"""Hyper-Tune: asynchronous rungs with learnt brackets, delayed promotion and an ensemble of surrogates.

Y. Li, Y. Shen, H. Jiang, W. Zhang, J. Li, J. Liu, C. Zhang and B. Cui, "Hyper-Tune: Towards efficient hyper-parameter
tuning at scale", VLDB 2022, arXiv:2201.06834, with the defaults of the authors' code:

- Bracket selection (section 4.1): new configurations begin at the rungs of Hyperband's brackets in turn until
  3 * ``full`` have been trained fully, then at a random one of the two rungs with the greatest weight times
  bracket size.
- D-ASHA (section 4.2): a trial is promoted out of a rung if it is among the best 1/eta and not more than 1/eta of the
  rung will have been promoted, and not before eta^(rungs above) trials have ended there.
- Optimiser (section 4.3, MFES): a random forest per rung; their weighted means and squared-weighted variances ("idp")
  are one surrogate, whose expected improvement over the best full training a new configuration maximises; a share
  ``random_fraction`` is random, and all are until every rung has been reached.
- Weights: share of pairs of full trainings that a rung's forest orders correctly, to the third power; for the full
  rung's own forest by cross-validation in five folds (0 below ten). In the surrogate, the full rung's weight is
  a / (a + exp(-0.025 (n - 10))), a = 1/2, of n >= 10 full trainings. Before ``full`` of them all other rungs weigh the
  same, and the full one nothing.

Deviations from the authors' code:

- All rungs belong to one bracket, as there; a trial that begins higher is not seen below.
- Running jobs count as the median of their rung in the forests (Algorithm 3 of the paper; off in the code).
- Cross-validated predictions are not cut to whole numbers (there, the array is of integers).
- Expected improvement is maximised as in the method ``rf``. Forests are those of :mod:`hptbench.models.forest`.
- Failed jobs are worse than all others in their rung, never promoted, and count as its worst value in forests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._asha import Asha, Bracket
from hptbench.methods._brackets import fidelity_of, levels, paper
from hptbench.methods._mfes import Ensemble
from hptbench.protocol import Problem, Report, Traits
from hptbench.registry import method


@method("hyper_tune")
@dataclass(frozen=True)
class HyperTune:
    """Hyper-Tune: delayed asynchronous halving with learnt brackets and an ensemble of random forests."""

    eta: int = 3
    """A rung trains eta times as far as the one below; 1/eta of its configurations are promoted."""
    random_fraction: float = 0.3
    """Share of draws that ignore the model."""
    power: float = 3.0
    """Of the shares of ordered pairs, in the weights."""
    full: int = 8
    """Full trainings before weights are learnt; three times as many before brackets follow them."""
    top: int = 2
    """Rungs among which a new configuration's is chosen then."""
    challengers: int = 1000
    """Random configurations at which the expected improvement is looked at."""
    searches: int = 5
    """Local searches from the best of them, and as many from the best trials."""
    traits: ClassVar[Traits] = Traits(fidelity=True, costly=True)

    def __post_init__(self) -> None:
        for name, allowed, ok in (
            ("random_fraction", "in [0, 1]", 0 <= self.random_fraction <= 1),
            ("power", "> 0", self.power > 0),
            ("full", ">= 3", self.full >= 3),
            ("top", ">= 1", self.top >= 1),
            ("challengers", ">= 1", self.challengers >= 1),
            ("searches", ">= 1", self.searches >= 1),
        ):
            if not ok:
                raise UserError(f"expected hyper_tune.{name} {allowed}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, levels(fidelity_of(problem), self.eta), rng)


class _Search(Asha):
    def __init__(
        self, method: HyperTune, problem: Problem, fidelities: Sequence[float], rng: np.random.Generator
    ) -> None:
        self._ensemble = Ensemble(method, problem, fidelities, rng)
        super().__init__(fidelities, method.eta, self._ensemble)
        self._method, self._rng = method, rng
        s_max = len(fidelities) - 1
        self._sizes = np.array([paper(s_max, s_max - rung, method.eta)[0] for rung in range(s_max + 1)], dtype=float)
        """Configurations that begin at each rung in one round of Hyperband."""
        self._turns = [rung for rung, size in enumerate(self._sizes.tolist()) for _ in range(int(size))]
        self._turn = 0
        self._ended, self._promoted = [0] * len(fidelities), [0] * len(fidelities)

    def reached(self, report: Report) -> None:
        super().reached(report)
        self._ended[report.proposal.note["rung"]] += 1

    def promotable(self, bracket: Bracket, rung: int) -> Report | None:
        above = len(bracket.rungs) - 1 - rung
        if self._ended[rung] < self.eta**above or (self._promoted[rung] + 1) * self.eta > self._ended[rung]:
            return None
        report = super().promotable(bracket, rung)
        if report is not None:
            self._promoted[rung] += 1
        return report

    def begins(self) -> int:
        if self._ensemble.weights is None or self._ensemble.trained < 3 * self._method.full:
            self._turn += 1
            return self._turns[(self._turn - 1) % len(self._turns)]
        shares = self._ensemble.weights * self._sizes
        shares[np.argsort(-shares, kind="stable")[self._method.top :]] = 0.0
        return int(self._rng.choice(len(shares), p=shares / shares.sum()))
