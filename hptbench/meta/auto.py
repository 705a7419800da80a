"""The best combination of the recommenders that weigh past data sets, found by validation within the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hptbench.errors import UserError, unknown
from hptbench.meta._recommender import Weigher
from hptbench.meta.forest import Forest
from hptbench.meta.past import Past, relative
from hptbench.meta.process import Process
from hptbench.meta.similar import Similar
from hptbench.space import Floats

MEMBERS: Mapping[str, Weigher] = {"forest": Forest(), "process": Process(), "similar": Similar()}
COMBINATIONS = tuple(names for size in range(1, len(MEMBERS) + 1) for names in combinations(MEMBERS, size))
_COUNTS = (1, 2, 4, 8)
"""Numbers of recommendations whose losses are averaged by :func:`choose`."""


@dataclass(frozen=True)
class Auto(Weigher):
    """The mean of its members' weights."""

    members: tuple[str, ...] = tuple(MEMBERS)

    def __post_init__(self) -> None:
        if not self.members:
            raise UserError(f"expected auto.members among {', '.join(MEMBERS)}, got none")
        for name in self.members:
            if name not in MEMBERS:
                raise unknown("auto.members", name, MEMBERS)

    def weights(self, past: Past, x: Floats) -> Floats:
        return np.asarray(np.mean([MEMBERS[name].weights(past, x) for name in self.members], axis=0))

    def crossed(self, past: Past) -> Floats:
        return np.asarray(np.mean([MEMBERS[name].crossed(past) for name in self.members], axis=0))


def choose(pasts: Sequence[Past]) -> Auto:
    """The combination with the least test loss on the past data sets themselves, each predicted without its family:
    the mean over the learners of ``pasts``, their data sets, and the best by validation of the 1, 2, 4 and
    8 configurations with the least expected loss."""
    scores = np.zeros(len(COMBINATIONS))
    for past in pasts:
        test = relative(past.test)
        weights = {name: member.crossed(past) for name, member in MEMBERS.items()}
        for i, names in enumerate(COMBINATIONS):
            mean = np.mean([weights[name] for name in names], axis=0)
            orders = np.argsort(mean @ past.losses, axis=1, kind="stable")[:, : max(_COUNTS)]
            found = [curve(o, past.validation[j], test[j], _COUNTS).mean() for j, o in enumerate(orders)]
            scores[i] += np.mean(found) / len(pasts)
    return Auto(COMBINATIONS[int(scores.argmin())])


def curve(order: np.ndarray, validation: Floats, test: Floats, counts: Sequence[int]) -> Floats:
    """(len(counts),) test loss of the best by validation among the first so many of ``order``; ``validation`` and
    ``test`` are (c,)."""
    return np.array([test[order[:k][validation[order[:k]].argmin()]] for k in counts])
