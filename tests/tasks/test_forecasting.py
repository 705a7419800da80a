from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptbench import rng
from hptbench.errors import UserError
from hptbench.forecasters import find_forecaster, forecasters
from hptbench.learners import quiet_single_thread
from hptbench.ledger import Ledger
from hptbench.protocol import Budget, Clock, Job, Outcome, Problem, Proposal, Status, Task
from hptbench.spacefile import packaged_space
from hptbench.tasks import _series
from hptbench.tasks._accuracy import METRICS
from hptbench.tasks.forecasting import ForecastingTask
from hptbench.testing import TASK_CHECKS
from hptbench.workers import evaluate_here

FEW: dict[str, Any] = {"horizon": 3, "origins": 3, "test_origins": 2}
QUICK: dict[str, Any] = {
    "max_iter": {"type": "integer", "lower": 2, "upper": 4},
    "strategy": {"type": "categorical", "choices": ["recursive", "direct"]},
}
ORDERS: dict[str, Any] = {
    "p": {"type": "integer", "lower": 0, "upper": 1},
    "trend": {"type": "categorical", "choices": ["n", "c"]},
}
SEASONAL: dict[str, Any] = ORDERS | {"P": {"type": "integer", "lower": 0, "upper": 1}}
TASKS = [
    ForecastingTask("nile", "ets", **FEW),
    ForecastingTask("german_inflation", "arima", **FEW, metric="rmse", space=SEASONAL),
    ForecastingTask("nile", "arima", **FEW, metric="smape", space=ORDERS),
    ForecastingTask("elec_equip", "boosting_on_lags", **FEW, metric="mae", space=QUICK),
]
MODELS = [ForecastingTask("realinv", model, **FEW) for model in forecasters()]


def job(task: ForecastingTask, stop: float | None = None, config: Any = None, **fields: Any) -> Job:
    config = task.space.default() if config is None else config
    return Job(0, 0, Proposal(config), 0.0, stop or task.fidelity.high, rng.entropy("t", 0), **fields)


def run(task: ForecastingTask, *args: Any) -> Outcome:
    [outcome] = task.evaluate([job(task, *args)])
    assert outcome.status is Status.OK, outcome.message
    return outcome


@pytest.mark.slow
@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_conforms(task: Task, check: Callable[[Task], None]) -> None:
    check(task)


def test_what_it_is() -> None:
    t = ForecastingTask("co2", "ets")
    assert (t.name, t.unit, t.objectives) == ("co2-ets", "co2", ("mase",))
    assert replace(t, horizon=3).name == "co2-ets-h3"
    assert t.space == packaged_space("ets_seasonal")
    assert replace(t, period=1, horizon=3, space=None).space == packaged_space("ets")
    assert t.identity() | {"sha256": ""} == {
        "data": "co2", "model": "ets", "metric": "mase", "origins": 9, "test_origins": 3, "low": 1, "period": 12,
        "horizon": 18, "step": 6, "sha256": "",
    }  # fmt: skip
    assert (t.fidelity.low, t.fidelity.high, t.fidelity.unit) == (1, 9, "origin")


def test_making_one_reads_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_series, "load", None)
    assert len(ForecastingTask("elnino", "arima").space) == 8


# where the origins are, and what can be seen from them


def test_origins() -> None:
    """100 values, horizon 3, step 1: the test forecasts are 96-98 and 97-99, the validation's last one is 93-95."""
    test, validation = TASKS[0].known().test, TASKS[0].known().validation
    assert test == (96, 97)
    assert set(validation) == {91, 92, 93}
    assert validation[0] == 93, "the latest first"
    assert max(validation) + 3 == min(test)
    order = ForecastingTask("co2", "ets").known().validation
    assert sorted(order) == list(range(430, 479, 6))
    assert np.ptp(order[:3]) > 24, "three of nine origins span more than half of the period"


