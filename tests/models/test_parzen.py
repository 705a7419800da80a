from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hptbench.models.parzen import Parzen, impute
from hptbench.space import Floats

pytestmark = pytest.mark.filterwarnings("ignore:After 0.17 or January 2028:FutureWarning")  # statsmodels' own
SIZES = np.array([0, 3, 0, 2, 4])


def mixed(rng: np.random.Generator, n: int) -> Floats:
    return np.column_stack([rng.integers(s, size=n) if s else rng.random(n) for s in SIZES]).astype(float)


def plain_pdf(data: Floats, h: Floats, x: Floats) -> float:
    """One point, loops only."""
    total = 0.0
    for row in data:
        kernel = 1.0
        for j, size in enumerate(SIZES):
            if size == 0:
                kernel *= np.exp(-((x[j] - row[j]) ** 2) / (2 * h[j] ** 2)) / (np.sqrt(2 * np.pi) * h[j])
            else:
                kernel *= 1 - h[j] if x[j] == row[j] else h[j] / (len(set(data[:, j])) - 1)
        total += kernel
    return total / len(data)


@pytest.mark.parametrize("seed", range(5))
def test_density_equals_statsmodels_and_a_plain_version(seed: int) -> None:
    from statsmodels.nonparametric.kernel_density import KDEMultivariate

    rng = np.random.default_rng(seed)
    data, x = mixed(rng, 40), mixed(rng, 30)
    ours, theirs = Parzen(data, SIZES, 1e-3), KDEMultivariate(data, "cucuu", bw="normal_reference")
    np.testing.assert_allclose(ours.bandwidths, theirs.bw, rtol=1e-12)
    np.testing.assert_allclose(ours.pdf(x), theirs.pdf(x), rtol=1e-10)
    np.testing.assert_allclose(ours.pdf(x), [plain_pdf(data, ours.bandwidths, p) for p in x], rtol=1e-10)


def test_bandwidths_are_clipped_and_the_density_is_that_of_statsmodels_with_these() -> None:
    from statsmodels.nonparametric.kernel_density import KDEMultivariate

    rng = np.random.default_rng(0)
    data, x = mixed(rng, 40), mixed(rng, 30)
    data[:, 2] = x[:, 2] = 0.4
    ours, theirs = Parzen(data, SIZES, 0.01), KDEMultivariate(data, "cucuu", bw="normal_reference")
    assert ours.bandwidths[2] == 0.01
    theirs.bw = np.clip(theirs.bw, 0.01, None)
    np.testing.assert_allclose(ours.pdf(x), theirs.pdf(x), rtol=1e-10)


def test_a_level_never_seen_beside_a_single_one_has_infinite_density_as_in_statsmodels() -> None:
    from statsmodels.nonparametric.kernel_density import KDEMultivariate

    rng = np.random.default_rng(1)
    data = np.column_stack([rng.random(20), np.ones(20)])
    x = np.array([[0.5, 1.0], [0.5, 0.0], [200.0, 1.0], [200.0, 0.0]])
    ours, theirs = Parzen(data, np.array([0, 3]), 1e-3), KDEMultivariate(data, "cu", bw="normal_reference")
    theirs.bw = np.clip(theirs.bw, 1e-3, None)
    with np.errstate(all="ignore"):
        expected = theirs.pdf(x)
    np.testing.assert_allclose(ours.pdf(x), expected, rtol=1e-10)
    assert np.isposinf(expected[1])
    assert np.isnan(expected[3])


def test_categories_of_large_spread_have_bandwidths_above_one_as_in_statsmodels() -> None:
    from statsmodels.nonparametric.kernel_density import KDEMultivariate

    data = np.tile(np.arange(12.0), 2)[:, None]
    ours, theirs = Parzen(data, np.array([12]), 1e-3), KDEMultivariate(data, "u", bw="normal_reference")
    assert ours.bandwidths[0] > 1
    np.testing.assert_allclose(ours.pdf(data[:12]), theirs.pdf(data[:12]), rtol=1e-10)
    drawn = ours.near(2400, 1.0, np.random.default_rng(0))[:, 0]  # never kept: any level
    assert stats.chisquare(np.bincount(drawn.astype(int), minlength=12)).pvalue > 0.01


def test_the_density_integrates_to_one() -> None:
    rng = np.random.default_rng(2)
    density = Parzen(np.column_stack([rng.random(30), rng.integers(2, size=30)]), np.array([0, 2]), 1e-3)
    grid = np.linspace(-2, 3, 2001)
    total = sum(np.trapezoid(density.pdf(np.column_stack([grid, np.full(2001, level)])), grid) for level in (0.0, 1.0))
    assert total == pytest.approx(1.0, abs=1e-6)


def test_draws_near_a_point_follow_the_truncated_normal_and_the_keeping_probability() -> None:
    data = np.repeat([[0.1, 2.0]], 4, axis=0)
    density = Parzen(data, np.array([0, 3]), 0.12)
    x = density.near(4000, 3.0, np.random.default_rng(3))
    h = 3 * 0.12
    assert stats.kstest(x[:, 0], stats.truncnorm(-0.1 / h, 0.9 / h, loc=0.1, scale=h).cdf).pvalue > 0.01
    counts = [(x[:, 1] == level).sum() for level in range(3)]
    kept = 1 - 0.12 + 0.12 / 3
    assert stats.chisquare(counts, np.array([0.04, 0.04, kept]) * 4000).pvalue > 0.01


def test_draws_are_around_rows_of_the_data_and_within_the_cube() -> None:
    rng = np.random.default_rng(4)
    data = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]] * 5)
    x = Parzen(data, np.array([0, 0, 2]), 1e-3).near(500, 3.0, rng)
    assert ((x[:, :2] >= 0) & (x[:, :2] <= 1)).all()
    assert set(x[:, 2]) == {0.0, 1.0}
    density = Parzen(data, np.array([0, 0, 2]), 1e-3)
    density.bandwidths[:] = 1e-3
    x = density.near(500, 1.0, rng)
    np.testing.assert_allclose(x[:, 0], x[:, 1], atol=0.02)  # the columns of one row stay together


def plain_impute(x: Floats, u: Floats) -> Floats:
    """Row by row, as HpBandSter does it."""
    out = []
    for i in range(len(x)):
        row = x[i].copy()
        while np.isnan(row).any():
            j = int(np.argmax(np.isnan(row)))
            rows = [k for k in range(len(x)) if not np.isnan(x[k, j])]
            if rows:
                donor = x[rows[int(u[i, j] * len(rows))]]
                for k in range(len(row)):
                    if np.isnan(row[k]):
                        row[k] = donor[k]
            else:
                row[j] = int(u[i, j] * SIZES[j]) if SIZES[j] else u[i, j]
        out.append(row)
    return np.array(out)


@pytest.mark.parametrize("seed", range(20))
def test_imputation_equals_a_plain_version(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, u = mixed(rng, 15), rng.random((15, 5))
    x[rng.random(x.shape) < 0.4] = np.nan
    x[:, seed % 5] = np.nan  # a column that nobody has
    np.testing.assert_array_equal(impute(x, SIZES, u), plain_impute(x, u))


def test_imputation_takes_what_is_missing_from_one_donor_and_leaves_its_input_alone() -> None:
    x = np.array([[0.5, np.nan, np.nan], [0.1, 0.2, 0.3], [0.6, 0.7, 0.8]])
    kept = x.copy()
    done = impute(x, np.zeros(3, int), np.full((3, 3), 0.9))
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(done[0], [0.5, 0.7, 0.8])
