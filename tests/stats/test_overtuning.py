from __future__ import annotations

import math

import numpy as np
import pytest

from hptbench.stats.overtuning import overtuning, relative_overtuning, summary


@pytest.mark.parametrize(
    ("tests", "absolute", "relative"),
    [
        ([5.0], 0, 0),
        ([5.0, 4.0, 3.0], 0, 0),
        ([5.0, 3.0, 4.0], 1, 0.5),
        ([5.0, 3.0, 5.0], 2, 1),
        ([5.0, 4.0, 6.0], 2, 2),
        ([5.0, 6.0], 1, math.inf),
        ([5.0, 6.0, 5.0], 0, 0),
    ],
)
def test_what_is_lost_of_what_was_gained(tests: list[float], absolute: float, relative: float) -> None:
    assert overtuning(tests) == absolute
    assert relative_overtuning(tests) == relative


def test_shares_of_runs() -> None:
    runs = [np.array(t) for t in ([5.0, 3.0], [5.0, 3.0, 4.0], [5.0, 4.0, 6.0], [5.0, 6.0])]
    found = summary(runs, [4.5, 3.5, np.nan, 6.0])
    assert (found.runs, found.any, found.severe, found.with_default) == (4, 0.75, 0.5, 3)
    assert found.than_default == pytest.approx(1 / 3)
    assert found.relative == 1.25
    assert math.isnan(summary(runs, np.full(4, np.nan)).than_default)
    with pytest.raises(ValueError, match="at least one run"):
        summary([], [])
    with pytest.raises(ValueError, match="finite test losses"):
        overtuning([1.0, np.nan])


def test_planted_noise_of_validation_overtunes() -> None:
    """Choosing by validation that says nothing of test is worse than the first half of the time."""
    from hptbench.rng import entropy, stream

    rng = stream(entropy("planted", "overtuning"))
    runs = []
    for _ in range(2000):
        validation, test = rng.normal(size=(2, 50))
        best = np.minimum.accumulate(validation)
        runs.append(test[validation == best])
    found = summary(runs, rng.normal(size=2000))
    assert found.than_default == pytest.approx(0.5, abs=0.04)
    assert found.severe == pytest.approx(0.5, abs=0.04)  # of any two of them each is as likely the worse
