from __future__ import annotations

import numpy as np
import pytest

from hptbench.stats.pairwise import pairwise, signed_rank
from hptbench.stats.power import smallest_p, units_needed


@pytest.mark.parametrize("n", range(1, 12))
def test_smallest_p_is_that_of_differences_of_one_sign(n: int) -> None:
    assert smallest_p(n) == pytest.approx(signed_rank(np.arange(1.0, n + 1))[0])


def test_units_needed() -> None:
    assert units_needed() == 6
    assert units_needed(comparisons=3) == 7
    assert units_needed(comparisons=10) == 9
    assert units_needed(alpha=0.001) == 11
    assert units_needed(alpha=1) == 1


@pytest.mark.parametrize("methods", [2, 3, 5])
def test_units_needed_are_needed_and_enough(methods: int) -> None:
    needed = units_needed(methods * (methods - 1) // 2)
    for units, reached in [(needed - 1, False), (needed, True)]:
        best = np.arange(1.0, units + 1)[:, None] * np.arange(methods)
        assert any(p.p_holm <= 0.05 for p in pairwise(best, [str(i) for i in range(methods)])) is reached
