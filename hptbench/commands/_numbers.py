"""Numbers as tables on the terminal show them."""

from __future__ import annotations

import math
from typing import Any


def interval(row: dict[Any, Any], name: str) -> str:
    """Mean and half-width, the width to two significant digits."""
    mean, half = row[name], row[name] - row[f"{name}_low"]
    if math.isnan(mean):
        return "–"
    if math.isnan(half):
        return f"{mean:.4g}"
    if half <= 1e-9 * abs(mean):  # of a learner without randomness, up to rounding
        return f"{mean:.4g} ± 0"
    digits = max(0, 1 - math.floor(math.log10(half)))
    return f"{mean:.{digits}f} ± {half:.{digits}f}" if digits < 8 else f"{mean:.4g} ± {half:.1e}"
