"""What the wrappers of Optuna share: a hyperparameter in its terms, and its TPE."""

from __future__ import annotations

import math
from typing import Any

import ConfigSpace as CS
import numpy as np

from hptbench.methods._peers import is_ordinal, plain, values_of
from hptbench.space import Floats, Value


def tpe(method: Any, seed: int, objectives: int) -> Any:
    """Optuna's TPE, with all arguments given: those that are fields of ``method``, and its defaults."""
    from optuna.samplers import TPESampler

    return TPESampler(
        consider_prior=True,
        prior_weight=1.0,
        consider_magic_clip=True,
        consider_endpoints=False,
        n_startup_trials=method.n_startup_trials,
        n_ei_candidates=method.n_ei_candidates,
        gamma=_gamma if objectives == 1 else _gamma_of_several,
        weights=_weights,
        seed=seed,
        multivariate=method.multivariate,
        group=method.group,
        warn_independent_sampling=False,
        constant_liar=method.constant_liar,
        constraints_func=None,
    )


def suggested(trial: Any, hp: Any) -> Value:
    """The value that Optuna suggests for a hyperparameter in a trial."""
    if isinstance(hp, CS.UniformFloatHyperparameter):
        return float(trial.suggest_float(hp.name, hp.lower, hp.upper, log=hp.log))
    if isinstance(hp, CS.UniformIntegerHyperparameter):
        return int(trial.suggest_int(hp.name, hp.lower, hp.upper, log=hp.log))
    if is_ordinal(hp):
        return values_of(hp)[int(trial.suggest_int(hp.name, 0, len(values_of(hp)) - 1))]
    return plain(trial.suggest_categorical(hp.name, values_of(hp)))


def distribution(hp: Any) -> Any:
    """A hyperparameter in Optuna's terms."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(hp, CS.UniformFloatHyperparameter):
        return FloatDistribution(hp.lower, hp.upper, log=hp.log)
    if isinstance(hp, CS.UniformIntegerHyperparameter):
        return IntDistribution(hp.lower, hp.upper, log=hp.log)
    if is_ordinal(hp):
        return IntDistribution(0, len(values_of(hp)) - 1)
    return CategoricalDistribution(values_of(hp))


def _gamma(n: int) -> int:
    return min(math.ceil(0.1 * n), 25)


def _gamma_of_several(n: int) -> int:
    return math.ceil(0.1 * n)


def _weights(n: int) -> Floats:
    """Of n trials, the oldest first: the last 25 count in full."""
    return np.ones(n) if n < 25 else np.concatenate([np.linspace(1 / n, 1, n - 25), np.ones(25)])
