"""Syne Tune's searchers BORE and CQR as peers.

D. Salinas, M. Seeger, A. Klein, V. Perrone, M. Wistuba and C. Archambeau, "Syne Tune: A library for large scale
hyperparameter tuning and reproducible research", AutoML-Conf 2022. BORE: L. C. Tiao et al., "BORE: Bayesian
optimization by density-ratio estimation", ICML 2021, arXiv:2102.09009; CQR: D. Salinas et al., "Optimizing
hyperparameters with conformal quantile regression", ICML 2023, arXiv:2305.03623. Written for Syne Tune 0.16 (2026),
whose defaults the fields have.

The space: ``uniform``, ``loguniform``, ``randint``, ``lograndint``, ``choice`` and ``ordinal`` (of positions), which
CQR encodes as it does choices: without their order. It has no conditions: inactive parameters are left out of what is
evaluated. Both searchers ignore pending trials; they are not told of failed jobs and forbidden suggestions, for they do
nothing on an error. Reports of other people's jobs are told (inactive parameters get the default value).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np

from hptbench.methods._peers import PeerSearch, Values, filled, is_ordinal, number_of, value_at, values_of, varied
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config, Space


@dataclass(frozen=True)
class _SyneTune:
    """What the peers of this file have in common."""

    traits: ClassVar[Traits] = Traits(requires=("syne_tune", "xgboost"))

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)

    def searcher(self, space: dict[str, Any], seed: int) -> Any:
        """Syne Tune's searcher, with all arguments given."""
        raise NotImplementedError


@method("ext_syne_tune_bore")
@dataclass(frozen=True)
class SyneTuneBORE(_SyneTune):
    """Syne Tune's BORE: boosted trees that tell good from bad configurations."""

    gamma: float = 0.25
    """Share of the trials that count as good."""
    init_random: int = 6
    """Random trials before the first model."""
    feval_acq: int = 500
    """Random candidates per suggestion."""
    random_prob: float = 0.0
    """That a suggestion is random."""

    def searcher(self, space: dict[str, Any], seed: int) -> Any:
        from syne_tune.optimizer.schedulers.searchers.bore import Bore

        searcher = Bore(
            config_space=space,
            points_to_evaluate=[],
            random_seed=seed,
            gamma=self.gamma,
            calibrate=False,
            classifier="xgboost",
            acq_optimizer="rs",
            feval_acq=self.feval_acq,
            random_prob=self.random_prob,
            init_random=self.init_random,
            classifier_kwargs=None,
        )
        searcher.model.set_params(n_jobs=1)
        return searcher


@method("ext_syne_tune_cqr")
@dataclass(frozen=True)
class SyneTuneCQR(_SyneTune):
    """Syne Tune's conformal quantile regression: Thompson samples of boosted trees."""

    num_init_random_draws: int = 5
    """Random trials before the first model."""
    update_frequency: int = 1
    """Results from one fit of the model to the next."""
    traits: ClassVar[Traits] = Traits(requires=("syne_tune", "xgboost", "huggingface_hub"))

    def searcher(self, space: dict[str, Any], seed: int) -> Any:
        from syne_tune.optimizer.schedulers.searchers.conformal.conformal_quantile_regression_searcher import (
            ConformalQuantileRegression,
            QuantileRegressionSurrogateModel,
        )

        return ConformalQuantileRegression(
            config_space=space,
            random_seed=seed,
            points_to_evaluate=[],
            num_init_random_draws=self.num_init_random_draws,
            update_frequency=self.update_frequency,
            max_fit_samples=None,
            surrogate_cls=QuantileRegressionSurrogateModel,
            quantiles=5,
        )


class _Search(PeerSearch):
    method: _SyneTune

    def _start(self) -> None:
        self._searcher = self.method.searcher(_domains(self.space), self.seed)
        self._trials = 0

    def _suggest(self) -> tuple[Config, Any]:
        chosen = self._searcher.suggest()
        values = {hp.name: value_at(hp, chosen[hp.name]) for hp in varied(self.space)}
        return self.space.canonical(filled(self.space, values)), chosen

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        if values is None:
            self._searcher.on_trial_error(self._trials)
        else:
            self._searcher.on_trial_complete(self._trials, handle, values[0])
        self._trials += 1

    def _observe_foreign(self, config: Config, values: Values | None) -> None:
        whole = filled(self.space, config)
        self._observe({hp.name: number_of(hp, whole[hp.name]) for hp in varied(self.space)}, config, values)


def _domains(space: Space) -> dict[str, Any]:
    """The search space in Syne Tune's terms."""
    from syne_tune import config_space as syne

    def domain(hp: Any) -> Any:
        if values := values_of(hp):
            positions = list(range(len(values)))
            return syne.ordinal(positions, kind="equal") if is_ordinal(hp) else syne.choice(positions)
        if isinstance(hp, CS.UniformIntegerHyperparameter):
            return (syne.lograndint if hp.log else syne.randint)(int(hp.lower), int(hp.upper))
        return (syne.loguniform if hp.log else syne.uniform)(float(hp.lower), float(hp.upper))

    return {hp.name: domain(hp) for hp in varied(space)}
