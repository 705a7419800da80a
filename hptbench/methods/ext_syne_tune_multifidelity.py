"""Syne Tune's ASHA and BOHB as peers.

D. Salinas, M. Seeger, A. Klein, V. Perrone, M. Wistuba and C. Archambeau, "Syne Tune: A library for large scale
hyperparameter tuning and reproducible research", AutoML-Conf 2022. ASHA: L. Li et al., "A system for massively parallel
hyperparameter tuning", MLSys 2020, arXiv:1810.05934; BOHB: S. Falkner et al., ICML 2018, arXiv:1807.01774. Written for
Syne Tune 0.16 (2026), whose defaults the fields have: it has lost ASHA by promotion and synchronous brackets.

Both are ASHA that stops trials: one that reaches a rung goes on if at most 1/eta of those that reached it before is
better. What it calls BOHB draws configurations from kernel densities, fitted to the last value of every trial, whatever
its fidelity, on linear scales also where a parameter has a logarithmic one. With ``brackets`` > 1 a trial's bracket is
drawn. Here a trial reports at every rung (:mod:`._peer_rungs`), as resource 1, eta, eta^2, ..., the last of which is
``max_t``; reports in between would change nothing for ASHA, and for BOHB when it sees a running trial's value.

The space is as in :mod:`.ext_syne_tune`. Pending trials are ignored. Failed jobs and forbidden suggestions are told as
errors, on which it does nothing. Reports of other people's jobs, at the full fidelity, are told as trials that ended
there, which count in no rung.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np

from hptbench.methods._peer_rungs import StoppingSearch
from hptbench.methods._peer_syne_tune import configuration, domains, in_its_terms
from hptbench.methods._peers import Values
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config

_LOSS, _RESOURCE = "loss", "resource"


@dataclass(frozen=True)
class _ASHA:
    """What the peers of this file have in common."""

    eta: int = 3
    """A rung trains eta times as far as the one below; about 1/eta of its trials go on."""
    brackets: int = 1
    """Brackets that leave 0, 1, ... of the lowest rungs out."""
    traits: ClassVar[Traits] = Traits(
        fidelity=True, requires=("syne_tune", "syne_tune.optimizer.schedulers.asha", "xgboost")
    )

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)

    def searcher(self) -> tuple[str, dict[str, Any]]:
        """Name and arguments of what draws the configurations."""
        raise NotImplementedError


@method("ext_syne_tune_asha")
@dataclass(frozen=True)
class SyneTuneASHA(_ASHA):
    """Syne Tune's ASHA by stopping, with random configurations."""

    def searcher(self) -> tuple[str, dict[str, Any]]:
        return "random_search", {}


@method("ext_syne_tune_bohb")
@dataclass(frozen=True)
class SyneTuneBOHB(_ASHA):
    """Syne Tune's BOHB: ASHA by stopping, with configurations from kernel densities of good and bad ones."""

    num_min_data_points: int | None = None
    """Good trials that the model has at least. None: as many as there are parameters, with which it waits until
    ``top_n_percent`` of the trials are more than these."""
    top_n_percent: int = 15
    """Share of the trials that count as good, per cent."""
    min_bandwidth: float = 1e-3
    """Keeps some diversity where all good values agree."""
    num_candidates: int = 64
    """Candidates per suggestion."""
    bandwidth_factor: int = 3
    """Widens the bandwidths around which candidates are drawn."""
    random_fraction: float = 0.33
    """Share of suggestions that ignore the model."""

    def searcher(self) -> tuple[str, dict[str, Any]]:
        return "kde", {
            "num_min_data_points": self.num_min_data_points,
            "top_n_percent": self.top_n_percent,
            "min_bandwidth": self.min_bandwidth,
            "num_candidates": self.num_candidates,
            "bandwidth_factor": self.bandwidth_factor,
            "random_fraction": self.random_fraction,
        }


class _Search(StoppingSearch):
    method: _ASHA

    def _start(self) -> None:
        from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving

        searcher, arguments = self.method.searcher()
        self._max = self.resource(len(self.levels) - 1)
        self._scheduler = AsynchronousSuccessiveHalving(
            config_space=domains(self.space),
            metric=_LOSS,
            do_minimize=True,
            searcher=searcher,
            time_attr=_RESOURCE,
            max_t=self._max,
            grace_period=1,
            reduction_factor=self.method.eta,
            brackets=self.method.brackets,
            random_seed=self.seed,
            searcher_kwargs=arguments,
        )
        self._trials = 0

    def _suggest(self) -> tuple[Config, Any] | None:
        suggestion = self._scheduler.suggest()
        if suggestion is None:
            return None
        return configuration(self.space, suggestion.config), self._added(suggestion.config)

    def _added(self, config: dict[str, Any]) -> Any:
        from syne_tune.backend.trial_status import Trial

        trial = Trial(self._trials, config, creation_time=datetime.fromtimestamp(0, UTC))
        self._trials += 1
        self._scheduler.on_trial_add(trial)
        return trial

    def _goes_on(self, handle: Any, rung: int, value: float) -> bool:
        return self._reported(handle, self.resource(rung), value)

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        if values is None:
            self._scheduler.on_trial_error(handle)
        else:
            self._reported(handle, self._max, values[0])

    def _observe_foreign(self, config: Config, values: Values | None) -> None:
        if values is not None:
            self._observe(self._added(in_its_terms(self.space, config)), config, values)

    def _reported(self, trial: Any, resource: int, value: float) -> bool:
        from syne_tune.optimizer.scheduler import SchedulerDecision

        decision = self._scheduler.on_trial_result(trial, {_LOSS: value, _RESOURCE: resource})
        if decision == SchedulerDecision.STOP:
            self._scheduler.on_trial_remove(trial)
        return bool(decision == SchedulerDecision.CONTINUE)
