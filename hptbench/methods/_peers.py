"""Other people's optimisers behind our protocol: what the wrappers ``ext_*.py`` share.

A peer is run as its users run it. It gets the problem's space in its own terms, is asked and told through its own
interface with every argument given (a library's changed default must not change our results), and nothing that it
proposes is improved: a configuration that it proposes twice is evaluated twice. What holds for all of them:

- **Full fidelity only.** Reports below it are ignored (:mod:`hptbench.methods._peer_rungs` is for the others).
- **Failed jobs** are told in the library's own way if it has one, else with the worst value told so far; before there
  is one they are held back. The wrapper's docstring says which.
- **Reports of jobs that it did not propose** (warm starts) become data where the library takes such, else nothing.
- **Forbidden clauses.** Few libraries know them. What they exclude is told as failed, and the library is asked again.
  After ``_REDRAWS`` attempts a uniform legal draw takes its place (note ``drawn: uniform``), and is told like a report
  of someone else's job. The same happens where a library has nothing left to propose. Parameters with one value are
  none for it, and a space of nothing else never reaches it. Weights of categories are not passed on.
- **Conditions.** The docstring says whether the library knows them; where it does not, or not this kind,
  it sees all parameters, and the values of inactive ones are left out of what is evaluated.
- **Randomness.** One integer is drawn from the search's generator; the global states of ``random``, NumPy and PyTorch
  belong to the peer while it works, begin at that seed, and are put back after each call. PyTorch gets one thread.
  Warnings and log messages of the library are silenced for as long.
"""

from __future__ import annotations

import logging
import math
import random
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import ConfigSpace as CS
import numpy as np

from hptbench.errors import UserError
from hptbench.methods._draws import Uniform
from hptbench.protocol import Budget, Problem, Proposal, Report
from hptbench.space import Config, Space, Value

Values = tuple[float, ...]
INSTALL = 'pip install "hptbench[peers]"'
_SPECIAL: Mapping[str, str] = {
    "syne_tune": "pip install --no-deps syne-tune (it requires xgboost, the same module as xgboost-cpu)",
    "hpbandster": "pip install --no-deps hpbandster (it requires netifaces, which only its network needs)",
    "dehb": "pip install --no-deps dehb (it pins numpy < 2, but works with later ones)",
}
"""Modules that the extra does not bring."""
UNAVAILABLE: Mapping[str, str] = {
    "HEBO": "0.3.6 cannot be imported: it needs pymoo.operators.mixed_variable_operator, which the pymoo 0.6.0 that it "
    "pins does not have, and pandas.DataFrame.append, gone since pandas 2, and pins numpy < 1.25 (method=hebo is ours)",
    "Syne Tune's other schedulers": "0.16 has no ASHA by promotion, synchronous Hyperband, PASHA, DEHB, MOBSTER and "
    "Hyper-Tune any more (ours: asha, hyperband, pasha, dehb, mobster, hyper_tune)",
}
"""Libraries that would be peers, and why they cannot be."""
_REDRAWS = 20


def missing(modules: Sequence[str]) -> str | None:
    """What to install for the first of ``modules`` that is not there; None if all are. Imports none of them."""
    for module in modules:
        package, *parts = module.split(".")
        found = find_spec(package)
        if found is None:
            return f"{package} is not installed: {_SPECIAL.get(package, INSTALL)}"
        places = [Path(place, *parts) for place in found.submodule_search_locations or ()]
        if parts and not any(place.is_dir() or place.with_suffix(".py").is_file() for place in places):
            return f"the installed {package} has no {module}: {_SPECIAL.get(package, INSTALL)}"
    return None


class Sandbox:
    """Keeps a library's use of global state to itself: random states, logging, warnings, threads."""

    def __init__(self, seed: int, torch: bool) -> None:
        self._seed, self._torch = seed, torch
        self._numpy = np.random.MT19937(np.random.SeedSequence(seed))
        self._states: tuple[Any, ...] | None = None
        """Of ``random`` and PyTorch when the library was left."""

    @contextmanager
    def __call__(self) -> Iterator[None]:
        outer, level = self._get(), logging.root.manager.disable
        numpy: Any = np.random.get_state()  # noqa: NPY002  other people's libraries use it
        bits = np.random.get_bit_generator()  # type: ignore[attr-defined]
        with warnings.catch_warnings(), self._one_thread():
            warnings.simplefilter("ignore")
            logging.disable(logging.CRITICAL)
            if self._states is None:
                self._begin()
            else:
                self._set(self._states)
            np.random.set_bit_generator(self._numpy)  # type: ignore[attr-defined]
            try:
                yield
            finally:
                self._states = self._get()
                self._set(outer)
                np.random.set_bit_generator(bits)  # type: ignore[attr-defined]
                if numpy[3]:  # a normal number in store, which the exchange of generators has lost
                    np.random.set_state(numpy)  # noqa: NPY002
                logging.disable(level)

    def _get(self) -> tuple[Any, ...]:
        if self._torch:
            import torch

            return random.getstate(), torch.get_rng_state()
        return (random.getstate(),)

    def _set(self, states: tuple[Any, ...]) -> None:
        random.setstate(states[0])
        if self._torch:
            import torch

            torch.set_rng_state(states[1])

    def _begin(self) -> None:
        random.seed(self._seed)
        if self._torch:
            import torch

            torch.manual_seed(self._seed)

    @contextmanager
    def _one_thread(self) -> Iterator[None]:
        if not self._torch:
            yield
            return
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


