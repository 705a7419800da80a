from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra neural is not installed")

from hptbench import rng
from hptbench.errors import UserError
from hptbench.protocol import Job, Proposal, Task
from hptbench.tasks import _series
from hptbench.tasks._accuracy import mase
from hptbench.tasks.forecasting import ForecastingTask
from hptbench.tasks.neural import _corpora
from hptbench.tasks.neural.forecast import NeuralForecast
from hptbench.tasks.neural.text import NeuralText
from hptbench.testing import TASK_CHECKS

SMALL: Any = {
    "architecture": {"type": "categorical", "choices": ["tcn", "gru", "transformer"]},
    "heads": {"type": "integer", "lower": 1, "upper": 3}, "layers": {"type": "integer", "lower": 1, "upper": 2},
    "learning_rate": {"type": "float", "lower": 1e-3, "upper": 1e-2},
    "dropout": {"type": "float", "lower": 0, "upper": 0.5},
}  # fmt: skip
TEXT = NeuralText(characters=800, held=300, length=6, high=2, space=SMALL)
NILE = NeuralForecast("nile", length=5, high=2, origins=4, space=SMALL)
TASKS: list[Any] = [TEXT, NILE]


def job(task: Any, stop: int | None = None, **config: Any) -> Job:
    whole = task.space.default() | config
    return Job(0, 0, Proposal(whole), 0.0, float(stop or task.high), rng.entropy("t", 0))


@pytest.mark.slow
@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_conforms(task: Task, check: Callable[[Task], None]) -> None:
    check(task)


def test_what_they_are() -> None:
    assert (TEXT.name, TEXT.unit, TEXT.objectives) == ("python_topics-text", "python_topics", ("bits_per_character",))
    assert (NILE.name, NILE.unit, NILE.objectives) == ("nile-forecast", "nile", ("mase",))
    assert TEXT.identity() | {"sha256": ""} == {
        "model": "text", "data": "python_topics", "characters": 800, "held": 300, "length": 6, "split": 0, "low": 1,
        "high": 2, "sha256": "",
    }  # fmt: skip
    assert NILE.identity() == {
        "model": "forecast", "data": "nile", "metric": "mase", "origins": 4, "test_origins": 3, "period": 1,
        "horizon": 6, "step": 2, "length": 5, "low": 1, "high": 2, "sha256": _series.fingerprint("nile", None),
    }  # fmt: skip


def test_documents_are_for_one_thing_only(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = {f"d{i}": chr(ord("a") + i) * (10 + i) for i in range(20)}
    monkeypatch.setattr(_corpora, "_CORPORA", {"made": lambda: documents})
    parts = _corpora.parts("made", 0, 100, 30)
    assert [len(part) for part in parts] == [100, 30, 30]
    of = [set(part.tolist()) for part in parts]
    assert sum(map(len, of)) == len(set.union(*of))
    assert len(of[0]) > 9  # from the beginnings of all, not all of the first ones
    assert _corpora.parts("made", 1, 100, 30).sha256() != parts.sha256()
    with pytest.raises(UserError, match=r"expected 900 characters of training, got \d+; set characters or held lower"):
        _corpora.parts("made", 0, 900, 30)


@pytest.mark.parametrize("split", range(3))
def test_hardly_any_text_is_in_two_parts(split: int) -> None:
    """Topics of which others are sections had up to a fifth of the test in training."""
    runs = [{part[i : i + 40].tobytes() for i in range(len(part) - 39)}
            for part in _corpora.parts("python_topics", split, 150_000, 25_000)]  # fmt: skip
    for held in runs[1:]:
        assert len(held & runs[0]) < 0.03 * len(held)
    assert len(runs[1] & runs[2]) < 0.03 * len(runs[2])


def test_symbols() -> None:
    assert _corpora.symbols("\n ~A\t“").tolist() == [0, 1, 95, 34, 32, 32]
    assert _corpora.SYMBOLS == 96
    with pytest.raises(UserError, match="Did you mean 'python_topics'"):
        NeuralText("python_topic")
    with pytest.raises(UserError, match="expected 1 <= length < characters and held, got length=400"):
        replace(TEXT, length=400)


def test_bits_are_those_of_the_characters_that_come() -> None:
    said = np.array([0.5, 0.25, 0.0])
    bits = TEXT.scores(TEXT.ready(), said, None, None)["bits_per_character"]
    assert bits == pytest.approx((1 + 2 + 126) / 3)
    [outcome] = TEXT.evaluate([job(TEXT)])
    assert outcome.curve[-1].values[0] < math.log2(96)
    assert outcome.hidden["test"] != outcome.curve[-1].values[0]


def test_no_later_value_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values after a forecast's origin change its error, but neither training nor forecast."""
    [before] = NILE.evaluate([job(NILE)])
    origins = NILE.rolling.known()
    changed = _series.load("nile", None).copy()
    changed[min(origins.test) :] += 500.0
    monkeypatch.setattr(_series, "load", lambda data, path: changed)
    from hptbench.tasks.neural import forecast

    forecast._prepared.cache_clear()
    [after] = NILE.evaluate([job(NILE)])
    forecast._prepared.cache_clear()
    assert after.curve == before.curve
    assert after.hidden["test"] > before.hidden["test"]


def test_a_forecast_is_added_to_the_last_value() -> None:
    ready, y, origins = NILE.ready(), _series.load("nile", None), NILE.rolling.known()
    silent = np.zeros((len(origins.validation), 5, 6)).ravel()
    naive = [
        mase(y[n : n + 6], np.full(6, y[n - 1]), past)
        for n, past in zip(origins.validation, ready.validation.past, strict=True)
    ]
    assert NILE.scores(ready, silent, ready.validation, None)["mase"] == pytest.approx(np.mean(naive))
    changes = np.zeros((len(origins.validation), 5, 6))
    for i, n in enumerate(origins.validation):
        changes[i, -1] = (y[n : n + 6] - y[n - 1]) / ready.validation.scale
    assert NILE.scores(ready, changes.ravel(), ready.validation, ["mase"]) == {"mase": pytest.approx(0, abs=1e-12)}
    known = min(origins.validation)
    data = ready.trainer.data
    assert data.X.shape == (known - 5 - 6, 5, 2)
    assert data.y[-1, -1, -1] * ready.validation.scale + y[known - 7] == pytest.approx(y[known - 1])


def test_it_learns_a_season() -> None:
    task = NeuralForecast("elec_equip", high=9, metric="mase")
    [outcome] = task.evaluate([job(task, architecture="tcn", learning_rate=1e-2)])
    assert outcome.curve[-1].values[0] < 0.9 * outcome.curve[0].values[0]
    assert {"test", "test_smape", "validation_rmse", "flops"} <= set(outcome.hidden)


def test_series_that_do_not_fit() -> None:
    with pytest.raises(UserError, match=r"expected more than length \+ horizon = 96 values before the first"):
        replace(NILE, length=90).evaluate([job(NILE)])
    with pytest.raises(UserError, match="expected length >= 1"):
        replace(NILE, length=0)
    with pytest.raises(UserError, match="unknown metric of forecasts"):
        replace(NILE, metric="mape")
    with pytest.raises(UserError, match="architecture to be of transformer, gru, tcn, got 'rnn'"):
        replace(NILE, space={"architecture": {"type": "constant", "value": "rnn"}})  # type: ignore[arg-type]
    assert ForecastingTask("nile", "ets").known().test == (90, 92, 94)
