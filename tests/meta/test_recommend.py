"""Recommendations for a user's own data, from Python and from the command line."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hptbench
from hptbench.commands.recommend import main
from hptbench.commands.shell import dispatch
from hptbench.errors import UserError
from hptbench.learners import find_learner
from hptbench.meta.artefact import load
from hptbench.meta.evaluate import evaluate
from hptbench.meta.frames import cleaned
from hptbench.meta.recommend import Advisor
from hptbench.protocol import Job, Outcome, Point
from hptbench.spacefile import packaged_space
from hptbench.tasks.dataset import DatasetTask


def frame(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    data["e"] = rng.choice(["u", "v"], n)
    data["y"] = np.where(data["a"] + data["b"] ** 2 + 0.3 * rng.normal(size=n) > 0.7, "yes", "no")
    return data


def test_a_learner_is_recommended_configurations_of_its_space() -> None:
    data = frame()
    found = hptbench.recommend(data.drop(columns="y"), data["y"], learner="random_forest", n=5)
    space = packaged_space(find_learner("random_forest").spaces["classification"])
    assert len(found.configs) == 5
    for config in found.configs:
        space.check(config)
    assert len({json.dumps(c) for c in found.configs}) == 5
    assert found.kind == "classification"
    assert found.metric == "log_loss"
    assert found.advice["random_forest"].configs == tuple(found.configs)
    assert sum(found.nearest.values()) <= 1 + 1e-9
    for one in found.ranked:
        assert one.gain.low <= one.gain.middle <= one.gain.high
        assert 0 <= one.gain.better <= 1
    assert all(0 < reason.importance < 1 for reason in found.reasons)
    json.dumps(found.to_json(), allow_nan=False)


def test_without_a_learner_several_are_compared() -> None:
    X = np.random.default_rng(1).normal(size=(150, 3))
    found = hptbench.recommend(X, np.sin(3 * X[:, 0]), n=8)
    assert found.metric == "rmse"
    assert {one.learner for one in found.ranked} <= set(load().learners("regression"))
    assert found.ranked[0].learner != "elastic_net"  # the target is no linear function
    assert set(found.advice) == {one.learner for one in found.ranked}


def test_learners_that_are_not_installed_are_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(find_learner("svr")), "requires", "no_such_package")
    X = np.random.default_rng(1).normal(size=(150, 3))
    found = hptbench.recommend(X, np.sin(3 * X[:, 0]), n=25)
    assert "svr" not in {one.learner for one in found.ranked}
    assert 'svr is not installed and left out; pip install "hptbench[boosting]"' in found.notes
    assert not any("not installed" in note for note in hptbench.recommend(X, X[:, 0], learner="knn").notes)
    with pytest.raises(UserError, match="'svr' needs the package 'no_such_package'"):
        hptbench.recommend(X, X[:, 0], learner="svr")


def test_complements_of_several_learners_are_expected_to_gain() -> None:
    """On these data the third and the fourth one used to lose against their own learners' defaults."""
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True)
    found = hptbench.recommend(X[::2], y[::2], n=4)
    assert len({one.learner for one in found.ranked}) > 1
    assert all(one.gain.middle >= 0 for one in found.ranked[1:])


def test_the_same_data_give_the_same_answer() -> None:
    data = frame()
    first, again = (hptbench.recommend(data.drop(columns="y"), data["y"], learner="knn").to_json() for _ in range(2))
    assert first == again


def test_wrong_wishes_are_refused() -> None:
    data = frame()
    X, y = data.drop(columns="y"), data["y"]
    with pytest.raises(UserError, match="as many targets"):
        hptbench.recommend(X, y[:9])
    with pytest.raises(UserError, match="1 to 25"):
        hptbench.recommend(X, y, n=0)
    with pytest.raises(UserError, match="elastic_net"):
        hptbench.recommend(X, y, learner="elastic_net")


def test_what_is_recommended_can_be_tried() -> None:
    scores, results = evaluate(Advisor(cleaned(frame(), "y"), "decision_tree"), 2)
    assert [loss for _, loss in results] == [one["validation"] for one in scores]
    assert [one["what"] for one in scores] == ["default decision_tree", "1. decision_tree", "2. decision_tree"]
    assert min(one["test"] for one in scores[1:]) < scores[0]["test"]  # its default's log loss is bad


