"""The DEHB package of its authors as a peer.

N. Awad, N. Mallik and F. Hutter, "DEHB: Evolutionary Hyperband for scalable, robust and efficient hyperparameter
optimization", IJCAI 2021, arXiv:2105.09821. Written for DEHB 0.1.2 (2024), whose defaults the fields have.

It is asked and told. While a rung waits for its results, the next bracket begins, which is how it keeps workers busy.
It knows of no continued training: here a configuration that it promotes, which it does while the first of each bracket
run, goes on from its job at the lower fidelity.

The space: a copy of the problem's ConfigSpace, conditions included, forbidden clauses left out. DEHB ignores pending
trials. Failed jobs are told with the worst value so far (with an infinite one its promotion breaks down where a whole
rung has failed). It takes no reports of other people's jobs. It would write a log, its state and its history into the
working directory, and to standard output: here it writes nothing.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import ConfigSpace as CS
import numpy as np

from hptbench.errors import UserError
from hptbench.methods._peer_rungs import RungSearch
from hptbench.methods._peers import Values, plain
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config


@method("ext_dehb")
@dataclass(frozen=True)
class PackageDEHB:
    """The authors' DEHB: Hyperband whose configurations come from differential evolution."""

    eta: int = 3
    """A rung trains eta times as far as the one below."""
    mutation_factor: float = 0.5
    """F of differential evolution."""
    crossover_prob: float = 0.5
    """That a parameter comes from the mutant."""
    strategy: str = "rand1_bin"
    """Mutation and crossover."""
    boundary_fix_type: str = "random"
    """What becomes of values outside the bounds: ``random`` or ``clip``."""
    traits: ClassVar[Traits] = Traits(fidelity=True, requires=("dehb", "loguru", "distributed"))

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Trial(NamedTuple):
    job: dict[str, Any]
    fidelity: float


class _Search(RungSearch):
    method: PackageDEHB
    tells_failures = False

    def _start(self) -> None:
        if len(self.levels) == 1:
            raise UserError(
                f"expected a fidelity with two rungs at least, which DEHB needs, got {self.fidelity} with "
                f"eta={self.method.eta}; choose method=de, which trains to the end"
            )
        self._dehb = _silent()(
            cs=_without_clauses(self.space.configspace),
            f=None,
            dimensions=None,
            mutation_factor=self.method.mutation_factor,
            crossover_prob=self.method.crossover_prob,
            strategy=self.method.strategy,
            min_fidelity=self.lowest,
            max_fidelity=self.levels[-1],
            eta=self.method.eta,
            min_clip=None,
            max_clip=None,
            seed=self.seed,
            configspace=True,
            boundary_fix_type=self.method.boundary_fix_type,
            max_age=np.inf,
            n_workers=1,
            client=None,
            async_strategy="immediate",
            save_freq=None,
            resume=False,
        )

    def _suggest(self) -> tuple[Config, Any]:
        job = self._dehb.ask()
        config = dict(job["config"])
        named = {name: plain(config[name]) for name in self.space.names if name in config}
        return named, _Trial(job, self.fidelity.snap(float(job["fidelity"])))

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        if values is None:
            raise ValueError("failed jobs are told with a value")
        self._dehb.tell(handle.job, {"fitness": values[0], "cost": 1.0})


def _silent() -> Any:
    """DEHB without its log and its files."""
    from dehb import DEHB
    from loguru import logger

    class Silent(DEHB):  # type: ignore[misc]
        def _setup_logger(self, resume: bool, kwargs: Any) -> None:
            self.output_path, self.logger = Path(), logger

        def save(self) -> None:
            """Nothing."""

    logger.disable("dehb")
    return Silent


def _without_clauses(configspace: CS.ConfigurationSpace) -> CS.ConfigurationSpace:
    copied = copy.deepcopy(configspace)
    out = CS.ConfigurationSpace(name=copied.name)
    out.add(list(copied.values()))
    out.add(copied.conditions)
    return out
