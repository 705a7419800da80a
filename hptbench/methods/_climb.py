"""Local search for the greatest value of a function of configurations that has no gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hptbench.methods._moves import neighbourhoods
from hptbench.space import Floats, Space

_MOST = 100
"""Steps, should a function have no end of better neighbours."""


def climb(space: Space, f: Callable[[Floats], Floats], u: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """From each row of ``u``, (k, d), to its best one-exchange neighbour while that is better: where all of them end,
    and their values, (k,).

    The local search of SMAC (Hutter, Hoos & Leyton-Brown, LION 2011, section 4.3), all starts step by step together."""
    u, values = u.copy(), f(u)
    rising = np.arange(len(u))
    for _ in range(_MOST):
        around, origins = neighbourhoods(space, u[rising], rng)
        if not len(around):
            break
        found = f(around)
        order = np.lexsort((-found, origins))
        first = order[np.diff(origins[order], prepend=-1) > 0]  # the best neighbour of each row
        rows = rising[origins[first]]
        better = found[first] > values[rows]
        rising = rows[better]
        if not len(rising):
            break
        u[rising], values[rising] = around[first[better]], found[first[better]]
    return u, values
