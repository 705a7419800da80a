"""Random forests, one per rung, that are one surrogate: the optimiser of Hyper-Tune, and of MFES-HB before it.

Y. Li, Y. Shen, J. Jiang, J. Gao, C. Zhang and B. Cui, "MFES-HB: Efficient Hyperband with multi-fidelity quality
measurements", AAAI 2021, arXiv:2012.03011; in the form of :mod:`hptbench.methods.hyper_tune`, which says how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from hptbench.methods._acquisition import log_h
from hptbench.methods._climb import climb
from hptbench.methods._draws import Uniform
from hptbench.methods._history import Rows, key_of
from hptbench.methods._surrogate import standardised
from hptbench.models.forest import Forest, imputed, load
from hptbench.protocol import JSON, Problem, Proposal, Report
from hptbench.space import Config, Floats

_FOLDS = 5
_MOST = 300
"""Observations per rung that the models see: the latest."""
_TRIES = 64
"""Random draws that may be known already before one is drawn again."""


class Settings(Protocol):
    """Hyperparameters of the method, as :class:`hptbench.methods.hyper_tune.HyperTune` documents them."""

    @property
    def random_fraction(self) -> float: ...
    @property
    def power(self) -> float: ...
    @property
    def full(self) -> int: ...
    @property
    def challengers(self) -> int: ...
    @property
    def searches(self) -> int: ...


class Ensemble:
    """Draws configurations by the ensemble once every rung has been reached."""

    def __init__(
        self,
        settings: Settings,
        problem: Problem,
        fidelities: Sequence[float],
        rng: np.random.Generator,
    ) -> None:
        load()
        self._method, self._space, self._rng = settings, problem.space, rng
        self._uniform = Uniform(problem.space, rng)
        self._fidelities = np.array(fidelities)
        self._u = [Rows(len(problem.space)) for _ in fidelities]
        self._values = [Rows(1) for _ in fidelities]
        self._keys: set[frozenset[tuple[str, object]]] = set()
        self._running: Sequence[Proposal] = ()
        self.weights: Floats | None = None
        """Of the rungs, as learnt; None before."""

    @property
    def trained(self) -> int:
        """Full trainings."""
        return len(self._values[-1])

    def learn(self, reports: Sequence[Report]) -> None:
        for report in reports:
            rung = self._rung(report.fidelity)
            self._u[rung].append(self._space.encode([report.proposal.config]))
            self._values[rung].append(np.array([[report.values[0]]]))
            self._keys.add(key_of(report.proposal.config))
        full = any(self._rung(report.fidelity) == len(self._u) - 1 for report in reports)
        if full and self.trained >= self._method.full and self._complete():
            self.weights = self._learnt()

    def pending(self, running: Sequence[Proposal]) -> None:
        self._running = running

    def draw(self) -> tuple[Config, Mapping[str, JSON]]:
        by_model = self._complete() and self._rng.random() >= self._method.random_fraction
        known = self._keys | {key_of(proposal.config) for proposal in self._running}
        configs = self._promising() if by_model else (self._uniform.draw()[0] for _ in range(_TRIES))
        found = next((config for config in configs if key_of(config) not in known), None)
        return self._uniform.draw()[0] if found is None else found, {"model": by_model and found is not None}

    def _rung(self, fidelity: float | None) -> int:
        """The rung whose fidelity is nearest."""
        return len(self._fidelities) - 1 if fidelity is None else int(np.abs(self._fidelities - fidelity).argmin())

    def _complete(self) -> bool:
        varies = bool((self._space.sizes != 1).any())
        return varies and all(np.isfinite(values.array).any() for values in self._values)

    def _data(self, rung: int) -> tuple[Floats, Floats]:
        """Points and standardised values."""
        values = self._values[rung].array[-_MOST:, 0]
        finite = np.isfinite(values)
        worst = values[finite].max() if finite.any() else 0.0
        return imputed(self._u[rung].array[-_MOST:]), standardised(np.where(finite, values, worst))

    def _learnt(self) -> Floats:
        """Weights from how well each rung's forest orders the full trainings."""
        x, y = self._data(len(self._u) - 1)
        lower = (Forest(*self._data(rung), self._rng) for rung in range(len(self._u) - 1))
        shares = [ordered(forest.predict(x)[0], y) for forest in lower]
        predicted = np.zeros(len(y))
        for fold in np.array_split(np.arange(len(y)), _FOLDS) if len(y) >= 2 * _FOLDS else []:
            rest = np.setdiff1d(np.arange(len(y)), fold)
            predicted[fold] = Forest(x[rest], y[rest], self._rng).predict(x[fold])[0]
        shares.append(ordered(predicted, y) if len(y) >= 2 * _FOLDS else 0.0)
        powers = np.array(shares) ** self._method.power
        return powers / powers.sum() if powers.sum() > 0 else np.full(len(powers), 1 / len(powers))

    def _promising(self) -> Iterator[Config]:
        forests = []
        u = self._space.encode([proposal.config for proposal in self._running])
        at = np.array([self._rung(proposal.fidelity) for proposal in self._running], dtype=int)
        for rung in range(len(self._u)):
            x, y = self._data(rung)
            more = imputed(u[at == rung])
            lies = np.full(len(more), np.median(y))
            forests.append(Forest(np.concatenate([x, more]), np.concatenate([y, lies]), self._rng))
        weights = ensemble_weights(self.weights, len(forests), self.trained)
        best = self._data(len(forests) - 1)[1].min()

        def acquisition(u: Floats) -> Floats:
            x = imputed(u)
            means, variances = np.array([forest.predict(x) for forest in forests]).transpose(1, 0, 2)
            std = np.sqrt(np.maximum(weights**2 @ variances, 1e-12))
            return np.asarray(log_h((best - weights @ means) / std) + np.log(std))

        method, space = self._method, self._space
        u = space.snap(space.sample(self._rng, method.challengers))
        u = u[np.argsort(-acquisition(u), kind="stable")]
        top = self._u[-1].array[np.argsort(self._values[-1].array[:, 0], kind="stable")[: method.searches]]
        tops, values = climb(space, acquisition, np.concatenate([u[: method.searches], top]), self._rng)
        yield from space.decode(tops[np.argsort(-values, kind="stable")])
        yield from space.decode(u)


def ordered(predicted: Floats, true: Floats) -> float:
    """The share of pairs of (n,) values, n >= 2, that the predictions order as they are."""
    i, j = np.triu_indices(len(true), 1)
    return float(np.mean((predicted[i] > predicted[j]) == (true[i] > true[j])))


def ensemble_weights(learnt: Floats | None, rungs: int, trained: int) -> Floats:
    """(rungs,) weights of the forests in the surrogate after so many full trainings."""
    if rungs == 1:
        return np.ones(1)
    if learnt is None:
        return np.append(np.full(rungs - 1, 1 / (rungs - 1)), 0.0)
    if trained < 10:
        return learnt
    last = 0.5 / (0.5 + np.exp(-(trained - 10) * 0.025))
    others = learnt[:-1].sum()
    return np.append(learnt[:-1] / others * (1 - last), last) if others > 1e-8 else np.append(np.zeros(rungs - 1), 1.0)