def altered(monkeypatch: pytest.MonkeyPatch, data: str, start: int) -> None:
    """From now on, all values of the series from ``start`` on are others."""
    y = _series.load(data, None).copy()
    y[start:] = 2 * y[start:] + np.arange(len(y) - start)
    monkeypatch.setattr(_series, "load", lambda *_: y)


@pytest.mark.parametrize("task", MODELS, ids=lambda task: task.model)
def test_the_test_period_does_not_reach_the_validation(task: ForecastingTask, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run(task)
    altered(monkeypatch, task.data, min(task.known().test))
    after = run(task)
    assert after.curve == before.curve
    assert after.hidden["validation_rmse"] == before.hidden["validation_rmse"]
    assert after.hidden["test"] != before.hidden["test"]


@pytest.mark.slow
@pytest.mark.parametrize("task", MODELS, ids=lambda task: task.model)
def test_a_forecast_never_sees_what_comes_after_its_origin(
    task: ForecastingTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, list[float]]] = []
    model = type(find_forecaster(task.model))
    original = model.forecast

    def spy(self: Any, config: Any, seed: Any, past: Any, horizon: int) -> Any:
        forecast = original(self, config, seed, past, horizon)
        seen.append((len(past.y), forecast.tolist()))
        return forecast

    monkeypatch.setattr(model, "forecast", spy)
    run(task)
    origins, before = task.known(), dict(seen)
    assert list(before) == [*origins.validation, *origins.test]
    altered(monkeypatch, task.data, origins.validation[0])
    seen.clear()
    run(task)
    earlier = [n for n in before if n <= origins.validation[0]]
    assert len(earlier) == 3
    assert {n: dict(seen)[n] for n in earlier} == {n: before[n] for n in earlier}
    assert dict(seen)[max(origins.test)] != before[max(origins.test)]


# scores


def test_metrics_by_hand() -> None:
    past = find_past([1.0, 10.0, 3.0, 10.0, 2.0], period=2)  # seasonal differences 2, 0, -1: their mean size is 1
    actual, forecast = np.array([4.0, 0.0, -1.0]), np.array([2.0, 0.0, 3.0])
    scores = {name: metric(actual, forecast, past) for name, metric in METRICS.items()}
    assert scores == pytest.approx(
        {"mase": 2.0, "mae": 2.0, "rmse": math.sqrt(20 / 3), "smape": (200 * 2 / 6 + 0 + 200) / 3}
    )


def test_metrics_are_scikit_learns() -> None:
    from sklearn import metrics

    actual, forecast = np.random.default_rng(0).normal(size=(2, 9))
    past = find_past(actual, period=1)
    assert METRICS["mae"](actual, forecast, past) == pytest.approx(metrics.mean_absolute_error(actual, forecast))
    assert METRICS["rmse"](actual, forecast, past) == pytest.approx(metrics.root_mean_squared_error(actual, forecast))


def find_past(y: Any, period: int) -> Any:
    from hptbench.forecasters import Past

    return Past(np.asarray(y, float), period)


def test_scores_are_means_over_origins_of_statsmodels_forecasts() -> None:
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    t, y = TASKS[0], _series.load("nile", None)
    outcome, origins = run(t), t.known()

    def mase(n: int) -> float:
        with quiet_single_thread():
            forecast = ETSModel(y[:n]).fit(disp=False).forecast(3)
        return float(np.abs(forecast - y[n : n + 3]).mean() / np.abs(np.diff(y[:n])).mean())

    errors = [mase(n) for n in origins.validation]
    np.testing.assert_allclose([p.values[0] for p in outcome.curve], [np.mean(errors[: k + 1]) for k in range(3)])
    np.testing.assert_allclose(outcome.hidden["test"], np.mean([mase(n) for n in origins.test]))
    assert [p.fidelity for p in outcome.curve] == [1, 2, 3]
    assert set(outcome.hidden) == {"test"} | {f"{part}_{m}" for part in ("test", "validation") for m in METRICS}
    assert outcome.hidden["validation_mase"] == outcome.curve[-1].values[0]


