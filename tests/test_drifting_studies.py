"""Studies over drifting tasks, from the command to what is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from studies import do, repeatable

from hptbench.commands.shell import dispatch
from hptbench.executors import Executor
from hptbench.executors.lockstep import Lockstep
from hptbench.executors.processes import Processes
from hptbench.executors.serial import Serial
from hptbench.methods.retune import Retune
from hptbench.paths import conf_dir
from hptbench.protocol import Budget, Clock
from hptbench.run import Plan
from hptbench.tasks.drifting import DriftingTask
from hptbench.workers import Limits

TASKS = "[{stream: sea, learner: logistic, block_rows: 30}, {stream: hyperplane, learner: knn, block_rows: 30}]"
QUICK = [
    "suite=drifting", "seeds=2", "executor=serial", "limits.seconds=null", "limits.memory_mb=null", "budget=tiny",
    "suite.common={blocks: 4}", f"suite.instances={TASKS}",
]  # fmt: skip
TWO = ["+method@method.cold=retune", "method.cold.warm=false", "+method@method.warm=retune"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.slow
def test_a_study_shows_what_was_deployed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch([*TWO, *QUICK]) == 0
    out = capsys.readouterr().out
    for words in (
        "Deployed", "next block", "less cold", "less warm", "paired by seed", "Not tuned in every block",
        "measure: deployed loss (mean of the methods = 1)", "With 2 data sets",
    ):  # fmt: skip
        assert words in out
    assert "Mean ranks" not in out, "the comparison is that of the deployed losses"
    study = tmp_path / "results" / "drifting"
    assert (study / "drift.png").read_bytes().startswith(b"\x89PNG")
    assert not (study / "anytime.png").exists()
    side = json.loads((study / "drift.json").read_text())
    jobs = pd.read_parquet(study / "jobs.parquet")
    mine = jobs[(jobs["task"] == "sea_gradual-b4-w3-logistic") & (jobs["method"] == "warm")]
    best = mine.sort_values("value").drop_duplicates(["seed", "stop"])
    [panel] = [panel for panel in side["panels"] if panel["task"] == "sea_gradual-b4-w3-logistic"]
    [shown] = [mark["y"] for mark in panel["marks"] if mark["series"] == "warm"]
    assert shown == pytest.approx(best.groupby("stop")["test"].mean().tolist(), rel=1e-4)
    (study / "drift.png").unlink()
    assert dispatch(["compare", "results/drifting", "--where", "method=cold,warm"]) == 0
    assert "less warm" in capsys.readouterr().out
    assert (study / "drift.png").exists()


def test_other_tasks_of_the_study_are_compared_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch([*TWO, *QUICK, "plot=false"]) == 0
    others = [*QUICK[1:-2], "suite=smoke", "suite.instances=[{data: iris, learner: svm}]", "study=drifting"]
    assert dispatch(["+method=hyperband", *others, "plot=false"]) == 0
    capsys.readouterr()
    assert dispatch(["compare", "results/drifting", "--no-plot"]) == 0
    out = capsys.readouterr().out
    assert out.index("Deployed") < out.index("over 2 data set(s), measure: deployed loss")
    assert out.index("measure: deployed loss") < out.index("over 1 data set(s), measure: normalised test loss")


def test_without_a_method_that_tunes_in_every_block_all_is_as_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch(["+method=hyperband", *QUICK]) == 0
    assert "Deployed" not in capsys.readouterr().out
    assert (tmp_path / "results/drifting/anytime.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["method.retune.inner=hyperband"], "a fidelity, which is time here"),
        (["method.retune.inner=randm"], "Did you mean 'random'"),
        (["method.retune.carry=0"], "retune.carry >= 1"),
        (["method.retune.carry=7"], "retune.carry <= "),
        (["method.retune.until=0"], "retune.until >= 1"),
        (["method.retune.until=1", "budget.max_full_evals=1"], "too small to train again"),
        (["suite.instances=[{stream: see, learner: knn}]"], "Did you mean 'sea'"),
        (["suite.instances=[{stream: sea, learner: knn, windw: 2}]"], "Did you mean 'window'"),
        (["suite.instances=[{learner: knn}]"], "either stream or data"),
    ],
)
def test_mistakes_are_one_message(
    argv: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch(["+method=retune", *QUICK, *argv]) == 2
    assert message in (err := capsys.readouterr().err)
    assert err.count("\n") == 1, err
    assert list(tmp_path.iterdir()) == []


def test_the_experiment_and_the_suite_are_what_they_say() -> None:
    from hydra.utils import instantiate

    from hptbench.provenance import FIELD
    from hptbench.registry import add_to_hydra

    add_to_hydra(spaces=False)
    with initialize_config_dir(str(conf_dir()), version_base=None):
        cfg = compose("config", overrides=["+experiment=drifting", "executor=serial"])
    own = {label: {k: v for k, v in node.items() if k != FIELD} for label, node in cfg.method.items()}
    methods = {label: instantiate(node) for label, node in own.items()}
    assert methods == {
        "cold": Retune(warm=False), "warm": Retune(), "once": Retune(until=1),
        "untuned": Retune(inner="default", warm=False),
    }  # fmt: skip
    tasks = instantiate(cfg.suite)
    assert sorted(task.unit for task in tasks) == sorted(
        f"{stream}_{drift}" for stream in ("sea", "hyperplane", "friedman") for drift in ("abrupt", "gradual", "none")
    )
    assert cfg.budget.max_jobs == 4 * tasks[0].blocks


# the promise: same command, same result


def plans(study: Path) -> list[Plan]:
    """With one worker and with four."""
    task = DriftingTask("logistic", "sea", "abrupt", blocks=4, block_rows=30, window=2)
    methods = {"warm": Retune(carry=2), "cold": Retune("sobol", warm=False), "once": Retune(until=1)}
    budget, clock = Budget(max_full_evals=10), Clock.UNITS
    return [
        Plan(task, k, m, 0, budget, workers, clock, Limits(), study) for workers in (1, 4) for k, m in methods.items()
    ]


@pytest.mark.slow
def test_all_executors_give_the_same_and_so_does_a_run_that_was_cut(tmp_path: Path) -> None:
    executors: list[Executor] = [Serial(), Processes(2), Lockstep()]
    for i, executor in enumerate(executors):
        assert do(executor, plans(tmp_path / str(i))) == []
    first = repeatable(tmp_path / "0")
    assert first[1]["full_evals"].tolist() == pytest.approx([10.0] * 6)
    for plan in plans(tmp_path / "2"):
        journal = plan.folder / "journal.jsonl"
        data = journal.read_bytes()
        journal.write_bytes(data[: len(data) // 2])
        (plan.folder / "run.json").unlink()
    assert do(Serial(), plans(tmp_path / "2")) == []
    for i in (1, 2):
        for left, right in zip(first, repeatable(tmp_path / str(i)), strict=True):
            pd.testing.assert_frame_equal(left, right, check_exact=True)
