from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from hptbench.rng import entropy, stream
from hptbench.stats.mixed import horizon_effect, informative_units, mixed_model, seed_effect
from hptbench.stats.pairwise import holm
from hptbench.testing.planted import grid


def statsmodels_fits(y: np.ndarray, interaction: bool) -> tuple[object, object]:
    import statsmodels.formula.api as smf

    u, m, s = np.indices(y.shape).reshape(3, -1)
    long = pd.DataFrame({"loss": y.ravel(), "unit": u, "method": m.astype(str), "seed": s})
    vc = {"suits": "0 + C(method)"} if interaction else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(  # type: ignore[return-value]
            smf.mixedlm(formula, long, groups="unit", re_formula="1", vc_formula=vc).fit(reml=False)
            for formula in ("loss ~ C(method)", "loss ~ 1")
        )


@pytest.mark.parametrize("interaction", [True, False])
def test_likelihoods_and_variances_are_those_of_statsmodels(interaction: bool) -> None:
    y = grid(stream(entropy("mixed", 1)), 12, [0.0, 0.3, 0.1], 4)
    full, null = statsmodels_fits(y, interaction)
    found = mixed_model(y, interaction)
    assert found.lr == pytest.approx(2 * (full.llf - null.llf), rel=1e-4)  # type: ignore[attr-defined]
    assert found.noise == pytest.approx(full.scale, rel=1e-3)  # type: ignore[attr-defined]
    assert found.unit == pytest.approx(float(full.cov_re.iloc[0, 0]), rel=1e-2)  # type: ignore[attr-defined]
    if interaction:
        assert found.interaction == pytest.approx(full.vcomp[0], rel=1e-2)  # type: ignore[attr-defined]
    assert np.diff(found.effects) == pytest.approx(np.diff([0, *full.fe_params[1:]]), rel=1e-3)  # type: ignore[attr-defined]
    assert found.note == ""


def test_a_singular_fit_is_that_without_the_variance_and_says_so() -> None:
    """Data sets that do not differ at all: statsmodels' MixedLM ends with a singular matrix, least squares is right."""
    rng = stream(entropy("mixed", "singular"))
    y = rng.normal(size=(6, 3, 4))
    y -= 0.9 * y.mean(axis=(1, 2), keepdims=True)
    found = mixed_model(y, interaction=False)
    assert found.unit == 0
    assert found.note == "singular fit: the variance between data sets is estimated as 0"
    squares = [float(((y - fitted) ** 2).sum()) for fitted in (y.mean(), y.mean(axis=(0, 2))[:, None])]
    assert found.lr == pytest.approx(y.size * np.log(squares[0] / squares[1]))
    both = mixed_model(y)
    assert both.unit == 0
    assert "singular fit" in both.note


def test_f_is_that_of_the_repeated_measures_anova_of_means() -> None:
    from statsmodels.stats.anova import AnovaRM

    y = grid(stream(entropy("mixed", 2)), 9, [0.0, 0.2, 0.4, 0.1], 3)
    u, m = np.indices(y.shape[:2]).reshape(2, -1)
    long = pd.DataFrame({"loss": y.mean(axis=2).ravel(), "unit": u, "method": m})
    theirs = AnovaRM(long, "loss", "unit", within=["method"]).fit().anova_table.iloc[0]
    found = mixed_model(y)
    assert (found.f, found.df1, found.df2, found.p) == pytest.approx(tuple(theirs))


def test_two_methods_give_the_paired_t_test() -> None:
    y = grid(stream(entropy("mixed", 3)), 7, [0.0, 0.5], 5)
    found, theirs = mixed_model(y), scipy.stats.ttest_rel(*y.mean(axis=2).T)
    assert found.p == pytest.approx(theirs.pvalue)
    assert abs(np.diff(found.effects)[0]) / found.standard_error == pytest.approx(abs(theirs.statistic))


def test_planted_differences_are_found() -> None:
    rng = stream(entropy("planted", "effects"))
    found = [mixed_model(grid(rng, 20, [0, 0.6], 3)) for _ in range(200)]
    assert np.mean([one.effects for one in found], axis=0) == pytest.approx([-0.3, 0.3], abs=0.02)
    assert np.mean([one.noise for one in found]) == pytest.approx(0.09, rel=0.05)
    df, size = 19, 0.6 / np.sqrt(2 * (0.25 + 0.03)) * np.sqrt(20)
    expected = scipy.stats.nct.sf(scipy.stats.t.ppf(0.975, df), df, size)
    assert np.mean([one.p <= 0.05 for one in found]) == pytest.approx(expected, abs=0.07)


def test_one_repeat_and_no_noise() -> None:
    y = grid(stream(entropy("mixed", 4)), 6, [0.0, 1.0], 1)
    found = mixed_model(y)
    assert (found.interaction, found.df2) == (0.0, 5)
    assert found.p == pytest.approx(scipy.stats.ttest_rel(*y[:, :, 0].T).pvalue)
    exact = mixed_model(np.repeat(y, 3, axis=2))  # methods without randomness
    assert (exact.noise, exact.p) == pytest.approx((0.0, found.p))
    assert exact.lr == pytest.approx(found.lr)
    with pytest.raises(ValueError, match="complete grid, got 1"):
        mixed_model(np.where(np.arange(12).reshape(3, 2, 2) == 5, np.nan, 1.0))
    with pytest.raises(ValueError, match="2 units and methods"):
        mixed_model(np.ones((3, 1, 4)))


def test_lucky_seeds_are_seen() -> None:
    rng = stream(entropy("mixed", "seeds"))
    lucky = grid(rng, 6, [0, 0], 5) + rng.normal(size=(1, 2, 5))
    assert seed_effect(lucky).p < 1e-6
    check = seed_effect(lucky)
    assert (check.df1, check.df2) == (8, 40)
    assert np.isnan(seed_effect(lucky[:, :, :1]).p)


def test_units_that_tell_nothing_are_seen() -> None:
    rng = stream(entropy("mixed", "units"))
    y = rng.normal(size=(6, 3, 8))
    y[:2] += 5 * np.arange(3)[:, None]
    p = informative_units(y)
    assert (p[:2] < 1e-6).all()
    assert p == pytest.approx(holm([scipy.stats.f_oneway(*unit).pvalue for unit in y]))
    assert informative_units(np.ones((3, 2, 2))).tolist() == [1, 1, 1]
    assert np.isnan(informative_units(y[:, :, :1])).all()


def test_horizons() -> None:
    """Methods that cross, and methods that keep their distance."""
    rng = stream(entropy("mixed", "horizons"))
    cross = rng.normal(size=(2, 8, 2, 2)) + 3 * np.array([[1, -1], [-1, 1]])[:, None, :, None]
    check = horizon_effect(cross)
    assert check.p < 1e-4
    assert (check.df1, check.df2) == (1, 7)
    change = (cross[1] - cross[0]).mean(axis=2)  # with two of each: the paired t test of the changes
    assert check.p == pytest.approx(scipy.stats.ttest_rel(*change.T).pvalue)
    with pytest.raises(ValueError, match="2 horizons"):
        horizon_effect(cross[:1])