@pytest.mark.parametrize("metric", METRICS)
def test_any_metric_is_the_objective(metric: str) -> None:
    outcome = run(ForecastingTask("nile", "ets", **FEW, metric=metric), 1)
    assert outcome.curve[-1].values[0] == outcome.hidden[f"validation_{metric}"]
    assert outcome.hidden["test"] == outcome.hidden[f"test_{metric}"]


# states


def test_errors_of_another_configuration_are_not_inherited() -> None:
    t = TASKS[0]
    first = job(t, 2)
    [left] = t.evaluate([first])
    other = t.space.canonical({**t.space.default(), "trend": "add", "damped": False})
    second = replace(first, id=1, trial=1, proposal=Proposal(other, source=0), start=2.0, stop=3.0, before=first)
    [outcome], [remade] = t.evaluate([replace(second, state=left.state)]), t.evaluate([second])
    alone = run(t, 3, other)
    for exploited in (outcome, remade):
        assert exploited.curve[-1] == alone.curve[-1]
        assert exploited.hidden == alone.hidden
    assert len(outcome.curve) == 1


def test_a_segment_fits_its_own_origins_only(monkeypatch: pytest.MonkeyPatch) -> None:
    t = TASKS[0]
    first = job(t, 1)
    [left] = t.evaluate([first])
    seen: list[int] = []
    model = type(find_forecaster("ets"))
    original = model.forecast

    def spy(self: Any, config: Any, seed: Any, past: Any, horizon: int) -> Any:
        seen.append(len(past.y))
        return original(self, config, seed, past, horizon)

    monkeypatch.setattr(model, "forecast", spy)
    t.evaluate([replace(first, id=1, start=1.0, stop=3.0, state=left.state, before=first)])
    assert tuple(seen) == t.known().validation[1:]


def test_a_state_that_nothing_can_make_again() -> None:
    with pytest.raises(ValueError, match="neither a state nor a job before"):
        TASKS[0].evaluate([replace(job(TASKS[0]), start=1.0)])


# failures


def test_a_model_that_does_not_fit_the_series_fails() -> None:
    t = ForecastingTask("german_inflation", "ets", **FEW)
    for change in ({"error": "mul"}, {"box_cox": True, "box_cox_lambda": 0.5}):
        [outcome] = evaluate_here(t, [job(t, config={**t.space.default(), **change})])
        assert outcome.status is Status.FAILED
        assert "positive" in outcome.message


def test_a_forecast_that_is_no_number_is_a_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    t = TASKS[0]
    monkeypatch.setattr(type(find_forecaster("ets")), "forecast", lambda *_: np.full(3, np.nan))
    ledger = Ledger(Problem(t.space, t.objectives, t.fidelity, Budget(max_jobs=9)), ("t", 0), Clock.UNITS)
    opened = ledger.open(Proposal(t.space.default()))
    _, outcome, report = ledger.close(opened, evaluate_here(t, [opened])[0])
    assert outcome.status is Status.NAN
    assert report.values == (math.inf,)


def test_a_test_period_that_cannot_be_scored_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    t = TASKS[0]
    expected, first_test = run(t), min(t.known().test)
    model = type(find_forecaster("ets"))
    original = model.forecast

    def forecast(self: Any, config: Any, seed: Any, past: Any, horizon: int) -> Any:
        if len(past.y) >= first_test:
            raise np.linalg.LinAlgError("singular\nmatrix")
        return original(self, config, seed, past, horizon)

    monkeypatch.setattr(model, "forecast", forecast)
    outcome = run(t)
    assert outcome.curve == expected.curve
    assert outcome.message == "test score failed: LinAlgError: singular matrix"
    assert outcome.hidden.keys() == expected.hidden.keys()
    assert all(math.isnan(v) == name.startswith("test") for name, v in outcome.hidden.items())


