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

import copy
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np

from hptbench.methods._peers import PeerSearch, Values, plain, trials
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config


@dataclass(frozen=True)
class _SMAC:
    """What the facades have in common."""

    deterministic: bool = True
    """One trial per configuration. False, SMAC's default: good ones again, up to ``max_config_calls`` times."""
    max_config_calls: int = 3
    """Trials of a configuration at most, if not deterministic."""
    n_configs_per_hyperparameter: int = 10
    """Size of the initial design, per parameter."""
    max_ratio: float = 0.25
    """Share of the trials that it may take."""
    challengers: int = 10000
    """Random configurations that the local search may start from."""
    local_search_iterations: int = 10
    """Local searches per suggestion."""
    random_probability: float = 0.2
    """That a suggestion is random."""
    retrain_after: int = 8
    """Suggestions from one fit of the model."""
    retries: int = 16
    """Attempts to find a configuration that was not tried."""
    traits: ClassVar[Traits] = Traits(requires=("smac",))

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)

    def parts(self, scenario: Any) -> tuple[Any, dict[str, Any]]:
        """The facade's class, and its model and acquisition function."""
        raise NotImplementedError

    def facade(self, scenario: Any) -> Any:
        """The optimiser, with all arguments given."""
        facade, parts = self.parts(scenario)
        return facade(
            scenario,
            None,
            **parts,
            acquisition_maximizer=facade.get_acquisition_maximizer(
                scenario, challengers=self.challengers, local_search_iterations=self.local_search_iterations
            ),
            initial_design=facade.get_initial_design(
                scenario,
                n_configs=None,
                n_configs_per_hyperparameter=self.n_configs_per_hyperparameter,
                max_ratio=self.max_ratio,
                additional_configs=[],
            ),
            random_design=facade.get_random_design(scenario, probability=self.random_probability),
            intensifier=facade.get_intensifier(scenario, max_config_calls=self.max_config_calls, max_incumbents=10),
            runhistory_encoder=facade.get_runhistory_encoder(scenario),
            config_selector=facade.get_config_selector(
                scenario, retrain_after=self.retrain_after, retries=self.retries
            ),
            logging_level=False,
            callbacks=[],
            overwrite=True,
            dask_client=None,
        )


@method("ext_smac_hpo")
@dataclass(frozen=True)
class SMACHPO(_SMAC):
    """SMAC3's facade for hyperparameters: a random forest and log expected improvement."""

    n_trees: int = 10
    """Of the forest."""

    def parts(self, scenario: Any) -> tuple[Any, dict[str, Any]]:
        from smac import HyperparameterOptimizationFacade as Facade

        model = Facade.get_model(
            scenario,
            n_trees=self.n_trees,
            ratio_features=1.0,
            min_samples_split=2,
            min_samples_leaf=1,
            max_depth=2**20,
            bootstrapping=True,
        )
        return Facade, {"model": model, "acquisition_function": Facade.get_acquisition_function(scenario, xi=0.0)}


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
        return Facade, {"model": model, "acquisition_function": Facade.get_acquisition_function(scenario, xi=0.0)}


class _Search(PeerSearch):
    method: _SMAC
    tells_failures = False

    def _start(self) -> None:
        from smac import Scenario
        from smac.acquisition.maximizer import local_search

        local_search.set = _Ordered
        with tempfile.TemporaryDirectory() as folder:
            scenario = Scenario(
                copy.deepcopy(self.space.configspace),
                name="hptbench",
                output_directory=Path(folder),
                deterministic=self.method.deterministic,
                objectives="cost",
                crash_cost=np.inf,
                n_trials=trials(self.problem.budget, otherwise=100),
                use_default_config=False,
                seed=self.seed,
                n_workers=1,
            )
            self._smac = self.method.facade(scenario)

    def _suggest(self) -> tuple[Config, Any] | None:
        from smac.main.exceptions import ConfigurationSpaceExhaustedException

        try:
            info = self._smac.ask()
        except (StopIteration, ConfigurationSpaceExhaustedException):
            return None
        config = dict(info.config)
        return {name: plain(config[name]) for name in self.space.names if name in config}, info

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        from smac.runhistory import StatusType, TrialValue

        if values is None:
            raise ValueError("failed jobs are told with a value")
        self._smac.tell(handle, TrialValue(cost=values[0], status=StatusType.SUCCESS), save=False)

    def _observe_foreign(self, config: Config, values: Values | None) -> None:
        known = CS.Configuration(self._smac.scenario.configspace, values=dict(config))
        self._observe(self._smac.intensifier.get_trials_of_interest(known)[0], config, values)


class _Ordered(dict[Any, None]):
    """A set in the order in which its members came."""

    def __init__(self, members: Iterable[Any] = ()) -> None:
        super().__init__(dict.fromkeys(members))

    def add(self, member: Any) -> None:
        """As that of a set."""
        self[member] = None
