from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from hptbench import registry
from hptbench.commands.claims import optima_of, problems_of, read, study_of
from hptbench.commands.reproduce import main as reproduce
from hptbench.commands.shell import dispatch
from hptbench.errors import UserError
from hptbench.paths import conf_dir
from hptbench.registry import find
from hptbench.tasks._wrapper import wrap
from hptbench.tasks.synthetic import SyntheticTask

SOBOL = """{paper: Someone 2020, claim: Sobol beats random search., seeds: 4,
    study: [+method=sobol, suite=synthetic_blackbox,
        'suite.instances=[{function: branin, wrap: [{shifted: {seed: ${seeds.0}}}]}, {function: hartmann3}]'],
    compare: [{better: sobol, than: random, at: 6}]}"""
FEW = """{paper: Else 2021, claim: A grid that ends is as good., seeds: 2,
    study: [+method=grid, suite=synthetic_blackbox, 'suite.instances=[{function: branin}]'],
    compare: [{better: grid, than: random, at: 7, margin: 0.5}, {better: random, than: grid, at: 3}]}"""
CLAIMS = f"""
only: null
common: [reference=false, budget.max_full_evals=null, budget.max_jobs=7]
tests:
  sobol: {SOBOL}
  few: {FEW}
"""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def experiment(folder: Path, text: str = CLAIMS) -> list[str]:
    """The words of the command line that choose these claims as an experiment of one's own."""
    file = folder / "conf" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    indented = "\n  ".join(text.strip().splitlines())
    file.write_text(f"# @package _global_\nstudy: mine\nseeds: null\nclaims:\n  {indented}\n")
    return [f"hydra.searchpath=[file://{folder / 'conf'}]", "+experiment=mine", "executor=serial"]


@pytest.mark.slow
def test_claims_run_resume_and_leave_their_verdicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = experiment(tmp_path)
    assert dispatch(["run", *words]) == 0
    home = tmp_path / "results" / "mine"
    found = json.loads((home / "claims.json").read_text())
    assert list(found) == ["sobol", "few"]
    [one] = found["sobol"]["comparisons"]
    assert set(one["problems"]) == {"branin+shifted", "hartmann3"}
    for row in one["problems"].values():
        assert row["wins"] + row["ties"] + row["losses"] == 4
        assert row["better"]["used"] == row["than"]["used"] == [6, 6]
        assert row["better"]["low"] is None  # four seeds have no interval
    assert found["few"]["comparisons"][0]["problems"]["branin"]["better"]["used"] == [4, 4]  # 2 x 2 points
    assert found["sobol"]["verdict"] == "not shown"  # four seeds cannot show anything
    assert found["sobol"]["evaluations"] == 4 * 2 * 2 * 7
    assert found["sobol"]["command"].endswith("'claims.only=[sobol]'")
    assert {"hptbench", "numpy"} <= set(found["sobol"]["versions"])

    table = pd.read_parquet(home / "claims.parquet")
    branin = table.query("claim == 'sobol' and problem == 'branin+shifted' and method == 'sobol'")
    jobs = pd.read_parquet(home / "sobol" / "jobs.parquet")
    assert set(jobs["task"]) == {"hartmann3", *(f"branin+shifted{seed}" for seed in range(4))}
    for seed, value in zip(branin["seed"], branin["value"], strict=True):
        of_run = jobs[(jobs["task"] == f"branin+shifted{seed}") & (jobs["method"] == "sobol")]
        assert set(of_run["seed"]) == {seed}
        assert value == of_run[of_run["job"] < 6]["value"].min()

    text = (home / "claims.md").read_text()
    for part in (
        "Someone 2020",
        "Else 2021",
        "branin+shifted",
        "no worse than **random** (up to 0.5)",
        "(after 4)",
        "Holm",
    ):
        assert part in text
    before = {path: path.stat().st_mtime_ns for path in home.rglob("journal.jsonl")}
    capsys.readouterr()
    assert dispatch(["run", *words]) == 0
    assert "finished before" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in home.rglob("journal.jsonl")} == before
    assert json.loads((home / "claims.json").read_text()) == found
    assert (home / "claims.md").read_text() == text

    changed = experiment(tmp_path, CLAIMS.replace("at: 3", "at: 2"))
    assert dispatch(["run", *changed, "claims.only=[few]"]) == 0
    again = json.loads((home / "claims.json").read_text())
    assert again["sobol"] == found["sobol"]  # kept
    assert again["few"]["comparisons"][1]["at"] == 2
    assert set(pd.read_parquet(home / "claims.parquet")["claim"]) == {"sobol", "few"}
    changed = experiment(tmp_path, CLAIMS.replace("at: 3", "at: 2").replace("at: 6", "at: 5"))
    assert dispatch(["run", *changed, "claims.only=[few]"]) == 0
    assert list(json.loads((home / "claims.json").read_text())) == ["few"]  # results of another claim are not kept
    assert set(pd.read_parquet(home / "claims.parquet")["claim"]) == {"few"}
    (home / "claims.parquet").write_bytes(b"torn")
    assert dispatch(["run", *changed, "claims.only=[few]"]) == 2
    assert "claims.parquet is damaged" in capsys.readouterr().err.replace("\n", "")