class PeerSearch(ABC):
    """A library's optimiser as a search. A subclass says how to suggest and how to observe; its ``_start`` builds the
    optimiser, in the sandbox."""

    tells_failures: ClassVar[bool] = True
    """The library has a way of its own for failed jobs: ``_observe`` is called with None. Else with the worst value."""

    def __init__(self, method: Any, problem: Problem, rng: np.random.Generator) -> None:
        needed = type(method).traits.requires
        if lack := missing(needed):
            raise UserError(lack)
        self.method, self.problem, self.space = method, problem, problem.space
        self.seed = int(rng.integers(2**31 - 1))
        self._uniform = Uniform(self.space, rng)
        self._sandbox = Sandbox(self.seed, "torch" in needed)
        self._high = problem.fidelity.high if problem.fidelity else 1.0
        self._count = 0
        self._open: dict[int, tuple[Proposal, Any]] = {}
        """Number of a suggestion that was not told of yet -> proposal, the library's handle."""
        self._worst: Values | None = None
        self._held: list[tuple[Any, Config]] = []
        """Failed jobs that wait for a value that they can be told with."""
        self._starved = not varied(self.space)
        if not self._starved:
            with self._sandbox():
                self._start()

    @abstractmethod
    def _start(self) -> None:
        """Build the optimiser."""

    @abstractmethod
    def _suggest(self) -> tuple[Config, Any] | None:
        """A configuration and the library's handle on it (not None); None if it has nothing left to propose."""

    @abstractmethod
    def _observe(self, handle: Any, config: Config, values: Values | None) -> None:
        """Tell the library of a finished suggestion; ``values`` is None if it failed."""

    def _observe_foreign(self, config: Config, values: Values | None) -> None:  # noqa: B027  an option
        """Tell the library of a configuration that it did not suggest; here: nothing."""

    def pending(self) -> list[tuple[Config, Any]]:
        """Suggestions that were not told of yet, in the order in which they were made."""
        return [(proposal.config, handle) for proposal, handle in self._open.values()]

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        with self._sandbox():
            return [self._next() for _ in range(n)]

    def tell(self, reports: Sequence[Report]) -> None:
        with self._sandbox():
            for report in reports:
                if report.fidelity >= self._high:
                    self._take(report)

    def _next(self) -> Proposal:
        for _ in range(0 if self._starved else _REDRAWS):
            suggested = self._suggest()
            if suggested is None:
                break
            config, handle = suggested
            if self.space.configspace.forbidden_clauses and not self.space.legal(self.space.encode([config]))[0]:
                self._tell(handle, config, None)
                continue
            return self._hand_out(self._proposal(config, handle), handle)
        config, _ = self._uniform.draw()
        return self._hand_out(Proposal(config, note={"drawn": "uniform"}), None)

    def _proposal(self, config: Config, handle: Any) -> Proposal:
        """What to evaluate for a suggestion."""
        return Proposal(config)

    def _hand_out(self, proposal: Proposal, handle: Any) -> Proposal:
        number, self._count = self._count, self._count + 1
        proposal = replace(proposal, note={"suggestion": number, **proposal.note})
        self._open[number] = (proposal, handle)
        return proposal

    def _claim(self, report: Report) -> Any:
        """The handle of the suggestion that the report answers; None if it is not one of the library's."""
        return self._open.pop(report.proposal.note["suggestion"])[1] if self._is_own(report) else None

    def _is_own(self, report: Report) -> bool:
        number = report.proposal.note.get("suggestion")
        return isinstance(number, int) and number in self._open and self._open[number][0] == report.proposal

    def _take(self, report: Report) -> None:
        config, handle, values = report.proposal.config, self._claim(report), finite(report)
        if values is not None:
            self._worst = values if self._worst is None else tuple(map(max, self._worst, values))
        self._tell(handle, config, values)
        if self._worst is not None:
            held, self._held = self._held, []
            for handle, config in held:
                self._tell(handle, config, None)

    def _tell(self, handle: Any, config: Config, values: Values | None) -> None:
        if values is None and not self.tells_failures:
            if self._worst is None:
                self._held.append((handle, config))
                return
            values = self._worst
        if self._starved:
            return
        if handle is None:
            self._observe_foreign(config, values)
        else:
            self._observe(handle, config, values)


