from __future__ import annotations

import pytest

from hptbench.testing.planted import CASES, Case


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_shares_of_planted_studies(case: Case) -> None:
    share, error = case.measured()
    assert case.low <= share <= case.high
    assert error < 0.012
