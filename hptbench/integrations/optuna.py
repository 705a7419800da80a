"""Any method of hptbench as a sampler of Optuna (Akiba et al., 2019): one line changes in a study.

    study = optuna.create_study(sampler=hptbench.integrations.optuna.Sampler(method="gp", seed=0))

As Optuna's own samplers do, it infers what can be searched together from the trials that are complete: the parameters
that all of them have with the same bounds. These are the method's; all others (in the first trial: all, and always
those under a condition) are drawn independently by Optuna's ``RandomSampler``. When the common space changes, the
method begins anew and is told what there is. Values to be maximised are told negated; failed and pruned trials, and
those whose value is infinite, as failed.

What it cannot do: methods that train part of the way (Optuna's trials report while they run, and cannot be paused and
continued: use :class:`hptbench.tuner.Tuner`), constraints, conditional spaces as one space. A method that has to wait
for trials that run, or has come to its end, leaves a trial to the independent sampler, and a warning says so.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping
from typing import Any

import ConfigSpace as CS

from hptbench.errors import UserError
from hptbench.given import budget_of, chosen_method, whole
from hptbench.methods._peers import INSTALL
from hptbench.protocol import Budget, Method, Point, Problem, Proposal, Report, Search, Status
from hptbench.rng import entropy, stream
from hptbench.space import Config, Space, Value

try:
    from optuna.distributions import CategoricalDistribution
    from optuna.samplers import BaseSampler, RandomSampler
    from optuna.search_space import IntersectionSearchSpace
    from optuna.study import StudyDirection
    from optuna.trial import TrialState
except ImportError as missing:
    raise UserError(f"expected Optuna 5, whose sampler this is: {INSTALL} ({missing})") from missing

_log = logging.getLogger(__name__)
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Sampler(BaseSampler):  # type: ignore[misc]
    """A sampler for one study; safe with ``n_jobs``, and with several processes on one storage, each of which then has
    a sampler of its own that learns from all trials."""

    def __init__(
        self,
        method: str | Method = "gp",
        seed: int = 0,
        *,
        settings: Mapping[str, Any] | None = None,
        budget: float | Budget = 100,
    ) -> None:
        """``budget``: how many trials the study will have, for methods that plan by it. UserError for a method that
        trains part of the way."""
        self._method, about = chosen_method(method, settings, ())
        self._name = str(about["method"])
        if self._method.traits.fidelity:
            raise UserError(
                f"{self._name} trains part of the way, which a trial of Optuna cannot: take a method that trains every "
                "configuration to the end, or hptbench.Tuner"
            )
        self._seed, self._budget = whole("seed", seed, 0), budget_of(budget)
        self._independent = RandomSampler(seed=seed)
        self._common = IntersectionSearchSpace()
        self._lock = threading.Lock()
        self._over: dict[str, Any] = {}
        """What the method searches: distributions by name."""
        self._search: Search | None = None
        self._began = 0
        """How many times the method has begun."""
        self._open: dict[int, Proposal] = {}
        """Own proposals that were not told of yet, by number of the trial."""
        self._told: set[int] = set()

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """The parameters that all complete trials have with the same bounds, without those of one value."""
        with self._lock:
            found = self._common.calculate(study)
        return {name: over for name, over in found.items() if not over.single()}

    def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
        """The method's proposal; nothing if it has none, or if there is nothing to search yet."""
        if not search_space:
            return {}
        with self._lock:
            if self._search is None or search_space != self._over:
                self._search = self._begin(study, search_space)
            trials = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number]
            new = [one for one in trials if one.state in _ENDED and one.number not in self._told]
            self._told |= {one.number for one in new}
            signs = [-1.0 if direction is StudyDirection.MAXIMIZE else 1.0 for direction in study.directions]
            if reports := [self._report(one, signs) for one in new if self._knows(one)]:
                self._search.tell(reports)
            running = [one for one in trials if one.state is TrialState.RUNNING]
            known = [self._open.get(one.number) or Proposal(self._config(one)) for one in running if self._knows(one)]
            proposals = self._search.ask(1, known)
            if not proposals:
                _log.warning(
                    f"{self._name} proposes nothing for trial {trial.number}, which is drawn at random: it waits for "
                    f"{len(known)} running trials, or is at its end"
                )
                return {}
            self._open[trial.number] = proposals[0]
            return {name: _value(over, proposals[0].config[name]) for name, over in search_space.items()}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """A uniform draw."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def _begin(self, study: Any, over: dict[str, Any]) -> Search:
        n, traits = len(study.directions), self._method.traits
        if not traits.min_objectives <= n <= traits.max_objectives:
            raise UserError(
                f"{self._name} takes {traits.min_objectives} to {traits.max_objectives} objective(s), the study has {n}"
            )
        self._over, self._open, self._told = dict(over), {}, set()
        space = Space(CS.ConfigurationSpace(space={name: _parameter(name, one) for name, one in over.items()}))
        problem = Problem(space, tuple(f"value_{i}" for i in range(n)), None, self._budget)
        self._began += 1
        return self._method.begin(problem, stream(entropy("optuna", self._seed, "search", self._began)))

    def _knows(self, trial: Any) -> bool:
        """Whether a trial lies in the space that the method searches."""
        return all(trial.distributions.get(name) == over for name, over in self._over.items())

    def _config(self, trial: Any) -> Config:
        return {name: _number(over, trial.params[name]) for name, over in self._over.items()}

    def _report(self, trial: Any, signs: list[float]) -> Report:
        """What the method is told of a trial that has ended; its own proposal may have been overruled (``enqueue``)."""
        ok = trial.state is TrialState.COMPLETE and all(map(math.isfinite, trial.values))
        values = tuple(s * v for s, v in zip(signs, trial.values, strict=True)) if ok else (float("inf"),) * len(signs)
        config, own = self._config(trial), self._open.pop(trial.number, None)
        proposal = Proposal(config) if own is None else own if own.config == config else Proposal(config, note=own.note)
        status = Status.OK if ok else Status.FAILED
        curve = (Point(1.0, values),) if ok else ()
        return Report(trial.number, trial.number, proposal, 1.0, status, values, curve, 1.0)


def _steps(over: Any) -> int | None:
    """How many values a number with steps has, less one; None where it is continuous or every whole number."""
    whole_number = isinstance(over.step, int) and over.step == 1
    return None if over.step is None or whole_number else round((over.high - over.low) / over.step)


def _parameter(name: str, over: Any) -> Any:
    """A distribution in the terms of ConfigSpace. Categories and values on steps are numbered."""
    if isinstance(over, CategoricalDistribution):
        return CS.CategoricalHyperparameter(name, list(range(len(over.choices))))
    if (steps := _steps(over)) is not None:
        return CS.Integer(name, (0, steps))
    kind: Any = CS.Integer if isinstance(over.low, int) else CS.Float
    return kind(name, (over.low, over.high), log=over.log)


def _value(over: Any, number: Value) -> Any:
    """The value of a trial that stands for a proposal's."""
    if isinstance(over, CategoricalDistribution):
        return over.choices[int(number)]
    return number if _steps(over) is None else over.low + int(number) * over.step


def _number(over: Any, value: Any) -> Value:
    """The inverse of :func:`_value`."""
    if isinstance(over, CategoricalDistribution):
        return int(over.to_internal_repr(value))
    if _steps(over) is not None:
        return int((value - over.low) / over.step + 0.5)
    return int(value) if isinstance(over.low, int) else float(value)