def finite(report: Report) -> Values | None:
    """The objectives' values; None if the job failed."""
    return report.values if all(map(math.isfinite, report.values)) else None


def trials(budget: Budget, otherwise: int) -> int:
    """How many configurations can be trained to the end; ``otherwise`` if only time limits them."""
    limits = [limit for limit in (budget.max_jobs, budget.max_full_evals) if limit is not None]
    return math.ceil(min(limits)) if limits else otherwise


def varied(space: Space) -> list[Any]:
    """ConfigSpace's hyperparameters with more than one value: those that a library is told of."""
    return [hp for hp in space.configspace.values() if not _is_fixed(hp)]


def _is_fixed(hp: Any) -> bool:
    return len(values_of(hp)) == 1


def grow(space: Space, suggest: Callable[[Any], Value], flat: bool = False) -> dict[str, Value]:
    """A configuration made parameter by parameter, parents first: ``suggest`` gives the value of a ConfigSpace
    hyperparameter with more than one value. With ``flat`` it is asked for all, else for the active ones only."""
    config: dict[str, Value] = {}
    for j, name in enumerate(space.names):
        hp = space.configspace[name]
        if not flat and space.conditional and space.configspace.parent_conditions_of[name]:
            u = space.encode([config])
            u[0, j] = 0.5
            if np.isnan(space.deactivate(u)[0, j]):
                continue
        config[name] = default_of(hp) if _is_fixed(hp) else suggest(hp)
    return space.canonical(config) if flat and space.conditional else config


def filled(space: Space, config: Config) -> dict[str, Value]:
    """``config`` with the default values of inactive parameters."""
    hps = space.configspace.values()
    return {hp.name: config[hp.name] if hp.name in config else default_of(hp) for hp in hps}


def branches(space: Space) -> dict[str, tuple[str, tuple[Value, ...]]]:
    """Parameter -> (parent, the parent's values under which it is active), for those with a single condition that names
    values of a categorical or ordinal."""
    found: dict[str, tuple[str, tuple[Value, ...]]] = {}
    for name in space.names:
        conditions = space.configspace.parent_conditions_of[name]
        condition = conditions[0] if len(conditions) == 1 else None
        if isinstance(condition, CS.EqualsCondition | CS.InCondition) and values_of(condition.parent):
            among = condition.values if isinstance(condition, CS.InCondition) else (condition.value,)
            found[name] = (condition.parent.name, tuple(plain(value) for value in among))
    return found


def is_ordinal(hp: Any) -> bool:
    """Whether it has values in an order."""
    return isinstance(hp, CS.OrdinalHyperparameter)


def values_of(hp: Any) -> tuple[Value, ...]:
    """The values of a categorical, an ordinal or a constant, in their order; none for a number."""
    if isinstance(hp, CS.CategoricalHyperparameter):
        return tuple(plain(value) for value in hp.choices)
    if is_ordinal(hp):
        return tuple(plain(value) for value in hp.sequence)
    return (plain(hp.value),) if isinstance(hp, CS.Constant) else ()


def value_at(hp: Any, number: Any) -> Value:
    """What ``number`` stands for: the position of a categorical's or ordinal's value, else the value itself, within the
    bounds."""
    if values := values_of(hp):
        return values[int(min(max(round(number), 0), len(values) - 1))]
    if isinstance(hp, CS.UniformIntegerHyperparameter):
        return int(min(max(round(number), hp.lower), hp.upper))
    return float(min(max(number, hp.lower), hp.upper))


def number_of(hp: Any, value: Value) -> Any:
    """The inverse of :func:`value_at`."""
    return values_of(hp).index(value) if values_of(hp) else value


def default_of(hp: Any) -> Value:
    """The default value."""
    return plain(hp.value if isinstance(hp, CS.Constant) else hp.default_value)


def plain(value: Any) -> Value:
    """``value`` as a plain Python value."""
    out: Value = value.item() if isinstance(value, np.generic) else value
    return out
