"""Optuna's samplers as peers.

T. Akiba, S. Sano, T. Yanase, T. Ohta and M. Koyama, "Optuna: A next-generation hyperparameter optimization framework",
KDD 2019, arXiv:1907.10902. Written for Optuna 5.0 (2026), whose defaults the fields have.

The space is defined by run: ``suggest_float`` and ``suggest_int`` with their scales, ``suggest_categorical``, and
``suggest_int`` of the position for ordinals, which Optuna does not know. A parameter is suggested if its parents'
values make it active. GP and CMA-ES model only parameters that all trials have, and draw others at random for ever
(Optuna warns of it); so there, by default, inactive ones are suggested, too (``flat``), and left out of what is
evaluated.

Pending trials stand in the study as running: TPE takes them as bad (constant liar), GP integrates over their outcomes.
Failed jobs and forbidden suggestions are told as ``TrialState.FAIL``, which the samplers ignore. Reports of other
people's jobs are added as finished trials (with ``flat`` their inactive parameters get the default value).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np

from hptbench.errors import UserError
from hptbench.methods._peers import PeerSearch, Values, filled, grow, is_ordinal, number_of, plain, values_of, varied
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats, Value


@dataclass(frozen=True)
class _Optuna:
    """What the peers of this file have in common."""

    flat: bool = False
    """Suggest inactive parameters, too."""
    traits: ClassVar[Traits] = Traits(max_objectives=99, requires=("optuna",))

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)

    def sampler(self, seed: int, objectives: int) -> Any:
        """Optuna's sampler, with all arguments given."""
        raise NotImplementedError


@method("ext_optuna_tpe")
@dataclass(frozen=True)
class OptunaTPE(_Optuna):
    """Optuna's TPE, multivariate and with a constant liar.

    Optuna's own default for several objectives is ``multivariate=false``."""

    multivariate: bool = True
    """One density over all parameters that every trial has, instead of one per parameter."""
    group: bool = False
    """With ``multivariate``: one density per group of parameters that are active together."""
    constant_liar: bool = True
    """Running trials count as bad ones."""
    n_startup_trials: int = 10
    """Random trials before the first model."""
    n_ei_candidates: int = 24
    """Candidates per suggestion."""

    def __post_init__(self) -> None:
        if self.group and not self.multivariate:
            raise UserError("expected multivariate=true for group=true, got multivariate=false")

    def sampler(self, seed: int, objectives: int) -> Any:
        from optuna.samplers import TPESampler

        return TPESampler(
            consider_prior=True,
            prior_weight=1.0,
            consider_magic_clip=True,
            consider_endpoints=False,
            n_startup_trials=self.n_startup_trials,
            n_ei_candidates=self.n_ei_candidates,
            gamma=_gamma if objectives == 1 else _gamma_of_several,
            weights=_weights,
            seed=seed,
            multivariate=self.multivariate,
            group=self.group,
            warn_independent_sampling=False,
            constant_liar=self.constant_liar,
            constraints_func=None,
        )


@method("ext_optuna_tpe_univariate")
@dataclass(frozen=True)
class OptunaUnivariateTPE(OptunaTPE):
    """Optuna's TPE with a density per parameter, and with a constant liar."""

    multivariate: bool = False
    """As in ``ext_optuna_tpe``."""


@method("ext_optuna_tpe_group")
@dataclass(frozen=True)
class OptunaGroupTPE(OptunaTPE):
    """Optuna's TPE, multivariate within groups of parameters that are active together, and with a constant liar."""

    group: bool = True
    """As in ``ext_optuna_tpe``."""


@method("ext_optuna_gp")
@dataclass(frozen=True)
class OptunaGP(_Optuna):
    """Optuna's Gaussian process with log expected improvement (of the hypervolume, for several objectives)."""

    flat: bool = True
    """Suggest inactive parameters, too, so that they are modelled."""
    n_startup_trials: int = 10
    """Random trials before the first model."""
    deterministic_objective: bool = False
    """The model knows no noise."""
    traits: ClassVar[Traits] = Traits(max_objectives=99, requires=("optuna", "torch"))

    def sampler(self, seed: int, objectives: int) -> Any:
        from optuna.samplers import GPSampler, RandomSampler

        return GPSampler(
            seed=seed,
            independent_sampler=RandomSampler(seed=seed),
            n_startup_trials=self.n_startup_trials,
            deterministic_objective=self.deterministic_objective,
            constraints_func=None,
            warn_independent_sampling=False,
        )


