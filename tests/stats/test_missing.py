from __future__ import annotations

import numpy as np
import pytest

from hptbench.stats.missing import extremes, worst_case

N = np.nan


def test_what_is_missing_gets_the_worst_of_its_unit() -> None:
    filled, missing = worst_case([[1.0, N, 3.0], [4.0, 2.0, N]])
    assert filled.tolist() == [[1, 3, 3], [4, 2, 4]]
    assert missing.tolist() == [[False, True, False], [False, False, True]]


def test_the_extremes_hold_whatever_was_missing() -> None:
    best, worst = extremes([[[1.0, N], [2.0, 5.0]]], 0)
    assert best.tolist() == [[[1, 1], [2, 5]]]
    assert worst.tolist() == [[[1, 5], [2, 5]]]
    best, worst = extremes([[1.0, N, 4.0]], 0)
    assert (best.tolist(), worst.tolist()) == ([[1, 4, 4]], [[1, 1, 4]])


def test_a_unit_without_any_score_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one on every unit"):
        worst_case([[1.0, 2.0], [N, N]])
