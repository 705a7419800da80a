"""Optuna's TPE with its Hyperband pruner, as a peer.

T. Akiba, S. Sano, T. Yanase, T. Ohta and M. Koyama, "Optuna: A next-generation hyperparameter optimization framework",
KDD 2019, arXiv:1907.10902. Written for Optuna 5.0 (2026), whose defaults the fields have.

What Optuna calls Hyperband: brackets of asynchronous successive halving that stops trials. The number of a trial,
hashed with the name of the study, says which bracket it belongs to; TPE sees the trials of that bracket only. A segment
ends at every rung (:mod:`._peer_rungs`): its value is reported, and the trial goes on unless it ``should_prune``. That
is not asked at the highest rung, after which a trial is complete. Rungs are told as steps 1, eta, eta^2, ..., the most
of which is ``max_resource``; its logarithm in floating point may cost a bracket (eta = 3, six rungs).

The space, conditions and pending trials are as in :mod:`.ext_optuna`. Failed jobs, NaN too, are told as
``TrialState.FAIL``. Reports of other people's jobs, at the full fidelity, become complete trials of some bracket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hptbench.methods._peer_optuna import distribution, suggested, tpe
from hptbench.methods._peer_rungs import StoppingSearch
from hptbench.methods._peers import Values, grow, is_ordinal, number_of, varied
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config


@method("ext_optuna_hyperband")
@dataclass(frozen=True)
class OptunaHyperband:
    """Optuna's TPE with the Hyperband pruner."""

    eta: int = 3
    """A rung trains eta times as far as the one below."""
    bootstrap_count: int = 0
    """Trials that a rung must have before any goes on from it."""
    multivariate: bool = True
    """One density over all parameters that every trial has, instead of one per parameter."""
    group: bool = False
    """With ``multivariate``: one density per group of parameters that are active together."""
    constant_liar: bool = True
    """Running trials count as bad ones."""
    n_startup_trials: int = 10
    """Random trials of a bracket before its first model."""
    n_ei_candidates: int = 24
    """Candidates per suggestion."""
    traits: ClassVar[Traits] = Traits(fidelity=True, requires=("optuna",))

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(StoppingSearch):
    method: OptunaHyperband

    def _start(self) -> None:
        import optuna

        self._study = optuna.create_study(
            storage=optuna.storages.InMemoryStorage(),
            sampler=tpe(self.method, self.seed, 1),
            pruner=optuna.pruners.HyperbandPruner(
                min_resource=1,
                max_resource=self.resource(len(self.levels) - 1),
                reduction_factor=self.method.eta,
                bootstrap_count=self.method.bootstrap_count,
            ),
            study_name=f"hptbench-{self.seed}",
            direction="minimize",
        )

    def _suggest(self) -> tuple[Config, Any]:
        trial = self._study.ask()
        return grow(self.space, lambda hp: suggested(trial, hp)), trial

    def _goes_on(self, handle: Any, rung: int, value: float) -> bool:
        from optuna.trial import TrialState

        handle.report(value, self.resource(rung))
        if not handle.should_prune():
            return True
        self._study.tell(handle, state=TrialState.PRUNED)
        return False

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        from optuna.trial import TrialState

        if values is None:
            self._study.tell(handle, state=TrialState.FAIL)
        else:
            handle.report(values[0], self.resource(len(self.levels) - 1))
            self._study.tell(handle, values[0])

    def _observe_foreign(self, config: Config, values: Values | None) -> None:
        from optuna.trial import create_trial

        if values is not None:
            hps = [hp for hp in varied(self.space) if hp.name in config]
            params = {hp.name: number_of(hp, config[hp.name]) if is_ordinal(hp) else config[hp.name] for hp in hps}
            distributions = {hp.name: distribution(hp) for hp in hps}
            self._study.add_trial(create_trial(value=values[0], params=params, distributions=distributions))
