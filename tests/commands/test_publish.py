from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from studies import small

from hptbench.commands.publish import main
from hptbench.errors import UserError
from hptbench.methods.hyperband import Hyperband
from hptbench.methods.random import RandomSearch
from hptbench.protocol import Budget, Clock
from hptbench.results.published import read
from hptbench.results.regret import evaluations, incumbents, log_regrets
from hptbench.run import Driver, Evaluator, Plan, execute
from hptbench.tasks.synthetic import SyntheticTask
from hptbench.workers import Limits


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "small"
    return small(folder)


def test_what_lasts_is_written(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(study), "--at", "4", "8", "--reference", "sobol", "random"]) == 0
    printed = capsys.readouterr().out.split()
    assert {Path(line).name for line in printed} == {
        "references.json", "incumbents.parquet", "published.parquet", "ranks.png", "ranks.json", "comparison.md",
    }  # fmt: skip
    text = (study / "comparison.md").read_text()
    assert "2 methods on 2 problems" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## sobol against each", "## random against each", "## Problems",
    ]  # fmt: skip
    assert "default" not in text
    jobs, kept = pd.read_parquet(study / "jobs.parquet"), pd.read_parquet(study / "incumbents.parquet")
    final = kept.groupby(["task", "method", "seed"], observed=True)["value"].last()
    jobs = jobs[jobs["method"] != "default"]
    assert final.to_dict() == jobs.groupby(["task", "method", "seed"])["value"].min().to_dict()
    known = json.loads((study / "references.json").read_text())["references"]
    assert known["branin"]["best"] == SyntheticTask("branin").optimum
    assert known["branin"]["best"] < jobs.loc[jobs["task"] == "branin", "value"].min()


def test_without_an_optimum_the_best_of_all_runs_is_the_reference(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "runs", tmp_path / "runs")
    for file in (tmp_path / "runs").glob("*/*/*/run.json"):  # as those of versions that did not tell it
        file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "optimum"}))
    main([str(tmp_path), "--at", "8"])
    known, jobs = (
        json.loads((tmp_path / "references.json").read_text())["references"],
        pd.read_parquet(tmp_path / "jobs.parquet"),
    )
    assert known["branin"]["best"] == jobs.loc[jobs["task"] == "branin", "value"].min()


def test_a_lower_value_known_from_before_is_kept(study: Path, tmp_path: Path) -> None:
    """Only if it is of the same task: another version has another lowest value."""
    shutil.copytree(study / "runs", tmp_path / "runs")
    main([str(tmp_path), "--at", "8"])
    stored = tmp_path / "references.json"
    found = json.loads(stored.read_text())
    lower = copy.deepcopy(found)
    lower["references"]["branin"]["best"] = 0.25
    stored.write_text(json.dumps(lower))
    main([str(tmp_path), "--at", "8"])
    assert json.loads(stored.read_text()) == lower
    published = tmp_path / "published.parquet"
    pd.read_parquet(published).assign(task_identity="another").to_parquet(published)
    main([str(tmp_path), "--at", "8"])
    assert json.loads(stored.read_text()) == found