@pytest.mark.parametrize("how", ["raises", "nan"])
def test_a_training_that_fails_is_the_worst_result_and_the_next_is_tried(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated = DatasetTask.evaluate

    def evaluate_some(task: DatasetTask, jobs: list[Job]) -> list[Outcome]:
        [outcome] = evaluated(task, jobs)
        if jobs[0].id != 1:
            return [outcome]
        if how == "raises":
            raise ArithmeticError("it diverged")
        return [replace(outcome, curve=(Point(jobs[0].stop, (math.nan,)),))]

    monkeypatch.setattr(DatasetTask, "evaluate", evaluate_some)
    frame().to_csv(tmp_path / "d.csv", index=False)
    words = [f"data={tmp_path / 'd.csv'}", "target=y", "learner=decision_tree", "evaluate=2"]
    assert main([*words, "format=json"]) == 0
    default, failed, other = json.loads(capsys.readouterr().out)["evaluated"]
    assert failed["validation"] is None
    assert ("ArithmeticError: it diverged" if how == "raises" else "is not finite") in failed["message"]
    assert default["validation"] > 0 < other["validation"]
    if how == "raises":
        assert main(words) == 0
        assert "validation none   test none   " in capsys.readouterr().out


def test_the_command_prints_what_one_can_paste(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame().to_csv(tmp_path / "d.csv", index=False)
    assert main([f"data={tmp_path / 'd.csv'}", "target=y", "learner=knn", "budget=3"]) == 0
    text = capsys.readouterr().out
    assert "  3. knn {" in text
    assert "To tune knn with 3 evaluations: gp (no evidence: published results are of 10 to 100 evaluations" in text
    assert "Most like these data sets" in text
    lines = text.partition("and y:\n\n")[2].splitlines()
    made = {"X": frame().drop(columns="y"), "y": frame()["y"]}
    exec("\n".join(line.strip("\n")[4:] for line in lines), made)
    assert made["model"].score(made["X"], made["y"]) > 0.7
    assert main([f"data={tmp_path / 'd.csv'}", "target=y", "learner=knn", "budget=2", "format=json", "evaluate=1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["ranked"]) == 2
    assert [one["what"] for one in found["evaluated"]] == ["default knn", "1. knn"]
    assert found["then"]["config"] not in [one["config"] for one in found["evaluated"]]
    assert found["method"]["evidence"] is False
    assert main([f"data={tmp_path / 'd.csv'}", "target=y", "learner=knn", "budget=30", "evaluate=3"]) == 0
    text = capsys.readouterr().out
    assert "To tune knn with 30 evaluations: gp (after 25 evaluations it has the best mean rank" in text
    assert " 25. knn {" in text
    assert "  3. knn                     validation" in text
    assert "These known, to try next: knn {" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=x.csv", "target=y", "evaluate=26"], "at most 25, got 26"),
        (["data=x.csv", "target=y", "evaluate=-1"], "evaluate to be a whole number >= 0, got '-1'"),
        (["data=x.csv", "target=y", "evaluate=abc"], "evaluate to be a whole number >= 0, got 'abc'"),
        (["data=x.csv", "target=y", "budget=0"], "budget to be a whole number >= 1, got '0'"),
        (["data=x.csv"], "set target=COLUMN"),
        (["target=y"], "set data=FILE"),
        (["x.csv"], "expected settings such as"),
        (["data=x.csv", "targt=y"], "Did you mean 'target'"),
        (["data=none.csv", "target=y"], "found no none.csv"),
        (["data=none.csv", "target=y", "format=xml"], "unknown format"),
    ],
)
def test_the_command_refuses_in_one_sentence(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch(["recommend", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_large_data_sets_take_seconds() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10_000, 50))
    began = time.process_time()
    hptbench.recommend(X, (X[:, 0] > 0).astype(int), learner="random_forest")
    assert time.process_time() - began < 5
