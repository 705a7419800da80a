"""The generators: what they are documented to be, drift where it is said, and none in the control."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hptbench.errors import UserError
from hptbench.learners import Table
from hptbench.tasks._streams import DRIFTS, STREAMS, blocks, stream

N = 24_000


def threshold_of(table: Table) -> NDArray[np.float64]:
    """SEA: the threshold that fits the rows best, and the share of labels that it gets wrong."""
    total = table.X[:, 0] + table.X[:, 1]
    grid = np.linspace(6, 11, 101)
    wrong = [np.mean((total > threshold) != table.y) for threshold in grid]
    return np.array([grid[np.argmin(wrong)], min(wrong)])


def weights(table: Table) -> NDArray[np.float64]:
    """(10,) the direction in which the classes of a hyperplane differ."""
    w = (table.X[table.y == 1].mean(axis=0) - table.X[table.y == 0].mean(axis=0)).astype(float)
    return w / np.linalg.norm(w)


def friedman(X: NDArray[np.float64], order: tuple[int, ...]) -> NDArray[np.float64]:
    a, b, c, d, e = X[:, order].T
    return 10 * np.sin(np.pi * a * b) + 20 * (c - 0.5) ** 2 + 10 * d + 5 * e


@pytest.mark.parametrize("drift", DRIFTS)
@pytest.mark.parametrize("name", STREAMS)
def test_shapes_and_repeatability(name: str, drift: str) -> None:
    table, other = stream(name, drift, 500, 0), stream(name, drift, 500, 1)
    stream.cache_clear()
    again = stream(name, drift, 500, 0)
    assert table is not again
    assert (table.X == again.X).all()
    assert (table.y == again.y).all()
    assert not (table.X == other.X).any()
    assert table.X.shape == (500, {"sea": 3, "hyperplane": 10, "friedman": 10}[name])
    assert np.isfinite(table.X).all()
    if table.n_classes:
        assert set(table.y.tolist()) == {0, 1}
        assert 0.3 < table.y.mean() < 0.75


def test_sea_has_the_thresholds_of_the_paper_one_after_the_other() -> None:
    quarters = [threshold_of(part) for part in blocks(stream("sea", "abrupt", N, 0), 4, None)]
    assert [t for t, _ in quarters] == pytest.approx([8, 9, 7, 9.5], abs=0.11)
    assert [wrong for _, wrong in quarters] == pytest.approx([0.1] * 4, abs=0.015)


def test_gradual_sea_mixes_neighbouring_concepts() -> None:
    table = stream("sea", "gradual", N, 0)
    total, t = table.X[:, 0] + table.X[:, 1], np.arange(N) / N
    between = (total > 8) & (total < 9) & (t < 1 / 3)  # class 1 under the first concept, 0 under the second
    early, late = (table.y[between & here].mean() for here in (t < 1 / 12, (t > 1 / 4)))
    assert early == pytest.approx(0.9 - 0.8 / 8, abs=0.06)
    assert late == pytest.approx(0.1 + 0.8 / 8, abs=0.06)


def test_the_hyperplane_turns_steadily_by_90_degrees() -> None:
    turned = [weights(part) for part in blocks(stream("hyperplane", "gradual", N, 0), 12, None)]
    angles = np.degrees([np.arccos(np.clip(turned[0] @ w, -1, 1)) for w in turned])
    assert angles == pytest.approx(np.linspace(0, 82.5, 12), abs=8)
    plane = np.linalg.svd(np.array(turned))[1]
    assert plane[2] < 0.2 * plane[1], "it stays in one plane"


def test_the_hyperplane_jumps_to_four_positions() -> None:
    parts = [weights(part) for part in blocks(stream("hyperplane", "abrupt", N, 0), 8, None)]
    angles = np.degrees([np.arccos(np.clip(parts[0] @ w, -1, 1)) for w in parts])
    assert angles == pytest.approx([0, 0, 30, 30, 60, 60, 90, 90], abs=8)


def test_friedmans_arguments_change_places() -> None:
    first, swapped = (0, 1, 2, 3, 4), (3, 5, 1, 0, 2)
    for part, order in zip(blocks(stream("friedman", "abrupt", N, 0), 3, None), (first, swapped, first), strict=True):
        assert np.std(part.y - friedman(part.X, order)) == pytest.approx(1, abs=0.03)
    ends = blocks(stream("friedman", "gradual", N, 0), 60, None)
    for part, order in ((ends[0], first), (ends[30], (3, 4, 1, 0, 2)), (ends[-1], (1, 4, 3, 2, 0))):
        assert np.mean(np.abs(part.y - friedman(part.X, order)) < 3) > 0.9


@pytest.mark.parametrize("name", STREAMS)
def test_no_drift_in_the_control_and_in_the_inputs_never(name: str) -> None:
    whole = stream(name, "none", N, 0)
    for part in blocks(whole, 4, None):
        if name == "sea":
            assert threshold_of(part)[0] == pytest.approx(8, abs=0.11)
        elif name == "hyperplane":
            assert weights(part) @ weights(whole) > 0.99
        else:
            assert np.std(part.y - friedman(part.X, (0, 1, 2, 3, 4))) == pytest.approx(1, abs=0.03)
    for drift in DRIFTS:
        means = np.array([part.X.mean(axis=0) for part in blocks(stream(name, drift, N, 0), 4, None)])
        scale = stream(name, drift, N, 0).X.std()
        assert np.abs(means - means.mean(axis=0)).max() < 0.05 * scale


def test_blocks_are_equal_in_order_and_the_oldest_rows_are_left_over() -> None:
    table = Table(np.arange(23.0)[:, None], np.arange(23.0), np.zeros(1, bool), 0)
    assert [part.y.tolist() for part in blocks(table, 4, None)] == [
        [3, 4, 5, 6, 7], [8, 9, 10, 11, 12], [13, 14, 15, 16, 17], [18, 19, 20, 21, 22],
    ]  # fmt: skip
    drawn = [part.y.tolist() for part in blocks(table, 2, 6)]
    assert [len(set(y)) for y in drawn] == [6, 6]
    assert drawn == [sorted(y) for y in drawn]
    assert 1 <= drawn[0][0] < drawn[0][-1] <= 11 < drawn[1][0] < drawn[1][-1] <= 22
    assert [y - 1 for y in drawn[0]] != [y - 12 for y in drawn[1]]


def test_unknown_names() -> None:
    with pytest.raises(UserError, match=r"unknown stream 'see'\. Did you mean 'sea'"):
        stream("see", "none", 100, 0)
    with pytest.raises(UserError, match="unknown kind of drift 'sudden'"):
        stream("sea", "sudden", 100, 0)