def test_what_was_published_can_be_compared_without_its_runs(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "runs", tmp_path / "runs")
    main([str(tmp_path), "--at", "8"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    shutil.rmtree(tmp_path / "runs")
    published = tmp_path / "published.parquet"  # as of a version whose runs had fewer columns
    pd.read_parquet(published).drop(columns=["constraints", "simulation"]).to_parquet(published)
    main([str(tmp_path), "--at", "8"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    with pytest.raises(UserError, match="--worth seen, as published"):
        main([str(tmp_path), "--worth", "full"])


def test_a_study_grows_from_day_to_day(study: Path, tmp_path: Path) -> None:
    """Published in parts it is what it is published at once."""
    once, parts = tmp_path / "once", tmp_path / "parts"
    shutil.copytree(study / "runs", once / "runs")
    main([str(once), "--at", "8"])
    method = {file.parent: json.loads(file.read_text())["method"] for file in (study / "runs").glob("*/*/*/run.json")}
    for chosen in ("random", "sobol"):
        for run in (run for run, name in method.items() if name == chosen):
            shutil.copytree(run, parts / run.relative_to(study))
        main([str(parts), "--at", "8"])
        shutil.rmtree(parts / "runs")
    for name in ("incumbents.parquet", "references.json"):
        assert (parts / name).read_bytes() == (once / name).read_bytes()
    text = [(folder / "comparison.md").read_text().splitlines() for folder in (once, parts)]
    differing = [a for a, b in zip(*text, strict=True) if a != b]
    assert [line[:5] for line in differing] == ["# onc", "Made "]


def test_methods_that_lack_tasks_are_kept_and_named(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "runs", tmp_path / "runs")
    for file in (tmp_path / "runs").glob("*/*/*/run.json"):
        run = json.loads(file.read_text())
        if (run["method"], run["task"]) == ("sobol", "branin"):
            shutil.rmtree(file.parent)
    main([str(tmp_path), "--at", "8"])
    text = (tmp_path / "comparison.md").read_text()
    assert "1 methods on 2 problems" in text
    assert "**Not ranked**, since they lack tasks: sobol (1 of 2 tasks)." in text
    [line] = [line for line in text.splitlines() if line.startswith("| sobol ")]
    published = read(tmp_path)
    curves = log_regrets(incumbents(published.steps, evaluations(8)), published.references)
    means = {method: curves["hartmann3", method].mean(axis=0)[-1] for method in ("random", "sobol")}
    won = "1/0/0" if means["random"] < means["sobol"] else "0/0/1"
    assert line == f"| sobol | 1 | {won} | {means['random'] - means['sobol']:.3f} | 1 |"
    kept = pd.read_parquet(tmp_path / "published.parquet")
    assert set(kept.loc[kept["method"] == "sobol", "task"]) == {"hartmann3"}
    with pytest.raises(UserError, match="sobol on every task to test it against others, got 1 of 2 tasks"):
        main([str(tmp_path), "--at", "8", "--reference", "sobol"])


@pytest.mark.parametrize(
    ("new", "machine", "random", "sobol"),
    [
        (["random 2 branin", "sobol 0 branin", "sobol 0 hartmann3"], "new", "3.5", "1.5"),  # more methods, fewer runs
        (["sobol 0 branin", "sobol 0 hartmann3"], "old", "2.5", "–"),
    ],
)
def test_processor_seconds_are_those_of_one_machine(
    study: Path, tmp_path: Path, new: list[str], machine: str, random: str, sobol: str
) -> None:
    shutil.copytree(study / "runs", tmp_path / "runs")
    for file in (tmp_path / "runs").glob("*/*/*/run.json"):
        run = json.loads(file.read_text())
        device = "new" if "{method} {seed} {task}".format(**run) in new else "old"
        if run["method"] == "sobol" and device == "old":
            shutil.rmtree(file.parent)
        else:
            file.write_text(json.dumps(run | {"device": device, "ask": 1.0 + run["seed"], "tell": 0.5}))
    main([str(tmp_path), "--at", "8"])
    text = (tmp_path / "comparison.md").read_text()
    assert f"on one machine ({machine})" in text
    table = text.partition("| method ")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert {row[0]: row[-2] for row in rows} == {"random": random, "sobol": sobol}


def test_runs_of_another_protocol_are_not_added(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "runs", tmp_path / "runs")
    main([str(tmp_path), "--at", "8"])
    shutil.rmtree(tmp_path / "runs")
    before = (tmp_path / "incumbents.parquet").read_bytes()
    plan = Plan(
        SyntheticTask("branin"), "random", RandomSearch(), 7, Budget(max_jobs=9), 1, Clock.COST, Limits(None, None),
        tmp_path,
    )  # fmt: skip
    execute(plan, Driver(Evaluator(), lambda *_: None))
    with pytest.raises(UserError, match=r"branin differ in budget.*to begin anew delete incumbents.parquet"):
        main([str(tmp_path), "--at", "8"])
    assert (tmp_path / "incumbents.parquet").read_bytes() == before


def test_what_makes_no_sense_is_refused(study: Path) -> None:
    with pytest.raises(UserError, match="between 1 and 8 evaluations"):
        main([str(study), "--at", "100"])
    with pytest.raises(UserError, match="sobol"):
        main([str(study), "--at", "8", "--reference", "sobbol"])


def test_without_at_it_compares_as_far_as_the_runs_go(study: Path) -> None:
    main([str(study)])
    assert "rank at 8 | at 8, coarse" in (study / "comparison.md").read_text()


def test_references_of_tasks_that_are_not_chosen_stay(study: Path) -> None:
    main([str(study), "--at", "8"])
    before = json.loads((study / "references.json").read_text())
    main([str(study), "--at", "8", "--where", "task=branin"])
    assert json.loads((study / "references.json").read_text()) == before
    assert set(before["references"]) == {"branin", "hartmann3"}


def test_torn_references_are_told(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "runs", tmp_path / "runs")
    main([str(tmp_path)])
    for torn in ('{"branin": {"best": 0.3', '{"branin": {"best": 0.3}}', "[]"):
        (tmp_path / "references.json").write_text(torn)
        with pytest.raises(UserError, match=r"references.json is missing or damaged .*bring it back"):
            main([str(tmp_path), "--at", "8"])


def test_missing_and_unfinished_runs_are_named(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "runs", tmp_path / "runs")
    main([str(study), "--at", "8"])
    runs = pd.read_parquet(study / "runs.parquet")
    [one] = runs.loc[(runs["method"] == "sobol") & (runs["task"] == "branin") & (runs["seed"] == 1), "run"]
    [file] = [file for file in (tmp_path / "runs").glob("*/*/*/run.json") if json.loads(file.read_text())["run"] == one]
    file.unlink()
    main([str(tmp_path), "--at", "8"])
    text = (tmp_path / "comparison.md").read_text()
    assert "**Missing runs**, of 3 seeds on every task: sobol 1." in text
    assert "1 run of this study has begun, but not finished" in text
    main([str(study), "--at", "8"])
    assert "issing" not in (study / "comparison.md").read_text()


def test_lower_fidelities_are_followed_by_training_and_full_worth(tmp_path: Path) -> None:
    for label, method in (("random", RandomSearch()), ("hyperband", Hyperband())):
        plan = Plan(
            SyntheticTask("mf_branin"), label, method, 0, Budget(max_full_evals=4), 1, Clock.COST, Limits(None, None),
            tmp_path,
        )  # fmt: skip
        execute(plan, Driver(Evaluator(), lambda *_: None))
    main([str(tmp_path)])
    text = (tmp_path / "comparison.md").read_text()
    assert "whatever it was trained to, after full evaluations consumed" in text
    assert "rank at 1 | rank at 3 | at 3, coarse" in text
    found = pd.read_parquet(tmp_path / "incumbents.parquet")
    early = found[(found["method"] == "hyperband") & (found["credited"] < 0.9)]
    assert (early["fidelity"] < 27).all()
    assert len(early)
    assert (found["worth"] - found["test"]).to_numpy() == pytest.approx(0.397887, abs=1e-6)  # regret and optimum
    main([str(tmp_path), "--by", "from_zero", "--worth", "seen", "--at", "2"])
    assert "value at the full fidelity, after full evaluations, each" in (tmp_path / "comparison.md").read_text()


def test_what_methods_use_until_they_reach_a_target(study: Path) -> None:
    """Counted from the jobs by hand; a run that never does counts with the end."""
    main([str(study), "--at", "8", "--target", "0.02", "0.5", "--reference", "sobol"])
    text = (study / "comparison.md").read_text()
    lines = [
        line for line in text[text.index("## Until") :].splitlines() if line.startswith(("| sobol |", "| random |"))
    ]
    found = {line.split(" | ")[0][2:]: line.strip("| ").split(" | ") for line in lines[:2]}
    known = json.loads((study / "references.json").read_text())["references"]
    jobs = pd.read_parquet(study / "jobs.parquet")
    means: dict[tuple[str, float], dict[str, float]] = {}
    for method, cells in found.items():
        for place, target in enumerate((0.5, 0.02)):
            logs, hits = [], []
            for task, one in known.items():
                own = jobs[(jobs["method"] == method) & (jobs["task"] == task)].sort_values(["seed", "job"])
                least = own.groupby("seed")["value"].cummin()
                below = (least - one["best"]) / (one["random"] - one["best"]) <= target
                first = [(list(run).index(True) + 1) if any(run) else None for _, run in below.groupby(own["seed"])]
                logs.append(np.mean([np.log10(n or 8) for n in first]))
                hits.append(np.mean([n is not None for n in first]))
            means.setdefault((method, target), {})["log"] = float(np.mean(logs))
            assert cells[3 * place + 2 : 3 * place + 4] == [f"{10 ** np.mean(logs):.3g}", f"{np.mean(hits):.0%}"]
    assert 0 < float(found["random"][3].rstrip("%")) <= 100  # some run reaches 0.5
    assert "### sobol against each" in text
    assert "Holm over all 2 comparisons" in text
    difference = means["sobol", 0.5]["log"] - means["random", 0.5]["log"]
    [duel] = [line for line in text[text.index("### sobol") :].splitlines() if line.startswith("| random |")]
    assert duel.split(" | ")[3] == f"{difference:.3f}"
    with pytest.raises(UserError, match=r"targets between 0 .* and 1 .*, got \[1.5\]"):
        main([str(study), "--at", "8", "--target", "1.5"])
