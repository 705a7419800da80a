"""Nevergrad's NGOpt as a peer.

L. Meunier, H. Rakotoarison, P. K. Wong, B. Roziere, J. Rapin, O. Teytaud, A. Moreau and C. Doerr, "Black-box
optimization revisited: Improving algorithm selection wizards through massive benchmarking", IEEE Transactions on
Evolutionary Computation 26, 2022, arXiv:2010.04542. Written for Nevergrad 1.0.12 (2025).

NGOpt chooses an algorithm by the space, the budget (the number of trials; 100 where only time limits it) and the number
of workers. The space: ``Scalar`` and ``Log`` with bounds, cast to integers where they are such, ``TransitionChoice``
for ordinals, ``Choice`` for categories. It has no conditions: inactive parameters are left out of what is evaluated.

Failed jobs are told with the worst value so far; before there is one, with what Nevergrad makes of infinity (5e20).
Reports of other people's jobs are told, unless the chosen algorithm does not take such.

What had to be put right: Nevergrad 1.0.12 calls ``float`` with arrays of one element, which NumPy 2.4 refuses, so that
its ``MetaModel`` (the choice for continuous spaces and less than 600 trials) would break. And ``CmaFmin2`` (the choice
for 3 to 20 continuous parameters, one worker, and more than 50 trials per parameter) runs pycma in a thread that seeds
itself by the clock: it is refused, for nobody could repeat such a run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.methods._peers import PeerSearch, Values, filled, is_ordinal, plain, trials, value_at, values_of, varied
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config, Value


@method("ext_nevergrad_ngopt")
@dataclass(frozen=True)
class NGOpt:
    """Nevergrad's NGOpt: a wizard that chooses the algorithm."""

    optimizer: str = "NGOpt"
    """A name in Nevergrad's registry of optimisers."""
    traits: ClassVar[Traits] = Traits(requires=("nevergrad",))

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(PeerSearch):
    method: NGOpt

    def _start(self) -> None:
        import nevergrad as ng
        from nevergrad.optimization import metamodel

        if self.method.optimizer not in ng.optimizers.registry:
            raise unknown("optimiser of Nevergrad", self.method.optimizer, ng.optimizers.registry)
        space = ng.p.Dict(**{hp.name: _parameter(hp) for hp in varied(self.space)})
        space.random_state.seed(self.seed)
        budget = trials(self.problem.budget, otherwise=100)
        metamodel.float = _float
        self._optimizer = ng.optimizers.registry[self.method.optimizer](space, budget, self.problem.workers)
        chosen = getattr(self._optimizer, "optim", self._optimizer)
        if "CmaFmin2" in (getattr(chosen, "method", None), getattr(getattr(chosen, "_optim", None), "method", None)):
            raise UserError(
                f"{self.method.optimizer} chooses CmaFmin2 for {len(self.space)} parameters, {budget} trials "
                "and one worker, which seeds itself by the clock; take 50 trials per parameter at most, or workers=2"
            )

    def _suggest(self) -> tuple[Config, Any]:
        candidate = _in_daemon(self._optimizer.ask)
        chosen = {hp.name: _value(hp, candidate.value[hp.name]) for hp in varied(self.space)}
        return self.space.canonical(filled(self.space, chosen)), candidate

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        told = values or self._worst
        self._optimizer.tell(handle, told[0] if told else np.inf)

    def _observe_foreign(self, config: Config, values: Values | None) -> None:
        from nevergrad.common.errors import TellNotAskedNotSupportedError

        whole = filled(self.space, config)
        candidate = self._optimizer.parametrization.spawn_child(
            new_value={hp.name: whole[hp.name] for hp in varied(self.space)}
        )
        try:
            self._observe(candidate, config, values)
        except TellNotAskedNotSupportedError:
            return


def _parameter(hp: Any) -> Any:
    import nevergrad as ng

    if values := values_of(hp):
        return ng.p.TransitionChoice(values, transitions=(1.0, 1.0)) if is_ordinal(hp) else ng.p.Choice(values)
    number = (ng.p.Log if hp.log else ng.p.Scalar)(lower=float(hp.lower), upper=float(hp.upper))
    return number.set_integer_casting() if isinstance(hp, CS.UniformIntegerHyperparameter) else number


def _value(hp: Any, chosen: Any) -> Value:
    return plain(chosen) if values_of(hp) else value_at(hp, chosen)


def _float(x: Any) -> float:
    return float(np.asarray(x).item())


def _in_daemon(call: Callable[[], Any]) -> Any:
    """What ``call`` returns, made in a thread that does not outlive the process: nor will the threads that it starts.
    Nevergrad runs SciPy's optimisers in threads, and an interrupted process would wait for them for ever."""
    found: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(call())
        except BaseException as error:  # raised again where it belongs
            failed.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
