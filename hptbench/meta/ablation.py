"""What the recommendations owe to what: the kernel regression of :mod:`hptbench.meta.process` with less to learn from.

As in :mod:`hptbench.meta.proof`, each family of data sets is left out once; this recommender stands for the others
because it takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hptbench.meta._likeness import LANDMARKS
from hptbench.meta.auto import curve
from hptbench.meta.past import Key, Past, relative
from hptbench.meta.process import Process
from hptbench.meta.proof import rest_of
from hptbench.rng import entropy, stream

if TYPE_CHECKING:
    import pandas as pd

COUNTS = (1, 8)
_DRAWS = 3
"""Of the data sets that are left where there are to be fewer."""
Change = Callable[[Past, str], Past]
"""From the past without a family, and a word for what is drawn, to less of it."""


def _only(landmarks: bool) -> Change:
    def change(past: Past, draw: str) -> Past:
        kept = np.array([name.startswith(LANDMARKS) is landmarks for name in past.names])
        return replace(past, features=np.where(kept, past.features, np.nan))

    return change


def _fewer(share: float) -> Change:
    def change(past: Past, draw: str) -> Past:
        families = np.unique(past.families)
        count = max(round(share * len(families)), 3)
        kept = stream(entropy("ablation", past.learner, past.kind, draw)).permutation(families)[:count]
        return past.take(np.isin(past.families, kept))

    return change


def _one_half(past: Past, draw: str) -> Past:
    return replace(past, test=past.validation)


CHANGES: Mapping[str, tuple[Change, int]] = {
    "all": (lambda past, draw: past, 1),
    "without landmarkers": (_only(False), 1),
    "landmarkers only": (_only(True), 1),
    "validation losses only": (_one_half, 1),
    "3/4 of the families": (_fewer(0.75), _DRAWS),
    "1/2 of the families": (_fewer(0.5), _DRAWS),
    "1/4 of the families": (_fewer(0.25), _DRAWS),
}
"""What is changed, and how often it is drawn."""


def ablate(pasts: Mapping[Key, Past]) -> pd.DataFrame:
    """A row per change, learner, kind and data set: ``loss_1`` and ``loss_8``, the normalised test loss of the best by
    validation among so many recommendations, and ``better`` than the default with the first one; means over draws."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    recommender = Process()
    for past in pasts.values():
        test = relative(past.test)
        for family in np.unique(past.families):
            rest, _ = rest_of(past, str(family))
            for name, (change, draws) in CHANGES.items():
                pasts_left = [change(rest, f"{family} {draw}") for draw in range(draws)]
                for i in np.flatnonzero(past.families == family):
                    orders = [recommender.order(left, past.features[i], max(COUNTS)) for left in pasts_left]
                    found = np.mean([curve(order, past.validation[i], test[i], COUNTS) for order in orders], axis=0)
                    better = np.mean([test[i, order[0]] < test[i, 0] for order in orders])
                    own = {"learner": past.learner, "kind": past.kind, "family": str(family), "data": past.data[i]}
                    rows.append({"change": name, **own, "loss_1": found[0], "loss_8": found[1], "better": better})
    return pd.DataFrame(rows)