def test_one_claim_alone_with_few_seeds_for_a_quick_look(tmp_path: Path) -> None:
    assert dispatch(["run", *experiment(tmp_path), "claims.only=few", "seeds=1"]) == 0
    home = tmp_path / "results" / "mine"
    found = json.loads((home / "claims.json").read_text())
    assert list(found) == ["few"]
    assert found["few"]["spec"]["seeds"] == 1
    assert "| sobol | | not run |" in (home / "claims.md").read_text()


def test_a_claims_study_can_be_reproduced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["run", *experiment(tmp_path), "claims.only=few", "seeds=2"]) == 0
    assert reproduce(["write", str(tmp_path / "results" / "mine" / "few"), "--out", str(tmp_path / "again")]) == 0
    capsys.readouterr()
    assert reproduce(["check", str(tmp_path / "again")]) == 0
    n = len(pd.read_parquet(tmp_path / "again" / "expected" / "runs.parquet"))
    assert f"{n} of {n} runs are equal, bit for bit." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["claims.only=[sobl]"], "unknown claim 'sobl'. Did you mean 'sobol'"),
        (["budget.max_jobs=3"], "add it to claims.common"),
        (["claims.tests.few.study=['+method=gird']"], "claim few: unknown method 'gird'. Did you mean 'grid'"),
    ],
)
def test_what_is_wrong_is_one_message_and_nothing_is_written(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch(["run", *experiment(tmp_path), *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "results").exists()


def changed(old: str, new: str) -> DictConfig:
    """What there is of the configuration, with a change of the claims."""
    assert old in CLAIMS
    claims = OmegaConf.create(CLAIMS.replace(old, new))
    whole = {"claims": claims, "seeds": None, "results": "results", "study": "mine"}
    return OmegaConf.create(whole | {"executor": {"_target_": "hptbench.executors.serial.Serial"}})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tests:", "test:", "expected claims to have only, common and tests"),
        ("seeds: 4", "seeds: 0", "expected claims.tests.sobol.seeds to be a number >= 1, got 0"),
        ("seeds: 4,", "", "got no seeds"),
        ("paper: Someone", "papre: Someone", "Did you mean 'paper'"),
        ("only: null", "only: 3", "expected claims.only to be a list of claims, got 3"),
        ("at: 6", "after: 6", "unknown field of claims.tests.sobol.compare 'after'"),
        ("at: 6", "at: 0", "compare.at to be a number > 0, got 0"),
        ("at: 6", "at: 1.5", "a whole number of evaluations, got 1.5"),
        ("seeds: 4,", "seeds: 4, by: credit,", "unknown claims.tests.sobol.by 'credit'. Did you mean 'credited'"),
        ("margin: 0.5", "margin: -1", "compare.margin to be a number >= 0, got -1"),
        ("study: [+method=sobol,", "study: [3, +method=sobol,", "expected claims.tests.sobol.study to be a list"),
        ("compare: [{better: sobol, than: random, at: 6}]", "compare: []", "to be a list of comparisons"),
    ],
)
def test_claims_that_are_written_wrong(old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        read(changed(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("at: 6", "at: 8", "expected to compare within the budget of 7, got at=8"),
        ("better: sobol", "better: sobl", "unknown method 'sobl'. Did you mean 'sobol'"),
        ("+method=sobol", "metod=sobol", "metod"),
        ("function: branin", "function: branim", "unknown function 'branim'. Did you mean 'branin'"),
        ("[+method=sobol,", "[+method=sobol, 'baselines=[]',", "unknown method 'random'."),
    ],
)
def test_studies_that_are_wrong_are_named_with_their_claim(old: str, new: str, message: str) -> None:
    cfg = changed(old, new)
    with (
        initialize_config_dir(str(conf_dir()), version_base="1.3"),
        pytest.raises(UserError, match=f"claim sobol: .*{re.escape(message)}"),
    ):
        study_of(read(cfg)[0][0], cfg)


def test_problems_are_named_by_what_their_tasks_have_in_common() -> None:
    [claim], _ = read(OmegaConf.create(f"seeds: null\nclaims: {{only: null, common: [], tests: {{few: {FEW}}}}}"))
    names = [["f2+shifted0", "f3+cropped0+padded4-0", "g"], ["f2+shifted12", "f3+cropped12+padded4-12", "g"]]
    assert problems_of(claim, names) == {
        "f2+shifted0": "f2+shifted", "f2+shifted12": "f2+shifted", "f3+cropped0+padded4-0": "f3+cropped+padded4",
        "f3+cropped12+padded4-12": "f3+cropped+padded4", "g": "g",
    }  # fmt: skip
    with pytest.raises(UserError, match="claim few: expected problems with different names"):
        problems_of(claim, [["f1", "f2"], ["f3", "f4"]])


def test_the_tasks_of_a_problem_have_one_optimum() -> None:
    two, three = (Stub(SyntheticTask("michalewicz", d)) for d in (2, 3))
    shifted = Stub(wrap(two.task, [{"shifted": {"seed": 1}}, {"noisy": {"std": 1.0}}]))
    assert optima_of([two, shifted], dict.fromkeys((two.task.name, shifted.task.name), "m")) == {"m": two.task.optimum}
    with pytest.raises(UserError, match=r"the tasks of m to have one optimum for all seeds, got -1\.801"):
        optima_of([two, three], {"michalewicz2": "m", "michalewicz3": "m"})
    constrained = Stub(find("task", "tabular")("fcnet", "protein_structure", ("mse", "n_params")))
    constrained = Stub(wrap(constrained.task, [{"constrained": {"limits": {"n_params": 737}}}]))
    assert optima_of([constrained], {constrained.task.name: "c"}) == {}  # that of the table need not be feasible


@dataclass(frozen=True)
class Stub:
    """Of a plan, the task."""

    task: Any


def _experiments() -> list[Any]:
    names = sorted(file.stem for file in (conf_dir() / "experiment").glob("claims_*.yaml"))
    lacking = "HPTBENCH_YAHPO" not in os.environ
    skip = pytest.mark.skipif(lacking, reason="HPTBENCH_YAHPO names no folder of yahpo_data")
    return [pytest.param(name, marks=skip if name == "claims_yahpo" else ()) for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("name", _experiments())
def test_every_claim_composes(name: str, tmp_path: Path) -> None:
    """Each is planned with two seeds: suite, methods, labels, budget."""
    registry.add_to_hydra(spaces=False)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", [f"+experiment={name}", "seeds=2", f"results={tmp_path}"])
        assert isinstance(cfg, DictConfig)
        claims, chosen = read(cfg)
        assert claims == chosen
        for claim in claims:
            study = study_of(claim, cfg)
            assert {plan.seed for plan in study.plans} == {0, 1}
            assert claim.claim.endswith(".")
        own = {claim.name: node["seeds"] for claim, node in zip(claims, cfg.claims.tests.values(), strict=True)}
        assert all(seeds >= 10 for seeds in own.values())


def test_no_claims_are_no_claims() -> None:
    cfg = OmegaConf.create({"claims": {"only": None, "common": [], "tests": {}}, "seeds": None})
    assert read(cfg) == ([], [])
    with pytest.raises(UserError, match="Known: none"):
        read(OmegaConf.create({"claims": {"only": ["a"], "common": [], "tests": {}}, "seeds": None}))