@pytest.mark.slow
def test_a_fresh_process_shows_no_warnings() -> None:
    """statsmodels adds filters of its own when it is imported."""
    code = """
from hptbench.protocol import Job, Proposal
from hptbench.tasks.forecasting import ForecastingTask
t = ForecastingTask("german_inflation", "arima", horizon=3, origins=2, test_origins=1)
config = {"p": 3, "d": 0, "q": 3, "P": 0, "D": 0, "Q": 0, "trend": "ct", "window": 1.0}
t.evaluate([Job(0, 0, Proposal(config), 0.0, 1.0, (1, 2, 3, 4))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


# data


def test_bundled_series_are_complete_and_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(socket, "socket", None)
    _series.load.cache_clear()
    lengths = {name: len(_series.load(name, None)) for name in _series.BUNDLED}
    assert lengths == {
        "nile": 100, "sunspots": 309, "co2": 526, "elnino": 732, "elec_equip": 257, "realgdp": 203, "realinv": 203,
        "tbilrate": 203, "unemp": 203, "german_inflation": 107,
    }  # fmt: skip
    for name in _series.BUNDLED:
        y = _series.load(name, None)
        assert np.isfinite(y).all()
        assert not y.flags.writeable


def test_bundled_series_never_change() -> None:
    assert _series.fingerprint("nile", None).startswith("eb0f1d6ec9")
    assert _series.fingerprint("elnino", None).startswith("04cd82503f")
    np.testing.assert_allclose(_series.load("co2", None)[[0, -1]], [316.1, 370.75], atol=0.5)


def test_a_series_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.parquet"
    pd.DataFrame({"value": _series.load("nile", None)}).to_parquet(file)
    t = ForecastingTask("mine", "ets", str(file), period=1, **FEW)
    assert run(t).curve == run(TASKS[0]).curve
    assert t.identity()["sha256"] == TASKS[0].identity()["sha256"]
    assert str(tmp_path) not in repr(t.identity())


@pytest.mark.parametrize(("columns", "message"), [
    ({"values": [1.0]}, "expected a column 'value', got values"),
    ({"value": ["a", "b"]}, "expected numbers in the column 'value'"),
    ({"value": [1.0, None, math.inf]}, "got 2 that are missing or infinite"),
    ({"value": np.arange(30)}, "expected at least 20 values before the first origin, got 0 of 30"),
])  # fmt: skip
def test_series_that_cannot_be_used(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    file = tmp_path / "bad.parquet"
    pd.DataFrame(columns).to_parquet(file)
    t = ForecastingTask("bad", "ets", str(file), period=1)
    for use in (t.identity, lambda: t.evaluate([job(t)])):
        with pytest.raises(UserError, match=message):
            use()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found no"):
        ForecastingTask("x", "ets", str(tmp_path / "none"), period=1).identity()
    (tmp_path / "text.parquet").write_text("value\n1\n")
    with pytest.raises(UserError, match="expected a parquet file, got"):
        ForecastingTask("x", "ets", str(tmp_path / "text.parquet"), period=1).identity()


@pytest.mark.parametrize(("fields", "message"), [
    ({"data": "nil"}, "unknown series.*Did you mean 'nile'"),
    ({"model": "est"}, "unknown forecaster 'est'. Did you mean 'ets'"),
    ({"metric": "mape"}, "unknown metric of forecasts 'mape'"),
    ({"horizon": 0}, "horizon >= 1, got 0"),
    ({"step": 0}, "step >= 1"),
    ({"period": 0}, "period >= 1"),
    ({"origins": 0}, "origins >= 1"),
    ({"test_origins": 0}, "test_origins >= 1"),
    ({"low": 10}, "1 <= low <= origins, got low=10, origins=9"),
    ({"period": 7}, "expected a horizon for a series with 7 values per season"),
    ({"path": "x.parquet"}, "expected the period of the series 'nile' in x.parquet"),
    ({"space": {"seasonal": {"type": "categorical", "choices": ["add"]}}}, "unknown parameter of ets 'seasonal'"),
])  # fmt: skip
def test_bad_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ForecastingTask(**{"data": "nile", "model": "ets", **fields})
