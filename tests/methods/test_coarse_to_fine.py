from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from evolving import MIXED, POINT, SPHERE, begin, bowl, drive, report

from hptbench.errors import UserError
from hptbench.methods.coarse_to_fine import CoarseToFine
from hptbench.space import Config, Floats


def stages(space: Any, loss: Any, method: CoarseToFine, jobs: int) -> list[tuple[Floats, Config]]:
    """Per stage the (n, d) points, and the best configuration before it."""
    configs = drive(begin(method, space, jobs=jobs), loss, jobs)
    n = jobs // method.stages
    out = []
    for k in range(method.stages):
        before = configs[: k * n]
        out.append((space.encode(configs[k * n : (k + 1) * n]), min(before, key=loss) if before else {}))
    return out


def test_boxes_shrink_around_the_best_and_stay_in_the_cube() -> None:
    def corner(config: Config) -> float:
        return sum(float(x) for x in config.values())

    for loss in (bowl, corner):
        parts = stages(SPHERE, loss, CoarseToFine(stages=4, shrink=0.5), 128)
        for k, (u, best) in enumerate(parts[1:], 1):
            side = 0.5**k
            low = np.clip(SPHERE.encode([best])[0] - side / 2, 0, 1 - side)
            assert (u >= low - 1e-9).all()
            assert (u <= low + side + 1e-9).all()
            # Space-filling: each half of each side of the box gets half of the 32 points.
            assert np.abs((u < low + side / 2).sum(axis=0) - 16).max() <= 2


def test_a_category_keeps_the_best_level_more_and_more() -> None:
    def loss(config: Config) -> float:
        return float(config["kind"] != "wide") + float(config["x"]) ** 2

    column = MIXED.names.index("kind")
    shares = []
    for u, best in stages(MIXED, loss, CoarseToFine(stages=4, shrink=0.5), 512)[1:]:
        assert best["kind"] == "wide"
        shares.append(float((u[:, column] == MIXED.encode([best])[0, column]).mean()))
    assert shares == pytest.approx([1 - s * 2 / 3 for s in (0.5, 0.25, 0.125)], abs=0.05)


def test_the_first_stage_is_a_sobol_sequence_and_seeds_scramble_it() -> None:
    one, two = (drive(begin(CoarseToFine(), SPHERE, seed=s, jobs=80), bowl, 16) for s in (0, 1))
    assert one != two
    u = np.sort(SPHERE.encode(one), axis=0)
    assert (np.floor(u * 16) == np.arange(16)[:, None]).all(), "one point in each sixteenth of each side"


def test_reports_of_others_may_be_the_centre() -> None:
    search = begin(CoarseToFine(stages=2), SPHERE, jobs=40)
    search.tell([report({"a": 0.3, "b": 0.6, "c": 0.5}, -1.0)])
    u = SPHERE.encode(drive(search, bowl, 40)[20:])
    assert (np.abs(u - [0.3, 0.6, 0.5]) <= 0.25 + 1e-9).all()


def test_a_point() -> None:
    assert drive(begin(CoarseToFine(), POINT), lambda config: 1.0, 20) == [{"only": 1}] * 20


@pytest.mark.parametrize("wrong", [{"stages": 0}, {"shrink": 1.0}])
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"coarse_to_fine.{next(iter(wrong))}"):
        CoarseToFine(**wrong)
