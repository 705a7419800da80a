"""How beliefs about good configurations enter a method that takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from hptbench.space import Floats

LogPrior: TypeAlias = Callable[[Floats, int], Floats]
"""From encoded points, (m, d), and the number of finished evaluations to what is added to the logarithm of the
acquisition function, (m,)."""
