"""How good recommendations are on data sets that nobody saw: leave one family of data sets out.

For each family, every recommender learns from the other families only, without those data sets that have nearly the
same meta-features. What counts is the test loss of the configuration that is best by validation among the first
recommendations, normalised per data set as in :func:`hptbench.meta.past.relative`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.errors import UserError
from hptbench.meta._likeness import NEAR, unlikeness
from hptbench.meta._recommender import Recommender
from hptbench.meta.adaptive import Adaptive
from hptbench.meta.auto import Auto, choose, curve
from hptbench.meta.average_rank import AverageRank
from hptbench.meta.default import Default
from hptbench.meta.forest import Forest
from hptbench.meta.gain import Gain
from hptbench.meta.greedy_portfolio import GreedyPortfolio
from hptbench.meta.nearest import Nearest
from hptbench.meta.past import Key, Past, relative
from hptbench.meta.process import Process
from hptbench.meta.random_portfolio import RandomPortfolio
from hptbench.meta.similar import Similar
from hptbench.space import Floats

if TYPE_CHECKING:
    import pandas as pd

COUNTS = (1, 2, 4, 8, 16, 25)
RANDOM = "random"
"""Random search of the table's configurations: its expectation, without drawing."""
RANDOM_COUNTS = (*COUNTS, 64)
AUTO = "auto"
ADAPTIVE = "adaptive"
"""auto, each recommendation made when the validation losses of those before it are known."""
RECOMMENDERS: Mapping[str, Recommender] = {
    "default": Default(),
    "random_portfolio": RandomPortfolio(),
    "average_rank": AverageRank(),
    "greedy_portfolio": GreedyPortfolio(),
    "nearest": Nearest(),
    "gain": Gain(),
    "similar": Similar(),
    "process": Process(),
    "forest": Forest(),
}


def prove(
    pasts: Mapping[Key, Past], recommenders: Mapping[str, Recommender], tell: Callable[[str], None] = lambda _: None
) -> pd.DataFrame:
    """A row per learner, kind, data set, recommender and count: ``loss`` (normalised) and ``test`` (in the metric's own
    unit), ``members`` (of auto and adaptive) and ``excluded`` (near-duplicates).

    ``auto`` chooses its members anew for each family, from what the others say of all learners of the kind. ``tell`` is
    called with each family. UserError with fewer than three families of a kind."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for kind in sorted({past.kind for past in pasts.values()}):
        of_kind = [past for past in pasts.values() if past.kind == kind]
        families = sorted({str(family) for past in of_kind for family in past.families})
        if len(families) < 3:
            raise UserError(f"expected data sets of three families of {kind} at least, got {len(families)}")
        for family in families:
            tell(f"{kind}: {family}")
            rests = [rest_of(past, family) for past in of_kind]
            chosen = choose([rest for rest, _ in rests])
            for past, (rest, excluded) in zip(of_kind, rests, strict=True):
                given = {"learner": past.learner, "kind": kind, "family": family, "excluded": excluded}
                for i in np.flatnonzero(past.families == family):
                    for one in _on(past, int(i), rest, recommenders, chosen):
                        members = "+".join(chosen.members) if one["recommender"] in (AUTO, ADAPTIVE) else ""
                        rows.append({**given, **one, "members": members})
    return pd.DataFrame(rows)


def rest_of(past: Past, family: str) -> tuple[Past, int]:
    """What may be learnt from when a family is left out, and how many near-duplicates were left out, too."""
    rest, own = past.without([family]), past.features[past.families == family]
    near = np.any([unlikeness(rest, x)[1] < NEAR for x in own], axis=0) if len(own) else np.zeros(len(rest), bool)
    return rest.take(~near), int(near.sum())


def _on(past: Past, i: int, rest: Past, recommenders: Mapping[str, Recommender], auto: Auto) -> list[dict[str, Any]]:
    validation, test, x = past.validation[i], past.test[i], past.features[i]
    normalised = relative(past.test)[i]
    orders = {name: one.order(rest, x, max(COUNTS)) for name, one in {**recommenders, AUTO: auto}.items()}
    orders[ADAPTIVE] = Adaptive().replay(rest, auto, x, validation, max(COUNTS))
    rows = []
    for name, order in orders.items():
        parts = [curve(order, validation, losses, COUNTS) for losses in (normalised, test)]
        rows += [_row(past, i, name, k, *pair) for k, *pair in zip(COUNTS, *parts, strict=True)]
    counts = [k for k in RANDOM_COUNTS if k <= len(validation)]
    parts = [expected_of_random(validation, losses, counts) for losses in (normalised, test)]
    return rows + [_row(past, i, RANDOM, k, *pair) for k, *pair in zip(counts, *parts, strict=True)]


def _row(past: Past, i: int, name: str, count: int, loss: float, test: float) -> dict[str, Any]:
    return {"data": past.data[i], "recommender": name, "count": count, "loss": float(loss), "test": float(test)}


def expected_of_random(validation: Floats, losses: Floats, counts: Sequence[int]) -> Floats:
    """(len(counts),) expectation of the loss of the best by validation among so many different configurations drawn at
    random of (c,): the r-th best of all is the best of k with probability C(c - 1 - r, k - 1) / C(c, k)."""
    n, order = len(validation), np.argsort(validation, kind="stable")
    chances = [[math.comb(n - 1 - r, k - 1) / math.comb(n, k) for r in range(n)] for k in counts]
    return np.asarray(np.array(chances) @ losses[order])
