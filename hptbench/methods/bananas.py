"""BANANAS: Bayesian optimisation with neural architectures.

C. White, W. Neiswanger and Y. Savani, "BANANAS: Bayesian optimization with neural architectures for neural
architecture search", AAAI 2021, arXiv:1910.11858, Algorithm 1, with the settings of its released code: after 10 random
architectures an ensemble of five perceptrons (:mod:`hptbench.models.perceptrons`) learns the losses from the path
encoding; of 100 new mutants of the best architecture, or of the next best ones where it has not so many, the ten are
evaluated whose draws from normals with the ensemble's mean and standard deviation are least (independent Thompson
sampling); and so on.

Deviations:

- The first ten are points of a Sobol sequence, not random ones.
- Values are standardised; failed jobs count as the worst that succeeded. (The paper's loss, the percentage error above
  a bound that is known of its benchmarks, is the absolute error in the code, and here.)
- Paths of all lengths are encoded, in the code those of at most two operations; paths with ``none``, which the code
  counts, do not exist. Only a space that declares a cell has paths (:mod:`hptbench.methods._paths`); what else is in a
  space is encoded by a column per level (the paper's one-hot encoding) or, for numbers, by its place in its range,
  and numbers are mutated by a normal: not the paper's, which has categories only.
- With several workers a model is fitted to what has been told when the ten are used up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.methods._modelled import Modelled
from hptbench.methods._moves import mutated
from hptbench.methods._paths import Encoding
from hptbench.models.perceptrons import Perceptrons
from hptbench.protocol import Problem, Traits
from hptbench.registry import method
from hptbench.space import Config, Floats

_STD = 0.2
"""Of a number's mutation, in its unit interval."""
_PARENTS = 5
"""Architectures that are mutated at most, the best first."""


@method("bananas")
@dataclass(frozen=True)
class Bananas:
    """BANANAS: of mutants of the best, those that an ensemble of neural networks on paths of the cell thinks best."""

    initial: int = 10
    """Points of a Sobol sequence before the first model."""
    batch: int = 10
    """Evaluations per model."""
    candidates: int = 100
    """Mutants among which a model chooses."""
    changes: float = 1.5
    """Parameters that a mutation changes, on average: each of six operations with probability 1/4 in the code."""
    networks: int = 5
    """In the ensemble."""
    layers: int = 10
    """Hidden ones of each network."""
    width: int = 20
    """Of each layer."""
    epochs: int = 150
    """Of a model's training."""
    traits: ClassVar[Traits] = Traits()

    def __post_init__(self) -> None:
        for name in ("initial", "batch", "candidates", "networks", "layers", "width", "epochs"):
            if getattr(self, name) < 1:
                raise UserError(f"expected bananas.{name} >= 1, got {getattr(self, name)}")
        if not self.changes > 0:
            raise UserError(f"expected bananas.changes > 0, got {self.changes}")

    def begin(self, problem: Problem, rng: np.random.Generator) -> _Search:
        return _Search(self, problem, rng)


class _Search(Modelled):
    def __init__(self, method: Bananas, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem, rng, method.initial)
        self._method, self._encoded = method, Encoding(problem.space)
        self._chosen: list[Config] = []
        """By the last model, the next one last."""

    def promising(self, pending: Floats) -> Iterator[Config]:
        while self._chosen:
            yield self._chosen.pop()
        self._chosen = self._choose(pending)
        while self._chosen:
            yield self._chosen.pop()

    def _choose(self, pending: Floats) -> list[Config]:
        """What a new model chooses of new mutants, the best last."""
        candidates = self._mutants(pending)
        if not len(candidates):
            return []
        values = self.history.values[:, 0]
        y = np.where(np.isfinite(values), values, values[np.isfinite(values)].max())
        y = (y - y.mean()) / (y.std() or 1.0)
        how = self._method
        model = Perceptrons(
            self._encoded(self.history.u), y, self.rng, how.networks, how.layers, how.width, how.epochs
        )  # fmt: skip
        said = model.predict(self._encoded(candidates))
        draws = self.rng.normal(said.mean(axis=0), said.std(axis=0))
        return [*reversed(self.space.decode(candidates[np.argsort(draws, kind="stable")[: how.batch]]))]

    def _mutants(self, pending: Floats) -> Floats:
        """(m, d) new ones of the best architectures."""
        seen = {row.tobytes() for row in self.space.snap(np.concatenate([self.history.u, pending]))}
        rate = min(1.0, self._method.changes / int((self.space.sizes != 1).sum()))
        best, new = np.argsort(self.history.values[:, 0], kind="stable")[:_PARENTS], []
        for parent in best:
            for _ in range(self._method.candidates):
                row = self.space.snap(mutated(self.space, self.history.u[[parent]], rate, _STD, self.rng))
                if row.tobytes() not in seen:
                    seen.add(row.tobytes())
                    new.append(row[0])
            if len(new) >= self._method.candidates:
                break
        return np.array(new[: self._method.candidates]).reshape(-1, len(self.space))
