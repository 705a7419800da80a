from __future__ import annotations

from typing import Any

import pytest

from hptbench.errors import UserError

optuna = pytest.importorskip("optuna")

from optuna.trial import TrialState  # noqa: E402

from hptbench.integrations.optuna import Sampler  # noqa: E402


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial: Any) -> float:
    x = trial.suggest_float("x", -5, 5)
    rate = trial.suggest_float("rate", 1e-4, 1, log=True)
    step = trial.suggest_float("step", 0.0, 1.0, step=0.25)
    n = trial.suggest_int("n", 2, 10, step=4)
    k = trial.suggest_int("k", 1, 64, log=True)
    kind = trial.suggest_categorical("kind", ["a", None, 3])
    trial.suggest_categorical("only", ["one"])
    return float((x - 1) ** 2 + abs(rate - 0.01) + step + n / 10 + k / 64 + (kind is None))


def run(method: str, n: int = 25, seed: int = 0, function: Any = objective, **options: Any) -> Any:
    study = optuna.create_study(sampler=Sampler(method, seed), **options)
    study.optimize(function, n_trials=n)
    return study


@pytest.mark.parametrize("method", ["gp", "tpe", "cmaes", "regularized_evolution", "de"])
def test_a_study_takes_any_method(method: str) -> None:
    first, again = run(method), run(method)
    assert [trial.params for trial in first.trials] == [trial.params for trial in again.trials]
    assert first.best_value < 3
    assert all(trial.params["step"] in (0, 0.25, 0.5, 0.75, 1) for trial in first.trials)
    assert all(trial.params["n"] in (2, 6, 10) for trial in first.trials)
    assert {trial.params["kind"] for trial in first.trials} == {"a", None, 3}


def test_it_is_the_method_that_searches() -> None:
    def bowl(trial: Any) -> float:
        return float(sum((trial.suggest_float(name, -5, 5) - 1) ** 2 for name in "abc"))

    assert run("gp", 30, function=bowl).best_value < 0.1 < run("random", 30, function=bowl).best_value
    most = run("gp", 30, function=lambda trial: -bowl(trial), direction="maximize")
    assert most.best_value > -0.1


def test_conditional_parameters_are_drawn_and_the_common_ones_searched() -> None:
    def conditional(trial: Any) -> float:
        x = trial.suggest_float("x", -5, 5)
        if trial.suggest_categorical("deep", [True, False]):
            return float(x**2 + trial.suggest_float("width", 0, 1))
        if trial.number == 7:
            raise optuna.TrialPruned
        return float(x**2 + 0.5)

    study = run("tpe", 30, function=conditional)
    assert study.sampler._over.keys() == {"x", "deep"}
    assert study.best_value < 0.6


def test_trials_of_others_failures_and_enqueued_ones_are_told() -> None:
    def fails(trial: Any) -> float:
        x = trial.suggest_float("x", 0, 1)
        if trial.number == 5:
            return float("-inf")
        if x < 0.2:
            raise RuntimeError
        return float(x)

    study = optuna.create_study(sampler=Sampler("gp"))
    over = {"x": optuna.distributions.FloatDistribution(0, 1)}
    for x in (0.1, 0.5, 0.9):
        study.add_trial(optuna.trial.create_trial(params={"x": x}, distributions=over, value=x))
    study.enqueue_trial({"x": 0.75})
    told: list[Any] = []
    inner = study.sampler._begin

    def spied(*args: Any) -> Any:
        search = inner(*args)
        tell = search.tell
        search.tell = lambda reports: (told.extend(reports), tell(reports))
        return search

    study.sampler._begin = spied
    study.optimize(fails, n_trials=12, catch=RuntimeError)
    assert [report.job for report in told] == list(range(14)), "all but the last, once, in order"
    assert told[3].proposal.config == {"x": 0.75}
    failed = {trial.number for trial in study.trials[:-1] if trial.state is TrialState.FAIL} | {5}
    assert failed == {report.job for report in told if report.values == (float("inf"),)}


def test_threads_share_it_and_several_objectives_go_to_methods_for_them() -> None:
    study = optuna.create_study(sampler=Sampler("nsga2"), directions=["minimize", "maximize"])

    def two(trial: Any) -> tuple[float, float]:
        x = trial.suggest_float("x", 0, 1)
        return x, x * (1 - trial.suggest_float("y", 0, 1))

    study.optimize(two, n_trials=24, n_jobs=3)
    assert len(study.get_trials(states=[TrialState.COMPLETE])) == 24


def test_a_method_that_waits_says_that_a_trial_is_drawn_at_random(caplog: pytest.LogCaptureFixture) -> None:
    study = optuna.create_study(sampler=Sampler("grid", settings={"points": 2}))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=6)
    said = [record.message for record in caplog.records if "proposes nothing" in record.message]
    assert [text.split(",")[0] for text in said] == [f"grid proposes nothing for trial {i}" for i in (3, 4, 5)]


def test_what_it_cannot_do_is_said() -> None:
    with pytest.raises(UserError, match="bohb trains part of the way, which a trial of Optuna cannot"):
        Sampler("bohb")
    with pytest.raises(UserError, match="Did you mean"):
        Sampler("gpp")
    study = optuna.create_study(sampler=Sampler("gp"), directions=["minimize", "minimize"])
    with pytest.raises(UserError, match=r"takes 1 to 1 objective\(s\), the study has 2"):
        study.optimize(lambda trial: (trial.suggest_float("x", 0, 1),) * 2, n_trials=3)
