"""Which method to tune with: what did best on published problems whose spaces are like this one, with such a budget.

Nothing but the published results decides (:mod:`hptbench.results.evidence`). Problems are compared by the shape of
their spaces: the number of parameters, the share of categories, and the share of parameters that depend on others; the
landscape behind a space is not known before it is searched. Where the results say nothing, that is said."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hptbench.errors import UserError
from hptbench.space import Kind, Space
from hptbench.stats.intervals import t_interval
from hptbench.stats.ranks import unit_ranks

FORMAT = 1
SHIPPED = Path(__file__).with_name("methods.json")
DEFAULT = "gp"
"""Without evidence: that of :func:`hptbench.tune`."""
RANDOM = "random"
"""What a method must be clearly ahead of."""
_NEAREST = 12
"""Problems that are asked, at most; more if others are as near as the last of them."""
_FEWEST = 6
"""Without so many there is no evidence."""
_FAR = 1.0
"""A problem is no evidence beyond it: twice or half as many parameters, or as unlike in the two shares together."""
_BUDGET = 2.0
"""Factor between the budget and the number of evaluations of which something is known, at most."""


@dataclass(frozen=True)
class Which:
    """A recommended method."""

    method: str
    evidence: bool
    """Whether published results say so; else it is :data:`DEFAULT`."""
    text: str
    """Why, in a sentence or two."""
    ranks: Mapping[str, tuple[float, float, float]]
    """Method -> mean rank (1 the best) over ``problems``, and the ends of its 95 % interval; the best first."""
    problems: tuple[str, ...]
    """What it rests on, the nearest first."""
    at: int
    """Evaluations after which ranks were taken; 0 without evidence."""


def shape_of(space: Space) -> tuple[float, float, float]:
    """log2 of the number of parameters, the share of categories, and the share that depends on another one, of those
    that are not constant."""
    varies = np.flatnonzero(space.sizes != 1)
    if not len(varies):
        return 0.0, 0.0, 0.0
    categories = np.mean([space.kinds[j] is Kind.CATEGORICAL for j in varies])
    depends = np.mean([bool(space.configspace.parents_of[space.names[j]]) for j in varies])
    return math.log2(len(varies)), float(categories), float(depends)


def which_method(space: Space, budget: int, path: Path = SHIPPED) -> Which:
    """The method with the best mean rank after about ``budget`` evaluations on the published problems with the most
    similar spaces; as it is chosen because it ranks first, that favours it. A method is clearly behind another one if
    the 95 % interval (Student's t, not corrected for the number of methods) of their mean difference of ranks says so.
    ``path``: what ``meta methods`` wrote.
    UserError for a budget below 1, or a file that is none."""
    if budget < 1:
        raise UserError(f"expected a budget of 1 evaluation at least, got {budget}")
    problems = _load(path)
    counts = sorted({n for one in problems for n in one["at"]})
    at = min(counts, key=lambda n: abs(math.log(n / budget)))
    if max(at / budget, budget / at) > _BUDGET:
        return _none(f"published results are of {counts[0]} to {counts[-1]} evaluations, not of about {budget}")
    known = [one for one in problems if at in one["at"]]
    distances = np.array([math.dist(shape_of(space), one["shape"]) for one in known])
    far = min(_FAR, np.sort(distances)[:_NEAREST][-1])
    near = [known[i] for i in np.argsort(distances, kind="stable") if distances[i] <= far]
    if len(near) < _FEWEST:
        return _none(f"of the published problems {len(near)} have a space like this one, fewer than {_FEWEST}")
    methods = sorted(set.intersection(*(set(one["scores"]) for one in near)))
    if not methods:
        return _none("the published problems with a space like this one have no method in common")
    ranks = unit_ranks([[one["scores"][method][one["at"].index(at)] for method in methods] for one in near])
    middle, low, high = t_interval(ranks)
    order = np.argsort(middle, kind="stable")
    best = order[0]
    behind = t_interval(ranks - ranks[:, [best]]).low > 0
    close = [methods[j] for j in order[1:] if not behind[j]]
    if RANDOM in (methods[best], *close) or RANDOM not in methods:
        return _none(f"after {at} evaluations no method is clearly ahead of random search on the {len(near)} published "
                     "problems with the most similar spaces")  # fmt: skip
    text = (
        f"after {at} evaluations it has the best mean rank, {middle[best]:.1f} of {len(methods)} methods (95 % "
        f"interval {low[best]:.1f} to {high[best]:.1f}), on the {len(near)} published problems with the most similar "
        "spaces; " + (f"not clearly behind it: {', '.join(close)}" if close else "all others are clearly behind it")
    )
    found = {methods[j]: (float(middle[j]), float(low[j]), float(high[j])) for j in order}
    return Which(methods[best], True, text, found, tuple(one["problem"] for one in near), at)


def _none(why: str) -> Which:
    return Which(DEFAULT, False, f"no evidence: {why}; {DEFAULT} is only the default of hptbench.tune", {}, (), 0)


@lru_cache(maxsize=2)
def _load(path: Path) -> list[Any]:
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        if whole["format"] != FORMAT:
            raise ValueError(f"format {whole['format']}")
        if not whole["problems"]:
            raise ValueError("no problems")
        return list(whole["problems"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: expected what published studies say of methods, got: {error}; make it anew: "
            "python -m hptbench meta methods"
        ) from error
