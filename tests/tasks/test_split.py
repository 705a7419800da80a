from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hptbench.errors import UserError
from hptbench.learners import Table
from hptbench.tasks import _split


def table(counts: list[int]) -> Table:
    y = np.repeat(np.arange(len(counts)), counts)
    return Table(
        np.arange(float(len(y)))[:, None], np.random.default_rng(0).permutation(y), np.array([False]), len(counts)
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(3, 30), min_size=2, max_size=6), st.floats(0.01, 0.99), st.integers(2, 3))
def test_splits_cover_all_rows_once_and_every_class_can_be_learnt(counts: list[int], share: float, k: int) -> None:
    t = table(counts)
    rest, test = _split.holdout(t, share, ("a",))
    assert sorted([*rest, *test]) == list(range(len(t)))
    assert set(t.y[rest]) == set(t.y[test]) == set(range(len(counts)))
    per_class = np.bincount(t.y[test], minlength=len(counts))
    assert (np.abs(per_class - share * np.array(counts)) <= 1).all()
    pairs = _split.folds(t, k, ("a",))
    assert sorted(row for _, fold in pairs for row in fold) == list(range(len(t)))
    for other, fold in pairs:
        assert sorted([*other, *fold]) == list(range(len(t)))
        assert set(t.y[other]) == set(range(len(counts)))
        assert np.abs(np.bincount(t.y[fold], minlength=len(counts)) - np.array(counts) / k).max() < 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(3, 30), min_size=2, max_size=6), st.floats(0.01, 0.99), st.sampled_from(["a", "b"]))
def test_a_split_of_a_split_still_trains_on_every_class(counts: list[int], share: float, key: str) -> None:
    t = table([30, *counts])
    rest, test = _split.holdout(t, share, (key,), others=2)
    outer = t.take(rest)
    assert set(t.y[test]) == set(t.y)
    for other, _ in [_split.holdout(outer, 1 / 3, (key,)), *_split.folds(outer, 2, (key,))]:
        assert set(outer.y[other]) == set(t.y)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(2, 30), min_size=2, max_size=6), st.floats(0.001, 1), st.floats(0.001, 1))
def test_parts_are_nested(counts: list[int], one: float, other: float) -> None:
    t, (small, large) = table(counts), sorted([one, other])
    a, b = _split.part(t, small, ("a",)), _split.part(t, large, ("a",))
    assert set(a) <= set(b)
    assert list(b) == sorted(set(b))
    assert (np.bincount(t.y[a], minlength=len(counts)) >= 2).all()
    assert list(_split.part(t, 1.0, ("a",))) == list(range(len(t)))


def test_splits_depend_on_their_key_alone() -> None:
    t = table([20, 20])
    one, same, other = (_split.holdout(t, 0.25, key)[1].tolist() for key in (("a",), ("a",), ("b",)))
    assert one == same
    assert one != other


def test_regression_has_no_classes() -> None:
    t = Table(np.zeros((20, 1)), np.linspace(0, 1, 20), np.array([False]), 0)
    assert len(_split.holdout(t, 0.25, ("a",))[1]) == 5
    assert sorted(len(fold) for _, fold in _split.folds(t, 3, ("a",))) == [6, 7, 7]
    assert len(_split.part(t, 0.01, ("a",))) == 2


def test_too_many_folds() -> None:
    with pytest.raises(UserError, match="at least 20 rows for 10 folds, got 6"):
        _split.folds(table([3, 3]), 10, ("a",))
