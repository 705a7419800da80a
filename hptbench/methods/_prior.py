"""What an expert believes, as methods that take it see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from hptbench.space import Floats

LogPrior: TypeAlias = Callable[[Floats, int], Floats]
"""From points (m, d) of the unit cube, NaN where inactive, and the number of finished evaluations to what is added to
the logarithm of the acquisition, (m,)."""
