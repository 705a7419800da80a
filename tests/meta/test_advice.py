"""Advice: what it holds, that methods take it, and that nothing is learnt from the task's own family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hptbench.commands._advice import started
from hptbench.errors import UserError
from hptbench.meta import tasks as meta_tasks
from hptbench.meta.advice import advise, gains
from hptbench.meta.artefact import Trained, load
from hptbench.meta.past import Past
from hptbench.meta.tasks import advice_for, relatives
from hptbench.methods._belief import Belief
from hptbench.methods.gp import GaussianProcess
from hptbench.methods.pibo import PiBO
from hptbench.methods.priorband import PriorBand
from hptbench.methods.start_from import StartFrom
from hptbench.protocol import Advice, Budget, Fidelity, Problem
from hptbench.space import Floats
from hptbench.tasks.dataset import DatasetTask
from hptbench.tasks.surrogate import SurrogateTask
from hptbench.tasks.synthetic import SyntheticTask


@pytest.fixture
def past(trained: Trained) -> Past:
    return trained.past("knn", "classification")


def test_a_surrogate_s_own_data_set_is_left_out() -> None:
    advice = advice_for(SurrogateTask("vehicle", "knn")).advice
    assert len(advice.configs) == 8
    assert advice.past
    assert "vehicle" not in [past.name for past in advice.past]


def test_an_advice_fits_its_space(past: Past, trained: Trained) -> None:
    x = past.features[3]
    advice = advise(past, trained.autos["classification"], x, 5)
    assert len(advice.configs) == 5
    assert advice.configs[0] == past.configs[trained.autos["classification"].order(past, x, 1)[0]]
    belief = Belief(past.space, advice.prior, 0.25, 0.75)
    best = past.space.encode([advice.configs[0]])
    assert belief.log_density(best)[0] > 0  # more than uniform
    assert sum(task.weight for task in advice.past) == pytest.approx(1)
    for task in advice.past:
        i = past.data.index(task.name)
        assert task.losses == tuple((past.validation[i] + past.test[i]) / 2)
    for name, values in advice.ranges.items():
        if isinstance(values[0], int) and name == "n_neighbors":
            assert 1 <= values[0] <= values[1] <= 100


def test_past_tasks_tell_the_order_beyond_their_median() -> None:
    trained = load()
    past = trained.past("knn", "classification")
    for task in advise(past, trained.autos["classification"], past.features[0]).past:
        losses = np.array(task.losses)
        worse = losses[losses > np.median(losses)]
        assert len(np.unique(worse)) > 0.5 * len(worse)  # equal trainings exist


def test_gains_are_of_similar_data_sets(past: Past) -> None:
    weights = np.zeros(len(past))
    weights[4] = 1.0
    best = int(past.test[4].argmin())
    gain = gains(past, weights, best)
    share = 1 - past.test[4, best] / past.test[4, 0]
    assert gain.middle == pytest.approx(share)
    assert gain.better == (share > 0)
    even = gains(past, np.full(len(past), 1 / len(past)), best)
    assert even.low < even.middle < even.high
    assert 0 < even.better < 1


def store(tmp_path: Path, family: str) -> str:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(80, 3)), columns=list("abc"))
    X.assign(target=np.where(X["a"] > 0, "p", "q")).to_parquet(tmp_path / "mine.parquet")
    pd.DataFrame([{"name": "mine", "task_type": "classification", "family": family}]).to_csv(
        tmp_path / "index.csv", index=False
    )
    return str(tmp_path)


def test_nothing_is_learnt_from_the_tasks_own_family(
    tmp_path: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither weights, nor the choice of auto's members, nor configurations depend on it."""
    task = DatasetTask(data="mine", learner="knn", store=store(tmp_path, "f07"))
    left_out: list[set[str]] = []
    forget = Trained.without

    def without(self: Trained, families: set[str]) -> Trained:
        left_out.append(set(families))
        return forget(self, families)

    monkeypatch.setattr(Trained, "without", without)
    advice = advice_for(task, trained).advice
    assert "f07" in left_out[0]
    family = dict(
        zip(trained.past("knn", "classification").data, trained.past("knn", "classification").families, strict=True)
    )
    assert all(family[past.name] != "f07" for past in advice.past)
    poisoned = Trained(
        {key: _poisoned(past, "f07") for key, past in trained.pasts.items()},
        {"classification": trained.autos["classification"]},
    )
    assert advice_for(task, poisoned).advice == advice


