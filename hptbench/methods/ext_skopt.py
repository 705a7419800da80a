"""scikit-optimize's Gaussian process as a peer.

T. Head, M. Kumar, H. Nahrstaedt, G. Louppe and I. Shcherbatyi, "scikit-optimize", 2021, doi:10.5281/zenodo.1157319.
Written for scikit-optimize 0.10 (2024), whose defaults of ``gp_minimize`` the fields have.

The space: ``Real`` and ``Integer`` with their scales (positions for ordinals), ``Categorical``. It has no conditions:
inactive parameters are left out of what is evaluated. Pending trials are lied about as the library does in a batch
(``cl_min``: the best value so far, in a copy of the optimiser). Failed jobs are told with the worst value so far.
Reports of other people's jobs are told (inactive parameters get the default value).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np

from hptbench.methods._peers import PeerSearch, Values, filled, is_ordinal, number_of, value_at, values_of, varied
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config


@method("ext_skopt_gp")
@dataclass(frozen=True)
class SkoptGP:
    """scikit-optimize's Gaussian process with a portfolio of acquisition functions."""

    n_initial_points: int = 10
    """Random trials before the first model."""
    acq_func: str = "gp_hedge"
    """``gp_hedge`` (a portfolio of the others), ``EI``, ``LCB`` or ``PI``."""
    n_points: int = 10000
    """Random candidates that the search of the acquisition function may start from."""
    n_restarts_optimizer: int = 5
    """How many of them it starts from."""
    traits: ClassVar[Traits] = Traits(requires=("skopt",))

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(PeerSearch):
    method: SkoptGP
    tells_failures = False

    def _start(self) -> None:
        from skopt import Optimizer

        self._optimizer = Optimizer(
            dimensions=[_dimension(hp) for hp in varied(self.space)],
            base_estimator="GP",
            n_random_starts=None,
            n_initial_points=self.method.n_initial_points,
            initial_point_generator="random",
            n_jobs=1,
            acq_func=self.method.acq_func,
            acq_optimizer="auto",
            random_state=self.seed,
            model_queue_size=1,
            space_constraint=None,
            acq_func_kwargs={"xi": 0.01, "kappa": 1.96},
            acq_optimizer_kwargs={
                "n_points": self.method.n_points,
                "n_restarts_optimizer": self.method.n_restarts_optimizer,
                "n_jobs": 1,
            },
            avoid_duplicates=True,
        )

    def _suggest(self) -> tuple[Config, Any]:
        optimizer, pending = self._optimizer, [point for _, point in self.pending() if point is not None]
        if pending and optimizer.models:
            optimizer = optimizer.copy(random_state=optimizer.rng.randint(0, np.iinfo(np.int32).max))
            optimizer.tell(pending, [min(optimizer.yi)] * len(pending))
        point = optimizer.ask()
        values = {hp.name: value_at(hp, x) for hp, x in zip(varied(self.space), point, strict=True)}
        return self.space.canonical(filled(self.space, values)), point

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        if values is None:
            raise ValueError("failed jobs are told with a value")
        self._optimizer.tell(handle, values[0])

    def _observe_foreign(self, config: Config, values: Values | None) -> None:
        whole = filled(self.space, config)
        self._observe([number_of(hp, whole[hp.name]) for hp in varied(self.space)], config, values)


def _dimension(hp: Any) -> Any:
    from skopt.space import Categorical, Integer, Real

    if values := values_of(hp):
        return Integer(0, len(values) - 1) if is_ordinal(hp) else Categorical(list(range(len(values))))
    prior = "log-uniform" if hp.log else "uniform"
    if isinstance(hp, CS.UniformIntegerHyperparameter):
        return Integer(int(hp.lower), int(hp.upper), prior=prior)
    return Real(float(hp.lower), float(hp.upper), prior=prior)
