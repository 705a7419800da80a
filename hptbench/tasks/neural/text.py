"""Small language models of characters: transformers, recurrent and convolutional networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from hptbench.errors import UserError
from hptbench.protocol import JSON
from hptbench.registry import task
from hptbench.space import Floats, Space
from hptbench.tasks.neural import _corpora
from hptbench.tasks.neural._nets import GRAIN, Network, up
from hptbench.tasks.neural._sequences import ARCHITECTURES, HEAD, SequenceNet, stacked
from hptbench.tasks.neural._trainer import Data, Trainer
from hptbench.tasks.neural._trainings import Prepared, Trainings

_LEAST = float(np.finfo(np.float32).tiny)
"""Probabilities count as no less, so that a network that rules out what comes is bad, but not infinitely."""


@task("neural_text")
@dataclass(frozen=True)
class NeuralText(Trainings):
    """Language models of characters on text that ships with Python, many configurations trained at once.

    The text is cut into windows of ``length`` characters, and at each place of a window the next character is
    predicted from those before it in the window. Training, validation and test are different documents (topics of
    Python's help, or modules of its library). What is told is the mean of -log2 of the probability of what comes, over
    all places of the validation windows, also the first ones, which know little; ``hidden`` has the same of test
    windows, and ``flops``. The documents depend on Python's version: their SHA-256 is part of the task's identity. All
    else is as in :class:`Trainings`."""

    model: ClassVar[str] = "text"
    tile: ClassVar[int] = 8
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {"architecture": ARCHITECTURES}

    data: str = "python_topics"
    """Or python_library."""
    characters: int = 20_000
    """Of training."""
    held: int = 6_000
    """Characters of validation, and as many of test."""
    length: int = 32
    split: int = 0
    """Which documents are for what."""
    low: int = 1
    high: int = 9
    space: Space = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        _corpora.check_corpus(self.data)
        if not 1 <= self.length < min(self.characters, self.held):
            raise UserError(
                f"expected 1 <= length < characters and held, got length={self.length}, characters={self.characters}, "
                f"held={self.held}"
            )
        super().__post_init__()

    @property
    def name(self) -> str:
        return f"{self.data}-{self.model}" + (f"-s{self.split}" if self.split else "")

    @property
    def unit(self) -> str:
        return self.data

    @property
    def licence(self) -> str | None:
        return _corpora.LICENCE

    @property
    def objectives(self) -> tuple[str, ...]:
        return ("bits_per_character",)

    def identity(self) -> Mapping[str, JSON]:
        """UserError if the corpus is smaller than what is to be taken of it."""
        settings = ("model", "data", "characters", "held", "length", "split", "low", "high")
        parts = _corpora.parts(self.data, self.split, self.characters, self.held)
        return {name: getattr(self, name) for name in settings} | {"sha256": parts.sha256()}

    def ready(self) -> Prepared:
        return _prepared(self.tile, self.data, self.split, self.characters, self.held, self.length)

    def networks(self, config: Mapping[str, Any], shape: tuple[int, ...], outputs: int) -> tuple[Network, Network]:
        net = SequenceNet(config["architecture"], shape[0], _corpora.SYMBOLS, HEAD * config["heads"], (), outputs)
        return stacked(net, int(config["layers"]), up(outputs, 2 * GRAIN))

    def dropout(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        return (config["dropout"],) * int(config["layers"])

    def scores(self, ready: Prepared, said: Floats, actual: None, names: Sequence[str] | None) -> dict[str, float]:
        return {self.objectives[0]: float(-np.log2(np.maximum(said, _LEAST)).mean())}


@lru_cache(maxsize=4)
def _prepared(tile: int, data: str, split: int, characters: int, held: int, length: int) -> Prepared:
    def windows(text: _corpora.Symbols) -> tuple[_corpora.Symbols, _corpora.Symbols]:
        whole = (len(text) - 1) // length * length
        return text[:whole].reshape(-1, length), text[1 : whole + 1].reshape(-1, length)

    training, validation, test = map(windows, _corpora.parts(data, split, characters, held))
    trainer = Trainer(Data(*training, validation[0], _corpora.SYMBOLS, validation[1]), tile=tile)
    return Prepared(trainer, test[0], None, None, test[1])
