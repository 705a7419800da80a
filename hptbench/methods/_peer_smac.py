"""What the wrappers of SMAC3 share: settings, how a facade is built, telling."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np

from hptbench.methods._peers import plain
from hptbench.protocol import Traits
from hptbench.space import Config, Space


@dataclass(frozen=True)
class SMACSettings:
    """What the facades have in common."""

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

    def parts(self, scenario: Any) -> tuple[Any, dict[str, Any]]:
        """The facade's class, and its model, acquisition function and intensifier."""
        raise NotImplementedError

    def optimiser(self, space: Space, **scenario: Any) -> Any:
        """The facade, with all arguments given, for a scenario with these settings. It writes nothing that stays."""
        from smac import Scenario
        from smac.acquisition.maximizer import local_search

        local_search.set = _Ordered
        with tempfile.TemporaryDirectory() as folder:
            return self._facade(
                Scenario(
                    copy.deepcopy(space.configspace),
                    name="hptbench",
                    output_directory=Path(folder),
                    objectives="cost",
                    crash_cost=np.inf,
                    use_default_config=False,
                    n_workers=1,
                    **scenario,
                )
            )

    def _facade(self, scenario: Any) -> Any:
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
            runhistory_encoder=facade.get_runhistory_encoder(scenario),
            config_selector=facade.get_config_selector(
                scenario, retrain_after=self.retrain_after, retries=self.retries
            ),
            logging_level=False,
            callbacks=[],
            overwrite=True,
            dask_client=None,
        )


def forest(facade: Any, scenario: Any, n_trees: int) -> dict[str, Any]:
    """The random forest and log expected improvement, as ``parts``."""
    model = facade.get_model(
        scenario,
        n_trees=n_trees,
        ratio_features=1.0,
        min_samples_split=2,
        min_samples_leaf=1,
        max_depth=2**20,
        bootstrapping=True,
    )
    return {"model": model, "acquisition_function": facade.get_acquisition_function(scenario, xi=0.0)}


def ask(smac: Any, space: Space) -> tuple[Config, Any] | None:
    """A configuration and SMAC's ``TrialInfo``; None if it has nothing left to propose."""
    from smac.main.exceptions import ConfigurationSpaceExhaustedException

    try:
        info = smac.ask()
    except (StopIteration, ConfigurationSpaceExhaustedException):
        return None
    config = dict(info.config)
    return {name: plain(config[name]) for name in space.names if name in config}, info


def tell(smac: Any, info: Any, value: float) -> None:
    """What a trial ended in."""
    from smac.runhistory import StatusType, TrialValue

    smac.tell(info, TrialValue(cost=value, status=StatusType.SUCCESS), save=False)


def foreign(smac: Any, config: Config) -> Any:
    """The ``TrialInfo`` of a configuration that SMAC did not ask for, at its highest budget if it has any."""
    known = CS.Configuration(smac.scenario.configspace, values=dict(config))
    return smac.intensifier.get_trials_of_interest(known)[0]


class _Ordered(dict[Any, None]):
    """A set in the order in which its members came."""

    def __init__(self, members: Iterable[Any] = ()) -> None:
        super().__init__(dict.fromkeys(members))

    def add(self, member: Any) -> None:
        """As that of a set."""
        self[member] = None