def _poisoned(past: Past, family: str) -> Past:
    """With absurd losses of a family."""
    from dataclasses import replace

    own = (past.families == family)[:, None]
    return replace(
        past, test=np.where(own, -past.test, past.test), validation=np.where(own, -past.validation, past.validation)
    )


def test_relatives_are_known_by_name_family_and_likeness(tmp_path: Path, trained: Trained) -> None:
    task = DatasetTask(data="mine", learner="knn", store=store(tmp_path, "zoo"))
    past = trained.past("knn", "classification")
    found = relatives(trained, task, past.features[24], ("knn", "classification"))
    assert {"zoo", "mine", "f12"} <= found


@pytest.mark.parametrize(("name", "same"), [("breast_cancer", "wdbc"), ("diabetes", "diabetes_sklearn")])
def test_bundled_data_sets_are_known_under_other_names(name: str, same: str) -> None:
    learner = "decision_tree"
    trained = load()
    kind = "classification" if name == "breast_cancer" else "regression"
    past = trained.past(learner, kind)
    assert same in past.data
    advice = advice_for(DatasetTask(data=name, learner=learner), trained).advice
    assert same not in {task.name for task in advice.past}
    assert len(advice.configs) == 8


def test_a_narrower_space_takes_what_fits(trained: Trained) -> None:
    narrow = {"n_neighbors": {"type": "integer", "lower": 1, "upper": 9, "default": 5}}
    task = DatasetTask(data="iris", learner="knn", space=narrow)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="within the search space"):
        advice_for(task)
    wide = {
        "n_neighbors": {"type": "integer", "lower": 1, "upper": 20, "log": True},
        "weights": {"type": "categorical", "choices": ["uniform", "distance"]},
        "p": {"type": "categorical", "choices": [1, 2]},
    }
    advice = advice_for(DatasetTask(data="iris", learner="knn", space=wide)).advice  # type: ignore[arg-type]
    assert advice.configs
    assert all(config["n_neighbors"] <= 20 for config in advice.configs)  # type: ignore[operator]
    assert not advice.prior


def test_other_tasks_are_refused() -> None:
    with pytest.raises(UserError, match="meta=auto is for tasks"):
        advice_for(SyntheticTask(function="branin"))
    with pytest.raises(UserError, match="learner with recommendations"):
        advice_for(DatasetTask(data="iris", learner="mlp"))


def test_methods_begin_with_advice_of_their_own_or_within_start_from() -> None:
    assert started("pibo", PiBO()) == PiBO()
    assert started("gp", GaussianProcess()).inner == "gp"  # type: ignore[attr-defined]
    assert isinstance(started("gp", GaussianProcess()), StartFrom)


def _problem(past: Past, advice: Advice, fidelity: Fidelity | None) -> Problem:
    return Problem(past.space, ("loss",), fidelity, Budget(max_full_evals=20), advice=advice)


@pytest.mark.parametrize(("method", "fidelity"), [(PiBO(), None), (PriorBand(), Fidelity(1, 9))])
def test_priors_of_advice_are_where_methods_begin(
    past: Past, method: PiBO | PriorBand, fidelity: Fidelity | None
) -> None:
    advice = Advice(prior={"n_neighbors": {"mean": 77, "std": 0.05}})
    search = method.begin(_problem(past, advice, fidelity), np.random.default_rng(0))
    [first] = search.ask(1, [])
    assert first.config["n_neighbors"] == 77
    own = type(method)(prior={"n_neighbors": {"mean": 3, "std": 0.05}})
    [first] = own.begin(_problem(past, advice, fidelity), np.random.default_rng(0)).ask(1, [])
    assert first.config["n_neighbors"] == 3


def test_gp_begins_with_the_recommended(past: Past, trained: Trained) -> None:
    advice = advise(past, trained.autos["classification"], past.features[0], 3)
    search = started("gp", GaussianProcess()).begin(_problem(past, advice, None), np.random.default_rng(0))
    assert [proposal.config for proposal in search.ask(3, [])] == list(advice.configs)


def test_features_of_a_task_are_of_rows_that_do_not_test(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Floats] = []
    real = meta_tasks.features

    def spy(table):  # type: ignore[no-untyped-def]
        seen.append(table.X)
        return real(table)

    monkeypatch.setattr(meta_tasks, "features", spy)
    task = DatasetTask(data="iris", learner="knn")
    advice_for(task)
    assert seen[0] is task.outer().rest.X
