"""The random numbers of a training: a stream per member and purpose, so that nothing depends on its neighbours.

What a member draws is a function of its trial's entropy and the epoch alone. A plain training of one network draws the
same numbers with these functions, which is how the tests compare the two.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hptbench.rng import entropy, stream

Keys = NDArray[np.int32]
_WORD = 1 << 32


def initial(seed: tuple[int, ...]) -> np.random.Generator:
    """The stream that the first weights are drawn from."""
    return stream(entropy(*seed, "weights"))


class Epoch(NamedTuple):
    """What a member draws for one epoch."""

    order: NDArray[np.intp]
    """(n,) the training rows in the order in which they come."""
    rows: tuple[Keys, ...]
    """A key for each place in that order: (n,) per layer with dropout."""
    units: tuple[Keys, ...]
    """A factor and a summand for each unit: (2, width) per layer with dropout."""


def epoch(seed: tuple[int, ...], number: int, n: int, widths: Sequence[int]) -> Epoch:
    """The draws of epoch ``number`` (0 is the first) for ``n`` rows and layers with dropout of the given widths."""
    rng = stream(entropy(*seed, "epoch", number))
    order = rng.permutation(n)
    keys = rng.integers(-(_WORD >> 1), _WORD >> 1, len(widths) * n + 2 * sum(widths), dtype=np.int32)
    rows = tuple(keys[i * n : (i + 1) * n] for i in range(len(widths)))
    ends = np.cumsum([len(widths) * n, *(2 * width for width in widths)])
    units = tuple(keys[a:b].reshape(2, -1) for a, b in itertools.pairwise(ends))
    for factors, _ in units:
        factors |= 1  # an odd factor only reorders the keys
    return Epoch(order, rows, units)


def threshold(dropout: float) -> tuple[int, float]:
    """(least value that keeps a unit, what a unit that is kept is multiplied by) for a probability in [0, 1].

    A unit with (factor f, summand s) is kept for a row with key k if k f + s, as a signed 32-bit number that wraps
    around, is not below the first: hashing by multiplication (Dietzfelbinger et al., Journal of Algorithms 25, 1997)
    instead of a draw per row and unit, which would take longer than small layers do."""
    least = min(round(dropout * _WORD), _WORD - 1) - (_WORD >> 1)
    return least, 0.0 if dropout >= 1 else 1.0 / (1.0 - dropout)
