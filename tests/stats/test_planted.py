from __future__ import annotations

import math

import pytest

from hptbench.testing.planted import CASES, Case

each = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


@pytest.mark.slow
@each
def test_shares_of_planted_studies(case: Case) -> None:
    """2,000 studies: docs/PLANTED.md has the shares of more."""
    share, error = case.measured()
    assert case.low <= share <= case.high
    assert error < 0.012


@each
def test_shares_of_few_planted_studies(case: Case) -> None:
    """100 studies, within three standard errors of the bounds."""
    low, high = (bound + sign * 3 * math.sqrt(bound * (1 - bound) / 100) for bound, sign in
                 ((case.low, -1), (case.high, 1)))  # fmt: skip
    assert low <= case.measured(100)[0] <= high
