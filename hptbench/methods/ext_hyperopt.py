"""Hyperopt's tree-structured Parzen estimator as a peer.

J. Bergstra, R. Bardenet, Y. Bengio and B. Kégl, "Algorithms for hyper-parameter optimization", NIPS 2011; J. Bergstra,
D. Yamins and D. Cox, "Making a science of model search", ICML 2013. Written for Hyperopt 0.3 (2025), whose defaults the
fields have.

The space: ``hp.uniform``, ``hp.loguniform``; ``hp.quniform`` and ``hp.qloguniform`` with q = 1 for integers and for the
positions of ordinals (with bounds half a step wider, so that the first and last value are as likely as the others);
``hp.choice`` for categories. Parameters that depend on values of a categorical or ordinal are nested in its
``hp.choice``; those under other conditions are always drawn, and left out of what is evaluated where inactive.

Pending trials count as infinitely bad, and so do failed jobs (``STATUS_FAIL``) and forbidden suggestions: that is what
the library does. Reports of other people's jobs are added as finished trials.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np

from hptbench.methods._peers import (
    PeerSearch,
    Values,
    branches,
    grow,
    is_ordinal,
    number_of,
    value_at,
    values_of,
    varied,
)
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config, Space


@method("ext_hyperopt_tpe")
@dataclass(frozen=True)
class HyperoptTPE:
    """Hyperopt's TPE: a density per parameter, conditions as a tree."""

    prior_weight: float = 1.0
    """Of the prior, in observations."""
    n_startup_jobs: int = 20
    """Random trials before the first model."""
    n_ei_candidates: int = 24
    """Candidates per parameter and suggestion."""
    gamma: float = 0.25
    """The best gamma * sqrt(n) trials, at most 25, count as good."""
    traits: ClassVar[Traits] = Traits(requires=("hyperopt",))

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(PeerSearch):
    method: HyperoptTPE

    def _start(self) -> None:
        from hyperopt import Trials
        from hyperopt.base import Domain

        self._domain = Domain(fn=None, expr=_expression(self.space), pass_expr_memo_ctrl=False)
        self._trials = Trials()
        self._seeds = np.random.default_rng(self.seed)

    def _suggest(self) -> tuple[Config, Any]:
        from hyperopt import JOB_STATE_RUNNING, tpe

        ids = self._trials.new_trial_ids(1)
        self._trials.refresh()
        [doc] = tpe.suggest(
            ids,
            self._domain,
            self._trials,
            seed=int(self._seeds.integers(2**31 - 1)),
            prior_weight=self.method.prior_weight,
            n_startup_jobs=self.method.n_startup_jobs,
            n_EI_candidates=self.method.n_ei_candidates,
            gamma=self.method.gamma,
            verbose=False,
        )
        doc["state"] = JOB_STATE_RUNNING
        doc = self._insert(doc)
        values = doc["misc"]["vals"]
        return grow(self.space, lambda hp: value_at(hp, values[hp.name][0])), doc

    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        from hyperopt import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK

        handle["state"] = JOB_STATE_DONE
        handle["result"] = {"status": STATUS_FAIL} if values is None else {"status": STATUS_OK, "loss": values[0]}
        self._trials.refresh()

    def _observe_foreign(self, config: Config, values: Values | None) -> None:
        [tid] = self._trials.new_trial_ids(1)
        given = {hp.name: [number_of(hp, config[hp.name])] if hp.name in config else [] for hp in varied(self.space)}
        misc = {
            "tid": tid,
            "cmd": self._domain.cmd,
            "workdir": None,
            "idxs": {name: [tid] * len(numbers) for name, numbers in given.items()},
            "vals": given,
        }
        [doc] = self._trials.new_trial_docs([tid], [None], [{"status": "new"}], [misc])
        self._observe(self._insert(doc), config, values)

    def _insert(self, doc: Any) -> Any:
        """Put ``doc`` among the trials; returns the copy that is kept there."""
        self._trials.insert_trial_docs([doc])
        self._trials.refresh()
        return self._trials.trials[-1]


def _expression(space: Space) -> dict[str, Any]:
    """The search space in Hyperopt's terms."""
    from hyperopt import hp as hyper

    parents, nodes = branches(space), dict[str, Any]()
    parametric = {hp.name: hp for hp in varied(space)}

    def node(name: str) -> Any:
        if name not in nodes:
            nodes[name] = make(parametric[name])
        return nodes[name]

    def make(hp: Any) -> Any:
        if isinstance(hp, CS.UniformFloatHyperparameter):
            low, high = float(hp.lower), float(hp.upper)
            return hyper.loguniform(hp.name, log(low), log(high)) if hp.log else hyper.uniform(hp.name, low, high)
        if isinstance(hp, CS.UniformIntegerHyperparameter):
            low, high = hp.lower - 0.5, hp.upper + 0.5
            if hp.log:
                return hyper.qloguniform(hp.name, log(low), log(high), 1)
            return hyper.quniform(hp.name, low, high, 1)
        values = values_of(hp)
        children = [[c for c, (parent, among) in parents.items() if parent == hp.name and v in among] for v in values]
        if is_ordinal(hp) and not any(children):
            return hyper.quniform(hp.name, -0.5, len(values) - 0.5, 1)
        return hyper.choice(hp.name, [{child: node(child) for child in below} for below in children])

    return {name: node(name) for name in parametric if name not in parents or parents[name][0] not in parametric}
