"""SMAC3's facades as peers.

M. Lindauer, K. Eggensperger, M. Feurer, A. Biedenkapp, D. Deng, C. Benjamins, T. Ruhkopf, R. Sass and F. Hutter,
"SMAC3: A versatile Bayesian optimization package for hyperparameter optimization", JMLR 23, 2022, arXiv:2109.09831.
Written for SMAC 2.4 (2026), whose defaults the fields have, but for ``deterministic``.

SMAC gets a copy of the problem's ConfigSpace, conditions and forbidden clauses included, and the number of trials in
the budget (100 where only time limits it), by which it sizes its Sobol design. It is asked and told; the folder into
which it writes when it is built is removed at once. Pending trials are running ones for it, which it does not propose
again. Failed jobs are told with the worst value so far (its ``crash_cost`` is infinite, which no model can be fitted
to). Reports of other people's jobs are told as trials that it did not ask for.

What had to be put right: SMAC collects the points from which its local search starts in a set, whose order depends on
the seed of Python's hashes, so that no two processes would give the same run; here they keep the order of their costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hptbench.methods._peer_smac import SMACSettings, ask, foreign, forest, tell
from hptbench.methods._peers import PeerSearch, Values, trials
from hptbench.protocol import Problem
from hptbench.registry import method
from hptbench.space import Config


@dataclass(frozen=True)
class _SMAC(SMACSettings):
    """What the facades of this file have in common."""

    deterministic: bool = True
    """One trial per configuration. False, SMAC's default: good ones again, up to ``max_config_calls`` times."""
    max_config_calls: int = 3
    """Trials of a configuration at most, if not deterministic."""

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)

    def intensifier(self, facade: Any, scenario: Any) -> Any:
        """What decides which configuration is tried next."""
        return facade.get_intensifier(scenario, max_config_calls=self.max_config_calls, max_incumbents=10)


@method("ext_smac_hpo")
@dataclass(frozen=True)
class SMACHPO(_SMAC):
    """SMAC3's facade for hyperparameters: a random forest and log expected improvement."""

    n_trees: int = 10
    """Of the forest."""

    def parts(self, scenario: Any) -> tuple[Any, dict[str, Any]]:
        from smac import HyperparameterOptimizationFacade as Facade

        return Facade, {**forest(Facade, scenario, self.n_trees), "intensifier": self.intensifier(Facade, scenario)}


@method("ext_smac_blackbox")
@dataclass(frozen=True)
class SMACBlackBox(_SMAC):
    """SMAC3's black-box facade: a Gaussian process and expected improvement."""

    n_configs_per_hyperparameter: int = 8
    """Size of the initial design, per parameter."""
    challengers: int = 1000
    """Random configurations that the local search may start from."""
    random_probability: float = 0.08447232371720552
    """That a suggestion is random."""
    retrain_after: int = 1
    """Suggestions from one fit of the model."""

    def parts(self, scenario: Any) -> tuple[Any, dict[str, Any]]:
        from smac import BlackBoxFacade as Facade

        model = Facade.get_model(scenario, model_type="vanilla", kernel=None)
        return Facade, {
            "model": model,
            "acquisition_function": Facade.get_acquisition_function(scenario, xi=0.0),
            "intensifier": self.intensifier(Facade, scenario),
        }


class _Search(PeerSearch):
    method: _SMAC
    tells_failures = False

    def _start(self) -> None:
        self._smac = self.method.optimiser(
            self.space,
            deterministic=self.method.deterministic,
            n_trials=trials(self.problem.budget, otherwise=100),
            seed=self.seed,
        )

    def _suggest(self) -> tuple[Config, Any] | None:
        return ask(self._smac, self.space)

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        if values is None:
            raise ValueError("failed jobs are told with a value")
        tell(self._smac, handle, values[0])

    def _observe_foreign(self, config: Config, values: Values | None) -> None:
        self._observe(foreign(self._smac, config), config, values)
