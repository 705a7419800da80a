from __future__ import annotations

import numpy as np
import pytest

from hptbench.learners import Table
from hptbench.learners._encode import Dense, Native, Ordinal

NAN = np.nan
# number, category, empty number, empty category, constant
ROWS = Table(
    np.array(
        [
            [1.0, 2, NAN, NAN, 7],
            [3.0, 2, NAN, NAN, 7],
            [NAN, 0, NAN, NAN, 7],
            [5.0, NAN, NAN, NAN, 7],
        ]
    ),
    np.array([0, 1, 0, 1]),
    np.array([False, True, False, True, False]),
    2,
)
NEW = np.array([[NAN, 1, 4.0, 3, 9]])  # category 1 was not seen in training


def test_dense_imputes_standardises_and_has_a_column_per_category() -> None:
    encode = Dense.fit(ROWS)
    numbers = np.array([1.0, 3.0, 3.0, 5.0])
    z = (numbers - 3) / numbers.std()
    missing = [0, 0, 0, 1]
    expected = np.column_stack([z, [0] * 4, [0] * 4, [1, 1, 0, 0], [0, 0, 1, 0], missing, [1] * 4])
    np.testing.assert_allclose(encode(ROWS.X), expected)
    np.testing.assert_array_equal(encode(NEW)[0, [0, 2]], [0, 0])  # the median is the mean; constant stays 0
    np.testing.assert_array_equal(encode(NEW)[0, 3:6], [0, 0, 1])  # unseen is like missing


def test_an_unseen_category_has_no_column_where_none_was_missing() -> None:
    rows = Table(np.array([[0.0], [2.0], [2.0]]), np.zeros(3), np.array([True]), 0)
    np.testing.assert_array_equal(Dense.fit(rows)(np.array([[1.0], [2.0], [NAN]])), [[0, 0], [1, 0], [0, 0]])


def test_ordinal_leaves_no_hole_and_takes_unseen_categories_for_missing() -> None:
    encode = Ordinal.fit(ROWS)
    np.testing.assert_array_equal(encode(ROWS.X), [[1, 2, 0, 0, 7], [3, 2, 0, 0, 7], [3, 0, 0, 0, 7], [5, -1, 0, 0, 7]])
    np.testing.assert_array_equal(encode(NEW), [[3, -1, 0, 0, 9]])


def test_native_keeps_missing_numbers_and_orders_categories_by_frequency() -> None:
    encode = Native.fit(ROWS)
    np.testing.assert_array_equal(
        encode(ROWS.X), [[1, 0, 0, 0, 7], [3, 0, 0, 0, 7], [NAN, 1, 0, 0, 7], [5, NAN, 0, 0, 7]]
    )
    np.testing.assert_array_equal(encode(NEW), [[NAN, NAN, 0, 0, 9]])


@pytest.mark.parametrize("encoder", [Dense, Native])
def test_rare_categories_share_one_place(encoder: type[Dense] | type[Native]) -> None:
    column = np.concatenate([np.repeat(np.arange(300.0), 2), [5.0]])
    rows = Table(column[:, None], np.zeros(len(column)), np.array([True]), 0)
    out = encoder.fit(rows)(rows.X)
    if encoder is Dense:
        assert out.shape[1] == 255
        assert out[:, -1].sum() == 2 * (300 - 254)
        assert out[column == 5, 0].all()
    else:
        assert np.nanmax(out) == 253
        assert np.isnan(out).sum() == 2 * (300 - 254)
        assert (out[column == 5] == 0).all()


def test_only_training_rows_count() -> None:
    before = Dense.fit(ROWS)(ROWS.X)
    Dense.fit(ROWS)(NEW * 1e6)
    np.testing.assert_array_equal(Dense.fit(ROWS)(ROWS.X), before)
    assert Dense.fit(ROWS.take(np.array([0, 1])))(ROWS.X).shape[1] == 3 + 1 + 1
