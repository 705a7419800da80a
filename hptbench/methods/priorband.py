"""PriorBand: Hyperband with an expert's prior.

N. Mallik, E. Bergman, C. Hvarfner, D. Stoll, M. Janowski, M. Lindauer, L. Nardi and F. Hutter, "PriorBand: Practical
hyperparameter optimization in the age of deep learning", NeurIPS 2023, arXiv:2306.12370: the configurations of
Hyperband's lowest rungs are drawn from an ensemble of three: uniformly with probability 1 / (1 + eta^r), r the rung at
which the bracket begins, counted from 0; else from the prior, or near the incumbent. The last two share the rest in
proportion to their scores: the likelihoods of the best 1 / eta of the highest rung with eta configurations, under the
prior and under the same distribution about the incumbent, each times its place counted from the worst. The incumbent
takes part once the training of a first bracket has been spent and something has been trained to the end. Near it
means: each of its hyperparameters is changed with probability 0.5, numbers by a normal step with standard deviation
0.25, categories to another level. The prior's mode is evaluated first, to the end.

Deviations from the paper and the authors' code (mf-prior-exp and NePS, which differ from each other):

- The incumbent is the best at the highest fidelity; there, the best at any, as if their values could be compared.
- The best 1 / eta are max(1, n // eta) (the paper, NePS); mf-prior-exp takes at least eta of them.
- Training is counted with continuation on both sides, of what has succeeded (mf-prior-exp counts what has been spent
  from zero; NePS leaves out the lowest rung, and two of its conditions never hold).
- Densities are truncated to the range of each parameter, as everywhere here; inactive parameters have none.
- What has been drawn already is drawn again, up to 32 times, then uniformly, as long as the space holds anything else.
- Sizes of brackets: see :mod:`hptbench.methods._brackets`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._belief import Belief
from hptbench.methods._brackets import Brackets, Sizes, fidelity_of, levels, plan
from hptbench.methods._history import key_of
from hptbench.methods._moves import mutated
from hptbench.protocol import JSON, Problem, Proposal, Report, Traits
from hptbench.registry import method
from hptbench.space import Config, Kind

_TRIES, _DRAWS = 32, 256


@method("priorband")
@dataclass(frozen=True)
class PriorBand:
    """PriorBand: Hyperband that draws uniformly, from an expert's prior, and near the incumbent.

    The prior is given as for pibo: ``'method.priorband.prior={x: {mean: 3, std: 0.1}, kernel: {rbf: 0.8}}'``."""

    eta: int = 3
    """A rung trains eta times as far as the one below, with 1/eta of its configurations."""
    table: str = "paper"
    """Sizes of the brackets: ``paper`` (Hyperband's Algorithm 1) or ``hpbandster`` (the BOHB authors' code)."""
    prior: Any = None
    """What is believed of each parameter. What is left out: the problem's advice; or else, near the task's default."""
    std: float = 0.25
    """Standard deviation of numbers about the default and the incumbent, in units of their range."""
    confidence: float = 0.75
    """Probability of a category's level at the default and the incumbent. Both: "medium" in NePS."""
    mutation_rate: float = 0.5
    """Probability that a hyperparameter of the incumbent is changed."""
    mutation_std: float = 0.25
    """Standard deviation of such a change, in units of the range."""
    traits: ClassVar[Traits] = Traits(fidelity=True, advice=True)

    def __post_init__(self) -> None:
        if self.prior is not None and not isinstance(self.prior, Mapping):
            raise UserError(f"expected priorband.prior={{parameter: {{mean: ..., std: ...}}}}, got {self.prior!r}")
        for name, allowed, ok in (
            ("std", "> 0", 0 < self.std < math.inf),
            ("confidence", "in [0, 1]", 0 <= self.confidence <= 1),
            ("mutation_rate", "in (0, 1]", 0 < self.mutation_rate <= 1),
            ("mutation_std", "> 0", 0 < self.mutation_std < math.inf),
        ):
            if not ok:
                raise UserError(f"expected priorband.{name} {allowed}, got {getattr(self, name)}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Brackets):
    """The prior's mode, then brackets."""

    def __init__(self, method: PriorBand, problem: Problem, rng: np.random.Generator) -> None:
        fidelities = levels(fidelity_of(problem), method.eta)
        brackets = plan(method.table, len(fidelities) - 1, method.eta)
        self._ensemble = Ensemble(method, problem, fidelities, brackets, rng)
        self._first: list[Proposal] = [Proposal(self._ensemble.mode(), fidelities[-1], note={"sampler": "mode"})]
        super().__init__(brackets, fidelities, self._ensemble)

    def ask(self, n: int, running: Sequence[Proposal]) -> list[Proposal]:
        first = [self._first.pop()] if self._first and n else []
        return first + super().ask(n - len(first), [*running, *first])


class Ensemble:
    """The sampler of the lowest rungs."""

    def __init__(
        self,
        method: PriorBand,
        problem: Problem,
        fidelities: Sequence[float],
        brackets: Sequence[Sizes],
        rng: np.random.Generator,
    ) -> None:
        space = problem.space
        self._method, self._space, self._rng, self._fidelities = method, space, rng, fidelities
        prior = {**problem.advice.prior, **(method.prior or {})}
        self._prior = Belief(space, prior, method.std, method.confidence)
        self._rungs = _rungs(brackets, len(fidelities))
        self._told: list[list[tuple[float, int, Config]]] = [[] for _ in fidelities]
        """Per rung (value, job, configuration) of what has succeeded."""
        self._steps = np.diff([0.0, *fidelities])
        """What a rung trains beyond the one below."""
        self._enough = float(np.dot(brackets[0], self._steps))
        self._known: set[frozenset[tuple[str, object]]] = set()
        self._exhausted = False
        self._share: float | None = None
        """The incumbent's, of what is not uniform, until more is told."""

    def learn(self, reports: Sequence[Report]) -> None:
        self._share = None
        for report in reports:
            self._known.add(key_of(report.proposal.config))
            if report.fidelity in self._fidelities and math.isfinite(report.values[0]):
                rung = self._fidelities.index(report.fidelity)
                self._told[rung].append((report.values[0], report.job, report.proposal.config))

    def draw(self) -> tuple[Config, Mapping[str, JSON]]:
        names, chances = zip(*self.weights(next(self._rungs)).items(), strict=True)
        name = names[self._rng.choice(len(names), p=chances)]
        for _ in range(1 if self._exhausted else _TRIES):
            config = self._drawn(name)
            if self._exhausted or key_of(config) not in self._known:
                break
        else:
            others = self._space.decode(self._space.sample(self._rng, _DRAWS))
            config = next((other for other in others if key_of(other) not in self._known), config)
            self._exhausted = key_of(config) in self._known
        self._known.add(key_of(config))
        return config, {"sampler": name}

    def mode(self) -> Config:
        """Where the prior is greatest; a draw from it if that is forbidden."""
        mode = self._prior.mode()
        [config] = self._space.decode(mode if self._space.legal(mode)[0] else self._prior.sample(self._rng, 1))
        self._known.add(key_of(config))
        return config

    def weights(self, rung: int) -> dict[str, float]:
        """The probabilities of the three samplers in a bracket that begins at ``rung``."""
        uniform = 1 / (1 + self._method.eta**rung)
        share = self._share = self._share_of_incumbent() if self._share is None else self._share
        return {"uniform": uniform, "prior": (1 - uniform) * (1 - share), "incumbent": (1 - uniform) * share}

    def _share_of_incumbent(self) -> float:
        spent = sum(len(told) * step for told, step in zip(self._told, self._steps, strict=True))
        full = [told for told in self._told if len(told) >= self._method.eta]
        if spent < self._enough or not self._told[-1] or not full:
            return 0.0
        best = sorted(full[-1], key=lambda row: row[:2])[: max(1, len(full[-1]) // self._method.eta)]
        u = self._space.encode([config for _, _, config in best])
        place = np.log(np.arange(len(best), 0, -1))
        about = Belief(self._space, self._entries(), self._method.std, self._method.confidence)
        ours, prior = (np.logaddexp.reduce(place + belief.log_density(u)) for belief in (about, self._prior))
        return float(np.exp(ours - np.logaddexp(ours, prior)))

    def _incumbent(self) -> Config:
        return min(self._told[-1], key=lambda row: row[:2])[2]

    def _entries(self) -> dict[str, Any]:
        """The prior's distribution, about the incumbent."""
        categories = {
            n for n, kind in zip(self._space.names, self._space.kinds, strict=True) if kind is Kind.CATEGORICAL
        }
        return {
            name: {value: self._method.confidence} if name in categories else {"mean": value, "std": self._method.std}
            for name, value in self._incumbent().items()
        }

    def _drawn(self, name: str) -> Config:
        if name == "incumbent":
            u = self._space.encode([self._incumbent()])
            u = mutated(self._space, u, self._method.mutation_rate, self._method.mutation_std, self._rng)
        else:
            u = (self._space if name == "uniform" else self._prior).sample(self._rng, 1)
        return self._space.decode(u)[0]


def _rungs(brackets: Sequence[Sizes], n: int) -> Iterator[int]:
    """The rung at which each draw's bracket begins: the lowest rung of one is filled before another bracket begins."""
    for number in count():
        sizes = brackets[number % len(brackets)]
        for _ in range(sizes[0]):
            yield n - len(sizes)
