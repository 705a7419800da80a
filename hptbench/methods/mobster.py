"""MOBSTER: asynchronous successive halving whose configurations come from a Gaussian process.

A. Klein, L. C. Tiao, T. Lienart, C. Archambeau and M. Seeger, "Model-based asynchronous hyperparameter and neural
architecture search", 2020, arXiv:2003.10865, with the defaults of its authors' code, Syne Tune: ASHA
(:mod:`hptbench.methods._asha`), eta 3; a joint process over configurations and resources
(:mod:`hptbench.models.decay_gp`) of what was observed at the rungs; a new configuration maximises the expected
improvement at the highest rung that at least ``threshold`` trials have reached; what is running is fantasised at the
rung that it runs to.

Deviations from Syne Tune:

- The improvement is over the lowest posterior mean at that rung among the observed configurations, and its logarithm is
  maximised as in the method ``gp``; hyperparameters are at the posterior's mode (priors as there), fitted again when
  the data have grown by a tenth. Inputs are not warped.
- At most ``max_points`` observations: those of the highest rungs, and the latest in each.
- The first configurations are points of a Sobol sequence. Failed jobs count as the worst value seen.
- Resources are in units of the lowest rung. Promotion and stopping differ from Syne Tune's as in the methods ``asha``
  and ``asha_stopping``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._acquisition import LogEI
from hptbench.methods._asha import Asha
from hptbench.methods._brackets import fidelity_of, levels
from hptbench.methods._draws import Uniform, sobol
from hptbench.methods._history import Rows, key_of
from hptbench.methods._maximise import Maximiser
from hptbench.methods._surrogate import standardised
from hptbench.models.decay_gp import Data, DecayGP, fit
from hptbench.models.embedding import Embedding
from hptbench.protocol import JSON, Problem, Proposal, Report, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats

_TRIES = 64
_NEAR = 10
"""Best points around which the acquisition function is looked at more densely."""
_ANEW = 1.1
"""Growth of the data after which hyperparameters are fitted again."""


@method("mobster")
@dataclass(frozen=True)
class MOBSTER:
    """MOBSTER: ASHA whose configurations maximise the expected improvement of a Gaussian process over all rungs."""

    eta: int = 3
    """A rung trains eta times as far as the one below; 1/eta of its configurations go on."""
    rule: str = "stopping"
    """``stopping`` (Syne Tune's default) or ``promotion``."""
    brackets: int | None = 1
    """As in ``asha``."""
    initial: int = 6
    """Configurations of a Sobol sequence before the first model."""
    threshold: int = 3
    """Trials that must have reached a rung for the improvement to be sought there."""
    fantasies: int = 20
    """Draws of what running jobs will return."""
    candidates: int = 256
    """Points at which the acquisition function is looked at, drawn uniformly; as many near good ones."""
    starts: int = 4
    """The best of them from which it is climbed."""
    max_points: int = 300
    """Observations that the model sees."""
    traits: ClassVar[Traits] = Traits(fidelity=True, costly=True)

    def __post_init__(self) -> None:
        for name, least in (
            ("initial", 1), ("threshold", 1), ("fantasies", 1), ("candidates", 1), ("starts", 1), ("max_points", 10),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise UserError(f"expected mobster.{name} >= {least}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> Asha:
        fidelities = levels(fidelity_of(problem), self.eta)
        return Asha(fidelities, self.eta, _Sampler(self, problem, fidelities, rng), self.rule, self.brackets)


class _Sampler:
    """Draws configurations by the model once there is one."""

    def __init__(
        self, method: MOBSTER, problem: Problem, fidelities: Sequence[float], rng: np.random.Generator
    ) -> None:
        self._method, self._space, self._rng = method, problem.space, rng
        self._fidelities = np.array(fidelities)
        self._design, self._uniform = sobol(problem.space, rng), Uniform(problem.space, rng)
        self._embed = Embedding(problem.space)
        self._maximise = Maximiser(problem.space, method.candidates, method.starts)
        self._u, self._level, self._value = Rows(len(problem.space)), Rows(1), Rows(1)
        self._keys: set[frozenset[tuple[str, object]]] = set()
        self._running: Sequence[Proposal] = ()
        self._theta: Floats | None = None
        self._anew = 0.0

    def learn(self, reports: Sequence[Report]) -> None:
        if not reports:
            return
        self._u.append(self._space.encode([report.proposal.config for report in reports]))
        self._level.append(np.array([[self._rung(report.fidelity)] for report in reports], dtype=float))
        self._value.append(np.array([[report.values[0]] for report in reports]))
        self._keys.update(key_of(report.proposal.config) for report in reports)

    def pending(self, running: Sequence[Proposal]) -> None:
        self._running = running

    def draw(self) -> tuple[Config, Mapping[str, JSON]]:
        known = self._keys | {key_of(proposal.config) for proposal in self._running}
        for config in self._candidates(len(known)):
            if key_of(config) not in known:
                return config, {}
        return self._uniform.draw()[0], {}

    def _rung(self, fidelity: float | None) -> int:
        """The rung whose fidelity is nearest."""
        return len(self._fidelities) - 1 if fidelity is None else int(np.abs(self._fidelities - fidelity).argmin())

    def _candidates(self, known: int) -> Iterator[Config]:
        values = self._value.array[:, 0]
        finite = np.isfinite(values)
        if known < self._method.initial or not finite.any() or not len(self._embed.inputs.groups):
            yield from islice(self._design, _TRIES)
            return
        level = self._level.array[:, 0].astype(np.intp)
        keep = highest(level, self._method.max_points)
        level, u = level[keep], self._u.array[keep]
        y = standardised(np.where(finite, values, values[finite].max())[keep])
        gp = self._model(self._embed(u), level, y, len(values))
        counts = np.bincount(level, minlength=len(self._fidelities))
        target = max((r for r, n in enumerate(counts.tolist()) if n >= self._method.threshold), default=0)
        x = self._embed(np.unique(u, axis=0))
        mean = gp.at(target).predict(x)[0][:, 0]
        near = np.unique(u, axis=0)[np.argsort(mean, kind="stable")[:_NEAR]]
        best = mean.min()
        if self._running:
            more = self._embed(self._space.encode([proposal.config for proposal in self._running]))
            ends = np.array([self._rung(proposal.fidelity) for proposal in self._running])
            gp = gp.given(more, ends, gp.draw(more, ends, self._method.fantasies, self._rng))
        at = gp.at(target)
        lowest = np.minimum(best, at.predict(x)[0].min(axis=0)) if self._running else np.array([best])
        for batch in self._maximise(LogEI(at, lowest, self._embed), near, self._rng):
            yield from self._space.decode(batch)

    def _model(self, x: Floats, level: np.ndarray, y: Floats, n: int) -> DecayGP:
        data = Data(x, level, self._fidelities / self._fidelities[0], y[:, None])
        if self._theta is None or n >= self._anew:
            self._theta = fit(data, self._embed.inputs, () if self._theta is None else (self._theta,)).theta
            self._anew = _ANEW * n
        return DecayGP(data, self._embed.inputs, self._theta)


def highest(level: np.ndarray, most: int) -> np.ndarray:
    """Positions of at most ``most`` observations, rising: those at the highest levels, the latest of them first."""
    order = np.lexsort([-np.arange(len(level)), -level])
    return np.sort(order[:most])