@method("ext_optuna_cmaes")
@dataclass(frozen=True)
class OptunaCMAES(_Optuna):
    """Optuna's CMA-ES; categorical parameters are drawn at random."""

    flat: bool = True
    """Suggest inactive parameters, too, so that they are modelled."""
    n_startup_trials: int = 1
    """Random trials before the first generation."""
    popsize: int | None = None
    """Of a generation. None: 4 + floor(3 ln d)."""
    use_separable_cma: bool = False
    """With a diagonal covariance."""
    with_margin: bool = False
    """Keeps integers from getting stuck."""
    lr_adapt: bool = False
    """Adapts the learning rate."""
    traits: ClassVar[Traits] = Traits(requires=("optuna", "cmaes"))

    def sampler(self, seed: int, objectives: int) -> Any:
        from optuna.samplers import CmaEsSampler, RandomSampler

        return CmaEsSampler(
            x0=None,
            sigma0=None,
            n_startup_trials=self.n_startup_trials,
            independent_sampler=RandomSampler(seed=seed),
            warn_independent_sampling=False,
            seed=seed,
            consider_pruned_trials=False,
            restart_strategy=None,
            popsize=self.popsize,
            inc_popsize=-1,
            use_separable_cma=self.use_separable_cma,
            with_margin=self.with_margin,
            lr_adapt=self.lr_adapt,
            source_trials=None,
        )


@method("ext_optuna_nsga2")
@dataclass(frozen=True)
class OptunaNSGA2(_Optuna):
    """Optuna's NSGA-II (Deb et al. 2002), for several objectives."""

    population_size: int = 50
    """Trials per generation."""
    mutation_prob: float | None = None
    """That a parameter is drawn anew. None: 1/d."""
    crossover_prob: float = 0.9
    """That a child has two parents."""
    swapping_prob: float = 0.5
    """That a child has a parameter from the second of them."""
    traits: ClassVar[Traits] = Traits(min_objectives=2, max_objectives=99, requires=("optuna",))

    def sampler(self, seed: int, objectives: int) -> Any:
        from optuna.samplers import NSGAIISampler
        from optuna.samplers.nsgaii import UniformCrossover

        return NSGAIISampler(
            population_size=self.population_size,
            mutation=None,
            mutation_prob=self.mutation_prob,
            crossover=UniformCrossover(swapping_prob=self.swapping_prob),
            crossover_prob=self.crossover_prob,
            swapping_prob=self.swapping_prob,
            seed=seed,
            constraints_func=None,
            elite_population_selection_strategy=None,
            child_generation_strategy=None,
            after_trial_strategy=None,
        )


def _gamma(n: int) -> int:
    return min(math.ceil(0.1 * n), 25)


def _gamma_of_several(n: int) -> int:
    return math.ceil(0.1 * n)


def _weights(n: int) -> Floats:
    """Of n trials, the oldest first: the last 25 count in full."""
    return np.ones(n) if n < 25 else np.concatenate([np.linspace(1 / n, 1, n - 25), np.ones(25)])


class _Search(PeerSearch):
    method: _Optuna

    def _start(self) -> None:
        import optuna

        self._study = optuna.create_study(
            storage=optuna.storages.InMemoryStorage(),
            sampler=self.method.sampler(self.seed, len(self.problem.objectives)),
            pruner=optuna.pruners.NopPruner(),
            directions=["minimize"] * len(self.problem.objectives),
        )

    def _suggest(self) -> tuple[Config, Any]:
        trial = self._study.ask()
        return grow(self.space, lambda hp: _suggested(trial, hp), self.method.flat), trial

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        from optuna.trial import TrialState

        if values is None:
            self._study.tell(handle, state=TrialState.FAIL)
        else:
            self._study.tell(handle, list(values))

    def _observe_foreign(self, config: Config, values: Values | None) -> None:
        from optuna.trial import create_trial

        if values is not None:
            given = filled(self.space, config) if self.method.flat else config
            hps = [hp for hp in varied(self.space) if hp.name in given]
            params = {hp.name: number_of(hp, given[hp.name]) if is_ordinal(hp) else given[hp.name] for hp in hps}
            distributions = {hp.name: _distribution(hp) for hp in hps}
            self._study.add_trial(create_trial(values=list(values), params=params, distributions=distributions))


def _suggested(trial: Any, hp: Any) -> Value:
    if isinstance(hp, CS.UniformFloatHyperparameter):
        return float(trial.suggest_float(hp.name, hp.lower, hp.upper, log=hp.log))
    if isinstance(hp, CS.UniformIntegerHyperparameter):
        return int(trial.suggest_int(hp.name, hp.lower, hp.upper, log=hp.log))
    if is_ordinal(hp):
        return values_of(hp)[int(trial.suggest_int(hp.name, 0, len(values_of(hp)) - 1))]
    return plain(trial.suggest_categorical(hp.name, values_of(hp)))


def _distribution(hp: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(hp, CS.UniformFloatHyperparameter):
        return FloatDistribution(hp.lower, hp.upper, log=hp.log)
    if isinstance(hp, CS.UniformIntegerHyperparameter):
        return IntDistribution(hp.lower, hp.upper, log=hp.log)
    if is_ordinal(hp):
        return IntDistribution(0, len(values_of(hp)) - 1)
    return CategoricalDistribution(values_of(hp))
