from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import statsmodels.tools.sm_exceptions  # noqa: F401  sets filters of warnings
from numpy.typing import NDArray
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.statespace.sarimax import SARIMAX

from hptbench import rng
from hptbench.errors import UserError
from hptbench.forecasters import Past, find_forecaster, forecasters
from hptbench.forecasters._base import BoxCox, window
from hptbench.forecasters.boosting_on_lags import _Columns, _summed
from hptbench.learners import quiet_single_thread
from hptbench.spacefile import packaged_space

SEED = rng.entropy("test")
SPACES = [(name, period) for name in forecasters() for period in (1, 4)]


def season(n: int = 60) -> NDArray[Any]:
    """Quarters with a trend, a season and noise, all positive."""
    t = np.arange(n)
    return 50 + 0.5 * t + np.tile([8.0, -3, 0, -5], n // 4 + 1)[:n] + np.random.default_rng(0).normal(size=n)


def forecast(name: str, config: Any, y: Any = None, period: int = 4, horizon: int = 5) -> NDArray[Any]:
    with quiet_single_thread():
        return find_forecaster(name).forecast(config, SEED, Past(season() if y is None else y, period), horizon)


@pytest.mark.parametrize(("config", "same"), [
    ({}, {}),
    (
        {"trend": "add", "damped": True, "seasonal": "mul"},
        {"trend": "add", "damped_trend": True, "seasonal": "mul", "seasonal_periods": 4},
    ),
    ({"error": "mul", "initialization": "heuristic"}, {"error": "mul", "initialization_method": "heuristic"}),
])  # fmt: skip
def test_ets_is_statsmodels(config: Any, same: Any) -> None:
    with quiet_single_thread():
        theirs = ETSModel(season(), **same).fit(disp=False).forecast(5)
    np.testing.assert_array_equal(forecast("ets", config), theirs)


def test_ets_of_transformed_values() -> None:
    with quiet_single_thread():
        log = ETSModel(np.log(season()), trend="add").fit(disp=False).forecast(5)
    np.testing.assert_allclose(forecast("ets", {"trend": "add", "box_cox": True, "box_cox_lambda": 0.0}), np.exp(log))


@pytest.mark.parametrize(("config", "same"), [
    ({}, {"order": (1, 0, 0)}),
    ({"p": 1, "d": 1, "q": 1, "D": 1, "Q": 1}, {"order": (1, 1, 1), "seasonal_order": (0, 1, 1, 4)}),
    ({"p": 2, "trend": "ct"}, {"order": (2, 0, 0), "trend": "ct"}),
])  # fmt: skip
def test_arima_is_statsmodels(config: Any, same: Any) -> None:
    with quiet_single_thread():
        theirs = SARIMAX(season(), **same).fit(disp=False, maxiter=50).forecast(5)
    np.testing.assert_array_equal(forecast("arima", config), theirs)


def test_box_cox_is_scipys_and_back() -> None:
    from scipy.special import boxcox

    y = np.array([0.5, 1.0, 7.0])
    for lam in (-1.0, 0.0, 0.3, 1.0, 2.0):
        np.testing.assert_allclose(BoxCox(lam)(y), boxcox(y, lam))
        np.testing.assert_allclose(BoxCox(lam).inverse(BoxCox(lam)(y)), y)
    assert np.isnan(BoxCox(0.5).inverse(np.array([-3.0]))).all(), "below what any value is transformed to"
    with pytest.raises(ValueError, match="needs positive values, got 0"):
        BoxCox(0.5)(np.array([1.0, 0.0]))


def test_window() -> None:
    past = Past(np.arange(100.0), 4)
    assert window(past, 0.25).y.tolist() == list(range(75, 100))
    assert len(window(past, 0.01).y) == 10
    assert len(window(past._replace(period=12), 0.01).y) == 24
    assert len(window(past._replace(y=past.y[:5]), 0.5).y) == 5


@pytest.mark.parametrize("strategy", ["recursive", "direct"])
def test_boosting_goes_on_with_what_repeats(strategy: str) -> None:
    """A trend is gone after one difference, a season is known by its place or after a seasonal one."""
    config = {"strategy": strategy, "lags": 2, "min_samples_leaf": 1, "max_iter": 60, "learning_rate": 0.3}
    t = np.arange(65)
    np.testing.assert_allclose(forecast("boosting_on_lags", config, 3.0 * t, 1), 3.0 * np.arange(65, 70))
    pattern = np.array([8.0, -3, 0, -5])
    expected = pattern[np.arange(65, 70) % 4]
    y = pattern[t % 4]
    for change in (
        {"season": True, "difference": False},
        {"seasonal_lags": 1, "lags": 1, "difference": False},
        {"seasonal_difference": True, "difference": False},
    ):
        np.testing.assert_allclose(forecast("boosting_on_lags", config | change, y), expected, atol=1e-3)
    both = forecast("boosting_on_lags", config | {"seasonal_difference": True}, y + 3.0 * t + 0.1 * t**2)
    ahead = np.arange(65, 70)
    np.testing.assert_allclose(both, expected + 3.0 * ahead + 0.1 * ahead**2)


def test_rows_of_lags() -> None:
    z = np.arange(100.0, 130.0)
    columns = _Columns(lags=2, seasons=2, period=4, place=True, offset=1)
    at = np.array([20])
    assert columns.rows(z, at, 1).tolist() == [[119, 118, 116, 112, (20 + 1) % 4]]
    assert columns.rows(z, at, 4).tolist() == [[119, 118, 119, 115, (23 + 1) % 4]]
    assert columns.rows(z, at, 5).tolist() == [[119, 118, 116, 112, (24 + 1) % 4]], "a season ahead is not known"
    assert [columns.first(step) for step in (1, 4, 5)] == [8, 5, 8]
    for step in range(1, 12):
        later = z.copy()
        later[20:] = np.nan
        np.testing.assert_array_equal(columns.rows(later, at, step), columns.rows(z, at, step))
        assert columns.rows(z, np.array([columns.first(step)]), step)[0, :-1].min() == 100, "no row wraps around"


def test_differences_are_undone() -> None:
    y = np.random.default_rng(0).normal(size=30)
    np.testing.assert_allclose(_summed((y[4:] - y[:-4])[16:], y[:20], 4), y[20:])


@pytest.mark.parametrize(("name", "period"), SPACES)
def test_random_configurations_forecast(name: str, period: int) -> None:
    space = packaged_space(find_forecaster(name).space_name(period))
    assert ("seasonal" in space.names or "P" in space.names or "season" in space.names) == (period > 1)
    y = season()
    for config in space.decode(space.sample(np.random.default_rng(5), 3)):
        ahead = forecast(name, config, y, period)
        assert ahead.shape == (5,)
        np.testing.assert_array_equal(ahead, forecast(name, config, y, period))
    np.testing.assert_array_equal(y, season())


@pytest.mark.parametrize(("name", "period"), SPACES)
def test_parameters_that_are_not_there_are_the_defaults_of_the_space(name: str, period: int) -> None:
    space = packaged_space(find_forecaster(name).space_name(period))
    one, other = (forecast(name, config, None, period) for config in ({}, space.default()))
    np.testing.assert_allclose(one, other, rtol=1e-9)  # a penalty of 1e-10 stands for scikit-learn's 0


def test_too_short_for_the_lags() -> None:
    with pytest.raises(ValueError, match="12 values are too few: 12 are needed before the first row"):
        forecast("boosting_on_lags", {"lags": 12, "difference": False}, season(12))


def test_unknown_forecaster() -> None:
    with pytest.raises(UserError, match="Did you mean 'arima'"):
        find_forecaster("arma")
