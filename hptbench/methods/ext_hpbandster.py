"""HpBandSter's BOHB, the code of its authors, as a peer.

S. Falkner, A. Klein and F. Hutter, "BOHB: Robust and efficient hyperparameter optimization at scale", ICML 2018,
arXiv:1807.01774. Written for HpBandSter 0.7.4 (2018), whose defaults the fields have. It was made for older versions of
Python, NumPy and ConfigSpace, but its brackets and its model run with Python 3.11, NumPy 2.4 and ConfigSpace 1.2.

Its ``Master``, which serves workers on a network, is left out: brackets (``BOHB.get_next_iteration``) and the model are
asked and told in the order in which it would do so. While a rung waits for its results, the next bracket begins. A
promoted configuration goes on from its job at the lower fidelity.

The space: ordinals, which it refuses, are integers (their positions), as it advises. It knows conditions; such as are
not on values of a single parent are left out, and inactive parameters then left out of what is evaluated. It ignores
pending trials. Failed jobs, and what a forbidden clause excludes, are told as crashed: infinite losses for the model,
and gaps in a rung that are filled with new configurations. Reports of other people's jobs, at the full fidelity, are
data of the model.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import ConfigSpace as CS
import numpy as np

from hptbench.methods._peer_rungs import RungSearch
from hptbench.methods._peers import Values, branches, filled, number_of, value_at, values_of, varied
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config, Space


@method("ext_hpbandster_bohb")
@dataclass(frozen=True)
class HpBandSterBOHB:
    """The authors' BOHB: Hyperband whose configurations come from kernel densities of good and bad ones."""

    eta: int = 3
    """A rung trains eta times as far as the one below, with 1/eta of its configurations."""
    min_points_in_model: int | None = None
    """Trials at a fidelity before its first model. None: one more than there are parameters."""
    top_n_percent: int = 15
    """Share of the trials that count as good, per cent."""
    num_samples: int = 64
    """Candidates per suggestion."""
    random_fraction: float = 1 / 3
    """Share of suggestions that ignore the model."""
    bandwidth_factor: float = 3.0
    """Widens the bandwidths around which candidates are drawn."""
    min_bandwidth: float = 1e-3
    """Keeps some diversity where all good values agree."""
    traits: ClassVar[Traits] = Traits(fidelity=True, requires=("hpbandster", "Pyro4", "serpent"))

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Trial(NamedTuple):
    job: Any
    fidelity: float


class _Search(RungSearch):
    method: HpBandSterBOHB

    def _start(self) -> None:
        from hpbandster.optimizers.config_generators.bohb import BOHB

        self._model = BOHB(
            configspace=_its_space(self.space, self.seed),
            min_points_in_model=self.method.min_points_in_model,
            top_n_percent=self.method.top_n_percent,
            num_samples=self.method.num_samples,
            random_fraction=self.method.random_fraction,
            bandwidth_factor=self.method.bandwidth_factor,
            min_bandwidth=self.method.min_bandwidth,
        )
        rungs, eta = len(self.levels), self.method.eta
        self._plan = SimpleNamespace(
            max_SH_iter=rungs,
            eta=eta,
            budgets=self._high * np.power(eta, -np.linspace(rungs - 1, 0, rungs)),
            config_generator=self._model,
        )
        self._brackets: list[Any] = []

    def _suggest(self) -> tuple[Config, Any]:
        from hpbandster.core.dispatcher import Job
        from hpbandster.optimizers.bohb import BOHB

        active = (bracket for bracket in self._brackets if not bracket.is_finished)
        run = next((run for bracket in active if (run := bracket.get_next_run()) is not None), None)
        if run is None:
            self._brackets.append(BOHB.get_next_iteration(self._plan, len(self._brackets), {}))
            return self._suggest()
        number, config, budget = run
        trial = _Trial(Job(number, config=config, budget=budget), self.fidelity.snap(float(budget)))
        known = {hp.name: value_at(hp, config[hp.name]) for hp in varied(self.space) if hp.name in config}
        return self.space.canonical(filled(self.space, known)), trial

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        handle.job.result = None if values is None else {"loss": values[0]}
        self._brackets[handle.job.id[0]].register_result(handle.job)
        self._model.new_result(handle.job)

    def _observe_foreign(self, config: Config, values: Values | None) -> None:
        from hpbandster.core.dispatcher import Job

        known = {hp.name: number_of(hp, config[hp.name]) for hp in varied(self.space) if hp.name in config}
        whole = {hp.name: number_of(hp, hp.default_value) for hp in varied(self.space)}
        active = _active(self._model.configspace, {**whole, **known})
        job = Job(None, config=active, budget=self._plan.budgets[-1])
        job.result = None if values is None else {"loss": values[0]}
        self._model.new_result(job)


def _active(configspace: CS.ConfigurationSpace, values: dict[str, Any]) -> dict[str, Any]:
    from ConfigSpace.util import deactivate_inactive_hyperparameters

    return dict(deactivate_inactive_hyperparameters(values, configspace))


def _its_space(space: Space, seed: int) -> CS.ConfigurationSpace:
    """Categoricals and ordinals by position; numbers as they are."""

    def positions(hp: Any) -> Any:
        n = len(values_of(hp))
        if isinstance(hp, CS.CategoricalHyperparameter):
            return CS.CategoricalHyperparameter(hp.name, list(range(n)))
        return CS.UniformIntegerHyperparameter(hp.name, 0, n - 1) if n else copy.deepcopy(hp)

    out = CS.ConfigurationSpace(seed=seed)
    made = {hp.name: positions(hp) for hp in varied(space)}
    out.add(list(made.values()))
    for name, (parent, among) in branches(space).items():
        if name in made and parent in made:
            at = [number_of(space.configspace[parent], value) for value in among]
            out.add(CS.InCondition(made[name], made[parent], at))
    return out
