"""Ax, which is BoTorch's models and acquisition functions behind an experiment, as a peer.

M. Olson, E. Santorella, L. C. Tiao, S. Cakmak, M. Garrard, S. Daulton, Z. J. Lin, S. Ament, B. Beckerman, E. Onofrey
et al., "Ax: A platform for adaptive experimentation", AutoML-Conf 2025; M. Balandat et al., "BoTorch: A framework for
efficient Monte-Carlo Bayesian optimization", NeurIPS 2020, arXiv:1910.06403. Written for Ax 1.3 and BoTorch 0.18
(2026), whose defaults the fields have.

The space: range parameters with their scale, choices (by position) that are ordered or not. Ax's own conditions allow
each parameter under one value of one parent only, and are flattened by its models; here all parameters are suggested,
as in its flattened space, and inactive ones are left out of what is evaluated.

Pending trials are known to Ax, and so are failed jobs (``mark_trial_failed``), which it does not propose again. Reports
of other people's jobs are attached as trials (inactive parameters get the default value). Several objectives are
optimised by their hypervolume. More initial trials than ``initialization_budget`` are allowed while none has finished.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np

from hptbench.errors import UserError
from hptbench.methods._peers import PeerSearch, Values, filled, is_ordinal, number_of, value_at, values_of, varied
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config

_METHODS = ("fast", "quality")


@method("ext_ax")
@dataclass(frozen=True)
class Ax:
    """Ax with its default strategy: a Gaussian process of BoTorch with log (noisy) expected improvement."""

    strategy: str = "fast"
    """``fast``: BoTorch's default model; ``quality``: a warped, fully Bayesian SAAS model."""
    initialization_budget: int = 5
    """Sobol trials before the first model, the centre included."""
    initialize_with_center: bool = True
    """Begin with the centre of the space."""
    min_observed_initialization_trials: int = 2
    """How many of them must have finished before the first model."""
    traits: ClassVar[Traits] = Traits(max_objectives=99, requires=("ax", "torch"))

    def __post_init__(self) -> None:
        if self.strategy not in _METHODS:
            raise UserError(f"expected ext_ax.strategy to be one of {', '.join(_METHODS)}, got {self.strategy!r}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(PeerSearch):
    method: Ax

    def _start(self) -> None:
        from ax.api.client import Client

        sizes = [size for size in self.space.sizes.tolist() if size != 1]
        self._points = math.prod(sizes) or None
        """Of a finite space. Ax never repeats one, but would search long for a new one."""
        self._suggested = 0
        self._client = Client(storage_config=None, random_seed=self.seed)
        self._client.configure_experiment([_parameter(hp) for hp in varied(self.space)], name="hptbench")
        self._metrics = [f"objective{i}" for i in range(len(self.problem.objectives))]
        self._client.configure_optimization(objective=", ".join(f"-{metric}" for metric in self._metrics))
        self._client.configure_generation_strategy(
            method=self.method.strategy,
            initialization_budget=self.method.initialization_budget,
            initialization_random_seed=self.seed,
            initialize_with_center=self.method.initialize_with_center,
            use_existing_trials_for_initialization=True,
            min_observed_initialization_trials=self.method.min_observed_initialization_trials,
            allow_exceeding_initialization_budget=True,
            torch_device="cpu",
            simplify_parameter_changes=False,
        )

    def _suggest(self) -> tuple[Config, Any] | None:
        from ax.exceptions.core import OptimizationComplete

        if self._suggested == self._points:
            return None
        try:
            [(index, chosen)] = self._client.get_next_trials(max_trials=1).items()
        except OptimizationComplete:  # the space is exhausted, or Ax only repeats itself
            return None
        self._suggested += 1
        values = {hp.name: value_at(hp, chosen[hp.name]) for hp in varied(self.space)}
        return self.space.canonical(filled(self.space, values)), index

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        if values is None:
            self._client.mark_trial_failed(handle)
        else:
            self._client.complete_trial(handle, raw_data=dict(zip(self._metrics, values, strict=True)))

    def _observe_foreign(self, config: Config, values: Values | None) -> None:
        whole = filled(self.space, config)
        parameters = {hp.name: number_of(hp, whole[hp.name]) for hp in varied(self.space)}
        self._observe(self._client.attach_trial(parameters), config, values)


def _parameter(hp: Any) -> Any:
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    if values := values_of(hp):
        return ChoiceParameterConfig(
            name=hp.name,
            values=list(range(len(values))),
            parameter_type="int",
            is_ordered=is_ordinal(hp) or len(values) == 2,
            dependent_parameters=None,
        )
    return RangeParameterConfig(
        name=hp.name,
        bounds=(float(hp.lower), float(hp.upper)),
        parameter_type="int" if isinstance(hp, CS.UniformIntegerHyperparameter) else "float",
        step_size=None,
        scaling="log" if hp.log else "linear",
    )
