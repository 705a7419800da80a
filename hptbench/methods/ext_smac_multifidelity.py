"""SMAC3's multi-fidelity facade as a peer.

M. Lindauer, K. Eggensperger, M. Feurer, A. Biedenkapp, D. Deng, C. Benjamins, T. Ruhkopf, R. Sass and F. Hutter,
"SMAC3: A versatile Bayesian optimization package for hyperparameter optimization", JMLR 23, 2022, arXiv:2109.09831.
Written for SMAC 2.4 (2026), whose defaults the fields have.

Hyperband whose configurations come from a random forest, that of the highest budget with enough trials. While a rung is
not complete, workers begin the next bracket. SMAC draws a bracket at a time, and may draw a configuration twice; it
evaluates it once, so that rungs are smaller then. It knows of no continued training: here a promoted configuration goes
on from its job at the lower fidelity.

The space, pending trials and failed jobs are as in :mod:`.ext_smac`; the number of trials in a budget of full
evaluations, by which SMAC sizes its random design, is that of Hyperband's brackets. Reports of other people's jobs, at
the full fidelity, are trials that it did not ask for; it gets them after its first suggestion (SMAC would make
a bracket of those that come before, and come to a halt where they are too few for its rungs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from hptbench.methods._peer_rungs import RungSearch, segments
from hptbench.methods._peer_smac import SMACSettings, ask, foreign, forest, tell
from hptbench.methods._peers import Values
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config


@method("ext_smac_multifidelity")
@dataclass(frozen=True)
class SMACMultiFidelity(SMACSettings):
    """SMAC3's multi-fidelity facade: Hyperband with a random forest and log expected improvement."""

    eta: int = 3
    """A rung trains eta times as far as the one below."""
    n_trees: int = 10
    """Of the forest."""
    incumbent_selection: str = "highest_observed_budget"
    """Which budgets SMAC's own incumbent is chosen on."""
    traits: ClassVar[Traits] = Traits(fidelity=True, requires=("smac",))

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)

    def parts(self, scenario: Any) -> tuple[Any, dict[str, Any]]:
        from smac import MultiFidelityFacade as Facade

        intensifier = Facade.get_intensifier(
            scenario,
            eta=self.eta,
            n_seeds=1,
            instance_seed_order="shuffle_once",
            max_incumbents=10,
            incumbent_selection=self.incumbent_selection,
        )
        return Facade, {**forest(Facade, scenario, self.n_trees), "intensifier": intensifier}


class _Trial(NamedTuple):
    info: Any
    fidelity: float


class _Search(RungSearch):
    method: SMACMultiFidelity
    tells_failures = False

    def _start(self) -> None:
        self._early: list[tuple[Config, float]] = []
        """Reports of other people's jobs that wait for the first suggestion."""
        self._began = False
        self._smac = self.method.optimiser(
            self.space,
            deterministic=True,
            n_trials=segments(self.problem.budget, self.levels, self.method.eta, otherwise=100),
            seed=self.seed,
            min_budget=self.lowest,
            max_budget=self.levels[-1],
        )

    def _suggest(self) -> tuple[Config, Any] | None:
        if (asked := ask(self._smac, self.space)) is None:
            return None
        config, info = asked
        self._began = True
        early, self._early = self._early, []
        for known, value in early:
            tell(self._smac, foreign(self._smac, known), value)
        return config, _Trial(info, self.fidelity.snap(info.budget))

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        if values is None:
            raise ValueError("failed jobs are told with a value")
        tell(self._smac, handle.info, values[0])

    def _observe_foreign(self, config: Config, values: Values | None) -> None:
        if values is None:
            raise ValueError("failed jobs are told with a value")
        if self._began:
            tell(self._smac, foreign(self._smac, config), values[0])
        else:
            self._early.append((config, values[0]))
